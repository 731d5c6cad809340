"""Nothing is left behind: no task, no connection, no warning, however a loop, a call or a client ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest

import m3ter_async
from m3ter_async import (
    APIConnectionError,
    APIError,
    AsyncM3ter,
    ClientClosedError,
    M3terError,
    TransportError,
)
from m3ter_async.transports import AiohttpTransport, HttpxTransport
from m3ter_async.transports.protocol import Request, Response, Transport

from ..fakes import KEY, ORG, SECRET, FakeClock, FakeTransport, answer, client, grant
from ..wire import (
    PAIR_IDS,
    PAIRS,
    Move,
    Pair,
    Received,
    Script,
    Wire,
    faults,
    pages,
    ready,
    say,
    token_of,
    until,
    whole,
)
from ..wire import grant as granted

PAGES = pages(3, 3, 3)
ROWS = [row["id"] for page in PAGES.values() for row in page["data"]]
STALL = faults({})["stalls before the answer"]


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


def tasks(m3ter: AsyncM3ter) -> int:
    """How many of the client's own tasks go on."""
    return len(m3ter._pipeline.background._tasks)


def stalling(at: str) -> Script:
    """Pages of which one never comes."""
    return lambda received: STALL if token_of(received) == at else say(PAGES[token_of(received)])


class Crash(Exception):
    pass


# How a loop may end while the next page is on its way.


async def leave_by_break(m3ter: AsyncM3ter, wire: Wire) -> None:
    async for _ in m3ter.bills.list():
        await until(lambda: len(wire.requests) == 2)
        break


async def leave_by_exception(m3ter: AsyncM3ter, wire: Wire) -> None:
    with pytest.raises(Crash):
        await _crash(m3ter, wire)


async def _crash(m3ter: AsyncM3ter, wire: Wire) -> None:
    async for _ in m3ter.bills.list():
        await until(lambda: len(wire.requests) == 2)
        raise Crash


async def leave_by_return(m3ter: AsyncM3ter, wire: Wire) -> None:
    async for _ in m3ter.bills.list().pages():
        await until(lambda: len(wire.requests) == 2)
        return


async def leave_by_cancellation(m3ter: AsyncM3ter, wire: Wire) -> None:
    with anyio.CancelScope() as scope:
        async for _ in m3ter.bills.list():
            await until(lambda: len(wire.requests) == 2)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def leave_by_cancellation_while_waiting_for_the_page(m3ter: AsyncM3ter, wire: Wire) -> None:
    rows: list[str | None] = []
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await until(lambda: len(rows) == 3)
                await anyio.sleep(0.02)
                scope.cancel()

            group.start_soon(cancel)
            async for row in m3ter.bills.list():
                rows.append(row.id)
    assert scope.cancelled_caught
    assert rows == ROWS[:3]


async def leave_by_limit(m3ter: AsyncM3ter, wire: Wire) -> None:
    assert len(await m3ter.bills.list(page_size=3).collect(limit=2)) == 2


async def leave_by_closing(m3ter: AsyncM3ter, wire: Wire) -> None:
    rows = m3ter.bills.list().__aiter__()
    await rows.__anext__()
    await until(lambda: len(wire.requests) == 2)
    await rows.aclose()


async def leave_the_iterator_lying_about(m3ter: AsyncM3ter, wire: Wire) -> None:
    rows = m3ter.bills.list().__aiter__()
    await rows.__anext__()
    await until(lambda: len(wire.requests) == 2)
    del rows
    gc.collect()


LEAVES: list[Callable[[AsyncM3ter, Wire], Awaitable[None]]] = [
    leave_by_break,
    leave_by_exception,
    leave_by_return,
    leave_by_cancellation,
    leave_by_cancellation_while_waiting_for_the_page,
    leave_by_limit,
    leave_by_closing,
    leave_the_iterator_lying_about,
]


@pytest.mark.parametrize("leave", LEAVES, ids=lambda leave: leave.__name__)
async def test_the_page_on_its_way_is_stopped_with_its_loop(pair: Pair, leave: Any) -> None:
    with Wire(stalling("t1")) as wire:
        async with wire.client(pair) as m3ter:
            await leave(m3ter, wire)
            await until(lambda: tasks(m3ter) == 0)
            await until(lambda: wire.connections <= 1)  # what waited for the page that never comes was cut
            assert (await m3ter.request("GET", "/x", query={"nextToken": "t2"}))["data"]
        await until(lambda: wire.connections == 0)


