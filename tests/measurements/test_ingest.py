"""Measurements: every one that was taken arrives once, or is on the list of those that did not."""

from __future__ import annotations

import asyncio
import enum
import math
import pickle
import random
import types
import uuid
from collections import Counter, UserDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from m3ter_async import (
    APIConnectionError,
    AsyncM3ter,
    Ingest,
    IngestError,
    IngestReport,
    M3terError,
    MeasurementError,
    NotFoundError,
    RefusedMeasurement,
    TransportError,
)
from m3ter_async._measurements.measurement import encode
from m3ter_async.models import Measurement
from m3ter_async.transports.protocol import Request, Response

from ..fakes import Answer, FakeClock, FakeTransport, answer, client
from ..wire import until

TS = datetime(2025, 6, 1, 10, tzinfo=UTC)
ROW: dict[str, Any] = {"meter": "api_calls", "account": "acme", "ts": TS, "measure": {"calls": 3}}
_body = msgspec.json.Decoder(dict[str, list[dict[str, Any]]], float_hook=Decimal)


def rows(count: int, start: int = 0) -> Iterator[dict[str, Any]]:
    return ({**ROW, "uid": f"row-{number}"} for number in range(start, start + count))


def accept(request: Request) -> Response:
    return answer({"result": "accepted"})


def sent(transport: FakeTransport) -> list[list[dict[str, Any]]]:
    """The measurements of each request."""
    found = []
    for request in transport.requests:
        assert (request.method, request.url) == ("POST", "https://ingest.m3ter.com/organizations/org-1/measurements")
        assert request.content is not None
        assert len(request.content) < 512_000
        found.append(_body.decode(request.content)["measurements"])
        assert 1 <= len(found[-1]) <= 1000
    return found


def uids(transport: FakeTransport) -> Counter[str]:
    return Counter(row["uid"] for batch in sent(transport) for row in batch)


def tasks(m3ter: AsyncM3ter) -> int:
    return len(m3ter._pipeline.background._tasks)


class AgelessClock(FakeClock):
    """Under which no measurement grows old: who sleeps for an hour sleeps until it is stopped."""

    async def sleep(self, seconds: float) -> None:
        if seconds > 3000:
            await anyio.sleep_forever()
        await super().sleep(seconds)


AGELESS = 3600.0


class Gate:
    """A service that answers nobody until it is opened."""

    def __init__(self) -> None:
        self.opened = anyio.Event()

    async def __call__(self, request: Request) -> Response:
        await self.opened.wait()
        return accept(request)


def ageless(handler: Any = accept, **options: Any) -> tuple[FakeTransport, AsyncM3ter]:
    transport = FakeTransport(handler)
    return transport, client(transport, AgelessClock(), **options)


# What is sent


