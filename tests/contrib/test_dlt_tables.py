"""Changes as tables for dlt: keys that join them, rows of what is gone, and a bookmark that is never ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from m3ter_async import AsyncM3ter, HttpxTransport
from m3ter_async.arrow import schemas
from m3ter_async.contrib._dlt_tables import BOOKMARK, DELETED, DIGEST, ORDER, PARENT, ROOT, ROW, Tables
from m3ter_async.contrib.dlt import m3ter_source
from m3ter_async.sandbox import Sandbox
from m3ter_async.sync import Change, Known, changes

from ..export.support import sandbox_client

CHAIN = ["bills", "line_items", "pricing_bands"]


@pytest.fixture
async def client() -> AsyncIterator[tuple[Sandbox, AsyncM3ter]]:
    with Sandbox(bills=40) as sandbox:
        async with sandbox_client(sandbox, HttpxTransport()) as client:
            yield sandbox, client


async def bills(client: AsyncM3ter, known: Known) -> list[Change]:
    found = [change async for change in changes(client, "bills", known)]
    return [change for change in found if change.ids or change.deletes]


def tables() -> Tables:
    return Tables(schemas("bills"), None)


async def test_keys_join_the_tables_and_name_each_row_once(client: tuple[Sandbox, AsyncM3ter]) -> None:
    (change,) = await bills(client[1], Known())
    found = dict(tables().rows(change, 7, "mark"))
    keys = {name: table.column(ROW).to_pylist() for name, table in found.items()}
    assert list(found) == CHAIN
    for name in CHAIN:
        assert len(keys[name]) == len(set(keys[name])) > 0
    roots, lines = set(keys["bills"]), set(keys["line_items"])
    assert set(found["line_items"].column(PARENT).to_pylist()) <= roots
    assert set(found["pricing_bands"].column(PARENT).to_pylist()) <= lines
    assert set(found["pricing_bands"].column(ROOT).to_pylist()) <= roots
    for name in CHAIN[1:]:
        bill = dict(zip(keys["bills"], found["bills"].column("id").to_pylist(), strict=True))
        assert [bill[key] for key in found[name].column(ROOT).to_pylist()] == found[name].column("bill_id").to_pylist()


async def test_two_versions_of_a_record_have_no_row_in_common(client: tuple[Sandbox, AsyncM3ter]) -> None:
    (change,) = await bills(client[1], Known())
    one, two = (dict(tables().rows(change, order, None)) for order in (1, 2))
    for name in CHAIN:
        assert not set(one[name].column(ROW).to_pylist()) & set(two[name].column(ROW).to_pylist())
    assert set(two["bills"].column(ORDER).to_pylist()) == {2}


async def test_what_is_gone_is_a_row_that_says_so(client: tuple[Sandbox, AsyncM3ter]) -> None:
    m3ter = client[1]
    known = Known()
    await bills(m3ter, known)
    bill = await anext(aiter(m3ter.bills.list(status="PENDING")))
    await m3ter.bills.delete(bill.id)
    (change,) = await bills(m3ter, known)
    found = dict(tables().rows(change, 2, "mark"))
    row = found["bills"].to_pylist()
    assert [(each["id"], each[DELETED], each[DIGEST], each[BOOKMARK]) for each in row] == [(bill.id, True, None, None)]
    assert [found[name].num_rows for name in CHAIN[1:]] == [0, 0]


async def test_the_bookmark_is_on_rows_that_are_there(client: tuple[Sandbox, AsyncM3ter]) -> None:
    (change,) = await bills(client[1], Known())
    marks = dict(tables().rows(change, 1, "mark"))["bills"].column(BOOKMARK).to_pylist()
    assert marks == [None] * 32 + ["mark"] * 8
    assert set(dict(tables().rows(change, 1, None))["bills"].column(BOOKMARK).to_pylist()) == {None}


def test_what_is_never_null_is_said_in_the_schema_too() -> None:
    for name in CHAIN:
        hints = tables().hints(name)["columns"]
        assert hints[ROW]["row_key"]
        assert all(not hints[key]["nullable"] for key in ("position", "bill_id") if key in hints)
    assert "line_item_id" not in tables().hints("pricing_bands")["columns"]  # a line item may have none


def test_tables_below_the_first_are_a_chain_only_when_all_are_there() -> None:
    class Schema:
        tables: dict[str, dict[str, Any]] = {  # noqa: RUF012
            "line_items": {"name": "line_items", "resource": "bills", "parent": "bills"},
            "pricing_bands": {"name": "pricing_bands", "resource": "bills"},
        }

    schema = Schema()
    with tables().apart(schema):
        assert not any("parent" in table for table in schema.tables.values())
    below = schema.tables["line_items"]
    assert (below["parent"], schema.tables["pricing_bands"]["parent"]) == ("bills", "line_items")
    assert ("resource" in below, below.get("resource"), below["resource"]) == (False, None, "bills")
    with pytest.raises(KeyError):
        below["other"]


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        ([], "list of listings"),
        ("bills", "list of listings"),
        (["bils"], "near to it: bills"),
        (["bills", "line_items"], "both have a table line_items"),
    ],
)
def test_what_cannot_be_a_source_is_refused_at_once(resources: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        m3ter_source(resources)