@pytest.mark.parametrize("pair", PAIRS[:2], ids=PAIR_IDS[:2])
async def test_a_task_that_is_cancelled_takes_its_page_with_it(pair: Pair) -> None:
    """By asyncio's own means, at the loop's body and while waiting for a page."""
    with Wire(stalling("t1")) as wire:
        others = asyncio.all_tasks()
        async with wire.client(pair) as m3ter:
            for rest in (0.0, 60.0):
                before = len(wire.requests)

                async def export(rest: float) -> None:
                    async for _ in m3ter.bills.list():
                        await asyncio.sleep(rest)

                task = asyncio.create_task(export(rest))
                await until(partial(wire.seen, before + 2))
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await until(lambda: tasks(m3ter) == 0)
        await until(lambda: wire.connections == 0)
        assert asyncio.all_tasks() == others


async def test_a_page_that_fails_after_the_loop_was_left_is_nobodys_error(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Asyncio would say "Task exception was never retrieved", and warn of it."""
    go = threading.Event()

    def act(peer: Any) -> None:
        go.wait(5)
        peer.reset()

    def script(received: Received) -> Move:
        return Move("late", act) if token_of(received) else say(PAGES[""])

    with Wire(script) as wire:
        async with wire.client(pair, max_retries=0) as m3ter:
            rows = m3ter.bills.list().__aiter__()
            await rows.__anext__()
            await until(lambda: len(wire.requests) == 2)
            go.set()
            await until(lambda: tasks(m3ter) == 0)
            del rows
            gc.collect()
            await anyio.sleep(0.01)
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("how", ["async with", "aclose"])
async def test_a_client_that_is_closed_has_no_connection_left(pair: Pair, how: str) -> None:
    with Wire(stalling("t2")) as wire:
        m3ter = wire.client(pair)
        if how == "async with":
            async with m3ter:
                rows = m3ter.bills.list().__aiter__()
                assert [(await rows.__anext__()).id for _ in range(4)] == ROWS[:4]
                await until(lambda: len(wire.requests) == 3)
        else:
            rows = m3ter.bills.list().__aiter__()
            await rows.__anext__()
            await m3ter.aclose()
        await until(lambda: wire.connections == 0)
        assert tasks(m3ter) == 0
        with pytest.raises(M3terError, match="closed"):
            [row async for row in rows]


async def test_closing_twice_or_unused_is_fine(pair: Pair) -> None:
    with Wire() as wire:
        m3ter = wire.client(pair)
        await m3ter.aclose()
        await m3ter.aclose()
        async with wire.client(pair) as m3ter:
            await m3ter.aclose()
            async with anyio.create_task_group() as group:
                group.start_soon(m3ter.aclose)
                group.start_soon(m3ter.aclose)
    assert wire.accepted == 0


async def test_a_closed_client_says_so_and_sends_nothing(pair: Pair) -> None:
    calls: list[Callable[[AsyncM3ter], Any]] = [
        lambda it: it.bills.retrieve("b1"),
        lambda it: it.bills.list().collect(),
        lambda it: it.bills.list(),
        lambda it: it.balances.transactions.create("e", amount=1),
        lambda it: it.request("GET", "/x"),
        lambda it: it.with_options(timeout=1).bills.retrieve("b1"),
    ]
    for used in (False, True):
        with Wire() as wire:
            m3ter = wire.client(pair)
            if used:
                await m3ter.request("GET", "/x")
            await m3ter.aclose()
            seen = (wire.accepted, len(wire.requests), len(wire.logins))
            for call in calls:
                with pytest.raises(M3terError, match="closed"):
                    await call(m3ter)
            assert (wire.accepted, len(wire.requests), len(wire.logins)) == seen
            assert tasks(m3ter) == 0


async def test_closing_a_view_closes_nothing(pair: Pair) -> None:
    with Wire([say({"id": "b1"})]) as wire:
        async with wire.client(pair) as m3ter:
            async with m3ter.with_options(timeout=5) as view:
                await view.bills.retrieve("b1")
            await m3ter.bills.retrieve("b1")
        assert wire.accepted == 1


@pytest.mark.parametrize("stage", ["login", "call"])
async def test_closing_while_calls_are_under_way_ends_them_with_an_error(pair: Pair, stage: str) -> None:
    stall = [STALL]
    with Wire(stall, login=stall if stage == "login" else ()) as wire:
        m3ter = wire.client(pair)
        ends: list[BaseException] = []

        async def call(number: int) -> None:
            with pytest.raises(M3terError) as caught:
                await (m3ter.bills.retrieve("b1") if number else m3ter.balances.transactions.create("e", amount=1))
            ends.append(caught.value)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for number in range(4):
                    group.start_soon(call, number)
                await until(lambda: len(wire.logins) == 1 and (stage == "login" or len(wire.requests) == 4))
                await m3ter.aclose()
        assert len(ends) == 4
        unsure = [end for end in ends if isinstance(end, APIError) and end.outcome_unknown]
        assert len(unsure) == (0 if stage == "login" else 1)  # the transaction that was sent
        await until(lambda: wire.connections == 0)
        assert tasks(m3ter) == 0


async def test_a_caller_who_is_cancelled_while_logging_in_leaves_the_login_to_the_others(pair: Pair) -> None:
    go = threading.Event()

    def act(peer: Any) -> None:
        go.wait(5)
        granted().act(peer)

    with Wire([say({"id": "b1"})], login=[Move("slow login", act)]) as wire:
        async with wire.client(pair) as m3ter:
            done: list[str | None] = []

            async def call() -> None:
                done.append((await m3ter.bills.retrieve("b1")).id)

            async with anyio.create_task_group() as others:
                async with anyio.create_task_group() as first:
                    first.start_soon(call)
                    await until(lambda: len(wire.logins) == 1)
                    others.start_soon(call)
                    others.start_soon(call)
                    await anyio.sleep(0.01)
                    first.cancel_scope.cancel()  # the one that began the login
                go.set()
    assert done == ["b1", "b1"]
    assert len(wire.logins) == 1


async def test_a_login_whose_callers_all_went_away_is_still_used(pair: Pair) -> None:
    with Wire([say({"id": "b1"})]) as wire:
        async with wire.client(pair) as m3ter:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await m3ter.bills.retrieve("b1")
            with anyio.move_on_after(0.05):
                await m3ter.bills.retrieve("b1")
            await m3ter.bills.retrieve("b1")
    assert len(wire.logins) == 1


async def test_a_place_in_flight_is_given_back_by_who_is_cancelled(pair: Pair) -> None:
    """With one place only, a place that is lost would stop the client for good."""

    def script(received: Received) -> Move:
        return STALL if received.path.endswith("stall") else say({"id": "b1"})

    with Wire(script) as wire:
        async with wire.client(pair, max_connections=1) as m3ter:
            for number in range(1, 4):
                async with anyio.create_task_group() as group:
                    for _ in range(3):
                        group.start_soon(m3ter.bills.retrieve, "stall")
                    await until(partial(wire.seen, number))
                    group.cancel_scope.cancel()
            with anyio.fail_after(5):
                assert (await m3ter.bills.retrieve("b1")).id == "b1"


# Steps that are cancelled, when the same iterator is asked again.


BIG = [[{"id": f"b{page}-{row}", "x": "x" * 100_000} for row in range(6)] for page in range(3)]


def big(request: Request) -> Response:
    number = int(request.url.partition("nextToken=t")[2] or "0")
    return answer({"data": BIG[number], "nextToken": f"t{number + 1}" if number < 2 else None})


@pytest.mark.parametrize("by", ["rows", "pages"])
async def test_a_step_that_was_cancelled_can_be_made_again_without_loss(by: str) -> None:
    """``asyncio.wait_for(anext(rows), 1)``: what the service sent is neither lost, nor repeated, nor refused."""
    async with client(FakeTransport(big), max_retries=0) as m3ter:
        bills = m3ter.bills.list()
        iteration: Any = bills.__aiter__() if by == "rows" else bills.pages()
        seen: list[str] = []
        cancelled = 0
        ended = False
        while not ended:
            for patience in (0, 1, 2, 3, 5, 8, None):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as group:

                        async def hurry(steps: int, scope: anyio.CancelScope) -> None:
                            for _ in range(steps):
                                await anyio.lowlevel.checkpoint()
                            scope.cancel()

                        if patience is not None:
                            group.start_soon(hurry, patience, scope)
                        try:
                            got = await iteration.__anext__()
                            seen += [got.id] if by == "rows" else [bill.id for bill in got.data]
                        except StopAsyncIteration:
                            ended = True
                        group.cancel_scope.cancel()
                cancelled += scope.cancel_called
                if ended:
                    break
    assert seen == [row["id"] for page in BIG for row in page]
    assert cancelled


async def test_an_iterator_that_was_closed_goes_on_or_ends_but_never_lies() -> None:
    """After the page ahead has come, and was dropped."""
    transport = FakeTransport(big)
    async with client(transport, max_retries=0) as m3ter:
        rows = m3ter.bills.list().__aiter__()
        seen = [(await rows.__anext__()).id]
        await until(lambda: len(transport.requests) == 2 and tasks(m3ter) == 0)
        await rows.aclose()
        seen += [row.id async for row in rows]
    whole = [row["id"] for page in BIG for row in page]
    assert seen in (whole, whole[:1])


async def test_two_iterations_at_once_do_not_disturb_each_other() -> None:
    async with client(FakeTransport(big)) as m3ter:
        bills = m3ter.bills.list()
        one, two = bills.__aiter__(), bills.__aiter__()
        first, second = [], []
        for _ in range(18):
            first.append((await one.__anext__()).id)
            second.append((await two.__anext__()).id)
    assert first == second == [row["id"] for page in BIG for row in page]


# Where a client is made, and where it is used.


@pytest.mark.parametrize("library", ["aiohttp", "httpx"])
def test_a_client_can_be_made_before_there_is_a_loop(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ready(Pair("asyncio", library), monkeypatch)
    with Wire([say({"id": "b1"})]) as wire:
        m3ter = wire.client(pair)

        async def main() -> None:
            async with m3ter:
                assert (await m3ter.bills.retrieve("b1")).id == "b1"
            await until(lambda: wire.connections == 0)

        asyncio.run(main())
    gc.collect()


@pytest.mark.parametrize("library", ["aiohttp", "httpx"])
def test_a_client_in_a_second_loop_works_or_says_why_not(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ready(Pair("asyncio", library), monkeypatch)
    with Wire([say({"id": "b1"})]) as wire:
        m3ter = wire.client(pair)

        async def main(close: bool) -> str | None:
            try:
                with anyio.fail_after(5):
                    return (await m3ter.bills.retrieve("b1")).id
            except M3terError as error:
                return str(error)
            finally:
                if close:
                    await m3ter.aclose()

        assert asyncio.run(main(close=True)) == "b1"
        end = asyncio.run(main(close=False))
        assert end is not None
        assert "closed" in end


ELSEWHERE = "another event loop or process"


@pytest.mark.parametrize("library", ["aiohttp", "httpx"])
def test_a_client_in_a_second_loop_after_the_first_says_so(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any of its calls, and by its end: its connections live and die with the first."""
    pair = ready(Pair("asyncio", library), monkeypatch)
    with Wire(lambda received: say(PAGES[token_of(received)] if "bills" in received.path else {})) as wire:
        m3ter = wire.client(pair)
        rows = m3ter.bills.list().__aiter__()

        async def first() -> None:
            await rows.__anext__()
            await until(lambda: len(wire.requests) == 2)

        async def second() -> None:
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: m3ter.request("GET", "/x"),
                lambda: m3ter.with_options(timeout=1).request("POST", "/x"),
                lambda: m3ter.bills.list().collect(),
                lambda: anyio.to_thread.run_sync(asyncio.run, m3ter.request("GET", "/x")),
            ]
            for call in calls:
                with pytest.raises(ClientClosedError, match=ELSEWHERE) as caught:
                    await call()
                assert not caught.value.outcome_unknown
            with pytest.raises(ClientClosedError, match=ELSEWHERE):
                [row async for row in rows]
            with pytest.raises(ClientClosedError, match=ELSEWHERE):
                await m3ter.aclose()

        loop = asyncio.new_event_loop()
        loop.run_until_complete(first())
        asyncio.run(second())
        loop.run_until_complete(m3ter.aclose())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        assert len(wire.requests) == 2