async def test_a_measurement_arrives_digit_for_digit() -> None:
    transport, m3ter = ageless()
    async with m3ter, m3ter.ingest() as ingest:
        uid = await ingest.send(
            uid="one",
            meter="api calls ü",
            account="acme",
            ts=datetime(2025, 6, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
            ets="2025-06-01T11:00:00.5Z",
            measure={"calls": Decimal("0.1000000000000000000000000000001"), "more": Decimal(2**70)},
            cost={"eur": -1.5},
            income={"eur": Decimal("1E+3")},
            who={"user": "u"},
            where={"region": ""},
            what={"kind": "\u2028"},
            other={"x": "y"},
            metadata={"\x7f": "\n"},
        )
    assert uid == "one"
    content = transport.requests[0].content
    assert content is not None
    assert b'"calls":0.1000000000000000000000000000001,' in content
    (measurement,) = sent(transport)[0]
    moment = datetime.fromisoformat(measurement.pop("ts").replace("Z", "+00:00"))
    assert moment == datetime(2025, 6, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert measurement == {
        "uid": "one",
        "meter": "api calls ü",
        "account": "acme",
        "ets": "2025-06-01T11:00:00.5Z",
        "measure": {"calls": Decimal("0.1000000000000000000000000000001"), "more": 2**70},
        "cost": {"eur": Decimal("-1.5")},
        "income": {"eur": 1000},
        "who": {"user": "u"},
        "where": {"region": ""},
        "what": {"kind": "\u2028"},
        "other": {"x": "y"},
        "metadata": {"\x7f": "\n"},
    }


class Kind(enum.StrEnum):
    READ = "read"


class Float(float):
    """As those of other libraries are."""


class Moment(datetime):
    """As those of other libraries are."""


@pytest.mark.parametrize("field", ["ts", "ets"])
async def test_the_moments_of_a_measurement_are_in_utc_to_the_microsecond(field: str) -> None:
    """Also where the offset has seconds, which JSON libraries round."""
    transport, m3ter = ageless()
    zone = timezone(timedelta(hours=5, minutes=30, seconds=29))
    async with m3ter:
        await m3ter.ingest_all([{**ROW, field: datetime(2025, 6, 1, 0, 0, 0, 7, zone)}])
    (measurement,) = sent(transport)[0]
    assert measurement[field] == "2025-05-31T18:29:31.000007Z"


async def test_subclasses_and_other_mappings_are_sent_as_what_they_are() -> None:
    transport, m3ter = ageless()
    row = UserDict({**ROW, "ts": Moment(2025, 6, 1, tzinfo=UTC), "what": {"kind": Kind.READ}})
    row["where"] = types.MappingProxyType({"region": "eu"})
    row["measure"] = {"ratio": Float(1.5)}
    async with m3ter:
        await m3ter.ingest_all([row])
    (measurement,) = sent(transport)[0]
    assert measurement["ts"] == "2025-06-01T00:00:00Z"
    assert (measurement["what"], measurement["where"]) == ({"kind": "read"}, {"region": "eu"})
    assert measurement["measure"] == {"ratio": Decimal("1.5")}


async def test_each_has_a_uid_of_its_own_by_which_a_repeat_is_known() -> None:
    transport, m3ter = ageless()
    async with m3ter, m3ter.ingest(max_age=AGELESS) as ingest, anyio.create_task_group() as producers:
        returned: list[str] = []

        async def produce(given: str | None) -> None:
            for number in range(1500):
                returned.append(await ingest.send(**ROW, uid=given and f"{given}-{number}"))

        for given in (None, None, "mine"):
            producers.start_soon(produce, given)
    arrived = uids(transport)
    assert arrived == Counter(returned)
    assert len(arrived) == 4500
    assert all(1 <= len(uid) <= 50 for uid in arrived)
    assert sum(uid.startswith("mine-") for uid in arrived) == 1500


async def test_a_row_whose_uid_is_none_gets_one() -> None:
    transport, m3ter = ageless()
    async with m3ter:
        await m3ter.ingest_all([{**ROW, "uid": None}, Measurement(**ROW), Measurement(**ROW, uid="mine")])
    arrived = uids(transport)
    assert len(arrived) == 3
    assert "mine" in arrived
    assert "None" not in arrived


# What is refused


def bad(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


BAD: list[tuple[str, dict[str, Any]]] = [
    ("meter", bad(meter="")),
    ("meter", bad(meter="m" * 81)),
    ("meter", bad(meter=None)),
    ("meter", bad(meter=b"api_calls")),
    ("meter", bad(meter=" api")),
    ("meter", bad(meter="api\tcalls")),
    ("account", bad(account="a" * 81)),
    ("account", bad(account="acme ")),
    ("account", bad(account=17)),
    ("account", bad(account="acme\x7f")),
    ("account", bad(account="\ud800")),
    ("uid", bad(uid="u" * 51)),
    ("uid", bad(uid="")),
    ("uid", bad(uid=uuid.uuid4())),
    ("ts", bad(ts=None)),
    ("ts", bad(ts=datetime(2025, 6, 1))),
    ("ts", bad(ts=date(2025, 6, 1))),
    ("ts", bad(ts="2025-06-01")),
    ("ts", bad(ts="yesterday")),
    ("ts", bad(ts=1_748_772_000)),
    ("ets", bad(ets=datetime(2025, 6, 1))),
    ("measure", bad(measure=3)),
    ("measure", bad(measure=[("calls", 3)])),
    ("measure.calls", bad(measure={"fine": 1, "calls": math.nan})),
    ("measure.calls", bad(measure={"calls": Decimal("Infinity")})),
    ("measure.calls", bad(measure={"calls": Decimal("sNaN")})),
    ("measure.calls", bad(measure={"calls": "3"})),
    ("measure.calls", bad(measure={"calls": True})),
    ("measure.calls", bad(measure={"calls": None})),
    ("measure.calls", bad(measure={"calls": Decimal("1e400")})),
    ("measure.calls", bad(measure={"calls": 3 + 0j})),
    ("measure.1", bad(measure={1: 1})),
    ("cost.b'eur'", bad(cost={b"eur": 1})),
    ("income.eur", bad(income={"eur": -math.inf})),
    ("where.region", bad(where={"region": b"eu"})),
    ("where.region", bad(where={"region": None})),
    ("who.2", bad(who={2: "user"})),
    ("what.kind", bad(what={"kind": 5})),
    ("other.deep", bad(other={"deep": {"er": "x"}})),
    ("metadata.when", bad(metadata={"when": TS})),
    ("", bad(metadata={"text": "x" * 512_000})),
]


@pytest.mark.parametrize(("field", "row"), BAD, ids=[f"{number} {field}" for number, (field, _) in enumerate(BAD)])
async def test_what_could_never_be_accepted_is_refused_by_name_and_the_rest_goes_on(
    field: str, row: dict[str, Any]
) -> None:
    transport, m3ter = ageless()
    async with m3ter, m3ter.ingest() as ingest:
        await ingest.send(**ROW, uid="before")
        with pytest.raises(MeasurementError) as caught:
            await ingest.send(**row)
        await ingest.send(**ROW, uid="after")
    assert isinstance(caught.value, ValueError)
    assert caught.value.field == field
    assert str(caught.value).startswith(field or "measurement")
    assert caught.value.reason
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert list(uids(transport)) == ["before", "after"]


async def test_a_missing_argument_and_a_field_that_is_none_are_told_as_python_tells_them() -> None:
    transport, m3ter = ageless()
    async with m3ter, m3ter.ingest() as ingest:
        with pytest.raises(TypeError, match="ts"):
            await ingest.send(meter="m", account="a")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="data"):
            await ingest.send(**ROW, data={})  # type: ignore[call-arg]
    assert transport.requests == []


# Batches


async def test_a_batch_holds_a_thousand() -> None:
    transport, m3ter = ageless()
    async with m3ter, m3ter.ingest(max_age=AGELESS) as ingest:
        for row in rows(2999):
            await ingest.send(**row)
        assert (ingest.accepted, len(transport.requests)) <= (2000, 2)
    assert sorted(map(len, sent(transport))) == [999, 1000, 1000]
    assert (ingest.accepted, ingest.requests) == (2999, 3)
    assert uids(transport) == Counter(f"row-{number}" for number in range(2999))


def sized(uid: str, size: int) -> dict[str, Any]:
    """A row whose JSON has so many bytes."""
    row = {**ROW, "uid": uid, "metadata": {"pad": ""}}
    row["metadata"] = {"pad": "p" * (size - len(encode(Measurement(**row))))}
    assert len(encode(Measurement(**row))) == size
    return row


@pytest.mark.parametrize(("more", "batches"), [(0, 1), (1, 2)])
async def test_a_batch_may_have_one_byte_less_than_the_service_refuses_and_not_one_more(
    more: int, batches: int
) -> None:
    transport, m3ter = ageless()
    envelope = len(b'{"measurements":[,]}')
    size = (511_999 - envelope) // 2
    async with m3ter:
        report = await m3ter.ingest_all([sized("a", 511_999 - envelope - size), sized("b", size + more)])
    assert report == IngestReport(accepted=2, refused=0, requests=batches)
    assert len(sent(transport)) == batches
    if not more:
        assert len(transport.requests[0].content or b"") == 511_999


async def test_one_measurement_may_fill_a_request_and_not_one_byte_more() -> None:
    transport, m3ter = ageless()
    most = 511_999 - len(b'{"measurements":[]}')
    row = sized("full", most)
    async with m3ter, m3ter.ingest() as ingest:
        await ingest.send(**row)
        row["metadata"]["pad"] += "p"
        with pytest.raises(MeasurementError, match=r"511,981 bytes"):
            await ingest.send(**row)
    assert len(transport.requests[0].content or b"") == 511_999


@pytest.mark.parametrize("seed", range(8))
async def test_any_measurements_arrive_once_each_in_batches_within_the_limits(seed: int) -> None:
    lots = random.Random(seed)
    transport = FakeTransport(lambda _: answer(status=503) if lots.random() < 0.1 else accept(_))
    given = []
    for number in range(lots.choice((0, 1, 7, 1000, 1001, 2500))):
        pad = lots.choice((0, 10, 1000)) if lots.random() < 0.99 else lots.randrange(511_500)
        text = lots.choice(("p", "ü", '"', "\U0001f600", "\x00"))
        length = len(msgspec.json.encode(text)) - 2
        given.append({**ROW, "uid": f"{seed}-{number}", "metadata": {"pad": text * (pad // length)}})
    async with client(transport, api_key=None, api_secret=None, token="t", max_retries=1000) as m3ter:
        async with m3ter.ingest(concurrency=lots.randrange(1, 5)) as ingest:
            for row in given:
                await ingest.send(**row)
                if lots.random() < 0.01:
                    await anyio.lowlevel.checkpoint()
        assert tasks(m3ter) == 0
    assert ingest.accepted == len(given)
    arrived = {row["uid"]: row["metadata"]["pad"] for batch in sent(transport) for row in batch}
    assert arrived == {row["uid"]: row["metadata"]["pad"] for row in given}


async def test_a_lone_measurement_goes_out_at_its_age() -> None:
    clock = FakeClock()
    transport = FakeTransport(accept)
    async with client(transport, clock) as m3ter, m3ter.ingest(max_age=2.5) as ingest:
        for number in range(2):
            began = clock.now()
            await ingest.send(**ROW, uid=f"row-{number}")
            await until(lambda number=number: len(transport.requests) > number)  # type: ignore[misc]
            assert clock.now() == began + 2.5
        assert sorted(uids(transport)) == ["row-0", "row-1"]


async def test_the_age_of_a_batch_is_that_of_its_first_measurement() -> None:
    clock = FakeClock()
    transport = FakeTransport(accept)
    async with client(transport, clock) as m3ter, m3ter.ingest(max_age=10) as ingest:
        await ingest.send(**ROW)
        clock.time += 4
        await ingest.send(**ROW)
        await until(lambda: len(transport.requests) > 0)
        assert clock.sleeps == [6]
    assert [len(batch) for batch in sent(transport)] == [2]


# Side by side, and not too much of it


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_full_queue_holds_the_producer_back(concurrency: int) -> None:
    gate = Gate()
    transport, m3ter = ageless(gate, rate_limit=None)
    taken = 0

    async def produce(ingest: Any) -> None:
        nonlocal taken
        for row in rows(10_000):
            await ingest.send(**row)
            taken += 1

    async with m3ter, m3ter.ingest(max_age=AGELESS, concurrency=concurrency) as ingest:
        async with anyio.create_task_group() as group:
            group.start_soon(produce, ingest)
            await anyio.wait_all_tasks_blocked()
            assert taken == 2 * concurrency * 1000
            assert transport.in_flight == concurrency
            gate.opened.set()
        assert taken == 10_000
    assert transport.most_in_flight == concurrency
    assert uids(transport) == Counter(row["uid"] for row in rows(10_000))


async def test_who_gives_up_waiting_has_not_handed_in() -> None:
    gate = Gate()
    transport, m3ter = ageless(gate, rate_limit=None)
    async with m3ter, m3ter.ingest(max_age=AGELESS, concurrency=1) as ingest:
        for row in rows(2000):
            await ingest.send(**row)
        with anyio.move_on_after(0.01) as scope:
            await ingest.send(**ROW, uid="given up")
        assert scope.cancelled_caught
        gate.opened.set()
        await ingest.send(**ROW, uid="handed in")
    arrived = uids(transport)
    assert arrived.total() == 2001
    assert "handed in" in arrived
    assert "given up" not in arrived


async def test_rows_are_read_no_faster_than_they_are_sent() -> None:
    gate = Gate()
    _, m3ter = ageless(gate, rate_limit=None)
    drawn = 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal drawn
        for row in rows(5000):
            drawn += 1
            yield row

    async with m3ter, anyio.create_task_group() as group:
        group.start_soon(lambda: m3ter.ingest_all(source(), concurrency=1))
        await anyio.wait_all_tasks_blocked()
        assert drawn == 2001
        gate.opened.set()
    assert drawn == 5000


async def test_batches_keep_to_the_limit_of_the_service() -> None:
    clock = FakeClock()
    times: list[float] = []

    def handler(request: Request) -> Response:
        times.append(clock.now())
        return accept(request)

    async with client(FakeTransport(handler), clock) as m3ter:
        await m3ter.ingest_all(({**ROW, "metadata": {"pad": "p" * 256_000}} for _ in range(120)), concurrency=100)
    assert len(times) == 120
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[50:], strict=False))


# What fails


def refusing(*words: str, status: int = 400) -> Callable[[Request], Answer]:
    """A service that refuses requests with any of these uids in it."""

    def handler(request: Request) -> Answer:
        content = request.content or b""
        return (
            answer({"message": "no"}, status)
            if any(f'"{word}"'.encode() in content for word in words)
            else accept(request)
        )

    return handler


async def test_a_refused_request_takes_no_other_down_and_its_measurements_can_be_sent_again() -> None:
    transport, m3ter = ageless(refusing("row-1500", status=404))
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await m3ter.ingest_all(rows(3000))
        error: IngestError = pickle.loads(pickle.dumps(caught.value))
        assert error.accepted == 2000
        (cause,) = error.causes
        assert isinstance(cause, NotFoundError)
        assert "2,000 measurements were accepted; 1,000 were not sent" in str(error)
        assert "no" in str(error)
        assert [each.uid for each in error.unsent] == [f"row-{number}" for number in range(1000, 2000)]
        transport._handler = accept
        transport.requests.clear()
        assert (await m3ter.ingest_all(error.unsent)).accepted == 1000
    assert sent(transport)[0] == [
        {**ROW, "uid": f"row-{number}", "ts": "2025-06-01T10:00:00Z"} for number in range(1000, 2000)
    ]


@pytest.mark.parametrize(
    "fault",
    [answer(status=503), TransportError("gone"), answer(b'{"resu'), answer(b"<html>")],
    ids=["status", "drop", "cut", "nonsense"],
)
async def test_a_request_whose_outcome_is_unknown_is_repeated_as_it_was(fault: Answer) -> None:
    transport, m3ter = ageless([fault, answer({"result": "accepted"})])
    async with m3ter:
        report = await m3ter.ingest_all([ROW])
    assert report == IngestReport(accepted=1, refused=0, requests=1)
    first, second = transport.requests
    assert first.content == second.content


async def send(ingest: Ingest, count: int, then: Callable[[], Awaitable[None]] | None = None) -> int:
    """Send so many rows through a block; returns how many it took."""
    taken = 0
    async with ingest:
        for row in rows(count):
            try:
                await ingest.send(**row)
            except IngestError:
                return taken
            taken += 1
        if then is not None:
            await then()
    return taken


async def test_when_everything_fails_no_more_is_taken_and_all_is_on_the_list() -> None:
    transport, m3ter = ageless(lambda _: answer(status=403))
    async with m3ter:
        ingest = m3ter.ingest(max_age=AGELESS, concurrency=2)
        with pytest.raises(IngestError) as caught:
            await send(ingest, 200_000)
        assert tasks(m3ter) == 0
    assert 64 <= len(caught.value.causes) < 80
    assert len(transport.requests) <= 68  # the two that wait for another token are sent again under it
    unsent = Counter(each.uid for each in caught.value.unsent)
    assert unsent == Counter(row["uid"] for row in rows(unsent.total()))


class Bug(Exception):
    """Nothing that a transport may raise."""


async def test_a_transport_that_breaks_its_promise_loses_nothing_either() -> None:
    def handler(_: Request) -> Answer:
        raise Bug

    _, m3ter = ageless(handler)
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await send(m3ter.ingest(max_age=AGELESS, concurrency=1), 5000)
        assert tasks(m3ter) == 0
    assert isinstance(caught.value.causes[0], APIConnectionError)
    assert "the transport failed (Bug)" in str(caught.value.causes[0])
    unsent = Counter(each.uid for each in caught.value.unsent)
    assert unsent.total() >= 1000
    assert unsent == Counter(row["uid"] for row in rows(unsent.total()))


# Leaving the block


async def fail() -> None:
    raise Bug


async def test_an_exception_leaves_after_everything_was_sent() -> None:
    transport, m3ter = ageless()
    async with m3ter:
        with pytest.raises(Bug):
            await send(m3ter.ingest(max_age=AGELESS), 1500, fail)
        assert tasks(m3ter) == 0
    assert uids(transport).total() == 1500


async def test_an_exception_does_not_hide_what_was_not_sent() -> None:
    _, m3ter = ageless(refusing("row-0"))
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await send(m3ter.ingest(), 1, fail)
    assert isinstance(caught.value.__context__, Bug)
    assert [each.row.uid for each in caught.value.refused] == ["row-0"]


@pytest.mark.parametrize("within", ["the block", "leaving it"])
async def test_a_cancellation_stops_at_once_and_tells_what_was_not_sent(within: str) -> None:
    scope = anyio.CancelScope()

    async def handler(request: Request) -> Response:
        if b'"row-0"' not in (request.content or b""):
            await anyio.sleep_forever()
        return accept(request)

    async def cancel() -> None:
        await anyio.wait_all_tasks_blocked()
        scope.cancel()

    failures: list[IngestError] = []

    async def produce(ingest: Ingest) -> None:
        with scope:
            try:
                await send(ingest, 4500, anyio.sleep_forever if within == "the block" else None)
            except IngestError as error:
                failures.append(error)

    _, m3ter = ageless(handler, rate_limit=None)
    async with m3ter:
        async with anyio.create_task_group() as group:
            group.start_soon(produce, m3ter.ingest(max_age=AGELESS, concurrency=2))
            group.start_soon(cancel)
        assert tasks(m3ter) == 0
    (error,) = failures
    assert error.accepted == 1000
    assert Counter(each.uid for each in error.unsent) == Counter(row["uid"] for row in rows(3500, 1000))
    assert all(isinstance(cause, M3terError) for cause in error.causes)
    assert "was left" in str(error)


async def test_a_task_that_is_cancelled_ends_with_the_list(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("on trio, tasks are cancelled by scopes only")
    _, m3ter = ageless(Gate(), rate_limit=None)
    async with m3ter:
        task = asyncio.create_task(send(m3ter.ingest(max_age=AGELESS, concurrency=1), 1500, anyio.sleep_forever))
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        with pytest.raises(IngestError) as caught:
            await task
        assert tasks(m3ter) == 0
    assert Counter(each.uid for each in caught.value.unsent) == Counter(row["uid"] for row in rows(1500))


async def test_a_cancellation_takes_no_place_of_a_failure_that_the_block_is_left_by() -> None:
    """So many requests have failed that `send` raises; while leaving waits for the last one, a cancellation comes."""

    async def handler(request: Request) -> Response:
        if b'"row-10000"' in (request.content or b""):
            await anyio.sleep_forever()
        return answer(status=501)

    async def cancel() -> None:
        await anyio.wait_all_tasks_blocked()
        scope.cancel()

    async def produce() -> None:
        async with m3ter.ingest(max_age=AGELESS, concurrency=2) as ingest:
            for row in rows(200_000):
                try:
                    await ingest.send(**row)
                except IngestError:
                    group.start_soon(cancel)
                    raise

    _, m3ter = ageless(handler, rate_limit=None)
    async with m3ter, anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            with pytest.raises(IngestError) as caught:
                await produce()
        assert scope.cancel_called
        assert tasks(m3ter) == 0
    unsent = Counter(each.uid for each in caught.value.unsent)
    assert unsent["row-10000"] == 1
    assert unsent == Counter(row["uid"] for row in rows(unsent.total()))


async def test_a_cancellation_with_nothing_left_to_send_is_just_that() -> None:
    transport, m3ter = ageless()
    async with m3ter:
        ingest = m3ter.ingest()

        async def cancel() -> None:
            await until(lambda: ingest.accepted == 1000)
            scope.cancel()
            await anyio.sleep_forever()

        with anyio.CancelScope() as scope:
            await send(ingest, 1000, cancel)
        assert scope.cancelled_caught
        assert tasks(m3ter) == 0
    assert uids(transport).total() == 1000


async def test_closing_the_client_meanwhile_leaves_the_rest_on_the_list() -> None:
    _, m3ter = ageless(Gate(), rate_limit=None)

    async def close() -> None:
        await anyio.wait_all_tasks_blocked()
        await m3ter.aclose()

    with pytest.raises(IngestError) as caught:
        await send(m3ter.ingest(max_age=AGELESS, concurrency=1), 1999, close)
    assert tasks(m3ter) == 0
    assert Counter(each.uid for each in caught.value.unsent) == Counter(row["uid"] for row in rows(1999))


async def test_a_block_is_entered_once_and_takes_nothing_outside() -> None:
    _, m3ter = ageless()
    async with m3ter:
        ingest = m3ter.ingest()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="async with"):
                await ingest.send(**ROW)
            with suppress(RuntimeError):
                async with ingest:
                    pass
        with pytest.raises(RuntimeError, match=r"again"):
            await ingest.__aenter__()
        with pytest.raises(ValueError, match="max_age"):
            m3ter.ingest(max_age=0)
        with pytest.raises(ValueError, match="concurrency"):
            m3ter.ingest(concurrency=0)


async def test_a_producer_who_still_waits_when_the_block_is_left_has_not_handed_in() -> None:
    gate = Gate()
    transport, m3ter = ageless(gate, rate_limit=None)
    async with m3ter, anyio.create_task_group() as group:
        failures: list[BaseException] = []

        async def late(ingest: Any) -> None:
            try:
                await ingest.send(**ROW, uid="late")
            except RuntimeError as error:
                failures.append(error)

        async with m3ter.ingest(max_age=AGELESS, concurrency=1) as ingest:
            for row in rows(2000):
                await ingest.send(**row)
            group.start_soon(late, ingest)
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
    assert len(failures) == 1
    assert uids(transport) == Counter(row["uid"] for row in rows(2000))


# Bulk


async def test_an_async_source_is_as_good() -> None:
    transport, m3ter = ageless()

    async def source() -> AsyncIterator[Measurement]:
        for row in rows(1200):
            yield Measurement(**row)

    async with m3ter:
        assert await m3ter.ingest_all(source()) == IngestReport(accepted=1200, refused=0, requests=2)
    assert uids(transport) == Counter(row["uid"] for row in rows(1200))


async def test_rows_that_are_refused_are_listed_and_all_others_sent() -> None:
    transport, m3ter = ageless()
    given = [{**ROW, "uid": "0"}, {**ROW, "ts": "never"}, {**ROW, "uid": "2"}, {**ROW, "data": 1}, None, {"meter": "m"}]
    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await m3ter.ingest_all(given)  # type: ignore[arg-type]
    error = caught.value
    assert [(each.index, each.row, each.error.field) for each in error.refused] == [
        (1, given[1], "ts"),
        (3, given[3], "data"),
        (4, None, ""),
        (5, given[5], "account"),
    ]
    assert "4 were refused, the first as row 1: ts: " in str(error)
    assert (error.accepted, error.unsent) == (2, [])
    assert sorted(uids(transport)) == ["0", "2"]


async def test_refused_rows_can_be_handled_one_by_one() -> None:
    transport, m3ter = ageless()
    given = [bad(ts=None) if number % 2 else {**ROW, "uid": f"{number}"} for number in range(3000)]
    seen: list[RefusedMeasurement] = []
    async with m3ter:
        report = await m3ter.ingest_all(given, on_refused=seen.append)
    assert (report.accepted, report.refused) == (1500, 1500)
    assert [each.index for each in seen] == list(range(1, 3000, 2))
    assert uids(transport).total() == 1500


async def test_where_all_rows_are_bad_it_ends_early_and_says_how_far_it_came() -> None:
    transport, m3ter = ageless()
    drawn = 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield bad(ts=None) if drawn > 10 else {**ROW}

    async with m3ter:
        with pytest.raises(IngestError) as caught:
            await m3ter.ingest_all(source())
    assert drawn == 1010
    assert caught.value.refused[-1].index == 1009
    assert caught.value.accepted == uids(transport).total() == 10


async def test_what_a_source_raises_is_raised_after_the_rows_before_it_were_sent() -> None:
    transport, m3ter = ageless()

    def source() -> Iterator[dict[str, Any]]:
        yield from rows(3)
        raise Bug

    async with m3ter:
        with pytest.raises(Bug):
            await m3ter.ingest_all(source())
    assert uids(transport).total() == 3
