"""Records as Arrow record batches: every row, every digit, the same schema whatever comes, and bad records told."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from m3ter_async import RecordError
from m3ter_async._tabular.pyarrow_import import pa
from m3ter_async.arrow import ArrowPage, read_arrow, schemas
from m3ter_async.export import plan_slices
from m3ter_async.sandbox import Sandbox

from ..export.support import Shelf, sandbox_client
from ..wire import until

NOTHING: dict[str, Any] = {}
DIGITS = "12345678901234567890.123456789012345678"


def bills(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": f"b{number}", "billDate": "2024-01-31", **each} for number, each in enumerate(more)]


def test_schemas_are_known_without_a_client_and_without_a_call() -> None:
    found = schemas("bills")
    assert list(found) == ["bills", "line_items", "pricing_bands"]
    assert found["line_items"].field("subtotal").type == pa.decimal128(38, 18)
    assert found["bills"].field("dt_created").type == pa.timestamp("us", "UTC")
    assert found["bills"].field("bill_date").type == pa.date32()
    assert list(schemas("bills", nested=True)) == ["bills"]
    assert "balance_id" in schemas("balances.transactions")["transactions"].names
    with pytest.raises(ValueError, match="'bils' is no listing of this API; near to it: bills"):
        schemas("bils")


@pytest.mark.parametrize("nested", [False, True])
async def test_slices_together_hold_every_row_and_every_digit_under_the_schema_that_was_told(nested: bool) -> None:
    with Sandbox(seed=3, bills=120) as sandbox:
        truth = sandbox.truth()
        async with sandbox_client(sandbox, **httpx_on_trio()) as client:
            rows = items = 0
            totals: dict[str, Decimal] = {}
            async for each in plan_slices(client, "bills", since="2015-01-01", until="2035-01-01", count=5):
                async for page in read_arrow(client, each, nested=nested):
                    assert {name: each.schema for name, each in page.tables.items()} == schemas("bills", nested=nested)
                    rows += page.tables["bills"].num_rows
                    for currency, item in line_items(page):
                        items += 1
                        totals[currency] = totals.get(currency, Decimal()) + item["subtotal"]
    assert (rows, items) == (truth.bills, truth.line_items)
    assert totals == truth.line_item_subtotals


def line_items(page: ArrowPage) -> list[tuple[str, Any]]:
    """The line items of a page, each with the currency of its bill."""
    bills = page.tables["bills"].to_pylist()
    if "line_items" not in page.tables:
        return [(bill["currency"], item) for bill in bills for item in bill["line_items"] or ()]
    currencies = {bill["id"]: bill["currency"] for bill in bills}
    return [(currencies[item["bill_id"]], item) for item in page.tables["line_items"].to_pylist()]


def httpx_on_trio() -> dict[str, Any]:
    from m3ter_async import HttpxTransport

    return {"transport": HttpxTransport()}


async def test_a_slice_without_records_gives_one_page_of_the_right_schemas() -> None:
    client = Shelf({"bills": []}).client()
    (only,) = [each async for each in plan_slices(client, "bills")]
    (page,) = [page async for page in read_arrow(client, only)]
    assert {name: (batch.num_rows, batch.schema) for name, batch in page.tables.items()} == {
        name: (0, schema) for name, schema in schemas("bills").items()
    }
    assert page.position is None


async def test_reading_goes_on_behind_a_page_at_its_position() -> None:
    client = Shelf({"bills": bills(*[NOTHING] * 7)}, size=3).client()
    (only,) = [each async for each in plan_slices(client, "bills")]
    pages = [page async for page in read_arrow(client, only)]
    assert [page.tables["bills"].num_rows for page in pages] == [3, 3, 1]
    rest = [page async for page in read_arrow(client, only, pages[0].position)]
    assert [page.tables["bills"].column("id").to_pylist() for page in rest] == [["b3", "b4", "b5"], ["b6"]]


async def test_children_name_their_parent_and_the_schema_is_that_of_the_listing() -> None:
    records: dict[str, Any] = {"balances": [{"id": "x"}], "balances/x/transactions": [{"id": "t", "amount": 1.5}]}
    client = Shelf(records).client()
    (only,) = [each async for each in plan_slices(client, "balances.transactions")]
    (page,) = [page async for page in read_arrow(client, only)]
    (row,) = page.tables["transactions"].to_pylist()
    assert (row["balance_id"], row["amount"]) == ("x", Decimal("1.5"))
    assert page.tables["transactions"].schema == schemas("balances.transactions")["transactions"]


TOO_FINE = Decimal("0.0000000000000000001")


async def test_a_record_that_arrow_cannot_hold_exactly_is_told_and_the_others_are_there() -> None:
    client = Shelf({"bills": bills({"billTotal": Decimal(DIGITS)}, {"billTotal": TOO_FINE}, {"billTotal": 2})}).client()
    (only,) = [each async for each in plan_slices(client, "bills")]
    told: list[RecordError] = []
    (page,) = [page async for page in read_arrow(client, only, on_bad=told.append)]
    assert page.tables["bills"].column("bill_total").to_pylist() == [Decimal(DIGITS), Decimal(2)]
    (error,) = told
    assert (error.index, b'"b1"' in error.record) == (1, True)
    assert "bill_total" in str(error)
    with pytest.raises(RecordError, match="bill_total"):
        _ = [page async for page in read_arrow(client, only)]
    with pytest.raises(RecordError, match="bill_total"):
        await client.bills.list().to_arrow()
    assert (await client.bills.list().tolerant(told.append).to_arrow()).num_rows == 2
    assert len(told) == 2


async def test_a_field_that_no_model_names_is_counted_and_kept() -> None:
    client = Shelf({"bills": bills({"newOfToday": {"a": 1}}, {})}).client()
    pages = [page async for page in client.bills.list().arrow()]
    assert [page.unknown for page in pages] == [{"bills.newOfToday": 1}]
    assert pages[0].tables["bills"].column("_extra").to_pylist() == ['{"newOfToday":{"a":1}}', None]


async def test_any_listing_becomes_one_table_by_one_call() -> None:
    client = Shelf({"bills": bills({"lineItems": [{"id": "l", "subtotal": 1.10}]}, {}), "accounts": []}).client()
    nested = await client.bills.list().to_arrow()
    assert nested.num_rows == 2
    assert nested.column("line_items").to_pylist()[0][0]["subtotal"] == Decimal("1.1")
    items = await client.bills.list().to_arrow("line_items")
    assert items.column("bill_id").to_pylist() == ["b0"]
    assert (await client.accounts.list().to_arrow()).num_rows == 0
    with pytest.raises(ValueError, match="there is no table 'lines': there are bills, line_items, pricing_bands"):
        await client.bills.list().to_arrow("lines")


async def test_leaving_the_loop_stops_the_page_that_is_under_way() -> None:
    shelf = Shelf({"bills": bills(*[NOTHING] * 9)}, size=3)
    client = shelf.client()
    pages = client.bills.list().arrow()
    assert isinstance(await anext(pages), ArrowPage)
    await pages.aclose()
    await until(lambda: len(client._pipeline.background) == 0)


def test_the_client_loads_nothing_of_arrow_by_itself() -> None:
    script = "import sys, m3ter_async._paging.paginator; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False"]


async def test_a_slice_of_ids_names_those_that_are_gone_and_a_client_of_another_organization_is_refused() -> None:
    made = [{"id": "b0"}, {"id": "b1"}]
    shelf = Shelf({"bills": lambda query: [row for row in made if row["id"] in query.get("ids", row["id"])]})
    m3ter = shelf.client()
    (slice,) = [each async for each in plan_slices(m3ter, "bills", by="ids")]
    made.clear()
    pages = [page async for page in read_arrow(m3ter, slice)]
    assert [(page.tables["bills"].num_rows, tuple(page.gone)) for page in pages] == [(0, ("b0", "b1"))]
    with pytest.raises(ValueError, match="slice is of the organization"):
        await anext(read_arrow(m3ter.with_options(org_id="another"), slice))