@pytest.mark.parametrize("library", ["aiohttp", "httpx"])
def test_a_client_in_two_loops_at_once_serves_the_first_and_tells_the_second(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = ready(Pair("asyncio", library), monkeypatch)
    with Wire([say({"id": "b1"})]) as wire:
        m3ter = wire.client(pair)

        def other() -> str:
            try:
                asyncio.run(m3ter.bills.retrieve("b1"))
            except ClientClosedError as error:
                return str(error)
            return "worked"

        async def main() -> None:
            async with m3ter, anyio.create_task_group() as group:
                await m3ter.bills.retrieve("b1")
                for _ in range(5):
                    group.start_soon(m3ter.bills.retrieve, "b1")
                    assert ELSEWHERE in await anyio.to_thread.run_sync(other)

        asyncio.run(main())
        assert (len(wire.requests), len(wire.logins)) == (6, 1)


FORK = """
import asyncio, os, threading, warnings
from m3ter_async import {transport}, AsyncM3ter, M3terError

warnings.simplefilter("ignore")  # of Python, about forks of programs with threads

def attempt(call):
    try:
        asyncio.run(call)
        return "worked"
    except M3terError as error:
        return str(error)

async def ended(rows):
    async for _ in rows:
        pass

async def main(m3ter):
    rows = m3ter.bills.list().__aiter__()
    await rows.__anext__()
    if os.fork() == 0:
        said = []
        calls = [m3ter.bills.list().collect(), ended(rows), m3ter.request("POST", "/x"), m3ter.aclose()]
        for call in calls:
            thread = threading.Thread(target=lambda: said.append(attempt(call)))
            thread.start()
            thread.join()
        try:  # the loop of the parent, which asyncio does not take for one that runs
            m3ter.request("GET", "/x").send(None)
        except M3terError as error:
            said.append(str(error))
        fresh = AsyncM3ter("key-1", "secret-1", "org-1", base_url={url!r}, transport={transport}())
        thread = threading.Thread(target=lambda: said.append(attempt(fresh.request("GET", "/x"))))
        thread.start()
        thread.join()
        for line in said:
            print(line, flush=True)
        os._exit(0)
    os.wait()
    rest = [row async for row in rows]
    more = await m3ter.bills.list().collect()
    print(len(rest), len(more))
    await m3ter.aclose()

asyncio.run(main(AsyncM3ter("key-1", "secret-1", "org-1", base_url={url!r}, transport={transport}())))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("library", ["aiohttp", "httpx"])
def test_after_a_fork_the_client_is_the_parents_alone(library: str) -> None:
    """Two processes that write to one socket would read each other's answers."""
    transport = "AiohttpTransport" if library == "aiohttp" else "HttpxTransport"
    with Wire(lambda received: say(PAGES[token_of(received)] if "bills" in received.path else {})) as wire:
        script = FORK.format(transport=transport, url=wire.url)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    *child, parent = done.stdout.splitlines()
    assert [ELSEWHERE in line for line in child] == [True] * 5 + [False], done
    assert child[-1] == "worked"
    assert parent == "8 9"
    assert [received.target for received in wire.requests].count("/x") == 1
    of_the_child = {received.connection for received in wire.requests if received.target == "/x"}
    assert not of_the_child & {received.connection for received in wire.requests if received.target != "/x"}


# Who owns what.


@pytest.mark.parametrize("end", ["closed", "crashed", "cancelled"])
async def test_a_session_or_client_that_was_handed_in_is_never_closed(pair: Pair, end: str) -> None:
    with Wire(stalling("t1")) as wire:
        theirs: Any = aiohttp.ClientSession() if pair.library == "aiohttp" else httpx.AsyncClient()
        transport: Transport = AiohttpTransport(theirs) if pair.library == "aiohttp" else HttpxTransport(theirs)
        m3ter = wire.client(pair, transport=transport)
        if end == "closed":
            async with m3ter:
                await m3ter.request("GET", "/x")
        elif end == "crashed":
            with pytest.raises(Crash):
                await _crash(m3ter, wire)
            await m3ter.aclose()
        else:
            with anyio.CancelScope() as scope:
                async with m3ter:
                    await leave_by_cancellation(m3ter, wire)
                    scope.cancel()
                    await m3ter.bills.list(next_token="t1").collect()
        with pytest.raises(M3terError, match="closed"):
            await m3ter.request("GET", "/x")
        closed = theirs.closed if pair.library == "aiohttp" else theirs.is_closed
        assert closed is False
        async with wire.client(pair, transport=transport) as another:  # it still works
            await another.request("GET", "/x")
        await (theirs.close() if pair.library == "aiohttp" else theirs.aclose())


@pytest.mark.parametrize("pause", [0.0, 0.05])
async def test_a_connection_that_was_closed_while_nobody_used_it_is_replaced(pair: Pair, pause: float) -> None:
    """After a pause nothing is in doubt; with none, a write may have crossed the server's good-bye, and says so."""
    doubts: list[bool] = []

    def act(peer: Any) -> None:
        peer.send(whole({"id": "e1"}))
        peer.close()

    with Wire([Move("answers and hangs up", act)]) as wire:
        async with wire.client(pair) as m3ter:
            for _ in range(4):
                assert (await m3ter.balances.retrieve("e1")).id == "e1"
                await anyio.sleep(pause)
                try:
                    await m3ter.balances.transactions.create("e1", amount=1)
                except APIConnectionError as error:
                    doubts.append(error.outcome_unknown)
                await anyio.sleep(pause)
    assert all(doubts)
    if pause:
        assert (doubts, len(wire.requests)) == ([], 8)


SCRIPT = """
import asyncio, sys
from m3ter_async import AsyncM3ter, HttpxTransport
async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # the first call imports aiohttp
    m3ter = AsyncM3ter({key!r}, {secret!r}, {org!r}, base_url={url!r})
    {body}
asyncio.run(main())
"""


def run(wire: Wire, body: str) -> tuple[int, str]:
    script = SCRIPT.format(key=KEY, secret=SECRET, org=ORG, url=wire.url, body=body)
    command = [sys.executable, "-X", "dev", "-W", "default", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "await m3ter.bills.list().collect()\n    "
        "rows = m3ter.bills.list().__aiter__(); await rows.__anext__(); await m3ter.aclose()",
        "async with m3ter:\n        async for bill in m3ter.bills.list(): break",
        "async with m3ter:\n        await asyncio.gather(*(m3ter.bills.list().collect() for _ in range(5)))",
    ],
    ids=["half consumed", "break", "several"],
)
def test_a_program_ends_without_a_word(body: str) -> None:
    """In development mode, where the interpreter warns of whatever is left open."""
    with Wire(lambda received: say(PAGES[token_of(received)])) as wire:
        assert run(wire, body) == (0, "")


