"""The service's limits are kept in every window, shared by all who share them, and a 429 slows all of them down."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from m3ter_async import APIError, AsyncM3ter, RateLimitError
from m3ter_async._core.local_limits import LocalLimiter
from m3ter_async._core.operation import Operation
from m3ter_async._core.rate_limits import Gates
from m3ter_async.events import Scope
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeClock, FakeTransport, answer, client, grant


class RestingClock(FakeClock):
    """Time that stands still while any task has work to do, and then jumps to the next one who wakes.

    So tasks overlap as they would in real time, which they do not where a sleep is over at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._ticket = itertools.count()
        self._stirred = 0

    def now(self) -> float:
        self._stirred += 1
        return self.time

    async def sleep(self, seconds: float) -> None:
        self._stirred += 1
        entry = (self.time + seconds, next(self._ticket), anyio.Event())
        heapq.heappush(self._sleepers, entry)
        try:
            await entry[2].wait()
        finally:
            if entry in self._sleepers:  # cancelled
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)
            self._stirred += 1

    async def rest(self, rounds: int = 15) -> None:
        """Until nothing moves any more."""
        quiet = 0
        while quiet < rounds:
            before = self._stirred
            await anyio.lowlevel.checkpoint()
            quiet = quiet + 1 if self._stirred == before else 0

    async def run(self) -> None:
        while True:
            await self.rest(40)  # longer than any test does, which then moves first
            if self._sleepers:
                wake, _, event = heapq.heappop(self._sleepers)
                self.time = max(self.time, wake)
                event.set()


class Service:
    """Notes when each request reached it; answers after `latency` seconds."""

    def __init__(self, clock: RestingClock, *, latency: float = 0.0, login_latency: float = 0.0) -> None:
        self.clock = clock
        self.began = clock.time
        self.latency = latency
        self.times: list[float] = []
        self.asked: list[str] = []
        self.replies: dict[str, list[Response]] = {}
        self._login_latency = login_latency
        self.transport = FakeTransport(self._serve, login=self._log_in)

    async def _serve(self, request: Request) -> Response:
        self.times.append(self.clock.time)
        name = request.url.partition("?")[0].rpartition("/")[2]
        self.asked.append(name)
        if self.latency:
            await self.clock.sleep(self.latency)
        replies = self.replies.get(name)
        return replies.pop(0) if replies else answer({"id": "b"})

    async def _log_in(self, _: Request) -> Response:
        if self._login_latency:
            await self.clock.sleep(self._login_latency)
        return grant()

    @property
    def seconds(self) -> list[float]:
        return [round(then - self.began, 6) for then in self.times]


@asynccontextmanager
async def running(clock: RestingClock) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.run)
        yield
        tasks.cancel_scope.cancel()


async def together(calls: list[Callable[[], Awaitable[object]]]) -> list[APIError]:
    errors: list[APIError] = []

    async def one(call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except APIError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(one, call)
    return errors


def retrieve(m3ter: AsyncM3ter, *names: str) -> list[Callable[[], Awaitable[object]]]:
    def make(name: str) -> Callable[[], Awaitable[object]]:
        return lambda: m3ter.bills.retrieve(name)

    return [make(name) for name in names]


def most_in_any(window: float, times: list[float]) -> int:
    """The most requests in any half-open stretch of that many seconds, wherever it begins."""
    times = sorted(times)
    most = end = 0
    for begin, first in enumerate(times):
        end = max(end, begin)
        while end < len(times) and times[end] < first + window - 1e-6:
            end += 1
        most = max(most, end - begin)
    return most


# No window sees more


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("rate", "most", "window"),
    [(50, 50, 1.0), (7, 7, 1.0), (2.5, 2, 1.0), (1, 1, 1.0), (0.5, 1, 2.0), (0.3, 1, 1 / 0.3)],
)
async def test_no_window_ever_sees_more_than_the_limit(seed: int, rate: float, most: int, window: float) -> None:
    draw = random.Random(seed)
    clock = RestingClock()
    service = Service(clock, latency=draw.choice([0, 0.01, 0.7, 3.0]))
    calls = max(12, int(rate * 5))

    async with running(clock), client(service.transport, clock, rate_limit=rate) as m3ter:

        async def one(start: float) -> None:
            await clock.sleep(start)
            await m3ter.bills.retrieve("b")

        starts = [draw.choice([0.0, draw.uniform(0, 3), draw.choice([0.5, 0.999, 1.0])]) for _ in range(calls)]
        async with anyio.create_task_group() as tasks:
            for start in starts:
                tasks.start_soon(one, start)
    assert len(service.times) == calls
    assert most_in_any(window, service.times) <= most


