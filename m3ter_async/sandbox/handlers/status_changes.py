"""Operations that set single fields of an entity: on and off, and the status of a revision."""

from __future__ import annotations

from typing import Any, Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ORG, REVISIONS
from m3ter_async.sandbox.handlers.entity_rows import touched
from m3ter_async.sandbox.rules.versions import check_version

CONFIGS: Final = ORG + "/integrationconfigs"
WEBHOOKS: Final = ORG + "/integrationdestinations/webhooks"
# Operation -> the collection, and the fields it sets: to a value, or to the query parameter or body field named.
CHANGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "EnableIntegrationConfig": (CONFIGS, {"enabled": True}),
    "ActivateWebhookDestination": (WEBHOOKS, {}),
    "UpdateLookupTableRevisionStatus": (REVISIONS, {}),
}


def change(world: World, call: Call) -> Row:
    """Set single fields of an entity."""
    pattern, fixed = CHANGES[call.route.operation]
    before = world.store.row(pattern, call.path)
    check_version(world, call, before)
    given = {name: value for name, value in {**call.query, **call.body}.items() if name != "version"}
    world.wrote(call)
    return world.store.table(pattern, call.path).put({**before, **fixed, **given, **touched(world, before)})


HANDLERS: Final[dict[str, Handler]] = dict.fromkeys(CHANGES, change)
