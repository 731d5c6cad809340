"""What can go wrong on the wire: once, and the call recovers; for good, and it ends in an error to act on."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import anyio
import pytest
from msgspec import UNSET

from m3ter_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    AsyncM3ter,
    BadRequestError,
    InternalServerError,
    M3terError,
)

from ..fakes import ORG, FakeClock
from ..table import READS, TABLE, Fault
from ..wire import (
    TRICKLE,
    Move,
    Pair,
    Wire,
    bare,
    closed_port,
    grant,
    listing,
    pages,
    say,
    token_of,
    trickle,
)

PATH = f"/organizations/{ORG}/bills"
PAGES = pages(3, 0, 4, 2)
ROWS = [row["id"] for page in PAGES.values() for row in page["data"]]
BILL = {"id": "b1", "name": "long enough to be cut in two"}
GRANT = {"access_token": "of-no-use", "expires_in": 18_000}


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


async def _collect(m3ter: AsyncM3ter) -> list[str | None]:
    return [bill.id for bill in await m3ter.bills.list().collect()]


async def _rows(m3ter: AsyncM3ter, token: Any = UNSET) -> list[str | None]:
    return [bill.id async for bill in m3ter.bills.list(next_token=token)]


async def _pages(m3ter: AsyncM3ter, token: Any = UNSET) -> list[str | None]:
    return [bill.id async for page in m3ter.bills.list(next_token=token).pages() for bill in page.data]


async def _raw(m3ter: AsyncM3ter, token: Any = UNSET) -> list[str | None]:
    return [record.split(b'"')[3].decode() async for record in m3ter.bills.list(next_token=token).raw()]


LISTS: dict[str, Callable[..., Awaitable[list[str | None]]]] = {"page": _pages, "raw": _raw}


# The table of faults: once, and for good.


async def all_at_once(fault: Fault, test: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """Every call on which `fault` is played; a server that is slow is so for all of them at once."""
    async with anyio.create_task_group() as group:
        for call in READS:
            if call in fault.where:
                group.start_soon(test, call)


def page_under(fault: Fault, token: str) -> Move:
    return fault.make({**PAGES[token], "token": token})


@pytest.mark.parametrize("fault", TABLE, ids=str)
async def test_once_and_every_call_that_is_to_recover_does(pair: Pair, fault: Fault) -> None:
    """Every row is there exactly once and in order, though each page fails, or one of them, where that takes time."""

    async def one(call: str) -> None:
        clock = FakeClock(chance=0.0)
        failing = {"t2"} if "timeout" in fault.options else set(PAGES)
        if call == "read":
            wire = Wire([fault.make(BILL), say(BILL)])
        elif call == "login":
            wire = Wire([say(BILL)], login=[fault.make(GRANT), grant("good")])
        else:
            once = lambda token, time: page_under(fault, token) if time == 1 and token in failing else None  # noqa: E731
            wire = Wire(listing(PAGES, once))
        with wire:
            async with wire.client(pair, clock=clock, **fault.options) as m3ter:
                if call in LISTS:
                    assert await LISTS[call](m3ter) == ROWS
                else:
                    assert (await m3ter.bills.retrieve("b1")).id == "b1"
        if call in LISTS:
            asked = [token for token, _ in itertools.groupby(bare(token_of(received)) for received in wire.requests)]
            assert asked == list(PAGES)
        elif call == "login":
            assert wire.requests[-1].headers["authorization"] == "Bearer good"
        assert sum(clock.sleeps) >= fault.wait

    async def those(call: str) -> None:
        if call in fault.again:
            await one(call)

    await all_at_once(fault, those)


@pytest.mark.parametrize("fault", TABLE, ids=str)
async def test_for_good_and_it_ends_in_an_error_of_its_type_from_which_one_can_go_on(pair: Pair, fault: Fault) -> None:
    """No row that came before is lost, and with the position of the error the rest follows."""

    def typed(error: APIError, call: str) -> None:
        assert type(error) in (fault.error if isinstance(fault.error, tuple) else (fault.error,)), error
        assert not error.outcome_unknown  # nothing was written
        if fault.name.startswith(("answer ", "redirect ")):
            assert error.status == int(fault.name.split()[1])
            assert b"sorry" in error.body or "redirect" in fault.name or call == "login"  # of which nothing is kept
            assert "another-host.invalid" in str(error) or "redirect" not in fault.name
        elif isinstance(error, APIConnectionError):
            assert error.status in (None, 200)  # which was answered before the answer broke off
        settled = "timeout" in fault.options or "~" in (error.next_token or "")
        if fault.refused:
            assert error.attempts >= 1  # what is refused for good is repeated as long as there is time
        else:
            # a 403 is asked for again under a new token, once
            again = (call in fault.again and not settled) or (fault.name == "answer 403" and call != "login")
            assert error.attempts == (2 if again else 1)

    options: dict[str, Any] = {**fault.options, **({"max_retry_time": 20} if fault.refused else {})}

    async def read(retries: int) -> None:
        with Wire([fault.make(BILL)]) as wire:
            async with wire.client(pair, max_retries=retries, **options) as m3ter:
                with pytest.raises(APIError) as caught:
                    await m3ter.bills.retrieve("b1")
        typed(caught.value, "read")
        assert (caught.value.method, caught.value.path) == ("GET", f"{PATH}/b1")

    async def login(retries: int) -> None:
        with Wire(login=[fault.make(GRANT)]) as wire:
            async with wire.client(pair, max_retries=retries, **options) as m3ter:
                with pytest.raises(APIError) as caught:
                    await m3ter.bills.list(next_token="t2").collect()
        typed(caught.value, "login")
        error = caught.value
        assert (error.method, error.path, error.next_token) == ("POST", "/oauth/token", "t2")
        assert wire.requests == []

    async def listed(call: str, retries: int) -> None:
        broken = True

        def lasting(token: str, _: int) -> Move | None:
            return page_under(fault, token) if token == "t2" and broken else None

        with Wire(listing(PAGES, lasting)) as wire:
            async with wire.client(pair, max_retries=retries, **options) as m3ter:
                bills: Any = m3ter.bills.list(page_size=1)  # which nothing makes smaller
                bills = bills.raw() if call == "raw" else bills
                count = 0
                with pytest.raises(APIError) as caught:  # noqa: PT012
                    async for _ in bills:
                        count += 1
                error = caught.value
                typed(error, call)
                assert count == 3
                assert (error.method, error.path, bare(error.next_token or "")) == ("GET", PATH, "t2")
                assert not bills.finished
                broken = False
                patient = m3ter.with_options(max_retry_time=120)
                assert await LISTS[call](patient, error.next_token) == ROWS[3:]
                assert await _rows(patient, bills.next_token) == ROWS[3:]

    async def one(call: str) -> None:
        retries = 0 if "timeout" in fault.options else 1
        await (read(retries) if call == "read" else login(retries) if call == "login" else listed(call, retries))

    await all_at_once(fault, one)


async def test_a_service_that_is_down_is_called_again_and_named_in_the_end(pair: Pair) -> None:
    with Wire() as wire:
        base_url = f"http://127.0.0.1:{closed_port()}"
        async with wire.client(pair, base_url=base_url, token="t", api_key=None, api_secret=None) as m3ter:
            with pytest.raises(APIConnectionError) as caught:
                await m3ter.bills.retrieve("b1")
    assert caught.value.attempts > 6
    assert (caught.value.out_of_time, caught.value.status) == (True, None)


async def test_connections_closed_after_accepting_are_made_again(pair: Pair) -> None:
    with Wire([say({"id": "b1"})], hang_up=3) as wire:
        async with wire.client(pair) as m3ter:
            assert (await m3ter.bills.retrieve("b1")).id == "b1"


async def test_an_answer_in_single_bytes_is_as_good_as_any(pair: Pair) -> None:
    with Wire(lambda received: trickle(PAGES[token_of(received)])) as wire:
        async with wire.client(pair) as m3ter:
            assert [bill.id async for bill in m3ter.bills.list()] == ROWS, TRICKLE


@pytest.mark.parametrize("read", [_collect, _pages, _raw])
async def test_a_different_fault_at_every_attempt_is_survived_as_well(pair: Pair, read: Any) -> None:
    """And a good answer after each three."""
    ring = itertools.cycle([fault for fault in TABLE if "page" in fault.again and not fault.options and not fault.wait])

    def some(token: str, attempt: int) -> Move | None:
        return page_under(next(ring), token) if attempt <= 3 else None

    with Wire(listing(PAGES, some)) as wire:
        async with wire.client(pair) as m3ter:
            assert await read(m3ter) == ROWS


async def test_an_iteration_that_failed_does_not_look_finished_when_it_is_asked_again(pair: Pair) -> None:
    with Wire(listing(PAGES, lambda token, _: say(b"", 400) if token == "t2" else None)) as wire:
        async with wire.client(pair) as m3ter:
            rows = m3ter.bills.list().__aiter__()
            for _ in range(3):
                await rows.__anext__()
            for _ in range(3):
                with pytest.raises(BadRequestError):
                    await rows.__anext__()


# Answers that are JSON and yet not what was asked for.

HOSTILE = {
    "a string": b'"ok"',
    "rows of another kind": b'{"data": [1, 2]}',
    "a row with a field of another kind": b'{"data": [{"id": ["b"]}]}',
    "a number beyond all numbers": b'{"data": [{"billTotal": 1e999999999999999999999}]}',
    "a whole number of 10,000 digits": b'{"data": [{"version": %b}]}' % (b"9" * 10_000),
    "lone surrogates": b'{"data": [{"id": "\\ud800"}]}',
    "not UTF-8 within a row": b'{"data": [{"id": "\xff"}]}',
    "a row nested deeply": b'{"data": [{"unknown": %b}]}' % (b"[" * 500_000 + b"]" * 500_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_whatever_a_server_sends_only_m3ter_errors_leave(pair: Pair, kind: str) -> None:
    with Wire([say(HOSTILE[kind])]) as wire:
        async with wire.client(pair, max_retries=1) as m3ter:
            with pytest.raises(APIResponseValidationError) as caught:
                await m3ter.bills.list().collect()
    error = caught.value
    assert (error.method, error.path, error.status, error.next_token) == ("GET", PATH, 200, None)
    assert str(error).isprintable()


async def test_an_answer_beyond_the_limit_is_refused_and_not_asked_for_again(pair: Pair) -> None:
    with Wire([say(b'{"data": ["' + b"x" * 300_000 + b'"]}')]) as wire:
        async with wire.client(pair, max_response_bytes=100_000) as m3ter:
            with pytest.raises(APIResponseValidationError, match="100000 bytes"):
                await m3ter.bills.list(page_size=1).collect()
    assert len(wire.requests) == 1


async def test_a_large_body_of_an_error_is_not_kept_whole(pair: Pair) -> None:
    with Wire([say(b"x" * 1_000_000, 400)]) as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(BadRequestError) as caught:
                await m3ter.bills.retrieve("b1")
    assert len(caught.value.body) <= 65_536
    assert len(str(caught.value)) < 2_000


async def test_a_token_that_comes_again_ends_in_an_error_and_not_in_a_loop(pair: Pair) -> None:
    made = {"": {"data": [{"id": "b0"}], "nextToken": "t1"}, "t1": {"data": [{"id": "b1"}], "nextToken": "t1"}}
    with Wire(listing(made)) as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(APIResponseValidationError, match="nextToken"):
                await m3ter.bills.list().collect()
    assert len(wire.requests) == 2


# What a server says about when to come back, in whatever words.


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_for(pair: Pair, status: int, form: str) -> None:
    clock = FakeClock(chance=0.0)
    date = format_datetime(datetime.fromtimestamp(int(clock.wall()) + 7, UTC), usegmt=True)
    with Wire([say(b"", status, Retry_After="7" if form == "seconds" else date), say({"id": "b1"})]) as wire:
        async with wire.client(pair, clock=clock) as m3ter:
            await m3ter.bills.retrieve("b1")
    assert 6.0 <= sum(clock.sleeps) <= 8.0


@pytest.mark.parametrize(
    "value",
    ["", "soon", "-5", "nan", "inf", "1e999", "²", "0 0 0", ",", "Mon, 99 Foo 2025", "\x00", "9" * 400, "é", "1,2"],
)
async def test_a_retry_after_that_means_nothing_does_no_harm(pair: Pair, value: str) -> None:
    with Wire([say(b"", 503, Retry_After=value), say({"id": "b1"})]) as wire:
        async with wire.client(pair) as m3ter:
            try:
                assert (await m3ter.bills.retrieve("b1")).id == "b1"
            except M3terError:
                assert value in ("\x00", "9" * 400)  # no header at all; more patience than anybody has


# The login.


@pytest.mark.parametrize("value", ["", " ", "a\nb", "ü", "a\x00b", "tab\t"])
async def test_a_token_that_cannot_be_sent_is_an_error_of_the_login(pair: Pair, value: str) -> None:
    with Wire(login=[grant(value)]) as wire:
        async with wire.client(pair, max_retries=1) as m3ter:
            with pytest.raises(APIResponseValidationError) as caught:
                await m3ter.bills.retrieve("b1")
    assert caught.value.path == "/oauth/token"
    assert wire.requests == []


async def test_a_token_that_ended_is_replaced_once(pair: Pair) -> None:
    with Wire([say(b"", 401), say({"id": "b1"})], login=[grant("one"), grant("two")]) as wire:
        async with wire.client(pair) as m3ter:
            assert (await m3ter.bills.retrieve("b1")).id == "b1"
    assert [received.headers["authorization"] for received in wire.requests] == ["Bearer one", "Bearer two"]


async def test_an_outage_is_not_answered_with_ever_more_requests(pair: Pair) -> None:
    """What all calls of an organization spend on repeats together is bounded: a stock, and then a few a second."""
    clock = FakeClock()
    began = clock.time
    with Wire([say(b"", 503)]) as wire:
        async with wire.client(pair, clock=clock, rate_limit=None) as m3ter:
            for number in range(60):
                with pytest.raises(InternalServerError):
                    await m3ter.bills.retrieve(f"b{number}")
    assert len(wire.requests) < 60 + 110 + 5 * (clock.time - began)


async def test_waits_between_attempts_end_with_the_time_for_them(pair: Pair) -> None:
    clock = FakeClock(chance=1.0)
    with Wire([say(b"", 503)]) as wire:
        async with wire.client(pair, clock=clock, max_retries=50, max_retry_time=20.0) as m3ter:
            with pytest.raises(InternalServerError):
                await m3ter.bills.retrieve("b1")
    assert sum(clock.sleeps) <= 20.0
