"""Slices cover their listing without a gap and without an overlap, wherever they are read and however they are cut."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import example, given, settings
from hypothesis import strategies as st

from m3ter_async import AsyncM3ter
from m3ter_async.export import ExportError, Position, Slice, export, plan_slices, read_slice
from m3ter_async.export.slices.slice import Window
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, client
from .job import processes
from .support import (
    FORMS,
    MANIFEST,
    MEMORY,
    Form,
    Shelf,
    bill,
    content,
    exact,
    lines,
    sandbox_client,
)

often = settings(max_examples=150, deadline=None)
sometimes = settings(max_examples=20, deadline=None)
YEARS = st.dates(date(1971, 1, 1), date(2199, 1, 1))


def within(window: Window, day: date) -> bool:
    return (window.start is None or window.start <= day) and (window.end is None or day < window.end)


@st.composite
def windows(draw: Any, days: Any) -> Window:
    """Any range that an export may be asked for."""
    start, end = draw(st.none() | days), draw(st.none() | days)
    if start is not None and end is not None and start >= end:
        start, end = (end, start) if start > end else (start, start + timedelta(days=1))
    return Window(start, end)


def check_split(window: Window, ways: int, seen: list[date]) -> None:
    parts = window.split(ways, seen)
    assert parts[0].start == window.start
    assert parts[-1].end == window.end
    for before, after in pairwise(parts):
        assert before.end is not None
        assert before.end == after.start
    assert all(each.days is None or each.days > 0 for each in parts)
    edges = {day for each in parts for day in each if day is not None}
    near = {day + timedelta(days=shift) for day in {*edges, *seen} for shift in (-1, 0, 1) if 2 < day.year < 9998}
    for day in near:
        assert sum(within(each, day) for each in parts) == within(window, day)
    assert len(parts) <= ways + 2


@often
@given(windows(YEARS), st.integers(1, 50), st.lists(YEARS, max_size=3))
@example(Window(date(2024, 1, 1), date(2024, 1, 2)), 5, [])
@example(Window(date(2024, 2, 28), date(2024, 3, 1)), 2, [])
@example(Window(None, date(2024, 3, 1)), 3, [date(2024, 2, 1)])
@example(Window(date(2024, 3, 1), None), 3, [date(2020, 2, 1)])
@example(Window(None, None), 4, [date(2024, 2, 1)])
def test_windows_are_split_into_windows_without_gap_or_overlap(window: Window, ways: int, seen: list[date]) -> None:
    check_split(window, ways, seen)


@often
@given(windows(st.dates()), st.integers(1, 50), st.lists(st.dates(), max_size=3))
@example(Window(None, date(1, 2, 1)), 3, [])
@example(Window(date(2024, 1, 1), None), 3, [date.max])
def test_dates_at_the_ends_of_time_are_dates_too(window: Window, ways: int, seen: list[date]) -> None:
    check_split(window, ways, seen)


@often
@given(windows(YEARS), st.integers(1, 20), st.integers(1, 20))
def test_a_slice_is_cut_into_slices_of_the_same_listing(window: Window, ways: int, again: int) -> None:
    names = ("bill_date_start", "bill_date_end")
    days = {name: day.isoformat() for name, day in zip(names, window, strict=True) if day is not None}
    whole = Slice("0", "bills.list", {"status": "PENDING", **days})
    if not days:
        assert whole.window is None
        return
    assert whole.window == window
    cuts = [small for each in whole.cut(window.split(ways)) for small in each.cut((each.window or window).split(again))]
    assert all(each.arguments["status"] == "PENDING" for each in cuts)
    assert len({each.id for each in cuts}) == len(cuts)
    assert cuts[0].arguments.get(names[0]) == days.get(names[0])
    assert cuts[-1].arguments.get(names[1]) == days.get(names[1])
    for before, after in pairwise(cuts):
        assert before.arguments[names[1]] == after.arguments[names[0]]


async def planned(m3ter: Any, resource: str, **options: Any) -> list[Slice]:
    return [each async for each in plan_slices(m3ter, resource, **options)]


async def rows(m3ter: Any, slice: Slice, position: Position = Position()) -> list[bytes]:  # noqa: B008  frozen
    return [record async for page in read_slice(m3ter, slice, position) for record in page.records]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("count", [1, 7, 40])
async def test_all_slices_together_are_the_listing(sandbox: Sandbox, count: int) -> None:
    async with sandbox_client(sandbox) as m3ter:
        slices = await planned(m3ter, "bills", since="2022-01-01", until="2026-01-01", count=count)
        assert len(slices) == count
        found = sorted([row for each in slices for row in await rows(m3ter, each)])
        assert found == sorted(await m3ter.bills.list(include_bill_total=True).raw().collect())
        slices = await planned(m3ter, "balances.transactions", count=count)
        found = sorted([row for each in slices for row in await rows(m3ter, each)])
    assert len(found) == len(set(found)) == sandbox.truth().transactions


async def test_open_ends_are_read_too() -> None:
    days = ["0001-01-01", "1970-01-01", "2024-01-31", "2024-02-01", "2024-02-02", "2050-01-01", "9999-12-31"]
    m3ter = Shelf({"bills": [bill(number, day) for number, day in enumerate(days)]}).client()
    for options, expected in (
        ({}, days),
        ({"since": "2024-02-01"}, days[3:]),
        ({"until": "2024-02-01"}, days[:3]),
        ({"since": "2024-02-01", "until": "2024-02-02"}, days[3:4]),
    ):
        given: dict[str, Any] = dict(options)
        for count in (1, 3, 32):
            slices = await planned(m3ter, "bills", **given, count=count)
            found = [exact(row)["billDate"] for each in slices for row in await rows(m3ter, each)]
            assert sorted(found) == expected


@pytest.mark.parametrize("resource", ["bills", "balances.transactions", "accounts"])
async def test_a_slice_is_plain_data(resource: str) -> None:
    m3ter = Shelf({"balances": [{"id": f"b{number}"} for number in range(25)]}).client()
    options: dict[str, Any] = {"since": "2024-01-01", "until": "2024-02-01"} if resource == "bills" else {}
    slices = await planned(m3ter, resource, **options, count=4)
    assert slices
    for each in slices:
        assert pickle.loads(pickle.dumps(each)) == each
        encoded = msgspec.json.encode(each)
        assert msgspec.json.decode(encoded, type=Slice) == each
        # any JSON library will do
        assert msgspec.convert(json.loads(encoded), Slice) == each
        position = Position(3, "token")
        assert pickle.loads(pickle.dumps(position)) == position
        assert msgspec.json.decode(msgspec.json.encode(position), type=Position) == position


def read_elsewhere(slice: Slice, reach: dict[str, Any], path: Path) -> None:
    async def main() -> list[bytes]:
        async with AsyncM3ter(**reach, rate_limit=None) as m3ter:
            return await rows(m3ter, slice)

    path.write_bytes(b"\n".join(anyio.run(main)))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_slice_that_is_read_in_another_process_gives_the_same_rows(sandbox: Sandbox, folder: Path) -> None:
    reach = {name: getattr(sandbox, name) for name in ("api_key", "api_secret", "org_id")}
    reach["base_url"] = sandbox.url
    async with sandbox_client(sandbox) as m3ter:
        slices = [
            *(await planned(m3ter, "bills", since="2023-01-01", until="2026-01-01", count=2)),
            *(await planned(m3ter, "balances.transactions", count=1)),
        ]
        for number, each in enumerate(slices):
            path = folder / str(number)
            process = processes().Process(target=read_elsewhere, args=(each, reach, path))
            process.start()
            process.join(30)
            assert process.exitcode == 0
            here = await rows(m3ter, each)
            assert path.read_bytes() == b"\n".join(here)
            assert here


async def test_a_slice_is_gone_on_with_from_any_position() -> None:
    balances = [{"id": f"b{number}"} for number in range(7)]
    lists = {f"balances/b{n}/transactions": [{"id": f"t{n}-{k}"} for k in range(n * 4)] for n in range(7)}
    m3ter = Shelf({"balances": balances, **lists}, size=5).client()
    slices = await planned(m3ter, "balances.transactions", count=1)
    everything = [row for each in slices for row in await rows(m3ter, each)]
    assert len(everything) == 84
    assert len(slices) == 2
    for each in slices:
        found: list[bytes] = []
        every = await rows(m3ter, each)
        async for page in read_slice(m3ter, each):
            found += page.records
            rest = await rows(m3ter, each, page.position) if page.position is not None else []
            assert found + rest == every
            assert all(exact(row)["balanceId"] == page.parent for row in page.records)
        assert found == every


class Slow(Shelf):
    """Gives every answer time, so that those who read side by side do."""

    async def later(self, request: Request) -> Response:
        response = self(request)
        await anyio.sleep(0.001)
        return response


def splits(out: Path) -> int:
    return (out / MANIFEST).read_bytes().count(b'"type":"split"')


@pytest.mark.parametrize("form", [FORMS["ndjson"], FORMS["parquet"]], ids=["ndjson", "parquet"])
async def test_a_long_slice_is_shared_out_and_no_row_is_lost_or_doubled(out: Path, form: Form) -> None:
    """All bills are of one month of ten years."""
    made = [bill(number, f"2021-06-{30 - number // 8:02d}") for number in range(240)]
    transport = FakeTransport(Slow({"bills": made}, size=4).later)
    options: dict[str, Any] = {"since": "2015-01-01", "until": "2025-01-01", **form.options}
    report = await export(client(transport, rate_limit=None), ["bills"], out, concurrency=6, **options)
    assert splits(out) > 0
    assert transport.most_in_flight >= 5
    assert report.records == {"bills": 240}
    assert report.pages < 60 * 2.5
    alone = await export(client(FakeTransport(Shelf({"bills": made}))), ["bills"], out.with_name("alone"), **options)
    assert content(report) == content(alone)


@pytest.mark.parametrize("days", [{"since": "2015-01-01"}, {"until": "2025-01-01"}])
async def test_a_slice_with_an_open_end_is_shared_out_too(out: Path, days: dict[str, Any]) -> None:
    made = [bill(number, f"2016-06-{30 - number // 8:02d}") for number in range(240)]
    transport = FakeTransport(Slow({"bills": made}, size=4).later)
    report = await export(client(transport, rate_limit=None), ["bills"], out, concurrency=4, **days)
    assert report.records == {"bills": 240}
    assert sorted(exact(line)["id"] for line in lines(report, "bills", "bills")) == sorted(row["id"] for row in made)


async def test_what_is_not_selected_by_date_keeps_its_records_without_one(out: Path) -> None:
    made = [bill(number, f"2016-06-{30 - number // 8:02d}") for number in range(100)]
    for number in (0, 17, 50, 99):
        made[number]["billDate"] = None
    transport = FakeTransport(Slow({"bills": made}, size=4).later)
    report = await export(client(transport, rate_limit=None), ["bills"], out, concurrency=4)
    assert report.records == {"bills": 100}


@sometimes
@given(
    st.lists(st.integers(0, 40) | st.integers(38, 40), max_size=150),
    st.integers(1, 6),
    st.integers(1, 7),
    st.sampled_from(["since", "until", "both", "none"]),
    st.randoms(use_true_random=False),
)
def test_however_the_bills_lie_each_is_exported_once(
    places: list[int], concurrency: int, size: int, ends: str, chance: Any
) -> None:
    first = date(2024, 1, 1)
    made = [bill(number, (first + timedelta(days=place)).isoformat()) for number, place in enumerate(places)]
    made.sort(key=lambda row: str(row["billDate"]), reverse=chance.random() < 0.8)
    shelf = Shelf({"bills": made}, size=size)

    async def slowly(request: Request) -> Response:
        response = shelf(request)
        for _ in range(chance.randrange(4)):
            await checkpoint()
        return response

    given: dict[str, Any] = {}
    if ends in ("since", "both"):
        given["since"] = date(2023, 12, 30)
    if ends in ("until", "both"):
        given["until"] = date(2024, 3, 1)

    async def main() -> None:
        with TemporaryDirectory(dir=MEMORY) as name:
            m3ter = client(FakeTransport(slowly), rate_limit=None)
            report = await export(m3ter, ["bills"], name, concurrency=concurrency, **given)
            found = Counter(exact(line)["id"] for line in lines(report, "bills", "bills"))
        assert found == Counter(row["id"] for row in made)

    anyio.run(main)


def answering_ids(made: list[dict[str, Any]]) -> Any:
    """Bills that can be asked for by their ids, with or without what is in them."""

    def found(query: dict[str, str]) -> list[dict[str, Any]]:
        ids = query["ids"].split(",") if "ids" in query else None
        rows = [row for row in made if ids is None or row["id"] in ids]
        if query.get("status"):
            rows = [row for row in rows if row.get("status") == query["status"]]
        if query.get("excludeLineItems") == "true":
            rows = [{name: value for name, value in row.items() if name != "lineItems"} for row in rows]
        return rows

    return found


async def test_slices_of_ids_are_all_of_one_size_however_many_bills_a_day_has() -> None:
    made = [bill(number, "2024-01-31" if number % 60 else "2024-01-15", lineItems=[]) for number in range(230)]
    shelf = Shelf({"bills": answering_ids(made)}, size=100)
    m3ter = shelf.client()
    slices = await planned(m3ter, "bills", since="2024-01-01", until="2024-02-01", by="ids")
    assert shelf.asked["bills"] == 3
    assert [len(each.ids) for each in slices] == [50, 50, 50, 50, 30]
    found = [exact(row) for each in slices for row in await rows(m3ter, each)]
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in made)
    assert all("lineItems" in row for row in found)
    assert shelf.asked["bills"] == 3 + len(slices)


async def test_a_slice_of_ids_is_one_page_however_small_pages_are() -> None:
    made = [bill(number) for number in range(25)]
    m3ter = Shelf({"bills": answering_ids(made)}, size=10).client()
    slices = await planned(m3ter, "bills", where={"page_size": 10}, by="ids")
    assert [len(each.ids) for each in slices] == [10, 10, 5]


async def test_a_bill_that_changes_meanwhile_is_in_its_slice_of_ids_and_in_no_other() -> None:
    made = [bill(number, status="PENDING") for number in range(120)]
    m3ter = Shelf({"bills": answering_ids(made)}, size=50).client()
    slices = await planned(m3ter, "bills", since="2024-05-01", where={"status": "PENDING"}, by="ids")
    made[3]["billDate"] = "2023-01-01"
    made[70]["status"] = "APPROVED"
    found = [exact(row)["id"] for each in slices for row in await rows(m3ter, each)]
    assert Counter(found) == Counter(row["id"] for row in made)


async def test_an_id_that_is_gone_by_then_is_named() -> None:
    made = [bill(number) for number in range(60)]
    m3ter = Shelf({"bills": answering_ids(made)}, size=50).client()
    slices = await planned(m3ter, "bills", by="ids")
    del made[55], made[2]
    pages = [page for each in slices for page in [page async for page in read_slice(m3ter, each)]]
    assert [name for page in pages for name in page.gone] == ["bill-2", "bill-55"]
    assert sum(len(page.records) for page in pages) == 58


async def test_an_id_that_comes_twice_in_the_list_is_in_one_slice_and_one_that_cannot_be_asked_for_is_told() -> None:
    made = [bill(0), bill(1), bill(0), {"id": "a,b"}, {"billDate": "2024-05-01"}, bill(2)]
    m3ter = Shelf({"bills": made}).client()
    slices: list[Slice] = []

    async def plan() -> None:
        async for each in plan_slices(m3ter, "bills", by="ids"):
            slices.append(each)

    with pytest.raises(ExportError, match="2 records of bills have no id that can be asked for"):
        await plan()
    assert [list(each.ids) for each in slices] == [["bill-0", "bill-1", "bill-2"]]


@pytest.mark.parametrize(
    ("resource", "options", "error"),
    [
        ("balances.transactions", {"by": "ids"}, "balances.transactions cannot be asked for ids"),
        ("bills.search", {"by": "ids"}, "bills.search cannot be asked for ids"),
        ("bills", {"by": "ids", "where": {"ids": "a"}}, "bills cannot be asked for ids"),
        ("bills", {"by": "weeks"}, "by must be days or ids, not 'weeks'"),
    ],
)
async def test_what_cannot_be_divided_that_way_is_refused_before_anything_is_sent(
    resource: str, options: dict[str, Any], error: str
) -> None:
    shelf = Shelf({"bills": []})
    with pytest.raises(ValueError, match=error):
        await planned(shelf.client(), resource, **options)
    assert not shelf.asked


@pytest.mark.parametrize("by", ["days", "ids"])
async def test_slices_of_several_organizations_name_theirs_and_each_is_read_by_a_client_of_it(by: str) -> None:
    here = FakeTransport(Shelf({"bills": answering_ids([bill(number) for number in range(30)])}))
    m3ter = client(here)
    clients = [m3ter.with_options(org_id=name) for name in ("north", "south")]
    slices = [each async for each in plan_slices(clients, "bills", since="2024-05-01", count=2, by=by)]  # type: ignore[arg-type]
    assert {each.org_id for each in slices} == {"north", "south"}
    assert len({each.id for each in slices}) == len(slices)
    assert all(each.id.startswith(f"{each.org_id}.") for each in slices)
    for each in clients:
        found = [row for slice in slices if slice.org_id == each.org_id for row in await rows(each, slice)]
        assert len(found) == 30
    sent = len(here.requests)
    for slice in slices:
        other = clients[slice.org_id == "north"]
        with pytest.raises(ValueError, match=f"slice is of the organization {slice.org_id}"):
            await rows(other, slice)
    assert len(here.requests) == sent


async def test_an_organization_that_is_named_twice_is_refused() -> None:
    m3ter = Shelf({}).client()
    with pytest.raises(ValueError, match="each organization once"):
        await anext(plan_slices([m3ter, m3ter.with_options(max_retries=0)], "bills"))
