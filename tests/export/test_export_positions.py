"""A saved position is a hint that ages: refused, what it stands in is read anew from its start, and is there once."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest

from m3ter_async.export import ExportProgress, ExportReport, export
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .job import small_parts
from .support import FORMS, Form, Shelf, bill, content, csv_rows, files

CHILDREN = "balances.transactions"
STATUSES = [400, 404, 410, 422]


class Ageing(Shelf):
    """Its tokens are good for one run; it may have other rows in the next.

    Attributes:
        age: Which run it is.
        status: What an old token is answered with.
        refusals: How often one was.
    """

    def __init__(self, lists: Any, status: int, size: int = 4) -> None:
        super().__init__(lists, size)
        self.age = 0
        self.status = status
        self.refusals = 0

    def __call__(self, request: Request) -> Response:
        token = dict(parse_qsl(urlsplit(request.url).query)).get("nextToken")
        age, _, place = (token or f"{self.age}.0").partition(".")
        if int(age) != self.age:
            self.refusals += 1
            return answer({"message": "token expired"}, self.status)
        page = super().__call__(
            Request(request.method, request.url.replace(f"nextToken={token}", f"nextToken={place}"), {}, None)
        )
        text = bytes(page.content).replace(b'"nextToken":"', b'"nextToken":"%d.' % self.age)
        return answer(text)


@pytest.fixture(autouse=True)
def parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)


async def stopped_often(
    service: Ageing, out: Path, resources: list[str], pages: list[int], **options: Any
) -> ExportReport:
    """An export that is stopped after so many pages of each run; the last runs to its end."""
    for run, count in enumerate(pages):
        told = 0

        def stop(_: ExportProgress, count: int = count) -> None:
            nonlocal told
            told += 1
            if told == count:
                scope.cancel()

        given: dict[str, Any] = {"resume": True} if run else options
        with anyio.CancelScope() as scope:
            await export(service.client(), resources, out, on_progress=stop, concurrency=2, **given)
        assert scope.cancelled_caught
        service.age += 1
    report = await export(service.client(), resources, out, resume=True, concurrency=2)
    assert files(out) == sorted(file.path.relative_to(out).as_posix() for file in report.files)
    return report


def bills(count: int = 60) -> list[Any]:
    days = [f"2024-{12 - number // 28:02d}-{28 - number % 28:02d}" for number in range(count)]
    return [bill(number, day, accountCode="x" * 300) for number, day in enumerate(days)]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("days", [{}, {"since": "2024-01-01", "until": "2025-01-01"}], ids=["whole", "days"])
async def test_a_slice_whose_position_is_refused_is_read_anew(out: Path, status: int, days: dict[str, Any]) -> None:
    service = Ageing({"bills": bills()}, status)
    report = await stopped_often(service, out, ["bills"], [5, 9, 3], **days)
    assert service.refusals
    alone = await export(Shelf({"bills": bills()}).client(), ["bills"], out.with_name("alone"), **days)
    assert content(report) == content(alone)
    assert report.complete
    assert not [note for note in report.notes if note.kind == "twice"]


async def test_what_a_slice_brought_and_is_not_there_any_more_is_dropped(out: Path, form: Form) -> None:
    service = Ageing({"bills": bills(40)}, 400)
    with anyio.CancelScope() as scope:
        told: list[int] = []

        def stop(progress: ExportProgress) -> None:
            told.append(progress.rows)
            if len(told) == 6:
                scope.cancel()

        await export(service.client(), ["bills"], out, on_progress=stop, concurrency=1, **form.options)
    service.age += 1
    service.lists["bills"] = bills(40)[10:]
    report = await export(service.client(), ["bills"], out, resume=True)
    alone = await export(Shelf({"bills": bills(40)[10:]}).client(), ["bills"], out.with_name("alone"), **form.options)
    assert content(report) == content(alone)


def family(children: int) -> dict[str, Any]:
    lists: dict[str, Any] = {"balances": [{"id": f"b{number}"} for number in range(9)]}
    for number in range(9):
        rows = [{"id": f"t{number}-{n}", "description": "d" * 200} for n in range(children)]
        lists[f"balances/b{number}/transactions"] = rows
    return lists


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", FORMS)
async def test_of_a_slice_of_parents_only_the_one_that_it_stands_in_is_read_anew(
    out: Path, status: int, name: str
) -> None:
    service = Ageing(family(21), status)
    report = await stopped_often(service, out, [CHILDREN], [9, 14, 5, 4], **FORMS[name].options)
    assert service.refusals
    alone = await export(Shelf(family(21)).client(), [CHILDREN], out.with_name("alone"), **FORMS[name].options)
    assert content(report) == content(alone)
    assert not report.notes
    # each of the nine parents has six pages; after each of four stops no more than two workers read one of them anew
    pages = {path: count for path, count in service.asked.items() if "/" in path}
    assert min(pages.values()) == 6
    assert sum(pages.values()) <= 6 * (9 + 4 * 2)


async def test_rows_without_ids_are_dropped_too_where_their_parent_is_read_anew(out: Path) -> None:
    lists: dict[str, Any] = {"users": [{"id": f"u{number}"} for number in range(5)]}
    for number in range(5):
        lists[f"users/u{number}/permissions"] = [{"code": f"p{n}"} for n in range(30)]
    service = Ageing(lists, 404)
    report = await stopped_often(service, out, ["users.get_permissions"], [6, 5, 7], format="csv")
    alone = await export(Shelf(lists).client(), ["users.get_permissions"], out.with_name("alone"), format="csv")
    assert content(report) == content(alone)
    assert len(csv_rows(report, "users.get_permissions", "users")) == 150


async def test_the_position_of_parents_ages_too_and_no_parent_is_read_twice(out: Path) -> None:
    lists: dict[str, Any] = {"balances": [{"id": f"b{number}"} for number in range(60)]}
    for number in range(60):
        lists[f"balances/b{number}/transactions"] = [{"id": f"t{number}"}]
    service = Ageing(lists, 410)
    report = await stopped_often(service, out, [CHILDREN], [7, 13])
    assert service.refusals
    assert report.records == {CHILDREN: 60}
    assert not report.notes
    assert service.asked["balances"] > 15
    children = [count for path, count in service.asked.items() if path != "balances"]
    assert len(children) == 60
    # what was in flight when it was stopped is asked for again
    assert sum(children) <= 60 + 4


async def test_a_position_that_is_refused_again_is_set_aside_and_not_tried_without_end(out: Path) -> None:
    lists = family(21)

    def serve(query: dict[str, str]) -> Any:
        if "nextToken" in query:
            raise LookupError
        return rows

    rows = lists["balances/b3/transactions"]
    lists["balances/b3/transactions"] = serve

    class Broken(Shelf):
        def __call__(self, request: Request) -> Response:
            try:
                return super().__call__(request)
            except LookupError:
                return answer({"message": "no such token"}, 400)

    service = Broken(lists, size=4)
    report = await export(service.client(), [CHILDREN], out)
    assert [(note.kind, note.names) for note in report.notes] == [("parent", ("b3",))]
    assert report.records == {CHILDREN: 8 * 21 + 4}
    assert service.asked["balances/b3/transactions"] == 4


@pytest.mark.parametrize("change", ["removed", "added", "the one before"])
async def test_a_listing_by_offset_that_has_moved_is_read_anew(out: Path, form: Form, change: str) -> None:
    rows: list[Any] = [bill(number) for number in range(35)]

    def serve(request: Request) -> Response:
        query = dict(parse_qsl(urlsplit(request.url).query))
        place, size = int(query.get("fromDocument", 0)), min(int(query["pageSize"]), 5)
        return answer({"data": rows[place : place + size]})

    told = 0

    def stop(_: ExportProgress) -> None:
        nonlocal told
        told += 1
        if told == 4:
            scope.cancel()

    m3ter = client(FakeTransport(serve))
    with anyio.CancelScope() as scope:
        await export(m3ter, ["bills.search"], out, on_progress=stop, concurrency=1, **form.options)
    if change == "removed":
        del rows[3:6]
    elif change == "added":
        rows[2:2] = [bill(100), bill(101)]
    else:
        rows[19] = bill(200)
    report = await export(m3ter, ["bills.search"], out, resume=True)
    alone = await export(m3ter, ["bills.search"], out.with_name("alone"), **form.options)
    assert content(report) == content(alone)
    assert report.complete
    assert not report.notes
