"""What can go wrong on the wire: once, and the call recovers; for good, and it ends in an error to act on."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from m3ter_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncM3ter,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    M3terError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

from .fakes import ORG, FakeClock
from .wire import (
    SHORT,
    TRICKLE,
    Move,
    Pair,
    Wire,
    closed_port,
    deep,
    faults,
    grant,
    listing,
    pages,
    say,
    token_of,
    trickle,
)

PATH = f"/organizations/{ORG}/bills"
PASSING = [*faults({}), *(f"answer {status}" for status in (408, 425, 429, 500, 504))]
LASTING = [*PASSING, "answer 400", "answer 401", "answer 403", "answer 404", "answer 302", "answer 501"]


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


def fault(name: str, body: Any) -> Move:
    kind, _, status = name.partition(" ")
    if kind == "answer":
        return say({"message": f"sorry, {status}"}, int(status), X_Amzn_RequestId="r-1")
    return faults(body)[name]


def patience(name: str, **options: Any) -> dict[str, Any]:
    """Options of a client under this fault; each timeout costs time."""
    return {**options, "timeout": SHORT, "max_retries": 1 if not options else 0} if "stall" in name else options


PAGES = pages(3, 0, 4, 2)
ROWS = [row["id"] for page in PAGES.values() for row in page["data"]]


@pytest.mark.parametrize("name", PASSING)
async def test_a_listing_recovers_with_every_row_once_and_in_order(pair: Pair, name: str) -> None:
    """Each of its pages fails once, or one, where that takes time."""

    def once(token: str, attempt: int) -> Move | None:
        return fault(name, PAGES[token]) if attempt == 1 and (token == "t2" or "stall" not in name) else None

    with Wire(listing(PAGES, once)) as wire:
        async with wire.client(pair, **patience(name)) as m3ter:
            assert [bill.id async for bill in m3ter.bills.list()] == ROWS
    asked = [token for token, _ in itertools.groupby(map(token_of, wire.requests))]
    assert asked == list(PAGES)


@pytest.mark.parametrize("name", LASTING)
async def test_a_page_that_fails_for_good_says_where_to_go_on(pair: Pair, name: str) -> None:
    broken = True

    def lasting(token: str, attempt: int) -> Move | None:
        return fault(name, PAGES[token]) if token == "t2" and broken else None

    with Wire(listing(PAGES, lasting)) as wire:
        async with wire.client(pair, **patience(name, max_retries=1)) as m3ter:
            rows = []
            bills = m3ter.bills.list()
            with pytest.raises(APIError) as caught:  # noqa: PT012
                async for bill in bills:
                    rows.append(bill.id)
            error = caught.value
            assert rows == ROWS[:3]  # none that came is lost
            assert (error.method, error.path, error.next_token) == ("GET", PATH, "t2")
            assert not error.outcome_unknown  # nothing was written
            assert not bills.finished
            broken = False
            more = [bill.id async for bill in m3ter.bills.list(next_token=error.next_token)]
            same = [bill.id async for bill in m3ter.bills.list(next_token=bills.next_token)]
    assert rows + more == rows + same == ROWS


@pytest.mark.parametrize("name", LASTING)
async def test_every_lasting_fault_has_its_type(pair: Pair, name: str) -> None:
    with Wire([fault(name, {"id": "b1", "name": "x" * 50})]) as wire:
        async with wire.client(pair, **patience(name, max_retries=1)) as m3ter:
            with pytest.raises(APIError) as caught:
                await m3ter.bills.retrieve("b1")
    error = caught.value
    expected: type[APIError]
    if name.startswith("answer "):
        status = int(name[7:])
        expected = {
            400: BadRequestError,
            401: AuthenticationError,
            403: PermissionDeniedError,
            404: NotFoundError,
            429: RateLimitError,
        }.get(status, InternalServerError if status >= 500 else APIStatusError)
        assert error.status == status
        assert error.request_id == "r-1"
        assert b"sorry" in error.body
    elif "stall" in name:
        expected = APITimeoutError
    elif name in ("content-length too short", "gzip cut"):
        # a library that sees it may also call it a broken answer
        expected = APIConnectionError if error.status is None else APIResponseValidationError
    elif name in ("JSON cut", "HTML 200", "nothing 200", "not UTF-8"):
        expected = APIResponseValidationError
        assert error.status == 200
    else:
        expected = APIConnectionError
        assert error.status is None
    assert type(error) is expected
    assert (error.method, error.path) == ("GET", f"{PATH}/b1")
    again = name in PASSING and "stall" not in name
    assert (len(wire.requests), error.attempts) == ((2, 2) if again or name == "answer 401" else (1, 1))


async def test_a_service_that_is_down_is_called_again_and_named_in_the_end(pair: Pair) -> None:
    with Wire() as wire:
        base_url = f"http://127.0.0.1:{closed_port()}"
        async with wire.client(pair, base_url=base_url, token="t", api_key=None, api_secret=None) as m3ter:
            with pytest.raises(APIConnectionError) as caught:
                await m3ter.bills.retrieve("b1")
    assert (caught.value.attempts, caught.value.status) == (6, None)


async def test_connections_closed_after_accepting_are_made_again(pair: Pair) -> None:
    with Wire([say({"id": "b1"})], hang_up=3) as wire:
        async with wire.client(pair) as m3ter:
            assert (await m3ter.bills.retrieve("b1")).id == "b1"


async def test_an_answer_in_single_bytes_is_as_good_as_any(pair: Pair) -> None:
    with Wire(lambda received: trickle(PAGES[token_of(received)])) as wire:
        async with wire.client(pair) as m3ter:
            assert [bill.id async for bill in m3ter.bills.list()] == ROWS, TRICKLE


# Whole pages, raw records, one call.


async def _collect(m3ter: AsyncM3ter) -> list[str | None]:
    return [bill.id for bill in await m3ter.bills.list().collect()]


async def _pages(m3ter: AsyncM3ter) -> list[str | None]:
    return [bill.id async for page in m3ter.bills.list().pages() for bill in page.data]


async def _raw(m3ter: AsyncM3ter) -> list[str | None]:
    return [record.split(b'"')[3].decode() async for record in m3ter.bills.list().raw()]


READS: dict[str, Callable[[AsyncM3ter], Awaitable[list[str | None]]]] = {
    "collect": _collect,
    "pages": _pages,
    "raw": _raw,
}


@pytest.mark.parametrize("read", READS)
async def test_every_way_of_reading_recovers(pair: Pair, read: str) -> None:
    """A different fault at every attempt, and a good answer after each three."""
    ring = itertools.cycle([name for name in PASSING if "stall" not in name])

    def some(token: str, attempt: int) -> Move | None:
        return fault(next(ring), PAGES[token]) if attempt <= 3 else None

    with Wire(listing(PAGES, some)) as wire:
        async with wire.client(pair) as m3ter:
            assert await READS[read](m3ter) == ROWS


@pytest.mark.parametrize("read", READS)
async def test_every_way_of_reading_ends_in_an_error_with_its_place(pair: Pair, read: str) -> None:
    for name in ("reset mid-body", "JSON cut", "broken gzip", "answer 503", "answer 400"):

        def lasting(token: str, attempt: int, name: str = name) -> Move | None:
            return fault(name, PAGES[token]) if token == "t3" else None

        with Wire(listing(PAGES, lasting)) as wire:
            async with wire.client(pair, max_retries=1) as m3ter:
                with pytest.raises(APIError) as caught:
                    await READS[read](m3ter)
        assert (caught.value.next_token, caught.value.path) == ("t3", PATH)


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
    "deep nesting": deep(),
    "an array": b"[]",
    "a string": b'"ok"',
    "null": b"null",
    "no data": b'{"nextToken": "x"}',
    "data of another kind": b'{"data": {"id": "b"}}',
    "token of another kind": b'{"data": [], "nextToken": 7}',
    "rows of another kind": b'{"data": [1, 2]}',
    "a row with a field of another kind": b'{"data": [{"id": ["b"]}]}',
    "a number beyond all numbers": b'{"data": [{"billTotal": 1e999999999999999999999}]}',
    "a whole number of 10,000 digits": b'{"data": [{"version": %b}]}' % (b"9" * 10_000),
    "lone surrogates": b'{"data": [{"id": "\\ud800"}]}',
    "not UTF-8 within a row": b'{"data": [{"id": "\xff"}]}',
    "a row nested deeply": b'{"data": [{"unknown": %b}]}' % (b"[" * 200_000 + b"]" * 200_000),
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


@pytest.mark.parametrize("kind", ["deep nesting", "an array", "a string", "null", "no data", "data of another kind"])
async def test_a_page_that_is_none_is_asked_for_again(pair: Pair, kind: str) -> None:
    """It may be some gateway's; and it must never pass for the end of a listing."""
    with Wire(listing(PAGES, lambda token, attempt: say(HOSTILE[kind]) if token and attempt == 1 else None)) as wire:
        async with wire.client(pair) as m3ter:
            assert [bill.id async for bill in m3ter.bills.list()] == ROWS


