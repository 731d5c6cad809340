"""An export that settles holds what the service holds at its last look, whatever changed while it was under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from m3ter_async import APIError
from m3ter_async.export import ExportError, ExportReport, export
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .buckets import MemoryBucket, downloaded, place
from .support import FORMS, Form, Shelf, bill, content, exact, lines

SINCE = {"since": "2024-01-01", "until": "2025-01-01"}


def whole(number: int, **more: Any) -> dict[str, Any]:
    """A bill with a line."""
    line = {"id": f"line-{number}", "subtotal": number}
    return bill(number, f"2024-{number % 12 + 1:02d}-15", **{"version": 1, "lineItems": [line], **more})


class Living(Shelf):
    """Bills that change while they are read.

    Args:
        count: How many there are at first.
        size: Records on a page.

    Attributes:
        bills: By id.
        events: What happens before the request of this number is answered, counted from 0.
        whole: How many pages were asked for with line items.
        heads: How many were without.
    """

    def __init__(self, count: int, size: int = 7) -> None:
        super().__init__({"bills": self.found}, size)
        self.bills: dict[str, dict[str, Any]] = {f"bill-{number}": whole(number) for number in range(count)}
        self.events: dict[int, Callable[[], object]] = {}
        self.requests = 0
        self.whole = 0
        self.heads = 0

    def __call__(self, request: Request) -> Response:
        event = self.events.pop(self.requests, None)
        self.requests += 1
        if event is not None:
            event()
        return super().__call__(request)

    def found(self, query: dict[str, str]) -> list[dict[str, Any]]:
        ids = query["ids"].split(",") if "ids" in query else None
        rows = [row for row in self.bills.values() if ids is None or row["id"] in ids]
        if query.get("excludeLineItems") != "true":
            self.whole += 1
            return rows
        self.heads += 1
        return [{name: value for name, value in row.items() if name != "lineItems"} for row in rows]

    def change(self, number: int, **fields: Any) -> None:
        row = self.bills[f"bill-{number}"]
        self.bills[row["id"]] = {**row, "version": row["version"] + 1, **fields}


async def settled(service: Living, out: Any, **options: Any) -> ExportReport:
    m3ter = client(FakeTransport(service), rate_limit=None, max_retries=0)
    given: dict[str, Any] = {"concurrency": 2, **SINCE, **options}
    return await export(m3ter, ["bills"], out, settle=True, **given)


async def check_holds(service: Living, report: ExportReport, out: Path, form: Form = FORMS["ndjson"]) -> None:
    """The files hold what an export of now would hold."""
    service.events.clear()
    options: dict[str, Any] = {**form.options, **SINCE}
    now = await export(client(FakeTransport(service)), ["bills"], out.with_name("now"), overwrite=True, **options)
    assert content(report) == content(now)
    assert report.records == now.records


def kinds(report: ExportReport) -> dict[str, int | None]:
    return {note.kind: note.count for note in report.notes if note.kind != "undated"}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
async def test_what_changed_came_or_went_meanwhile_is_as_the_service_has_it_at_the_end(out: Path, form: Form) -> None:
    service = Living(60)

    def all_at_once() -> None:
        service.change(0, billTotal=-5)
        service.change(1, lineItems=[])
        service.change(2, billDate="2023-01-01")  # out of what is selected
        service.change(3, billDate="2024-12-30")
        del service.bills["bill-4"]
        service.bills["bill-99"] = whole(99)

    probe = Living(60)
    await settled(probe, out.with_name("probe"), **form.options)
    service.events[probe.whole - 1] = all_at_once  # while the last of the bills are read
    report = await settled(service, out, **form.options)
    await check_holds(service, report, out, form)
    assert (kinds(report)["settled"] or 0) >= 4
    assert report.complete


async def test_where_nothing_changes_no_bill_is_read_twice(out: Path) -> None:
    service = Living(60)
    report = await settled(service, out)
    assert service.whole == report.pages
    assert service.heads > 0
    assert kinds(report) == {}
    await check_holds(service, report, out)


async def test_changes_of_every_round_are_followed(out: Path) -> None:
    service = Living(20)

    def again(number: int) -> Callable[[], None]:
        return lambda: service.change(number, billTotal=number * 100)

    service.events = {at: again(number) for number, at in enumerate(range(16, 70, 12))}
    report = await settled(service, out)
    assert report.complete
    await check_holds(service, report, out)


async def test_what_changes_without_end_is_named_and_a_run_that_goes_on_settles_it(out: Path) -> None:
    service = Living(20)

    def restless(query: dict[str, str]) -> list[dict[str, Any]]:
        service.change(3)
        return service.found(query)

    service.lists["bills"] = restless
    report = await settled(service, out)
    (note,) = [note for note in report.notes if note.kind == "unsettled"]
    assert (note.names, note.count, note.again) == (("bill-3",), 1, True)
    assert not report.complete
    service.lists["bills"] = service.found
    report = await settled(service, out, resume=True)
    assert report.complete
    assert "unsettled" not in kinds(report)
    await check_holds(service, report, out)


async def test_a_bill_that_a_list_misses_is_asked_for_by_its_id_before_it_counts_as_gone(out: Path) -> None:
    service = Living(20)

    def forgetful(query: dict[str, str]) -> list[dict[str, Any]]:
        hidden = query.get("excludeLineItems") == "true" and "ids" not in query
        return [row for row in service.found(query) if not (hidden and row["id"] in ("bill-5", "bill-11"))]

    service.lists["bills"] = forgetful
    report = await settled(service, out)
    assert report.records == {"bills": 20}
    assert kinds(report) == {}


async def test_heads_that_say_a_thing_in_another_way_than_whole_bills_are_read_again_once(out: Path) -> None:
    service = Living(20)

    def differently(query: dict[str, str]) -> list[dict[str, Any]]:
        rows = service.found(query)
        return [{**row, "note": "a head"} for row in rows] if query.get("excludeLineItems") == "true" else rows

    service.lists["bills"] = differently
    report = await settled(service, out)
    assert report.complete
    assert kinds(report) == {"settled": 20}
    await check_holds(service, report, out)


async def test_ids_that_could_not_be_read_once_are_not_set_aside_when_they_can_be(out: Path) -> None:
    service = Living(20)
    probe = Living(20)
    await settled(probe, out.with_name("probe"))
    service.events[probe.whole] = lambda: service.change(3)
    refused = 0

    def refusing(request: Request) -> Response:
        nonlocal refused
        if "ids=" in request.url and "excludeLineItems" not in request.url and refused < 2:
            refused += 1
            return answer({"message": "not now"}, 400)
        return service(request)

    m3ter = client(FakeTransport(refusing), rate_limit=None, max_retries=0)
    report = await export(m3ter, ["bills"], out, settle=True, concurrency=2, since="2024-01-01", until="2025-01-01")
    assert refused == 2
    assert report.complete
    await check_holds(service, report, out)


@pytest.mark.parametrize("status", [400, 500])
async def test_a_day_whose_heads_cannot_be_read_does_not_hold_up_the_last_look(out: Path, status: int) -> None:
    service = Living(20)
    dark = True

    def refusing(request: Request) -> Response:
        query = dict(parse_qsl(urlsplit(request.url).query))
        heads = query.get("excludeLineItems") == "true" and "ids" not in query
        if dark and heads and query["billDateStart"] <= "2024-04-15" < query["billDateEnd"]:
            return answer({"message": "no such day"}, status)
        return service(request)

    async def exported(**more: Any) -> ExportReport:
        m3ter = client(FakeTransport(refusing), rate_limit=None, max_retries=0)
        options: dict[str, Any] = {"settle": True, "concurrency": 2, **SINCE, **more}
        return await export(m3ter, ["bills"], out, **options)

    report = await exported()
    assert report.records == {"bills": 20}
    (note,) = [note for note in report.notes if note.kind == "unsettled"]
    assert (note.names, note.count, note.again) == (("2024-04-15",), 1, True)
    assert "no such day" in note.text
    assert not report.complete
    dark = False
    service.bills["bill-99"] = {**whole(99), "billDate": "2024-04-15"}
    report = await exported(resume=True)
    assert report.complete
    await check_holds(service, report, out)


@pytest.mark.parametrize("status", [400, 502])
async def test_of_ids_that_are_asked_for_together_only_the_one_that_cannot_be_read_is_set_aside(
    out: Path, status: int
) -> None:
    service = Living(20)
    probe = Living(20)
    await settled(probe, out.with_name("probe"))

    def all_of_them() -> None:
        for number in range(20):
            service.change(number)

    service.events[probe.whole] = all_of_them

    def refusing(request: Request) -> Response:
        asked = dict(parse_qsl(urlsplit(request.url).query)).get("ids", "").split(",")
        heads = "excludeLineItems=true" in request.url
        return answer({"message": "no"}, status) if "bill-7" in asked and not heads else service(request)

    m3ter = client(FakeTransport(refusing), rate_limit=None, max_retries=0)
    options: dict[str, Any] = {"settle": True, "concurrency": 2, **SINCE}
    report = await export(m3ter, ["bills"], out, **options)
    assert report.records == {"bills": 20}
    versions = Counter(exact(line)["version"] for line in lines(report, "bills", "bills"))
    assert versions == {2: 19, 1: 1}
    assert {note.kind: note.count for note in report.notes if note.aside} == {"slice": 1, "unsettled": 1}


async def test_what_is_set_aside_is_so_by_the_last_look_too(out: Path) -> None:
    """Parquet has no room for more than 18 decimals."""
    probe = Living(20)
    await settled(probe, out.with_name("probe"), format="parquet")
    service = Living(20)
    service.change(1, billTotal=1e-30)
    service.change(4, billTotal=1e-30)

    def swap() -> None:
        service.change(1, billTotal=1)
        service.change(2, billTotal=1e-30)
        service.change(3, billTotal=1e-30)

    service.events[probe.whole] = swap
    service.events[probe.whole + probe.heads + 1] = lambda: service.bills.pop("bill-4")
    report = await settled(service, out, format="parquet")
    (note,) = [note for note in report.notes if note.kind == "record"]
    assert sorted(note.names) == ["bill-2", "bill-3"]
    await check_holds(service, report, out, FORMS["parquet"])
    assert len((out / "aside" / "bills.ndjson").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("form", [FORMS["ndjson"], FORMS["parquet"]], ids=["ndjson", "parquet"])
async def test_wherever_it_is_stopped_it_is_gone_on_with(out: Path, form: Form) -> None:
    """The service fails a request later in each run, until it does not fail any more."""
    service = Living(30, size=5)
    service.events = {12: lambda: service.change(0), 40: lambda: service.bills.pop("bill-4")}
    service.events[55] = lambda: service.change(7, lineItems=[])
    report: ExportReport | None = None
    runs = 0
    while report is None:
        runs += 1
        asked = 0

        def fails_from_one_on(request: Request) -> Response:
            nonlocal asked
            asked += 1
            return answer({"message": "down"}, 500) if asked > runs else service(request)  # noqa: B023  called in this run

        m3ter = client(FakeTransport(fails_from_one_on), rate_limit=None, max_retries=0)
        options: dict[str, Any] = {"settle": True, "concurrency": 1, **SINCE, **form.options}
        try:
            report = await export(m3ter, ["bills"], out, resume=runs > 1, **options)
        except APIError:
            continue
    assert runs > 8
    assert not service.events
    await check_holds(service, report, out, form)
    assert report.complete


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_in_a_store_it_settles_too_wherever_it_is_killed(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = 0
    report: ExportReport | None = None
    while report is None:
        objects: dict[str, bytes] = {}
        service = Living(12)
        service.events = {5: lambda s=service: s.change(0), 6: lambda s=service: s.bills.pop("bill-1")}  # type: ignore[misc]
        try:
            report = await settled(service, place(MemoryBucket(objects, die_at=3 * killed)))
            done = report
        except (ExportError, ValueError):
            killed += 1
            try:
                done = await settled(service, place(MemoryBucket(objects)), resume=True)
            except ValueError:  # killed before there was anything to go on with
                done = await settled(service, place(MemoryBucket(objects)))
        await check_holds(service, downloaded(done, objects, tmp_path / f"files-{killed}"), out)
        assert done.complete
    assert killed > 5
    assert kinds(report) == {"settled": 2}


@pytest.mark.parametrize(
    ("resource", "options"),
    [("balances.transactions", {}), ("bills.search", {}), ("bills", {"where": {"ids": ["a", "b"]}})],
)
async def test_what_cannot_be_settled_is_refused_before_anything_is_sent(
    out: Path, resource: str, options: dict[str, Any]
) -> None:
    shelf = Shelf({})
    with pytest.raises(ValueError, match=f"{resource} cannot be settled"):
        await export(shelf.client(), [resource], out, settle=True, **options)
    assert not shelf.asked
    assert not out.exists()  # noqa: ASYNC240  only looked at