def test_a_program_that_forgets_to_close_ends_all_the_same() -> None:
    with Wire(stalling("t1")) as wire:
        code, said = run(wire, "rows = m3ter.bills.list().__aiter__(); print((await rows.__anext__()).id)")
    assert code == 0
    assert "Traceback" not in said.replace("Object allocated at (most recent call last)", "")
    assert "never retrieved" not in said


async def test_a_login_of_the_fake_is_made_once_for_all() -> None:
    """The same at the transport protocol: fifty callers, one of them cancelled, one login."""
    gate = anyio.Event()

    async def login(_: Request) -> Response:
        await gate.wait()
        return grant()

    transport = FakeTransport(lambda _: answer({"id": "b1"}), login=login)
    async with client(transport) as m3ter, anyio.create_task_group() as group:
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(m3ter.bills.retrieve, "b1")
            await until(lambda: len(transport.logins) == 1)
            for _ in range(49):
                group.start_soon(m3ter.bills.retrieve, "b1")
            await anyio.lowlevel.checkpoint()
            cancelled.cancel_scope.cancel()
        gate.set()
    assert (len(transport.logins), len(transport.requests)) == (1, 49)


@pytest.mark.parametrize("library", ["AiohttpTransport", "HttpxTransport"])
async def test_a_transport_that_was_closed_opens_nothing_again(library: str, anyio_backend_name: str) -> None:
    """A call that waited for its turn while the client was closed must not leave a connection behind."""
    if library == "AiohttpTransport" and anyio_backend_name == "trio":
        pytest.skip("aiohttp's client is for asyncio")
    transport = getattr(m3ter_async, library)()
    await transport.aclose()
    with pytest.raises(TransportError) as caught:
        await transport.send(Request("GET", "http://127.0.0.1:1/", {}))
    assert not caught.value.sent
    assert "closed" in caught.value.reason


