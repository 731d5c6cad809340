"""What an export tells of itself on the way, and that it needs no more memory for more records."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest

from m3ter_async.export import ExportProgress, export
from m3ter_async.export.run import parts
from m3ter_async.sandbox import Faults, Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeClock, FakeTransport, answer, client
from .job import shelf, small_parts
from .support import FORMS, Shelf, bill, files, sandbox_client

DAYS: dict[str, Any] = {"since": "2024-01-01", "until": "2024-05-01"}


def check_progress(told: list[ExportProgress], total: int) -> None:
    """What holds for everything that is ever told."""
    for before, after in pairwise(told):
        assert after.seconds >= before.seconds
        assert after.retries >= before.retries
        assert [each.resource for each in after.resources] == [each.resource for each in before.resources]
        for earlier, later in zip(before.resources, after.resources, strict=True):
            assert (later.pages, later.bytes) >= (earlier.pages, earlier.bytes)
            assert later.finished >= earlier.finished
    for progress in told:
        assert progress.rows == sum(each.rows for each in progress.resources)
        assert 0 <= progress.rows <= total
        for each in progress.resources:
            assert each.share is None or 0 <= each.share <= 1
            assert not each.finished or each.share == 1
    assert told[-1].rows == total
    assert all(each.finished and each.share == 1 for each in told[-1].resources)


async def test_rows_grow_to_the_total_and_the_share_to_one(out: Path) -> None:
    told: list[ExportProgress] = []
    report = await export(shelf().client(), ["bills"], out, concurrency=1, on_progress=told.append, **DAYS)
    check_progress(told, 40)
    counts = [progress.rows for progress in told]
    assert counts == sorted(counts)
    shares = [progress.resources[0].share for progress in told]
    assert shares == sorted(shares, key=lambda share: share or 0)
    assert len(set(shares)) > 3
    assert told[-1].resources[0].pages == report.pages
    assert told[-1].resources[0].bytes == report.bytes == sum(file.bytes - file.rows for file in report.files)


@pytest.mark.parametrize("concurrency", [2, 5])
async def test_of_slices_that_are_shared_out_no_row_counts_twice(out: Path, concurrency: int) -> None:
    made = [bill(number, f"2024-03-{31 - number // 8:02d}") for number in range(240)]
    told: list[ExportProgress] = []
    m3ter = Shelf({"bills": made}, size=5).client()
    await export(m3ter, ["bills"], out, concurrency=concurrency, on_progress=told.append, **DAYS)
    check_progress(told, 240)


async def test_resources_are_told_of_in_the_order_in_which_they_were_asked_for(out: Path) -> None:
    lists: dict[str, Any] = {"accounts": [{"id": f"a{n}"} for n in range(30)], "bills": [bill(n) for n in range(25)]}
    lists["balances"] = [{"id": f"b{n}"} for n in range(12)]
    for number in range(12):
        lists[f"balances/b{number}/transactions"] = [{"id": f"t{number}-{n}"} for n in range(number)]
    told: list[ExportProgress] = []
    asked = ["balances.transactions", "bills", "accounts"]
    await export(Shelf(lists).client(), asked, out, on_progress=told.append, concurrency=2)
    assert all([each.resource for each in progress.resources] == asked for progress in told)
    check_progress(told, 30 + 25 + 66)


async def test_each_resource_is_finished_when_it_is_read_and_not_only_when_all_are(out: Path) -> None:
    lists: dict[str, Any] = {"accounts": [{"id": "a"}], "bills": [bill(number) for number in range(200)]}
    told: list[ExportProgress] = []
    await export(Shelf(lists).client(), ["accounts", "bills"], out, on_progress=told.append, concurrency=2)
    both = [tuple(each.finished for each in progress.resources) for progress in told]
    assert both.count((True, False)) > 10
    assert both[-1] == (True, True)


async def test_a_run_that_goes_on_starts_with_the_rows_there_are(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)
    told: list[ExportProgress] = []

    def stop(progress: ExportProgress) -> None:
        told.append(progress)
        if len(told) == 10:
            scope.cancel()

    with anyio.CancelScope() as scope:
        await export(shelf().client(), ["bills"], out, concurrency=1, on_progress=stop, **DAYS)
    before, told = told, []
    report = await export(shelf().client(), ["bills"], out, concurrency=1, on_progress=told.append, resume=True)
    check_progress(told, 40)
    first, last = told[0], before[-1]
    assert last.rows <= first.rows <= last.rows + 4
    assert (first.resources[0].share or 0) >= (last.resources[0].share or 0) > 0
    # these are of this run alone
    assert first.resources[0].pages <= 1
    assert report.pages + last.resources[0].pages <= 20 + 12


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_retries_and_requests_in_flight_are_those_of_the_client(out: Path) -> None:
    told: list[ExportProgress] = []
    options: dict[str, Any] = {"since": "2022-01-01", "until": "2026-01-01", "on_progress": told.append}
    with Sandbox(seed=5, bills=60, faults=Faults(error_rate=0.2)) as sandbox:
        async with sandbox_client(sandbox, None, FakeClock(), max_retries=20) as m3ter:
            await m3ter.bills.list().collect()
            before = m3ter.stats().retries
            report = await export(m3ter, ["bills"], out, concurrency=3, **options)
            assert report.retries == told[-1].retries == m3ter.stats().retries - before
    assert report.retries > 0
    assert max(progress.in_flight for progress in told) >= 1


class Endless:
    """So many bills, made when they are asked for; nothing is kept of the requests."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.transport = FakeTransport(self)

    def __call__(self, request: Request) -> Response:
        self.transport.requests.clear()
        place = int(dict(parse_qsl(urlsplit(request.url).query)).get("nextToken", 0))
        items = [{"id": f"i{place}-{n}", "subtotal": n, "description": "x" * 50} for n in range(15)]
        rows = [bill(number, lineItems=items) for number in range(place, min(place + 25, self.count))]
        after = place + 25
        return answer({"data": rows, "nextToken": str(after) if after < self.count else None})


