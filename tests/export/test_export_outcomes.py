"""What cannot be read does not hold up the rest: it is gone, or set aside, named, and asked for again by a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from m3ter_async import APIError, InternalServerError, PermissionDeniedError
from m3ter_async.export import ExportReport, export, plan_slices
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .job import small_parts
from .support import Form, Shelf, bill, content, exact, lines

DAYS: dict[str, Any] = {"since": "2024-01-01", "until": "2024-03-01"}
CHILDREN = "balances.transactions"


class Service(Shelf):
    """A shelf that answers some requests with an error.

    Attributes:
        fails: Gives the status for a path and its query, or None.
        refused: How often it did.
    """

    def __init__(self, lists: Any, fails: Callable[[str, dict[str, str]], int | None], size: int = 3) -> None:
        super().__init__(lists, size)
        self.fails = fails
        self.refused = 0

    def __call__(self, request: Request) -> Response:
        url = urlsplit(request.url)
        status = self.fails(url.path.split("/", 3)[3], dict(parse_qsl(url.query)))
        if status is not None:
            self.refused += 1
            return answer({"message": "no"}, status)
        return super().__call__(request)


def family(parents: int = 12, children: int = 7) -> dict[str, Any]:
    """Balances, and transactions of each."""
    lists: dict[str, Any] = {"balances": [{"id": f"b{number}"} for number in range(parents)]}
    for number in range(parents):
        lists[f"balances/b{number}/transactions"] = [{"id": f"t{number}-{n}"} for n in range(children)]
    return lists


def of(
    parent: str, status: int | None = 404, *, token: str | None = None
) -> Callable[[str, dict[str, str]], int | None]:
    """The children of one parent are answered with a status, from one page on."""

    def fails(path: str, query: dict[str, str]) -> int | None:
        hit = path == f"balances/{parent}/transactions" and (token is None or query.get("nextToken") == token)
        return status if hit else None

    return fails


def nothing(path: str, query: dict[str, str]) -> None:
    """Nothing fails."""


def ids(report: ExportReport, resource: str = CHILDREN, table: str = "transactions") -> list[str]:
    found = [exact(line)["id"] for line in lines(report, resource, table)]
    assert len(found) == len(set(found)) == report.records[resource]
    return sorted(found)


def all_but(parents: int, *missing: str, children: int = 7) -> list[str]:
    every = [f"t{number}-{n}" for number in range(parents) for n in range(children)]
    return sorted(each for each in every if each not in missing and each.partition("-")[0] not in missing)


@pytest.fixture(autouse=True)
def parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("parent", ["b0", "b5", "b11"])
async def test_a_parent_that_is_gone_is_a_note_and_the_export_is_complete(out: Path, parent: str, status: int) -> None:
    service = Service(family(), of(parent, status))
    report = await export(service.client(), [CHILDREN], out, concurrency=2)
    assert ids(report) == all_but(12, f"t{parent[1:]}")
    assert report.complete
    assert [(note.kind, note.count, note.names) for note in report.notes] == [("gone", 1, (parent,))]
    again = await export(Shelf({}).client(), [CHILDREN], out, resume=True)
    assert (again.records, again.notes) == (report.records, report.notes)


async def test_parents_that_are_all_gone_leave_an_export_without_rows(out: Path, form: Form) -> None:
    service = Service(family(4), lambda path, _: 404 if "transactions" in path else None)
    report = await export(service.client(), [CHILDREN], out, **form.options)
    assert report.records == {CHILDREN: 0}
    assert report.complete
    assert [(note.kind, note.count) for note in report.notes] == [("gone", 4)]
    assert len(report.files) == 1


@pytest.mark.parametrize("status", [400, 403, 409, 422, 500, 503])
@pytest.mark.parametrize("parent", ["b0", "b11"])
async def test_a_parent_that_is_refused_is_set_aside_and_read_once_it_can_be(
    out: Path, status: int, parent: str
) -> None:
    service = Service(family(), of(parent, status))
    report = await export(service.client(max_retries=0), [CHILDREN], out, concurrency=3)
    assert ids(report) == all_but(12, f"t{parent[1:]}")
    assert not report.complete
    (note,) = report.notes
    assert (note.kind, note.names) == ("parent", (parent,))
    assert str(status) in note.text
    # what may pass is tried once more when all else is read; to a 403 a new token may be the answer
    assert service.refused == (2 if status >= 500 or status == 403 else 1)
    again = await export(service.client(max_retries=0), [CHILDREN], out, resume=True)
    assert (again.records, again.notes) == (report.records, report.notes)
    service.fails = nothing
    service.asked.clear()
    last = await export(service.client(), [CHILDREN], out, resume=True)
    assert ids(last) == all_but(12)
    assert last.complete
    assert not last.notes
    assert set(service.asked) == {f"balances/{parent}/transactions"}


@pytest.mark.parametrize("status", [403, 500])
async def test_a_parent_that_fails_in_its_middle_keeps_what_was_read_and_goes_on_from_there(
    out: Path, status: int
) -> None:
    service = Service(family(), of("b4", status, token="3"))
    report = await export(service.client(max_retries=0), [CHILDREN], out, concurrency=1)
    assert ids(report) == all_but(12, "t4-3", "t4-4", "t4-5", "t4-6")
    assert [note.kind for note in report.notes] == ["parent"]
    service.fails = of("b4", 500, token=None)  # the first page is not asked for again
    again = Service(
        family(), lambda path, query: 500 if path.startswith("balances/b4") and not query.get("nextToken") else None
    )
    last = await export(again.client(max_retries=0), [CHILDREN], out, resume=True)
    assert ids(last) == all_but(12)
    assert last.complete


async def test_what_fails_only_for_a_while_is_read_in_the_same_run(out: Path) -> None:
    service = Service(family(), nothing)
    service.fails = lambda path, query: 503 if service.asked.total() < 30 and "b3/" in path else None
    report = await export(service.client(max_retries=0), [CHILDREN], out, concurrency=2)
    assert service.refused
    assert ids(report) == all_but(12)
    assert report.complete


def by_day(day: str, status: int) -> Callable[[str, dict[str, str]], int | None]:
    """Bills of one day cannot be read."""
    return lambda _, query: status if query.get("billDateStart", "") <= day < query.get("billDateEnd", "~") else None


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_of_a_slice_that_cannot_be_read_only_the_day_is_missing(out: Path, status: int, concurrency: int) -> None:
    days = [f"2024-{month:02d}-{day:02d}" for month in (1, 2) for day in range(1, 29)]
    made = [bill(number, day) for number, day in enumerate(days)]
    service = Service({"bills": made[::-1]}, by_day("2024-01-17", status))
    options = {**DAYS, "concurrency": concurrency}
    report = await export(service.client(max_retries=0), ["bills"], out, **options)
    assert ids(report, "bills", "bills") == sorted(row["id"] for row in made if row["billDate"] != "2024-01-17")
    (note,) = [note for note in report.notes if note.aside]
    assert note.kind == "slice"
    assert "2024-01-17" in note.text
    service.fails = nothing
    last = await export(service.client(), ["bills"], out, resume=True)
    assert ids(last, "bills", "bills") == sorted(row["id"] for row in made)
    assert last.complete


@pytest.mark.parametrize(("status", "kind"), [(403, PermissionDeniedError), (500, InternalServerError)])
@pytest.mark.parametrize("before", [0, 4, 9])
async def test_a_service_that_fails_whatever_is_asked_for_is_no_fault_of_a_parent(
    out: Path, before: int, status: int, kind: type[APIError]
) -> None:
    service = Service(family(40), nothing)
    service.fails = lambda path, _: status if service.asked.total() > before else None
    with pytest.raises(kind):
        await export(service.client(max_retries=0), [CHILDREN], out, concurrency=2)
    assert service.refused < 12
    service.fails = nothing
    report = await export(service.client(), [CHILDREN], out, resume=True)
    assert ids(report) == all_but(40)
    assert report.complete


async def test_where_all_others_are_gone_a_parent_that_fails_is_set_aside_alone(out: Path) -> None:
    """That they are gone is an answer too."""

    def fails(path: str, query: dict[str, str]) -> int | None:
        return None if path == "balances" else 502 if "/b2/" in path else 404

    lists = family(6)
    lists["balances"].append({"id": "b0"})  # which comes twice, and is gone once
    for resume in (False, True):
        service = Service(lists, fails)
        report = await export(service.client(max_retries=0), [CHILDREN], out, concurrency=2, resume=resume)
        assert {note.kind: (note.count, note.names[0]) for note in report.notes} == {
            "gone": (5, "b0"),
            "parent": (1, "b2"),
        }


async def test_a_resource_of_which_nothing_can_be_read_does_not_hold_up_the_others(out: Path) -> None:
    lists = {**family(), "bills": [bill(number) for number in range(30)]}
    service = Service(lists, lambda path, _: 403 if path == "bills" else None)
    with pytest.raises(PermissionDeniedError):
        await export(service.client(), ["bills", CHILDREN], out, concurrency=1)
    service.fails = nothing
    service.asked.clear()
    report = await export(service.client(), ["bills", CHILDREN], out, resume=True)
    assert report.records == {"bills": 30, CHILDREN: 84}
    assert set(service.asked) == {"bills"}


@pytest.mark.parametrize("status", [403, 500])
async def test_a_page_of_parents_that_cannot_be_had_costs_the_parents_after_it(out: Path, status: int) -> None:
    service = Service(
        family(), lambda path, query: status if path == "balances" and query.get("nextToken") == "6" else None
    )
    report = await export(service.client(max_retries=0), [CHILDREN], out)
    assert ids(report) == all_but(6)
    assert [note.kind for note in report.notes] == ["parents"]
    assert not report.complete
    service.fails = nothing
    last = await export(service.client(), [CHILDREN], out, resume=True)
    assert ids(last) == all_but(12)
    assert last.complete
    # its three pages, and once to see whether it is the service that fails
    assert service.asked["balances/b0/transactions"] <= 3 + 1


@pytest.mark.parametrize(
    "bad", [b'{"id":""}', b'{"id":"."}', b'{"id":".."}', b'{"id":null}', b'{"code":"x"}', b'{"id":[1]}', b"5"]
)
async def test_a_parent_that_cannot_be_asked_for_is_named_and_is_no_fault_of_the_arguments(
    out: Path, bad: bytes
) -> None:
    lists = family(4)
    lists["balances"].insert(2, bad)
    report = await export(Shelf(lists).client(), [CHILDREN], out)
    assert ids(report) == all_but(4)
    (note,) = report.notes
    assert (note.kind, note.count) == ("parent", 1)
    assert not report.complete


async def test_slices_leave_out_a_parent_that_cannot_be_asked_for_only_with_an_error(out: Path) -> None:
    lists = family(4)
    lists["balances"].insert(2, {"id": ""})
    found: list[str] = []
    with pytest.raises(Exception, match=r"1 parents of balances\.transactions are left out"):  # noqa: PT012
        async for each in plan_slices(Shelf(lists).client(), CHILDREN):
            found += each.parents
    assert found == ["b0", "b1", "b2", "b3"]


async def test_ids_of_parents_are_sent_whatever_they_are_made_of(out: Path) -> None:
    name = 'a/b?c=d&e "é'
    asked: list[str] = []

    def serve(request: Request) -> Response:
        asked.append(request.url)
        return answer({"data": [{"id": name}] if urlsplit(request.url).path.endswith("/balances") else [{"id": "t"}]})

    report = await export(client(FakeTransport(serve)), [CHILDREN], out)
    assert exact(lines(report, CHILDREN, "transactions")[0]) == {"balanceId": name, "id": "t"}
    assert asked[1].count("/") == asked[0].count("/") + 2


async def test_with_one_unit_in_fifty_wrong_for_good_all_others_are_there_and_each_is_accounted_for(
    out: Path, form: Form
) -> None:
    lists = family(150, 5)
    wrong = {f"b{number}" for number in range(7, 150, 50)}
    gone = {f"b{number}" for number in range(31, 150, 50)}
    for number in range(11, 150, 50):
        lists[f"balances/b{number}/transactions"][2]["amount"] = "NaN"

    def fails(path: str, _: object) -> int | None:
        parent = path.split("/")[1] if "/" in path else ""
        return 500 if parent in wrong else 404 if parent in gone else None

    service = Service(lists, fails, size=10)
    report = await export(service.client(max_retries=0), [CHILDREN], out, concurrency=4, **form.options)
    odd = 0 if form.format == "ndjson" else 3
    assert report.records == {CHILDREN: 150 * 5 - 5 * len(wrong | gone) - odd}
    kinds = {
        kind: sum(note.count or 0 for note in report.notes if note.kind == kind)
        for kind in ("record", "parent", "gone")
    }
    assert kinds == {"record": odd, "parent": 3, "gone": 3}
    again = await export(service.client(max_retries=0), [CHILDREN], out, resume=True)
    assert content(again) == content(report)
    assert again.notes == report.notes