# What was closed, or belongs elsewhere, by the caller's own hand


async def test_a_closed_session_of_the_callers_is_told_at_once_and_as_what_it_is(pair: Pair) -> None:
    """It was taken for a connection that failed, and tried again for two minutes."""
    clock = FakeClock()
    with Wire() as wire:
        theirs: Any = aiohttp.ClientSession() if pair.library == "aiohttp" else httpx.AsyncClient()
        transport = AiohttpTransport(theirs) if pair.library == "aiohttp" else HttpxTransport(theirs)
        await (theirs.close() if pair.library == "aiohttp" else theirs.aclose())
        async with wire.client(pair, transport=transport, clock=clock) as m3ter:
            with pytest.raises(ClientClosedError, match="closed") as caught:
                await m3ter.request("POST", "/x")
    assert not isinstance(caught.value, APIConnectionError)
    assert not caught.value.outcome_unknown
    assert clock.sleeps == []
    assert wire.requests == []


def test_a_session_of_another_event_loop_is_told_at_once_and_as_what_it_is() -> None:
    async def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def call(wire: Wire) -> None:
        with pytest.raises(ClientClosedError, match="another event loop"):
            await wire.client(Pair("asyncio", "aiohttp"), transport=AiohttpTransport(theirs)).request("GET", "/x")

    loop = asyncio.new_event_loop()
    theirs = loop.run_until_complete(session())
    with Wire() as wire:
        asyncio.run(call(wire))
    loop.run_until_complete(theirs.close())
    loop.close()
    assert wire.requests == []


