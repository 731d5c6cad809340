"""What the service's contract says, and whether a call keeps to it."""

from m3ter_async.sandbox.contract.fields import Field, Route, Row
from m3ter_async.sandbox.contract.generated import ROUTES, SCHEMAS

__all__ = ["Field", "ROUTES", "Route", "Row", "SCHEMAS"]