async def test_the_limit_is_used_to_the_full() -> None:
    clock = RestingClock()
    service = Service(clock)
    async with running(clock), client(service.transport, clock) as m3ter:
        assert await together(retrieve(m3ter, *["b"] * 150)) == []
    assert service.seconds == pytest.approx([0.0] * 50 + [1.0] * 50 + [2.0] * 50, abs=1e-3)


async def test_calls_that_queue_for_slow_answers_do_not_go_out_all_at_once_later() -> None:
    clock = RestingClock()
    service = Service(clock, latency=10.0)
    async with running(clock), client(service.transport, clock, max_connections=100) as m3ter:
        assert await together(retrieve(m3ter, *["b"] * 300)) == []
    assert len(service.times) == 300
    assert most_in_any(1.0, service.times) <= 50
    assert service.seconds[-1] < 30, "places or passes were left unused"


async def test_calls_that_wait_for_a_slow_login_do_not_go_out_all_at_once_after_it() -> None:
    clock = RestingClock()
    service = Service(clock, login_latency=8.0)
    async with running(clock), client(service.transport, clock, max_connections=500) as m3ter:
        assert await together(retrieve(m3ter, *["b"] * 300)) == []
    assert len(service.times) == 300
    assert most_in_any(1.0, service.times) <= 50


async def test_repeats_count_like_any_other_request() -> None:
    clock = RestingClock()
    service = Service(clock)
    service.replies["b"] = [answer({}, 503) for _ in range(60)]
    async with running(clock), client(service.transport, clock) as m3ter:
        await together(retrieve(m3ter, *["b"] * 120))
    assert len(service.times) == 180
    assert most_in_any(1.0, service.times) <= 50


async def test_a_fan_out_of_thousands_of_calls_queues_for_minutes_without_an_error() -> None:
    clock = RestingClock()
    service = Service(clock)
    async with running(clock), client(service.transport, clock) as m3ter:
        errors = await together(retrieve(m3ter, *["b"] * 6_500))
    assert errors == []
    assert len(service.times) == 6_500
    assert service.seconds[-1] == pytest.approx(129, abs=0.01)