async def test_an_answer_beyond_the_limit_is_refused_and_not_asked_for_again(pair: Pair) -> None:
    with Wire([say(b'{"data": ["' + b"x" * 300_000 + b'"]}')]) as wire:
        async with wire.client(pair, max_response_bytes=100_000) as m3ter:
            with pytest.raises(APIResponseValidationError, match="100000 bytes"):
                await m3ter.bills.list().collect()
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
    date = format_datetime(datetime.fromtimestamp(int(clock.wall()) + 7, timezone.utc), usegmt=True)
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


LOGIN_FAULTS = [
    "reset instead of an answer",
    "closed mid-body",
    "broken gzip",
    "JSON cut",
    "HTML 200",
    "stalls mid-body",
]
LOGIN_FAULTS += ["not HTTP", "answer 429", "answer 500"]


@pytest.mark.parametrize("name", LOGIN_FAULTS)
async def test_a_login_recovers(pair: Pair, name: str) -> None:
    login = [fault(name, {"access_token": "of-no-use", "expires_in": 5}), grant("good")]
    with Wire([say({"id": "b1"})], login=login) as wire:
        async with wire.client(pair, **patience(name)) as m3ter:
            assert (await m3ter.bills.retrieve("b1")).id == "b1"
    assert [received.headers["authorization"] for received in wire.requests] == ["Bearer good"]
    assert len(wire.logins) == 2


