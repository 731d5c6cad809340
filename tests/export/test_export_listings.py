"""Every listing of the client can be exported by its dotted name, for every parent where there are any."""

from __future__ import annotations

import gc
import inspect
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from m3ter_async._tabular.tables import Column, flat
from m3ter_async.export import Slice, export, plan_slices
from m3ter_async.export.slices.listings import Listing, find
from m3ter_async.resources._base import Resource
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..contract import example, needs_document, operations, true_answer
from ..fakes import FakeTransport, answer, client
from ..resources.test_contract import record_of
from ..sandbox.raw import Raw, tour
from .job import small_parts
from .support import (
    FORMS,
    Shelf,
    bill,
    csv_rows,
    exact,
    lines,
    parquet_rows,
    sandbox_client,
    written,
)

NOBODY = Shelf({}).client()


def methods(value: Any, path: str = "") -> Iterator[str]:
    """The dotted names of all methods of the client that give a paginator, found in another way than the export's."""
    for name in dir(type(value)):
        member = inspect.getattr_static(type(value), name)
        if isinstance(member, cached_property):
            yield from methods(getattr(value, name), f"{path}{name}.")
        elif (
            not name.startswith("_")
            and isinstance(value, Resource)
            and "Paginator[" in str(getattr(member, "__annotations__", {}).get("return"))
        ):
            yield path + name


METHODS = sorted(methods(NOBODY))
# What cannot be known from any listing has to be given; a preview is asked with all that it previews.
GIVEN: dict[str, dict[str, str]] = {
    "bills.list_by_account": {"account_id": "a"},
    "bills.list_by_billing_period": {"billing_frequency": "MONTHLY", "last_date_in_billing_period": "2024-01-31"},
    "external_mappings.list_by_external_entity": {"external_id": "1", "system": "s", "external_table": "t"},
    "external_mappings.list_by_m3ter_entity": {"m3ter_id": "1", "entity": "Account"},
    "integration_configurations.get_by_entity": {"entity_type": "Bill"},
    "integration_runs.list": {"entity_id": "1", "entity_type": "Bill"},
    "integration_runs.list_by_destination": {"destination_id": "1"},
    "lookup_tables.lookup_table_revision_data.lookup_table_revision_data_jobs.list": {
        "lookup_table_id": "1",
        "lookup_table_revision_id": "2",
    },
    "resource_groups.list": {"type": "products"},
    "resource_groups.list_contents": {"type": "products", "resource_group_id": "1"},
    "resource_groups.list_permissions": {"type": "products", "resource_group_id": "1"},
}
OF_PARENTS = {"resource_group_id", "lookup_table_revision_id"}
PREVIEWS = {"balances.charge_schedules.preview", "balances.transaction_schedules.preview"}
LISTINGS = [name for name in METHODS if name not in PREVIEWS]
PARENTS = {
    "accounts.list_children": "/accounts",
    "balances.charge_schedules.list": "/balances",
    "balances.transaction_schedules.list": "/balances",
    "balances.transactions.list": "/balances",
    "bills.credit_line_items.list": "/bills",
    "bills.debit_line_items.list": "/bills",
    "bills.line_items.list": "/bills",
    "lookup_tables.lookup_table_revisions.list": "/lookuptables",
    "lookup_tables.lookup_table_revision_data.lookup_table_revision_data_jobs.list": (
        "/lookuptables/{lookupTableId}/revisions"
    ),
    "resource_groups.list_contents": "/resourcegroups/{type}",
    "resource_groups.list_permissions": "/resourcegroups/{type}",
    "users.get_permissions": "/users",
    "users.get_user_groups": "/users",
}


def found(method: str) -> Listing:
    return find(NOBODY, method, GIVEN.get(method, {}))


