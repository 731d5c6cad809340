"""Who may send next: others before bulk calls, organizations in turn, and after a 429 slowly."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from m3ter_async import AsyncM3ter, RateLimitError
from m3ter_async._core.clock import Clock
from m3ter_async._core.local_limits import LocalLimit, TokenBucket
from m3ter_async._core.rate_limits import Gate
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .test_rate_limits import RestingClock, running


class Held:
    """A service that answers nothing until it is told to."""

    def __init__(self) -> None:
        self.free = anyio.Event()
        self.transport = FakeTransport(self._serve)

    async def _serve(self, request: Request) -> Response:
        if not request.url.endswith("/quick"):
            await self.free.wait()
        return answer({"id": "b"})

    @property
    def asked(self) -> list[str]:
        return [request.url.rpartition("/")[2] for request in self.transport.requests]


async def settle() -> None:
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


# Places in flight


@pytest.mark.parametrize("how", ["bulk=True", "map"])
async def test_bulk_work_leaves_places_for_what_somebody_waits_for(how: str) -> None:
    held = Held()
    async with client(held.transport, Clock(), rate_limit=None, max_connections=10) as m3ter:
        await m3ter.bills.retrieve("quick")
        async with anyio.create_task_group() as tasks:
            if how == "map":

                async def read() -> None:
                    async for _ in m3ter.map(["slow"] * 40, m3ter.bills.retrieve, concurrency=40):
                        pass

                tasks.start_soon(read)
            else:
                for _ in range(40):
                    tasks.start_soon(m3ter.with_options(bulk=True).bills.retrieve, "slow")
            await settle()
            assert held.transport.in_flight == 9
            with anyio.fail_after(1):
                await m3ter.bills.retrieve("quick")
            held.free.set()
    assert held.transport.most_in_flight <= 10


async def test_what_somebody_waits_for_goes_before_bulk_work_that_came_first() -> None:
    held = Held()
    async with client(held.transport, Clock(), rate_limit=None, max_connections=1) as m3ter:
        bulk = m3ter.with_options(bulk=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(m3ter.bills.retrieve, "first")
            await settle()
            tasks.start_soon(bulk.bills.retrieve, "bulk")
            await settle()
            tasks.start_soon(m3ter.bills.retrieve, "small")
            await settle()
            held.free.set()
    assert held.asked == ["first", "small", "bulk"]


async def test_an_organization_that_hangs_leaves_places_to_the_others() -> None:
    held = Held()
    async with client(held.transport, Clock(), rate_limit=None, max_connections=20) as m3ter:
        sick = m3ter.with_options(org_id="sick")
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(sick.bills.retrieve, "slow")
            await settle()
            assert held.transport.in_flight == 10
            with anyio.fail_after(1):
                await m3ter.bills.retrieve("quick")
            held.free.set()


async def test_one_organization_alone_may_have_all_places() -> None:
    held = Held()
    async with (
        client(held.transport, Clock(), rate_limit=None, max_connections=20) as m3ter,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(30):
            tasks.start_soon(m3ter.bills.retrieve, "slow")
        await settle()
        assert held.transport.in_flight == 20
        held.free.set()


# Passes of the rate limit


def passed(gate: Gate, now: float, most: int, *, bulk: bool = False) -> int:
    """How many of so many requests pass at that moment."""
    return sum(gate.take(now, bulk=bulk) == 0 for _ in range(most))


def gate() -> Gate:
    return Gate("configuration", "org", LocalLimit(TokenBucket(50, 1.0)))


def test_bulk_requests_leave_a_few_passes_and_as_many_as_others_took_of_late() -> None:
    one = gate()
    assert passed(one, 0.0, 60, bulk=True) == 48
    assert passed(one, 0.1, 60) == 2
    assert passed(one, 1.05, 10) == 10
    assert passed(one, 1.06, 60, bulk=True) == 36  # of 50, the 12 of the others and 2 more are left
    assert passed(one, 1.07, 60) == 2


@pytest.mark.parametrize("bulk", [False, True])
def test_the_wait_that_is_told_is_long_enough_and_no_longer(bulk: bool) -> None:
    one, now = gate(), 0.0
    for _ in range(300):
        wait = one.take(now, bulk=bulk)
        if wait:
            assert one.take(now + wait * 0.99, bulk=bulk) > 0 or wait < 1e-5
            now += wait
            assert one.take(now, bulk=bulk) == 0
    assert now == pytest.approx(5 if not bulk else 6, abs=1)


def test_after_a_429_half_of_the_passes_are_used_and_a_tenth_more_each_second() -> None:
    one = gate()
    assert passed(one, 0.0, 60) == 50
    one.pause(0.0, 1.0)
    one.pause(0.0, 1.0)  # what comes in the same moment says nothing new
    assert passed(one, 0.5, 60) == 0
    assert [passed(one, 1.0 + second, 60) for second in range(7)] == [25, 30, 35, 40, 45, 50, 50]


def test_429s_that_go_on_slow_it_down_to_one_in_a_second_and_no_further() -> None:
    one, now = gate(), 0.0
    for _ in range(12):
        passed(one, now, 60)
        one.pause(now, 1.0)
        now += 1.0
    assert passed(one, now, 60) == 1


async def test_several_clients_share_the_limit_of_one_organization_and_no_call_is_lost() -> None:
    """Four that each know of 50 a second, at a service that allows 20 to all of them."""
    clock = RestingClock()
    window: list[float] = []
    refused = 0

    def serve(_: Request) -> Response:
        nonlocal refused
        window[:] = [then for then in window if then > clock.time - 1]
        if len(window) >= 20:
            refused += 1
            return answer({}, 429)
        window.append(clock.time)
        return answer({"id": "b"})

    done: list[str] = []

    async def one(m3ter: AsyncM3ter) -> None:
        done.append((await m3ter.bills.retrieve("b")).id)

    async with running(clock), anyio.create_task_group() as tasks:
        for _ in range(4):
            m3ter = client(FakeTransport(serve), clock)
            for _ in range(100):
                tasks.start_soon(one, m3ter)
    assert len(done) == 400
    assert refused < 400  # most of them before each has found its share


async def test_without_repeats_a_429_is_told_at_once() -> None:
    transport = FakeTransport(lambda _: answer({}, 429))
    async with client(transport, max_retries=0) as m3ter:
        with pytest.raises(RateLimitError):
            await m3ter.bills.retrieve("b")
    assert len(transport.requests) == 1
