"""Line items as they stand outside their bill, of one bill or of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import BILLS
from m3ter_async.sandbox.handlers.pages import numbered, page
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.bills import METERED

# More than the line items of any bill: place of the bill times this, plus number of the line item, is a place.
LINES_PER_BILL: Final = 100_000


def own_shape(line: Row, bill: Row) -> Row:
    """A line item as it stands outside its bill."""
    row = {name: value for name, value in line.items() if name not in ("childAccountId", "childAccountCode")}
    row["bandUsage"] = row.pop("usagePerPricingBand")
    taken = ("dtCreated", "dtLastModified", "createdBy", "lastModifiedBy")
    row.update({name: bill[name] for name in taken}, billId=bill["id"], version=1)
    row["jsonUsageGenerated"] = line["lineItemType"] in METERED
    return row


def _lines_of(world: World, call: Call) -> list[Row]:
    bill = world.store.row(BILLS, call.path, "billId")
    return [own_shape(line, bill) for line in world.store.lines(bill)]


def bill_lines(world: World, call: Call) -> Row:
    """GET /bills/{billId}/lineitems."""
    return page(world, call, numbered(_lines_of(world, call)), dict)


def line_of_bill(world: World, call: Call) -> Row:
    """GET /bills/{billId}/lineitems/{id}."""
    for row in _lines_of(world, call):
        if row["id"] == call.path["id"]:
            return row
    raise Refusal(404, "id: this bill has no such line item")


def all_lines(world: World, call: Call) -> Row:
    """GET /lineitems: of all bills, the newest bill first."""

    def walk(after: int | None) -> Iterator[tuple[int, Row]]:
        # The bill that holds the place `after` is walked again, for the line items that follow there.
        start = None if after is None else after // LINES_PER_BILL - 1
        for bill_place, bill in world.store.bills.walk(start):
            if call.query.get("billId", bill["id"]) != bill["id"]:
                continue
            for number, line in enumerate(world.store.lines(bill)):
                place = bill_place * LINES_PER_BILL + number
                if after is None or place > after:
                    yield place, own_shape(line, bill)

    return page(world, call, walk, dict)


HANDLERS: Final[dict[str, Handler]] = {
    "ListBillLineItems": bill_lines,
    "GetBillLineItem": line_of_bill,
    "ListLineItems": all_lines,
}