@needs_document
def test_every_operation_of_the_contract_that_answers_pages_is_a_listing() -> None:
    paged = {operation.id for operation in operations() if record_of(operation)}
    known = {found(method).operation.id for method in LISTINGS}
    previews = {"PreviewBalanceTransactionSchedule", "PreviewScheduledCharge"}
    assert paged - known - previews == set()
    assert len(METHODS) >= 62


@pytest.mark.parametrize("method", LISTINGS)
def test_a_listing_is_found_by_the_name_of_its_method_and_by_the_short_one(method: str) -> None:
    listing = found(method)
    short = find(NOBODY, method.removesuffix(".list"), GIVEN.get(method, {}))
    assert listing.method == short.method == method
    assert (listing.operation, listing.parent_argument) == (short.operation, short.parent_argument)


def test_those_that_need_more_than_parents_say_what() -> None:
    for method, given in GIVEN.items():
        for missing in given:
            rest = {name: value for name, value in given.items() if name != missing}
            if missing in OF_PARENTS:
                continue
            with pytest.raises(ValueError, match=missing):
                find(NOBODY, method, rest)


@needs_document
def test_those_with_parents_fan_out_over_what_their_path_leads_through() -> None:
    declared = {operation.id: operation for operation in operations()}
    fanned = {}
    for method in LISTINGS:
        given = {name: value for name, value in GIVEN.get(method, {}).items() if name not in OF_PARENTS}
        try:
            listing = find(NOBODY, method, given)
        except ValueError:
            continue
        if listing.parent is None:
            continue
        parent, path = declared[listing.parent.operation.id], declared[listing.operation.id].path
        rest = re.fullmatch(re.escape(parent.path) + r"/\{(\w+)\}/.+", path)
        assert rest, f"{method}: {path} does not lead through {parent.path}"
        assert rest[1].lower() == (listing.parent_argument or "").replace("_", "")
        fanned[method] = parent.path.removeprefix("/organizations/{orgId}")
    assert fanned == PARENTS


class Family:
    """Parents on many pages, and children of each."""

    def __init__(self, parents: str, count: int, children: int = 3, size: int = 4) -> None:
        self.parents = parents
        self.count = count
        self.children = children
        self.size = size
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Response:
        url = urlsplit(request.url)
        path = "/" + url.path.split("/", 3)[3]
        place = int(dict(parse_qsl(url.query)).get("nextToken", 0))
        self.asked.append(path)
        if path == self.parents:
            ids = [f"p{number}" for number in range(place, min(place + self.size, self.count))]
            after = place + self.size if place + self.size < self.count else None
            return answer({"data": [{"id": each} for each in ids], "nextToken": after and str(after)})
        parent = path.removeprefix(self.parents + "/").partition("/")[0]
        rows = [{"id": f"{parent}-{number}"} for number in range(place, min(place + 2, self.children))]
        after = place + 2 if place + 2 < self.children else None
        return answer({"data": rows, "nextToken": after and str(after)})


@pytest.mark.parametrize("method", PARENTS)
async def test_every_child_of_every_parent_is_exported_with_the_parents_id(method: str, out: Path) -> None:
    where = {name: value for name, value in GIVEN.get(method, {}).items() if name not in OF_PARENTS}
    family = Family(re.sub(r"\{.*?\}", next(iter(where.values()), ""), PARENTS[method]), 11)
    m3ter = client(FakeTransport(family))
    report = await export(m3ter, [method], out, concurrency=2, where=where)
    key = find(m3ter, method, where)
    rows = [exact(line) for line in lines(report, method, key.table)]
    assert sorted(row["id"] for row in rows) == sorted(f"p{n}-{child}" for n in range(11) for child in range(3))
    for row in rows:
        parent = {value for name, value in row.items() if name != "id"}
        # what names its parent itself gets nothing added
        assert parent == {row["id"].partition("-")[0]} or set(row) == {"id"}
    assert len(set(family.asked)) == 12


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_transactions_carry_the_id_of_their_balance(sandbox: Sandbox, out: Path) -> None:
    async with sandbox_client(sandbox) as m3ter:
        report = await export(m3ter, ["balances.transactions"], out, format="csv")
        expected = [
            (balance.id, row.id)
            for balance in await m3ter.balances.list().collect()
            for row in await m3ter.balances.transactions.list(balance.id).collect()
        ]
    rows = csv_rows(report, "balances.transactions", "transactions")
    assert sorted((row["balance_id"], row["id"]) for row in rows) == sorted(expected)