@pytest.mark.parametrize("name", [*LOGIN_FAULTS, "answer 400", "answer 401", "answer 302", "deep nesting", "null"])
async def test_a_login_that_fails_for_good_is_the_error_of_the_call(pair: Pair, name: str) -> None:
    move = say(HOSTILE[name]) if name in HOSTILE else fault(name, {"access_token": "of-no-use", "expires_in": 5})
    with Wire(login=[move]) as wire:
        async with wire.client(pair, **patience(name, max_retries=1)) as m3ter:
            with pytest.raises(APIError) as caught:
                await m3ter.bills.retrieve("b1")
            assert (caught.value.method, caught.value.path) == ("POST", "/oauth/token")
            assert not caught.value.outcome_unknown
            with pytest.raises(APIError) as caught:
                await m3ter.bills.list(next_token="t2").collect()
            assert caught.value.next_token == "t2"
    assert wire.requests == []


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
    """What all calls of a client spend on repeats together is bounded."""
    with Wire([say(b"", 503)]) as wire:
        async with wire.client(pair, rate_limit=None) as m3ter:
            for number in range(60):
                with pytest.raises(InternalServerError):
                    await m3ter.bills.retrieve(f"b{number}")
    assert len(wire.requests) < 60 + 110


async def test_waits_between_attempts_end_with_the_time_for_them(pair: Pair) -> None:
    clock = FakeClock(chance=1.0)
    with Wire([say(b"", 503)]) as wire:
        async with wire.client(pair, clock=clock, max_retries=50, max_retry_time=20.0) as m3ter:
            with pytest.raises(InternalServerError):
                await m3ter.bills.retrieve("b1")
    assert sum(clock.sleeps) <= 20.0
