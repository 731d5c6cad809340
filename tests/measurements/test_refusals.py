"""A request that is refused for its content: what is bad stands alone in the end, and all else arrives once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest

from m3ter_async import APIStatusError, FailedBatch, IngestError, IngestReport, MeasurementError, RefusedMeasurement
from m3ter_async.models import Measurement
from m3ter_async.transports.protocol import Request

from ..fakes import Answer, answer, grant
from .test_ingest import AGELESS, accept, ageless, rows, send, sent, uids


def refusing(status: int, *bad: str) -> Callable[[Request], Answer]:
    """A service that answers so to each request with one of these uids in it."""
    words = [f'"{uid}"'.encode() for uid in bad]

    def handler(request: Request) -> Answer:
        content = request.content or b""
        found = next((word for word in words if word in content), None)
        return accept(request) if found is None else answer({"message": f"because of {found.decode()}"}, status)

    return handler


def accepted(transport: Any, bad: tuple[str, ...]) -> Counter[str]:
    """How often each measurement was in a request that was accepted."""
    good = [batch for batch in sent(transport) if not any(row["uid"] in bad for row in batch)]
    return Counter(row["uid"] for batch in good for row in batch)


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize(
    "bad", [("row-0",), ("row-999",), ("row-3", "row-4"), tuple(f"row-{number}" for number in range(0, 1500, 100))]
)
async def test_what_is_bad_stands_alone_with_its_reason_and_the_rest_arrives_once(
    status: int, bad: tuple[str, ...]
) -> None:
    transport, m3ter = ageless(refusing(status, *bad))
    refused: list[RefusedMeasurement] = []
    async with m3ter:
        report = await m3ter.ingest_all(rows(1500), on_refused=refused.append)
    assert (report.accepted, report.refused) == (1500 - len(bad), len(bad))
    assert sorted(each.row.uid for each in refused) == sorted(bad)
    for each in refused:
        assert isinstance(each.row, Measurement)
        assert each.row.uid == f"row-{each.index}"
        assert isinstance(each.error, MeasurementError)
        assert f'because of "{each.row.uid}"' in str(each.error)
        assert isinstance(each.error.__cause__, APIStatusError)
    arrived = accepted(transport, bad)
    assert arrived == Counter(row["uid"] for row in rows(1500) if row["uid"] not in bad)
    assert len(transport.requests) < 2 + 2 * 11 * len(bad)


async def test_without_a_callback_they_are_in_the_error_at_the_end() -> None:
    transport, m3ter = ageless(refusing(422, "row-7"))
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await m3ter.ingest_all(rows(20))
    error = caught.value
    assert (error.accepted, error.causes, error.unsent) == (19, [], [])
    assert [(each.index, each.row.uid) for each in error.refused] == [(7, "row-7")]
    # Python 3.13 has another word for this status
    assert f'row 7: measurement: 422 {HTTPStatus(422).phrase}: because of "row-7"' in str(error)
    assert accepted(transport, ("row-7",)).total() == 19


@pytest.mark.parametrize("seed", range(6))
async def test_any_measurements_may_be_bad(seed: int) -> None:
    lots = random.Random(seed)
    count = lots.choice((1, 2, 3, 999, 2500))
    bad = tuple(f"row-{number}" for number in lots.sample(range(count), min(count, lots.randrange(30))))
    faults = iter(lots.random() for _ in range(10**6))
    refuse = refusing(400, *bad)
    transport, m3ter = ageless(
        lambda request: answer(status=503) if next(faults) < 0.1 else refuse(request), max_retries=1000
    )
    refused: list[RefusedMeasurement] = []
    async with m3ter, m3ter.ingest(concurrency=lots.randrange(1, 4), on_refused=refused.append) as ingest:
        for row in rows(count):
            await ingest.send(**row)
    assert sorted((each.index, each.row.uid) for each in refused) == sorted((int(uid[4:]), uid) for uid in bad)
    assert (ingest.accepted, ingest.refused, ingest.failed) == (count - len(bad), len(bad), 0)
    assert set(accepted(transport, bad)) == {row["uid"] for row in rows(count)} - set(bad)


# 403: the firewall, or a lack of permission


async def test_a_text_that_the_firewall_takes_for_sql_stands_alone_too() -> None:
    transport, m3ter = ageless(refusing(403, "row-40"))
    refused: list[RefusedMeasurement] = []
    given = [{**row, "metadata": {"note": "x' OR 1=1; --"}} if row["uid"] == "row-40" else row for row in rows(300)]
    async with m3ter:
        report = await m3ter.ingest_all(given, on_refused=refused.append)
    assert (report.accepted, report.refused) == (299, 1)
    assert [each.row.uid for each in refused] == ["row-40"]
    assert accepted(transport, ("row-40",)).total() == 299


async def test_a_403_that_others_do_not_get_is_about_the_content() -> None:
    _, m3ter = ageless(refusing(403, "row-1500"))
    refused: list[RefusedMeasurement] = []
    async with m3ter:
        report = await m3ter.ingest_all(rows(2000), on_refused=refused.append, concurrency=1)
    assert report == IngestReport(accepted=1999, refused=1, requests=report.requests)
    assert [each.index for each in refused] == [1500]


@pytest.mark.parametrize("note", ["harmless", "select * from bills; --"])
async def test_where_nothing_is_permitted_no_measurement_is_called_bad(note: str) -> None:
    transport, m3ter = ageless(lambda _: answer({"message": "no permission"}, 403))
    refused: list[RefusedMeasurement] = []
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await m3ter.ingest_all(({**row, "metadata": {"n": note}} for row in rows(1000)), on_refused=refused.append)
    assert refused == []
    assert Counter(each.uid for each in caught.value.unsent) == Counter(row["uid"] for row in rows(1000))
    assert "no permission" in str(caught.value)
    assert len(transport.requests) < 30


async def test_a_login_that_is_refused_says_nothing_of_the_measurements() -> None:
    transport, m3ter = ageless(accept)
    transport._login = lambda _: answer({"message": "bad credentials"}, 400)
    refused: list[RefusedMeasurement] = []
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await m3ter.ingest_all(rows(100), on_refused=refused.append)
        assert refused == []
        assert len(caught.value.unsent) == 100
        transport._login = lambda _: grant()
        m3ter._pipeline.clock.time += 3600  # type: ignore[attr-defined]  # a login that was refused may rest
        assert (await m3ter.ingest_all(caught.value.unsent)).accepted == 100


# A block that lives long


class Outage:
    """A service that is down for a time."""

    def __init__(self, fault: Answer) -> None:
        self.fault: Answer | None = fault

    def __call__(self, request: Request) -> Answer:
        return self.fault or accept(request)


async def batch(ingest: Any, start: int) -> None:
    """Hand in a thousand: one request."""
    for row in rows(1000, start):
        await ingest.send(**row)


async def test_a_block_outlives_any_number_of_failures_and_sends_what_failed_when_the_service_is_well() -> None:
    outage = Outage(answer(status=503))
    transport, m3ter = ageless(outage, max_retries=0)
    async with m3ter:
        async with m3ter.ingest(max_age=AGELESS, concurrency=1) as ingest:
            taken = 0
            with pytest.raises(IngestError) as caught:  # noqa: PT012
                for number in range(100):
                    await batch(ingest, number * 1000)
                    taken += 1000
            assert 64 <= len(caught.value.causes) < 68
            assert ingest.accepted == 0
            assert ingest.failed > 0
            outage.fault = None
            m3ter._pipeline.clock.time += 60  # type: ignore[attr-defined]
            for number in range(200, 210):
                await batch(ingest, number * 1000)
                taken += 1000
        assert ingest.failed == 0
    assert ingest.accepted == taken
    arrived = uids(transport)
    assert len(arrived) == taken


async def test_while_the_service_is_down_it_is_not_asked_at_every_turn() -> None:
    transport, m3ter = ageless(Outage(answer(status=503)), max_retries=0)

    async def insist() -> None:
        async with m3ter.ingest(max_age=AGELESS, concurrency=1) as ingest:
            for _ in range(80):
                with suppress(IngestError):
                    await batch(ingest, 0)

    async with m3ter:
        with pytest.raises(IngestError):
            await insist()
    assert len(transport.requests) < 70


async def test_failures_are_told_as_they_happen_and_then_they_are_the_callers() -> None:
    outage = Outage(answer(status=503))
    _, m3ter = ageless(outage, max_retries=0)
    told: list[FailedBatch] = []
    async with m3ter:
        async with m3ter.ingest(max_age=AGELESS, concurrency=1, on_failed=told.append) as ingest:
            for number in range(70):
                await batch(ingest, number * 1000)
            assert len(told) >= 68
            outage.fault = None
            await batch(ingest, 100_000)
        assert ingest.accepted + ingest.failed == 71_000
    assert all(each.count == 1000 and isinstance(each.cause, APIStatusError) for each in told)
    again = [each.uid for one in told for each in one.measurements]
    assert len(set(again)) == len(again) == ingest.failed


async def test_what_is_kept_can_be_taken_and_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(answer(status=503))
    _, m3ter = ageless(outage, max_retries=0)
    async with m3ter:
        async with m3ter.ingest(max_age=AGELESS, concurrency=1) as ingest:
            with pytest.raises(IngestError):  # noqa: PT012
                for number in range(100):
                    await batch(ingest, number * 1000)
            taken = ingest.take_failed()
            assert sum(each.count for each in taken) == ingest.failed >= 64_000
            assert ingest.take_failed() == []
            outage.fault = None
            await batch(ingest, 500_000)
        assert ingest.accepted >= 1000
    assert "503" in str(taken[0].cause)
    assert "1000 measurements could not be sent, and are kept: POST" in caplog.text


async def test_a_callback_that_fails_loses_nothing() -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    _, m3ter = ageless(refusing(400, "row-1"))
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await send(m3ter.ingest(on_failed=broken, on_refused=broken), 3)
        assert [each.row.uid for each in caught.value.refused] == ["row-1"]
    _, m3ter = ageless(lambda _: answer(status=404))
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await send(m3ter.ingest(on_failed=broken), 3)
        assert len(caught.value.unsent) == 3


async def test_refused_measurements_can_be_taken_while_the_block_goes_on() -> None:
    _, m3ter = ageless(refusing(400, *(f"row-{number}" for number in range(0, 5000, 50))))
    taken: list[RefusedMeasurement] = []
    async with m3ter, m3ter.ingest(max_age=AGELESS, concurrency=1) as ingest:
        for number in range(5):
            await batch(ingest, number * 1000)
            taken += ingest.take_refused()
        await ingest._delivery.finish()
        taken += ingest.take_refused()
        assert ingest.refused == len(taken) == 100
    assert len({each.row.uid for each in taken}) == len(taken)


async def test_a_callback_that_would_have_to_be_awaited_is_refused() -> None:
    async def later(_: object) -> None:
        raise AssertionError

    _, m3ter = ageless()
    async with m3ter:
        for name in ("on_failed", "on_refused"):
            with pytest.raises(TypeError, match=name):
                m3ter.ingest(**{name: later})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="on_refused"):
            await m3ter.ingest_all([], on_refused=later)


# What is handed in is closed


class Bug(Exception):
    """What a caller's code may raise."""