async def test_who_queued_for_long_has_retries_all_the_same() -> None:
    """The time for retries bounds what the service makes a caller wait, not what the caller's own fan-out does."""
    clock = RestingClock()
    service = Service(clock)
    service.replies["last"] = [answer({}, 503), answer({}, 503)]
    async with (
        running(clock),
        client(service.transport, clock, rate_limit=1) as m3ter,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(together, retrieve(m3ter, *["b"] * 130))
        await clock.rest()
        assert await together(retrieve(m3ter, "last")) == []
    assert service.asked.count("last") == 3


async def test_without_a_limit_nothing_is_held_back() -> None:
    clock = RestingClock()
    service = Service(clock)
    async with running(clock), client(service.transport, clock, rate_limit=None) as m3ter:
        assert await together(retrieve(m3ter, *["b"] * 300)) == []
    assert set(service.seconds) == {0.0}


async def test_first_come_first_served() -> None:
    clock = RestingClock()
    service = Service(clock)
    names = [str(number) for number in range(30)]
    async with running(clock), client(service.transport, clock, rate_limit=3) as m3ter:
        await m3ter.bills.retrieve("login")
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(m3ter.bills.retrieve, name)
                for _ in range(5):  # trio starts tasks in any order
                    await anyio.lowlevel.checkpoint()
    # those who may go at the same moment go in any order
    passed = [service.asked[:3], *(service.asked[first : first + 3] for first in range(3, 31, 3))]
    expected = ["login", *names]
    assert [sorted(group) for group in passed] == [sorted(expected[at : at + 3]) for at in range(0, 31, 3)]


async def test_who_comes_in_the_moment_that_a_pass_is_free_does_not_overtake_those_who_wait() -> None:
    clock = RestingClock()
    service = Service(clock)

    async def late() -> None:
        await clock.sleep(1.0)
        await m3ter.bills.retrieve("late")

    async with running(clock), client(service.transport, clock, rate_limit=1) as m3ter:
        await m3ter.bills.retrieve("login")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(late)
            await clock.rest()
            for name in ("first", "second"):
                tasks.start_soon(m3ter.bills.retrieve, name)
                await clock.rest()
    assert service.asked == ["login", "first", "second", "late"]


@pytest.mark.parametrize(("most", "rate", "latency", "seconds"), [(2, 2, 1.0, 20), (1, 2, 3.0, 120), (5, 50, 2.0, 16)])
async def test_neither_places_nor_passes_are_wasted(most: int, rate: float, latency: float, seconds: float) -> None:
    clock = RestingClock()
    service = Service(clock, latency=latency)
    async with running(clock), client(service.transport, clock, rate_limit=rate, max_connections=most) as m3ter:
        assert await together(retrieve(m3ter, *["b"] * 40)) == []
    assert service.transport.most_in_flight == most
    assert service.seconds[-1] + latency == pytest.approx(seconds, rel=0.1)


async def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    clock = RestingClock()
    service = Service(clock)
    async with running(clock), client(service.transport, clock, rate_limit=2) as m3ter:
        await together(retrieve(m3ter, "1", "2"))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(m3ter.bills.retrieve, "cancelled")
                await clock.rest()
                scope.cancel()
        await together(retrieve(m3ter, "3", "4", "5", "6"))
    assert sorted(service.asked) == ["1", "2", "3", "4", "5", "6"]
    assert service.seconds == pytest.approx([0, 0, 1, 1, 2, 2], abs=1e-3)


# Who shares a limit


async def test_all_views_of_an_organization_share_its_limit_and_others_have_their_own() -> None:
    clock = RestingClock()
    service = Service(clock)
    async with running(clock), client(service.transport, clock) as m3ter:
        again = m3ter.with_options(org_id="other").with_options(org_id="org-1", timeout=1)
        other = m3ter.with_options(org_id="other")
        calls = [retrieve(view, *["b"] * 50) for view in (m3ter, again, other)]
        assert await together([call for group in calls for call in group]) == []
    assert service.seconds == pytest.approx([0.0] * 100 + [1.0] * 50, abs=1e-3)


@pytest.mark.parametrize(
    ("scope", "most", "window"),
    [("configuration", 50, 1.0), ("ingest", 50, 1.0), ("explorer", 10, 10), ("usage_query", 20, 10)],
)
async def test_each_part_of_the_service_has_the_limit_that_is_documented(
    scope: Scope, most: int, window: float
) -> None:
    clock = RestingClock()
    service = Service(clock)
    operation: Operation[Any] = Operation("Some", "GET", "/organizations/{orgId}/b", dict, repeat="safe", scope=scope)
    async with running(clock), client(service.transport, clock) as m3ter:
        pipeline = m3ter._pipeline
        await together([lambda: pipeline.call(operation, {}, {})] * (2 * most))
    assert service.seconds == pytest.approx([0.0] * most + [window] * most, abs=1e-3)


def test_the_limit_of_an_address_is_shared_by_organizations() -> None:
    clock = FakeClock()
    limits = Gates(LocalLimiter(1_000_000, _clock=clock), "https://api")
    gates = [limits.gate("configuration", org_id) for org_id in ("a", "b")]
    passed = sum(gate.take(clock.time) == 0 for _ in range(15_000) for gate in gates)
    assert passed == 20_000
    assert limits.gate("ingest", "a").take(clock.time) == 0
    clock.time += 299
    assert all(gate.take(clock.time) == pytest.approx(1) for gate in gates)
    clock.time += 2
    assert all(gate.take(clock.time) == 0 for gate in gates)


# A 429


@pytest.mark.parametrize(("headers", "pause"), [({}, 1.0), ({"retry_after": "4"}, 4.0), ({"retry_after": "0"}, 0.0)])
@pytest.mark.parametrize("rate", [50, None])
async def test_a_429_holds_back_every_call_of_its_organization(
    headers: dict[str, str], pause: float, rate: float | None
) -> None:
    clock = RestingClock()
    service = Service(clock)
    service.replies["refused"] = [answer({}, 429, **headers)]
    async with running(clock), client(service.transport, clock, rate_limit=rate) as m3ter:
        view, other = m3ter.with_options(timeout=3), m3ter.with_options(org_id="other")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(m3ter.bills.retrieve, "refused")
            await clock.rest()
            began = clock.time
            await together(retrieve(other, "other"))
            assert clock.time == began
            await together(retrieve(view, *["held"] * 5))
            assert clock.time - began >= pause - 1e-3
    times = list(zip(service.asked, service.seconds, strict=True))
    assert all(then >= pause - 1e-3 for name, then in times if name == "held")
    assert [then for name, then in times if name == "refused"][1] >= pause - 1e-3


async def test_a_429_without_retries_left_still_warns_the_others() -> None:
    clock = RestingClock()
    service = Service(clock)
    service.replies["refused"] = [answer({}, 429, retry_after="4")]
    async with running(clock), client(service.transport, clock) as m3ter:
        with pytest.raises(RateLimitError):
            await m3ter.with_options(max_retries=0).bills.retrieve("refused")
        await m3ter.bills.retrieve("held")
    assert service.seconds == pytest.approx([0, 4], abs=1e-3)


async def test_ten_bill_jobs_at_once_are_no_reason_to_hold_back_anything_else() -> None:
    clock = RestingClock()
    service = Service(clock)
    service.replies["billjobs"] = [answer({"message": "10 jobs are running"}, 429, retry_after="30")]
    async with running(clock), client(service.transport, clock) as m3ter, anyio.create_task_group() as tasks:
        tasks.start_soon(m3ter.bill_jobs.create)
        await clock.rest()
        await together(retrieve(m3ter, *["b"] * 5))
        assert service.seconds == pytest.approx([0.0] * 6, abs=1e-3)
    assert service.asked[-1] == "billjobs"
    assert service.seconds[-1] >= 30


async def test_a_pause_longer_than_the_time_for_retries_is_an_error_and_not_a_long_sleep() -> None:
    clock = RestingClock()
    service = Service(clock)
    service.replies["refused"] = [answer({}, 429, retry_after="3600")]
    async with running(clock), client(service.transport, clock) as m3ter:
        with pytest.raises(RateLimitError):
            await m3ter.bills.retrieve("refused")
        for call in (m3ter, m3ter.with_options(max_retries=0)):
            with pytest.raises(RateLimitError, match="not sent"):
                await call.bills.retrieve("held")
        assert clock.time - service.began < 1
        assert service.asked == ["refused"]
        await m3ter.with_options(org_id="other").bills.retrieve("other")
        await clock.sleep(3601)
        await m3ter.bills.retrieve("later")
    assert service.asked == ["refused", "other", "later"]


@pytest.mark.parametrize("seconds", ["301", "86400", "9" * 300])
async def test_an_absurd_pause_is_not_believed_for_longer_than_any_limit_looks_back(seconds: str) -> None:
    """One broken answer must not keep an organization's calls from the service for a day."""
    clock = RestingClock()
    service = Service(clock)
    service.replies["refused"] = [answer({}, 429, retry_after=seconds)]
    async with running(clock), client(service.transport, clock) as m3ter:
        with pytest.raises(RateLimitError):
            await m3ter.bills.retrieve("refused")
        await clock.sleep(100)
        with pytest.raises(RateLimitError, match="another 200 s"):
            await m3ter.bills.retrieve("held")
        await clock.sleep(201)
        await m3ter.bills.retrieve("later")
    assert service.asked == ["refused", "later"]


async def test_a_long_pause_also_ends_the_wait_of_those_who_queued_before_it() -> None:
    clock = RestingClock()
    service = Service(clock, latency=0.5)
    service.replies["refused"] = [answer({}, 429, retry_after="3600")]
    errors: list[APIError] = []

    async def refused() -> None:
        errors.extend(await together(retrieve(m3ter, "refused")))

    async with running(clock), client(service.transport, clock, rate_limit=5) as m3ter:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refused)
            await clock.rest()
            errors.extend(await together(retrieve(m3ter, *["b"] * 30)))
        assert clock.time - service.began < 200, "who queued slept the hour away"
    assert len(errors) > 20
    assert {type(error) for error in errors} == {RateLimitError}


