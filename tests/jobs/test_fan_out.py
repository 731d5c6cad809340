"""Fan-out: bounded, in order or as it comes, ended by the first error or by leaving, with no task left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from m3ter_async import AsyncM3ter, ClientClosedError, M3terError, NotFoundError
from m3ter_async.models import Account, Bill
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from ..wire import Pair, until


@pytest.fixture
async def m3ter(anyio_backend: str) -> AsyncIterator[AsyncM3ter]:
    async with client(FakeTransport([])) as m3ter:
        yield m3ter


class Items:
    """Numbers, as a thing at hand or as one that is waited for, and how many were drawn."""

    def __init__(self, count: int, kind: str) -> None:
        self.count = count
        self.drawn = 0
        self.closed = False
        self.source: Any = self._plain() if kind == "plain" else self._awaited()

    def _plain(self) -> Iterator[int]:
        for number in range(self.count):
            self.drawn += 1
            yield number

    async def _awaited(self) -> AsyncIterator[int]:
        try:
            # a scope that is open over each yield must be left by the task that entered it
            with anyio.CancelScope():
                for number in range(self.count):
                    await anyio.lowlevel.checkpoint()
                    self.drawn += 1
                    yield number
        finally:
            self.closed = True


class Fetch:
    """An async function that waits to be let go, and what is going on in it."""

    def __init__(self, *, free: bool = True) -> None:
        self.working = self.most = self.calls = self.cancelled = 0
        self.gates: dict[int, anyio.Event] = {}
        self.free = free

    async def __call__(self, number: int) -> str:
        self.calls += 1
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            if self.free:
                for _ in range(60 - number % 5 * 10):
                    await anyio.lowlevel.checkpoint()
            else:
                await self.gates.setdefault(number, anyio.Event()).wait()
        except BaseException:
            self.cancelled += 1
            raise
        finally:
            self.working -= 1
        if number == 666:
            raise LookupError("no such number")
        return f"<{number}>"

    def let_go(self, number: int) -> None:
        self.gates[number].set()


async def read_into(found: list[int], results: Any) -> None:
    async for item, _ in results:
        found.append(item)


async def gone(m3ter: AsyncM3ter) -> None:
    await until(lambda: not m3ter._pipeline.background._tasks)


KINDS = pytest.mark.parametrize("kind", ["plain", "awaited"])
ORDERS = pytest.mark.parametrize("ordered", [True, False])


@KINDS
async def test_each_item_comes_with_its_result_and_in_order(m3ter: AsyncM3ter, kind: str) -> None:
    items, fetch = Items(200, kind), Fetch()
    pairs = [pair async for pair in m3ter.map(items.source, fetch, concurrency=7)]
    assert pairs == [(number, f"<{number}>") for number in range(200)]
    assert fetch.most == 7
    await gone(m3ter)


async def test_without_order_the_first_to_be_done_comes_first(m3ter: AsyncM3ter) -> None:
    fetch = Fetch(free=False)
    results = m3ter.map(range(3), fetch, ordered=False)
    found = []
    async with anyio.create_task_group() as group:

        async def release() -> None:
            for number in (2, 0, 1):
                await until(lambda number=number: number in fetch.gates)  # type: ignore[misc]
                fetch.let_go(number)
                await until(lambda number=number: (number, f"<{number}>") in found)  # type: ignore[misc]

        group.start_soon(release)
        async for pair in results:
            found.append(pair)
    assert found == [(2, "<2>"), (0, "<0>"), (1, "<1>")]


@pytest.mark.parametrize("items", [[], ()])
async def test_of_nothing_comes_nothing(m3ter: AsyncM3ter, items: Any) -> None:
    results = m3ter.map(items, Fetch())
    assert [pair async for pair in results] == []
    assert [pair async for pair in results] == []  # and it stays at its end


@KINDS
@ORDERS
async def test_no_more_is_drawn_than_there_is_room_for(m3ter: AsyncM3ter, kind: str, ordered: bool) -> None:
    """Whoever is slow, the reader or `fetch`: what is drawn and not handed out is bounded."""
    items, fetch = Items(100, kind), Fetch()
    handed_out = 0
    async for _ in m3ter.map(items.source, fetch, concurrency=5, ordered=ordered):
        handed_out += 1
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert items.drawn <= handed_out + 5
    assert handed_out == 100
    items, fetch = Items(100, kind), Fetch(free=False)
    with anyio.move_on_after(0.02):
        async for _ in m3ter.map(items.source, fetch, concurrency=5, ordered=ordered):
            pass
    assert (items.drawn, fetch.calls) == (5, 5)


async def test_a_source_that_has_no_more_for_now_holds_no_result_back(m3ter: AsyncM3ter) -> None:
    more = anyio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await more.wait()
        yield 2

    results = m3ter.map(source(), Fetch(), concurrency=50)
    with anyio.fail_after(5):
        assert await results.__anext__() == (1, "<1>")
        more.set()
        assert await results.__anext__() == (2, "<2>")
        with pytest.raises(StopAsyncIteration):
            await results.__anext__()


# Errors


@KINDS
@ORDERS
async def test_the_first_error_stops_all_and_is_raised_as_itself(m3ter: AsyncM3ter, kind: str, ordered: bool) -> None:
    fetch = Fetch(free=False)
    items = Items(1000, kind)
    results = m3ter.map(items.source, fetch, concurrency=1000, ordered=ordered)

    async def release() -> None:
        await until(lambda: len(fetch.gates) == 1000)
        fetch.let_go(666)

    async with anyio.create_task_group() as group:
        group.start_soon(release)
        with pytest.raises(LookupError, match="no such number"):
            await results.__anext__()
        assert fetch.working == 0  # when it is raised, all others have ended
        assert fetch.cancelled == 999
    with pytest.raises(LookupError):
        await results.__anext__()  # an end would say that there is nothing more
    await gone(m3ter)


@ORDERS
async def test_what_was_done_before_the_error_is_handed_out_before_it(m3ter: AsyncM3ter, ordered: bool) -> None:
    done: set[int] = set()

    async def fetch(number: int) -> int:
        if number == 3:
            await until(lambda: len(done) == 3)
            raise LookupError
        done.add(number)
        return number

    found: list[int] = []
    with pytest.raises(LookupError):
        await read_into(found, m3ter.map(range(4), fetch, ordered=ordered))
    assert sorted(found) == [0, 1, 2]


@ORDERS
async def test_errors_can_be_collected(m3ter: AsyncM3ter, ordered: bool) -> None:
    results = m3ter.map([1, 666, 2], Fetch(), errors="collect", ordered=ordered)
    found: dict[int, Any] = {item: result async for item, result in results}
    assert list(found) == [1, 666, 2] if ordered else set(found) == {1, 2, 666}
    assert isinstance(found.pop(666), LookupError)
    assert found == {1: "<1>", 2: "<2>"}


@ORDERS
@pytest.mark.parametrize("errors", ["raise", "collect"])
async def test_an_error_of_the_source_is_raised_and_what_was_drawn_is_collected_first(
    m3ter: AsyncM3ter, errors: Any, ordered: bool
) -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise OSError("the source broke")

    found: list[int] = []
    with pytest.raises(OSError, match="the source broke"):
        await read_into(found, m3ter.map(source(), Fetch(), errors=errors, ordered=ordered))
    assert sorted(found) == ([1, 2] if errors == "collect" else [])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@ORDERS
@pytest.mark.parametrize("errors", ["raise", "collect"])
async def test_a_call_that_is_cancelled_from_within_is_no_lost_row(
    m3ter: AsyncM3ter, errors: Any, ordered: bool
) -> None:
    """With asyncio anybody may cancel: the results would go on without that one, or wait for it for ever."""

    async def fetch(number: int) -> int:
        if number == 3:
            raise asyncio.CancelledError
        return number

    found: list[int] = []
    with anyio.fail_after(5), pytest.raises(M3terError, match="stopped"):
        await read_into(found, m3ter.map(range(100), fetch, concurrency=2, errors=errors, ordered=ordered))
    assert found == sorted(found)
    assert 3 not in found


async def test_what_would_pass_for_the_end_is_none(m3ter: AsyncM3ter) -> None:
    async def fetch(number: int) -> int:
        if number == 3:
            raise StopAsyncIteration
        return number

    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        await read_into([], m3ter.map(range(5), fetch))


async def test_a_function_that_is_not_async_is_told(m3ter: AsyncM3ter) -> None:
    with pytest.raises(TypeError, match="await"):
        async for _ in m3ter.map([1], lambda number: number):  # type: ignore[arg-type,return-value]
            pass


async def test_bad_arguments_are_refused_at_once(m3ter: AsyncM3ter) -> None:
    bad: Any
    for bad in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="concurrency"):
            m3ter.map([1], Fetch(), concurrency=bad)
    for bad in (5, None):
        with pytest.raises(TypeError, match="items"):
            m3ter.map(bad, Fetch())
        with pytest.raises(TypeError, match="fetch"):
            m3ter.map([1], bad)
    bad = "ignore"
    with pytest.raises(ValueError, match="errors"):
        m3ter.map([1], Fetch(), errors=bad)


# Leaving


@KINDS
@ORDERS
@pytest.mark.parametrize("how", ["break", "exception", "cancellation", "aclose", "dropped"])
async def test_who_leaves_leaves_no_task_behind(m3ter: AsyncM3ter, kind: str, ordered: bool, how: str) -> None:
    items, fetch = Items(100, kind), Fetch(free=False)
    results: Any = m3ter.map(items.source, fetch, concurrency=5, ordered=ordered)

    async def read() -> None:
        nonlocal results
        async for _ in results:
            if how == "break":
                break
            if how == "exception":
                raise LookupError
            if how == "aclose":
                await results.aclose()
                assert fetch.working == 0  # it has ended, and not just been told to
            if how == "dropped":
                return

    async with anyio.create_task_group() as group:

        async def leave() -> None:
            nonlocal results
            with suppress(LookupError):
                await read()
            results = None

        group.start_soon(leave)
        await until(lambda: len(fetch.gates) == 5)
        if how == "cancellation":
            group.cancel_scope.cancel()
        else:
            fetch.let_go(0)
    results = None
    gc.collect()
    await gone(m3ter)
    assert fetch.working == 0
    assert fetch.cancelled >= 4
    assert kind == "plain" or items.closed


async def test_one_that_was_never_begun_leaves_nothing(m3ter: AsyncM3ter) -> None:
    items = Items(5, "plain")
    results = m3ter.map(items.source, Fetch())
    await results.aclose()
    assert [pair async for pair in results] == []
    del results
    m3ter.map(items.source, Fetch())
    assert items.drawn == 0


async def test_a_reader_that_was_cancelled_finds_no_end_that_is_none(m3ter: AsyncM3ter) -> None:
    results = m3ter.map(range(5), Fetch(free=False))
    with anyio.move_on_after(0.01):
        await results.__anext__()
    with pytest.raises(M3terError, match="stopped"):
        await results.__anext__()


async def test_two_readers_are_told_apart(m3ter: AsyncM3ter) -> None:
    results = m3ter.map(range(5), Fetch(free=False))
    async with anyio.create_task_group() as group:
        group.start_soon(results.__anext__)
        await until(lambda: results._reading)
        with pytest.raises(RuntimeError, match="two tasks"):
            await results.__anext__()
        group.cancel_scope.cancel()


async def test_a_client_that_closes_ends_it_with_an_error(anyio_backend: str) -> None:
    m3ter, fetch = client(FakeTransport([])), Fetch(free=False)
    async with anyio.create_task_group() as group:

        async def close() -> None:
            await until(lambda: fetch.working == 5)
            await m3ter.aclose()

        group.start_soon(close)
        with pytest.raises(ClientClosedError, match="client is closed"):
            async for _ in m3ter.map(range(5), fetch):
                pass
    assert fetch.working == 0


async def test_fetch_sees_the_context_of_the_reader(m3ter: AsyncM3ter) -> None:
    who = ContextVar("who", default="nobody")
    who.set("me")

    async def fetch(_: int) -> str:
        return who.get()

    assert [pair async for pair in m3ter.map([1], fetch)] == [(1, "me")]


# With the client's own listings


async def test_over_a_listing_only_the_pages_that_are_needed_are_fetched() -> None:
    def serve(request: Request) -> Response:
        page = int((request.url.partition("nextToken=")[2] or "0").partition("&")[0])
        return answer({"data": [{"id": f"a{page}-{row}"} for row in range(10)], "nextToken": str(page + 1)})

    transport = FakeTransport(serve)

    async def fetch(account: Account) -> str:
        return account.id

    async with client(transport) as m3ter:
        found = []
        async for account, id in m3ter.map(m3ter.accounts.list(), fetch, concurrency=5):
            assert account.id == id
            found.append(id)
            if len(found) == 25:
                break
        await gone(m3ter)
    assert found == [f"a{row // 10}-{row % 10}" for row in range(25)]
    assert len(transport.requests) <= 5  # three, what five are drawn ahead, and the page ahead of those


async def test_an_error_of_a_call_comes_out_as_the_error_of_that_call() -> None:
    def serve(request: Request) -> Response:
        if "/accounts/" in request.url:
            return answer({}, 404 if request.url.endswith("7") else 200)
        return answer({"data": [{"id": str(row)} for row in range(10)]})

    async with client(FakeTransport(serve)) as m3ter:

        async def fetch(account: Account) -> Account:
            return await m3ter.accounts.retrieve(account.id)

        with pytest.raises(NotFoundError, match="/accounts/7"):
            async for _ in m3ter.map(m3ter.accounts.list(), fetch):
                pass


class TestAgainstTheSandbox:
    @pytest.fixture
    def anyio_backend(self, pair: Pair) -> str:
        return pair.backend

    async def test_the_bills_of_all_accounts_are_all_bills(self, pair: Pair) -> None:
        async with (
            Sandbox(seed=4, bills=60) as sandbox,
            AsyncM3ter(
                sandbox.api_key,
                sandbox.api_secret,
                sandbox.org_id,
                base_url=sandbox.url,
                transport=pair.transport(),
                rate_limit=None,
            ) as m3ter,
        ):

            async def bills_of(account: Account) -> list[Bill]:
                return await m3ter.bills.list_by_account(account.id).collect()

            found = [
                bill.id
                async for account, bills in m3ter.map(m3ter.accounts.list(), bills_of, concurrency=8)
                for bill in bills
                if bill.account_id == account.id
            ]
            truth = sandbox.truth()
        assert len(found) == len(set(found)) == truth.bills
