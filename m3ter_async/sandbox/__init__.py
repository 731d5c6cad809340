"""A local m3ter to develop and test against: real HTTP on loopback, seeded data, no account needed."""

from m3ter_async.sandbox.http.faults import Faults
from m3ter_async.sandbox.sandbox import Sandbox
from m3ter_async.sandbox.state.stored_data import Truth

__all__ = ["Faults", "Sandbox", "Truth"]

for _public in __all__:
    globals()[_public].__module__ = __name__  # users import it from here, wherever it stands