async def test_line_items_of_bills_are_of_the_bills_in_the_range(out: Path) -> None:
    days = ["2024-01-31", "2024-02-01", "2024-02-29", "2024-03-01"]
    shelf = Shelf(
        {
            "bills": [bill(number, day) for number, day in enumerate(days)],
            **{f"bills/bill-{n}/lineitems": [{"id": f"item-{n}", "billId": f"bill-{n}"}] for n in range(4)},
        }
    )
    report = await export(shelf.client(), ["bills.line_items"], out, since="2024-02-01", until="2024-03-01")
    assert sorted(lines(report, "bills.line_items", "line_items")) == [
        b'{"id":"item-1","billId":"bill-1"}',
        b'{"id":"item-2","billId":"bill-2"}',
    ]
    assert shelf.asked["bills/bill-0/lineitems"] == 0


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("bill", "bills"),
        ("balance.transactions", "balances.transactions"),
        ("balances.transaction", "balances.transactions"),
        ("lineitems", "line_items"),
        ("bills.lineitems", "bills.line_items"),
        ("Accounts", "accounts"),
        ("bills.serch", "bills.search"),
    ],
)
def test_an_unknown_resource_is_refused_with_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}.* near to it: .*\b{near}\b"):
        find(NOBODY, name, {})


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "bills.",
        ".bills",
        "bills..list",
        "bills.retrieve",
        "_pipeline",
        "stats",
        "__class__",
    ],
)
def test_what_is_no_listing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no listing"):
        find(NOBODY, name, {})


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"stat\b.*did you mean status"):
        find(NOBODY, "bills", {"stat": "PENDING"})
    with pytest.raises(ValueError, match="next_token"):
        find(NOBODY, "bills", {"next_token": "1"})


def kept(column: Column, value: Any, name: str) -> Any:
    """What a file should have for the JSON of a value."""
    if column.kind == "json":
        return value
    if name == "csv":
        return {True: "true", False: "false"}[value] if column.kind == "boolean" else str(value)
    if column.kind == "date":
        return date.fromisoformat(value)
    if column.kind == "instant":
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value