# A client that nobody closed

FORGOTTEN = """
import asyncio, gc, logging, sys
from m3ter_async import AsyncM3ter
from m3ter_async.sandbox import Sandbox

logging.basicConfig(level=logging.ERROR)

async def main(sandbox):
    m3ter = AsyncM3ter(sandbox.api_key, sandbox.api_secret, sandbox.org_id, base_url=sandbox.url)  # this line
    await m3ter.accounts.list(page_size=1)
    {then}
    del m3ter
    gc.collect()
    await asyncio.sleep(0.01)

with Sandbox(bills=1) as sandbox:
    asyncio.run(main(sandbox))
    gc.collect()
"""


@pytest.mark.parametrize(
    ("options", "then", "told"),
    [
        (["-X", "dev"], "pass", True),
        (["-W", "default"], "pass", True),
        (["-X", "dev"], "await m3ter.aclose()", False),
        (["-X", "dev"], "view = m3ter.with_options(timeout=1); del m3ter; gc.collect(); m3ter = view", True),
        ([], "pass", False),
    ],
    ids=["development mode", "warnings", "closed", "a view outlives it", "by default"],
)
def test_a_client_that_was_never_closed_is_named_with_its_line_and_the_mend(
    options: list[str], then: str, told: bool, tmp_path: Any
) -> None:
    program = tmp_path / "app.py"
    program.write_text(FORGOTTEN.format(then=then), encoding="utf-8")
    command = [sys.executable, *options, str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "nclosed client session" not in ended.stderr
    assert "nclosed connector" not in ended.stderr
    assert ended.stderr.count("ResourceWarning: a client of m3ter was never closed") == told
    if told:
        line = FORGOTTEN[: FORGOTTEN.index("  # this line")].count("\n") + 1
        assert f"app.py:{line}: ResourceWarning" in ended.stderr
        assert "await m3ter.aclose()" in ended.stderr
        assert "'async with AsyncM3ter() as m3ter:'" in ended.stderr
    else:
        assert ended.stderr == ""


async def test_a_client_that_was_never_used_or_has_nothing_of_its_own_open_is_not_told_of(
    pair: Pair, recwarn: pytest.WarningsRecorder
) -> None:
    with Wire(lambda _: say({"id": "b"})) as wire:
        unused = AsyncM3ter(KEY, SECRET, ORG)
        theirs: Any = aiohttp.ClientSession() if pair.library == "aiohttp" else httpx.AsyncClient()
        transport = AiohttpTransport(theirs) if pair.library == "aiohttp" else HttpxTransport(theirs)
        m3ter = wire.client(pair, transport=transport)
        await m3ter.bills.retrieve("b")
        del unused, m3ter, transport
        gc.collect()
        await (theirs.close() if pair.library == "aiohttp" else theirs.aclose())
    assert [str(each.message) for each in recwarn] == []