async def peak(out: Path, name: str, count: int) -> tuple[int, int]:
    """The most memory that an export of so many bills takes, and what was read, in bytes."""
    endless = Endless(count)
    tracemalloc.start()
    try:
        report = await export(
            client(endless.transport), ["bills"], out / str(count), concurrency=1, **FORMS[name].options
        )
        found = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.records == {"bills": count}
    assert len(files(out / str(count))) >= count // 100
    return found, report.bytes


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", ["ndjson", "csv", "parquet"])
async def test_ten_times_the_bills_take_the_same_memory(out: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(parts, "_FULL", 100_000)
    monkeypatch.setattr(parts, "_BATCH", 40_000)
    await peak(out, name, 100)  # what is loaded once
    few, read = await peak(out, name, 150)
    many, read_of_many = await peak(out, name, 1_500)
    # how many pages lie ready at once is a matter of threads; what kept the records would grow with all that is read
    assert many < few + (read_of_many - read) / 5


async def test_parts_are_finished_when_they_are_full_or_old(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    m3ter = client(Endless(200).transport)
    await export(m3ter, ["bills"], out / "one", concurrency=1)
    assert len(files(out / "one")) == 1
    monkeypatch.setattr(parts, "_OLD", 0.0)
    await export(client(Endless(200).transport), ["bills"], out / "old", concurrency=1)
    assert len(files(out / "old")) == 8
    monkeypatch.setattr(parts, "_OLD", 60.0)
    monkeypatch.setattr(parts, "_FULL", 100_000)
    report = await export(client(Endless(200).transport), ["bills"], out / "full", concurrency=1)
    assert len(files(out / "full")) > 2
    assert all(file.bytes < 200_000 for file in report.files)
