"""The rule of versions: what is changed must be what was read."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Call, World
from m3ter_async.sandbox.contract import ROUTES, Route, Row
from m3ter_async.sandbox.refusal import Refusal

KNOWN: Final = {(route.method, route.path) for route in ROUTES}


def check_version(world: World, call: Call, stored: Row) -> None:
    """Refuse a change that was made from another version than the stored one.

    A PUT that takes a `version` must carry it, as soon as something is stored (400). Other methods may leave it out.
    A version that is given must be the stored one (409).
    """
    given = call.body.get("version")
    if given is not None and given != stored["version"]:
        raise Refusal(409, f"version: is {stored['version']}, not {given}")
    # Version 0 stands for nothing stored: the first PUT creates.
    updates = call.route.method == "PUT" and stored["version"] > 0
    if given is None and updates and "version" in world.fields(call.route.body):
        raise Refusal(400, "version: missing, an update must carry it")


def check_no_version(route: Route, body: Row) -> None:
    """Refuse a version on create: what is created has none yet. Other POSTs may speak of something that exists."""
    if body.get("version") is not None and creates(route):
        raise Refusal(400, "version: not allowed on create")


def creates(route: Route) -> bool:
    """Whether a POST makes an entity that can be retrieved by its id, or a transaction, which cannot."""
    made = ("GET", route.path + "/{id}") in KNOWN or route.path.endswith("/transactions")
    return route.method == "POST" and made
