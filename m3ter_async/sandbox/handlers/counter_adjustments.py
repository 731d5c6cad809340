"""Counter adjustments: only their list differs from that of other collections."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.handlers.pages import numbered, page
from m3ter_async.sandbox.refusal import Refusal

# The contract gives `sortOrder` no values here; these are the ones it gives elsewhere.
ORDERS: Final = ("ASC", "DESC")


def list_adjustments(world: World, call: Call) -> object:
    """GET /counteradjustments: newest first, or by date where a `sortOrder` is given."""
    table = world.store.table(call.route.path, call.path)
    order = call.query.get("sortOrder")
    if order is None:
        return page(world, call, table.walk, dict)
    if order not in ORDERS:
        raise Refusal(400, f"sortOrder: not one of {', '.join(ORDERS)}")
    rows = [row for _, row in table.walk()]
    rows.sort(key=lambda row: str(row["date"]), reverse=order == "DESC")
    return page(world, call, numbered(rows), dict)


HANDLERS: Final[dict[str, Handler]] = {"ListCounterAdjustments": list_adjustments}
