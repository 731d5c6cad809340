"""A call has one deadline, fixed when it begins: it bounds every wait, and nothing leaves after it or after the end."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from m3ter_async import APIError, APITimeoutError, AsyncM3ter, ClientClosedError, InternalServerError, RateLimitError
from m3ter_async._core.clock import Clock
from m3ter_async.transports.protocol import Request, Response

from ..fakes import Answer, FakeTransport, answer, client

LIMIT = 0.12  # seconds
LATE = 0.4  # seconds that a busy machine may add

Bound = Callable[[AsyncM3ter], AsyncM3ter]
BOUNDS: dict[str, dict[str, Any]] = {
    "total_timeout": {"total_timeout": LIMIT},
    "max_retry_time": {"max_retry_time": LIMIT},
    "the lesser of both": {"total_timeout": LIMIT, "max_retry_time": 50},
    "the caller's scope": {},
}


async def forever(_: Request) -> Answer:
    await anyio.sleep_forever()
    raise AssertionError


async def ends(bound: str, m3ter: AsyncM3ter, call: Callable[[AsyncM3ter], Awaitable[object]]) -> APIError:
    """The error of a call under a bound; it comes in time, with what is known of it, and not as a bare TimeoutError."""
    view = m3ter.with_options(**BOUNDS[bound])
    began = time.monotonic()
    limit = LIMIT if bound == "the caller's scope" else math.inf
    with anyio.CancelScope(deadline=anyio.current_time() + limit) as scope, pytest.raises(APIError) as caught:
        await call(view)
    assert not scope.cancelled_caught
    assert time.monotonic() - began < LIMIT + LATE
    return caught.value


async def post(m3ter: AsyncM3ter) -> object:
    return await m3ter.request("POST", "/organizations/{orgId}/charge", body={"amount": 1})


@pytest.mark.parametrize("bound", ["total_timeout", "max_retry_time", "the lesser of both"])
class TestEveryWait:
    async def test_for_a_pass_of_the_rate_limit(self, bound: str) -> None:
        transport = FakeTransport(lambda _: answer({}))
        async with client(transport, Clock(), rate_limit=0.1) as m3ter, anyio.create_task_group() as tasks:
            await post(m3ter)
            tasks.start_soon(post, m3ter)  # a patient one in front
            error = await ends(bound, m3ter, post)
            tasks.cancel_scope.cancel()
        assert (type(error), error.outcome_unknown, error.out_of_time) == (APITimeoutError, False, True)
        assert "not sent" in str(error)
        assert len(transport.requests) == 1

    async def test_for_a_place_in_flight(self, bound: str) -> None:
        transport = FakeTransport(forever)
        async with client(transport, Clock(), max_connections=1) as m3ter, anyio.create_task_group() as tasks:
            tasks.start_soon(post, m3ter)
            await anyio.wait_all_tasks_blocked()
            error = await ends(bound, m3ter, post)
            tasks.cancel_scope.cancel()
        assert (type(error), error.outcome_unknown) == (APITimeoutError, False)
        assert len(transport.requests) == 1

    async def test_for_the_end_of_somebody_elses_pause(self, bound: str) -> None:
        transport = FakeTransport(lambda _: answer({}, 429, retry_after="30"))
        async with client(transport, Clock()) as m3ter:
            with pytest.raises(RateLimitError):
                await m3ter.with_options(max_retries=0).bills.retrieve("b")
            error = await ends(bound, m3ter, post)
        assert (type(error), error.outcome_unknown, error.out_of_time) == (RateLimitError, False, True)
        assert len(transport.requests) == 1

    async def test_for_a_login(self, bound: str) -> None:
        transport = FakeTransport(lambda _: answer({}), login=forever)
        async with client(transport, Clock()) as m3ter:
            error = await ends(bound, m3ter, post)
        assert (type(error), error.outcome_unknown) == (APITimeoutError, False)
        assert transport.requests == []

    async def test_for_an_answer(self, bound: str) -> None:
        async with client(FakeTransport(forever), Clock(), timeout=60) as m3ter:
            error = await ends(bound, m3ter, post)
        assert (type(error), error.outcome_unknown) == (APITimeoutError, True)

    async def test_between_attempts(self, bound: str) -> None:
        transport = FakeTransport(lambda _: answer({}, 503, retry_after="20"))
        async with client(transport, Clock()) as m3ter:
            error = await ends(bound, m3ter, lambda view: view.bills.retrieve("b"))
        assert (type(error), error.out_of_time) == (InternalServerError, True)
        assert len(transport.requests) == 1


class TestTheCallersScope:
    async def test_tells_what_went_wrong_and_does_not_wait_for_what_it_would_cut_off(self) -> None:
        transport = FakeTransport(lambda _: answer({}, 503, retry_after="20"))
        async with client(transport, Clock()) as m3ter:
            error = await ends("the caller's scope", m3ter, lambda view: view.bills.retrieve("b"))
        assert isinstance(error, InternalServerError)

    @pytest.mark.parametrize("ahead", [True, False])
    async def test_counts_for_the_page_ahead(self, ahead: bool) -> None:
        def serve(request: Request) -> Response:
            return answer({}, 503, retry_after="20") if "nextToken" in request.url else answer(PAGE)

        async def read(m3ter: AsyncM3ter) -> None:
            async for _ in m3ter.bills.list().pages(ahead=ahead):
                pass

        async with client(FakeTransport(serve), Clock()) as m3ter:
            assert isinstance(await ends("the caller's scope", m3ter, read), InternalServerError)

    async def test_counts_for_the_tasks_of_a_map(self) -> None:
        async def read(m3ter: AsyncM3ter) -> None:
            async for _ in m3ter.map("abc", m3ter.bills.retrieve):
                pass

        transport = FakeTransport(lambda _: answer({}, 503, retry_after="20"))
        async with client(transport, Clock()) as m3ter:
            assert isinstance(await ends("the caller's scope", m3ter, read), InternalServerError)

    async def test_of_one_step_is_not_that_of_the_page_ahead_for_the_next(self) -> None:
        gate = anyio.Event()

        async def serve(request: Request) -> Response:
            if "nextToken" in request.url:
                await gate.wait()
                return answer({"data": [{"id": "b2"}]})
            return answer(PAGE)

        async with client(FakeTransport(serve), Clock()) as m3ter:
            bills = m3ter.bills.list().__aiter__()
            with anyio.fail_after(LIMIT):
                assert (await bills.__anext__()).id == "b1"
            await anyio.sleep(LIMIT + 0.05)  # the page ahead had no more time than that step
            gate.set()
            assert (await bills.__anext__()).id == "b2"


PAGE = {"data": [{"id": "b1"}], "nextToken": "t"}


class TestTheEnd:
    async def test_nothing_that_waited_is_sent_after_it(self) -> None:
        transport = FakeTransport(lambda _: answer({}))
        errors: list[APIError] = []

        async def one(m3ter: AsyncM3ter) -> None:
            try:
                await post(m3ter)
            except APIError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            async with client(transport, Clock(), rate_limit=0.05) as m3ter:  # one in twenty seconds
                for _ in range(12):
                    tasks.start_soon(one, m3ter)
                await anyio.wait_all_tasks_blocked()
            sent = len(transport.requests)
        assert sent == len(transport.requests) == 1
        assert {type(error) for error in errors} == {ClientClosedError}
        assert not any(error.outcome_unknown for error in errors)

    @pytest.mark.parametrize("stage", ["place", "login", "back-off"])
    async def test_wakes_whatever_waits(self, stage: str) -> None:
        login = forever if stage == "login" else None
        handler = forever if stage == "place" else lambda _: answer({}, 503, retry_after="60")
        transport = FakeTransport(handler, login=login)
        errors: list[APIError] = []

        async def one(m3ter: AsyncM3ter) -> None:
            try:
                await m3ter.bills.retrieve("b")
            except APIError as error:
                errors.append(error)

        m3ter = client(transport, Clock(), max_connections=1)
        with anyio.fail_after(3):
            async with anyio.create_task_group() as tasks:
                if stage == "place":
                    holder = anyio.CancelScope()

                    async def hold() -> None:
                        with holder:
                            await m3ter.bills.retrieve("held")

                    tasks.start_soon(hold)
                    await anyio.wait_all_tasks_blocked()
                tasks.start_soon(one, m3ter)
                await anyio.sleep(0.05)
                await m3ter.aclose()
                if stage == "place":
                    holder.cancel()
        (error,) = errors
        # what was answered is told, and else that the client is closed
        assert isinstance(error, InternalServerError if stage == "back-off" else ClientClosedError)

    async def test_does_not_wait_for_a_task_that_it_is_part_of(self) -> None:
        m3ter = client(FakeTransport(lambda _: answer({"id": "b"})), Clock())

        async def close(_: int) -> None:
            await m3ter.aclose()

        async def read() -> None:
            async for _ in m3ter.map(range(3), close, concurrency=1):
                pass

        with anyio.fail_after(3), pytest.raises(ClientClosedError):
            await read()

    async def test_no_time_left_is_no_call(self) -> None:
        transport = FakeTransport(lambda _: answer({}))
        async with client(transport, Clock()) as m3ter:
            await post(m3ter)
            with anyio.CancelScope(deadline=-math.inf), pytest.raises(APITimeoutError, match="not sent"):
                await post(m3ter)
            assert len(transport.requests) == 1
