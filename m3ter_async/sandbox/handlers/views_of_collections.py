"""Lists that show a part of another collection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ACCOUNTS, ORG, RUNS
from m3ter_async.sandbox.handlers.pages import numbered, page

MAPPINGS: Final = ORG + "/externalmappings"
# Operation -> the collection it shows a part of, and which field each path parameter stands for.
VIEWS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "ListAccountChildren": (ACCOUNTS, {"id": "parentAccountId"}),
    "ListExternalMappingsForM3terEntity": (MAPPINGS, {"entity": "m3terEntity", "m3terId": "m3terId"}),
    "ListExternalMappingsForExternalSystemAndEntity": (
        MAPPINGS,
        {"system": "externalSystem", "externalTable": "externalTable", "externalId": "externalId"},
    ),
    "ListIntegrationRuns": (RUNS, {"entityType": "entityType", "entityId": "entityId"}),
    "ListIntegrationRunsByDestinationId": (RUNS, {"destinationId": "destinationId"}),
}


def view(world: World, call: Call) -> Row:
    """The rows of a collection that the path selects; a path through an account that does not exist is a 404."""
    pattern, names = VIEWS[call.route.operation]
    if pattern == ACCOUNTS:
        world.store.row(ACCOUNTS, call.path)
    wanted = [(field, call.path[name]) for name, field in names.items()]
    table = world.store.table(pattern, {})

    def walk(after: int | None) -> Iterable[tuple[int, Row]]:
        rows = table.walk(after)
        return ((place, row) for place, row in rows if all(row.get(field) == value for field, value in wanted))

    if call.query.get("order") == "ASC":
        return page(world, call, numbered([row for _, row in walk(None)][::-1]), dict)
    return page(world, call, walk, dict)


HANDLERS: Final[dict[str, Handler]] = dict.fromkeys(VIEWS, view)