@needs_document
@pytest.mark.parametrize("method", LISTINGS)
def test_a_record_with_all_that_the_contract_declares_is_written_in_every_format(method: str) -> None:
    where = GIVEN.get(method, {})
    listing = found(method)
    operation = next(each for each in operations() if each.id == listing.operation.id)
    sent = example(record_of(operation) or true_answer(operation) or {})
    record = msgspec.json.Encoder(decimal_format="number").encode(sent)
    values = exact(record)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(listing.operation.answer)}
    for name, form in FORMS.items():
        with written([record, b"{}"], form, method, **where) as report:
            assert report.rows[method][listing.table] == 2
            if form.format == "ndjson":
                assert lines(report, method, listing.table) == [record, b"{}"]
            elif name != "nested":
                columns = flat(listing.operation.answer, listing.table).columns
                row, empty = (csv_rows if name == "csv" else parquet_rows)(report, method, listing.table)
                for column in columns:
                    cell, value = row[column.title], values.get(names[column.name])
                    if column.kind == "json" and cell:
                        cell = exact(cell.encode())
                    # of a union the document's example has one kind, and the model the fields of all
                    assert (cell or None) == (None if value is None else kept(column, value, name)), column
                assert not any(empty.values()), name
            else:
                row, empty = parquet_rows(report, method, listing.table)
                assert row.keys() >= {each.rstrip("_") for each in names}
                assert not any(empty.values())


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_listing_of_a_service_is_exported_as_it_is_listed(out: Path) -> None:
    async with Sandbox(seed=3, bills=20) as sandbox:
        raw = Raw(sandbox)
        with closing(raw.http):
            tour(raw)
        async with sandbox_client(sandbox) as m3ter:
            alone = [name for name in LISTINGS if name not in GIVEN and name not in PARENTS]
            fanned = [name for name in LISTINGS if name in PARENTS and name not in GIVEN]
            counts = {}
            for form in FORMS.values():
                folder = out / "-".join(map(str, form))
                report = await export(m3ter, [*alone, *fanned], folder, **form.options, concurrency=2)
                assert {name: report.rows[name][found(name).table] for name in report.records} == report.records
                counts[form] = report.records
                if form == FORMS["ndjson"]:
                    for name in alone:
                        method: Any = m3ter
                        for part in name.split("."):
                            method = getattr(method, part)
                        asked = {"include_bill_total": True} if name == "bills.list" else {}
                        expected = sorted(await method(**asked).raw().collect())
                        assert sorted(lines(report, name, found(name).table)) == expected, name
    assert len({tuple(count.items()) for count in counts.values()}) == 1
    # the tour leaves something in nearly all of them
    assert sum(1 for count in report.records.values() if count) > 45


class ManyParents(Family):
    """A service that notes the most parents that were given out and not yet asked for their children."""

    def __init__(self, count: int) -> None:
        super().__init__("/balances", count, children=1, size=100)
        self.given = 0
        self.done = 0
        self.most = 0

    def __call__(self, request: Request) -> Response:
        response = super().__call__(request)
        if self.asked.pop() == self.parents:
            self.given += len(json.loads(response.content)["data"])
        else:
            self.done += 1
        self.most = max(self.most, self.given - self.done)
        return response


async def test_parents_are_asked_for_as_they_are_needed_and_not_all_at_once(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)  # a slice is kept until the part with its last row is finished
    service = ManyParents(2_000)
    held: list[int] = []

    def look(_: object) -> None:
        if service.done % 700 == 600:
            gc.collect()
            slices = (each for each in gc.get_objects() if type(each) is Slice)
            held.append(sum(len(each.parents) for each in slices))

    report = await export(
        client(FakeTransport(service)), ["balances.transactions"], out, concurrency=4, on_progress=look
    )
    assert report.records == {"balances.transactions": 2_000}
    assert service.most <= 300
    assert 0 < max(held) <= 1_000


async def test_plan_slices_gives_slices_page_by_page() -> None:
    service = ManyParents(1_000)
    stream = plan_slices(client(FakeTransport(service)), "balances.transactions", count=4)
    first = [await anext(stream) for _ in range(4)]
    assert sum(len(each.parents) for each in first) == 100
    assert service.given == 100
    rest = [each async for each in stream]
    every = [parent for each in [*first, *rest] for parent in each.parents]
    assert sorted(every) == sorted(f"p{number}" for number in range(1_000))
    assert len({each.id for each in [*first, *rest]}) == len([*first, *rest])


async def test_parents_that_come_in_a_circle_are_read_once_and_told(out: Path) -> None:
    def serve(request: Request) -> Response:
        url = urlsplit(request.url)
        if not url.path.endswith("/balances"):
            return answer({"data": []})
        token = dict(parse_qsl(url.query)).get("nextToken", "start")
        after = {"start": "a", "a": "b", "b": "a"}[token]
        return answer({"data": [{"id": f"p-{token}"}], "nextToken": after})

    for again in (False, True):
        report = await export(client(FakeTransport(serve)), ["balances.transactions"], out, resume=again)
        (note,) = report.notes
        assert note.kind == "parents"
        assert "parents of balances.transactions that it gave before" in note.text
        assert not report.complete