@pytest.mark.parametrize("stop", ["never begun", "an error", "the end"])
@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("into", ["ingest_all", "upload_measurements"])
async def test_generators_that_are_handed_in_are_closed(into: str, kind: str, stop: str) -> None:
    closed: list[str] = []
    row = {"meter": "m", "account": "a", "ts": datetime(2025, 6, 1, tzinfo=UTC)}
    last = {"ts": "never"} if stop == "an error" else row

    def plain() -> Iterator[dict[str, Any]]:
        try:
            yield row
            yield last
            yield row
        finally:
            closed.append("closed")

    async def later() -> Any:
        try:
            yield row
            yield last
            yield row
        finally:
            closed.append("closed")

    def fail(_: object) -> None:
        raise Bug

    source: Any = plain() if kind == "plain" else later()
    _, m3ter = ageless()
    ends_well = stop == "the end" and into == "ingest_all"
    with nullcontext() if ends_well else pytest.raises((Bug, ValueError)):
        async with m3ter:
            if into == "ingest_all":
                await m3ter.ingest_all(source, on_refused=fail, concurrency=0 if stop == "never begun" else 1)
            elif stop == "never begun":
                await m3ter.upload_measurements(source, timeout=-1)
            else:
                await m3ter.upload_measurements(source, file_name="")  # refused when all was written
    if stop == "never begun":
        assert closed == []
        with pytest.raises(StopIteration if kind == "plain" else StopAsyncIteration):
            next(source) if kind == "plain" else await anext(source)
    else:
        assert closed == ["closed"]