async def test_a_short_pause_is_waited_for_however_little_time_there_is_for_retries() -> None:
    clock = RestingClock()
    service = Service(clock)
    async with running(clock), client(service.transport, clock) as m3ter:
        for _ in range(130):
            await m3ter.bills.retrieve("b")
            clock.time += 1
        assert len(service.times) == 130


# Requests in flight


@pytest.mark.parametrize("most", [1, 7])
async def test_no_more_requests_are_in_flight_than_allowed(most: int) -> None:
    clock = RestingClock()
    service = Service(clock, latency=1.0)
    async with running(clock), client(service.transport, clock, rate_limit=None, max_connections=most) as m3ter:
        view = m3ter.with_options(org_id="other")
        assert await together([*retrieve(m3ter, *["b"] * 20), *retrieve(view, *["c"] * 20)]) == []
    assert service.transport.most_in_flight == most
    assert len(service.times) == 40


async def test_a_login_does_not_wait_for_a_place_that_its_own_callers_hold() -> None:
    clock = RestingClock()
    service = Service(clock, login_latency=1.0)
    with anyio.fail_after(10):
        async with running(clock), client(service.transport, clock, max_connections=1) as m3ter:
            assert await together(retrieve(m3ter, *["b"] * 5)) == []


async def test_cancelled_calls_give_their_places_back() -> None:
    clock = RestingClock()
    service = Service(clock, latency=5.0)
    async with running(clock), client(service.transport, clock, rate_limit=None, max_connections=3) as m3ter:
        for _ in range(3):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    for _ in range(6):
                        tasks.start_soon(m3ter.bills.retrieve, "b")
                    await clock.rest()
                    scope.cancel()
        assert service.transport.in_flight == 0
        assert await together(retrieve(m3ter, *["b"] * 3)) == []
    assert service.transport.most_in_flight == 3
