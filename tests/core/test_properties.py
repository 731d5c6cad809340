"""What holds for every text, every answer, every policy and every interleaving, tried on many of each."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3ter_async import APIError, TransportError
from m3ter_async._core.decoding import decoder
from m3ter_async._core.encoding import encode_body, encode_path, encode_query
from m3ter_async._core.retry import RetryBudget, RetryPolicy, retry_after
from m3ter_async._core.settings import plain_path
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeClock, FakeTransport, answer, client
from ..fuzz.answers import CALLS, Sample, check, parse
from ..wire import Pair, Wire, say
from .test_rate_limits import RestingClock, most_in_any, running

TEXT = st.text(max_size=40)
SENDABLE = TEXT.filter(lambda text: not any("\ud800" <= one <= "\udfff" for one in text))
SEGMENT = SENDABLE.filter(lambda text: text not in ("", ".", ".."))
NUMBERS = st.integers(-(2**70), 2**70) | st.decimals(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | SENDABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SENDABLE, inner, max_size=4),
    max_leaves=12,
)


# Texts go there and back.


def exact(data: bytes | bytearray) -> Any:
    return decoder(Any).decode(data)


@given(SEGMENT, SEGMENT)
def test_every_text_is_one_segment_of_a_path(first: str, second: str) -> None:
    path = encode_path("/organizations/{orgId}/bills/{id}", {"orgId": first, "id": second})
    assert [unquote(part, errors="strict") for part in path.split("/")] == ["", "organizations", first, "bills", second]
    assert path.isascii()


@given(st.dictionaries(SENDABLE, SENDABLE, max_size=6))
def test_every_text_is_one_value_of_a_query(query: dict[str, str]) -> None:
    encoded = encode_query(query)
    assert dict(parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(query), errors="strict")) == query
    assert "+" not in encoded


@given(TEXT)
def test_a_text_that_has_no_utf_8_is_refused_and_every_other_is_taken(text: str) -> None:
    whole = text == text.encode(errors="ignore").decode()
    for encode in (
        lambda: encode_path("/{id}", {"id": text or "x"}),
        lambda: encode_query({"q": text}),
        lambda: encode_body({"q": text}),
    ):
        try:
            encode()
        except ValueError:
            assert not whole or text in (".", "..")
        else:
            assert whole


@given(st.lists(SEGMENT, min_size=1, max_size=4))
def test_a_path_by_hand_is_what_was_meant(segments: list[str]) -> None:
    """With every character percent-encoded that could be taken for something else."""
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    assert [unquote(part) for part in plain_path(path).split("/")[1:]] == segments


@given(JSON)
def test_every_body_is_read_back_to_the_last_digit(body: Any) -> None:
    assert exact(encode_body(body)) == body


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@settings(max_examples=40)
@given(st.lists(st.tuples(SEGMENT, st.dictionaries(SENDABLE, SENDABLE, max_size=3), JSON), min_size=1, max_size=12))
async def test_what_a_server_gets_is_what_was_sent(calls: list[tuple[str, dict[str, str], Any]]) -> None:
    """Over a wire, by both transports: neither encodes again what was encoded."""
    with Wire([say(b"")]) as wire:
        for pair in (Pair("asyncio", "aiohttp"), Pair("asyncio", "httpx")):
            async with wire.client(pair, rate_limit=None) as m3ter:
                for segment, query, body in calls:
                    await m3ter.request("POST", "/a/" + quote(segment, safe=""), query=query, body=body)
    for received, (segment, query, body) in zip(wire.requests, calls + calls, strict=True):
        assert unquote(received.path) == "/a/" + segment
        assert dict(parse_qsl(received.query, keep_blank_values=True)) == query
        assert exact(received.body) == body


# Answers lead to a value or to a typed error.

PAGE = st.fixed_dictionaries(
    {}, optional={"data": JSON | st.lists(st.fixed_dictionaries({"id": JSON}), max_size=3), "nextToken": JSON}
)
BODIES = st.binary(max_size=200) | JSON.map(encode_body) | PAGE.map(encode_body)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "location", "content-encoding", "x-request-id", "content-type"]),
    st.text(st.characters(max_codepoint=255), max_size=30) | st.integers().map(str) | st.just("gzip"),
)


@given(st.sampled_from(list(CALLS)), st.integers(100, 999) | st.just(200), HEADERS, BODIES)
async def test_every_answer_is_a_value_or_a_typed_error(
    call: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    await check(Sample(call, status, headers, body))


@given(st.binary(max_size=300))
async def test_every_input_of_the_fuzzer_is_a_value_or_a_typed_error(data: bytes) -> None:
    await check(parse(data))


# Retries end.

POLICIES = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 12),
    initial=st.floats(0.01, 10),
    longest=st.floats(0.01, 60),
    total=st.floats(0.1, 500),
)
WAITS = st.none() | st.floats(0, 1000)


@given(POLICIES, st.lists(st.tuples(st.floats(0, 100), WAITS, st.floats(0, 1, exclude_max=True)), max_size=20))
def test_a_policy_never_exceeds_its_time(
    policy: RetryPolicy, attempts: list[tuple[float, float | None, float]]
) -> None:
    elapsed = 0.0
    for number, (took, asked, chance) in enumerate(attempts, 1):
        elapsed += took
        delay = policy.delay(number, elapsed, asked, chance)
        if delay is None:
            assert elapsed + (asked or 0.0) + policy.longest > policy.total
            return
        assert delay >= (asked or 0.0)
        assert delay <= (asked or 0.0) + policy.longest
        elapsed += delay
        assert elapsed <= policy.total


FAULTS = st.sampled_from([408, 425, 429, 500, 503, 504, 200, TransportError("reset"), TransportError("no", sent=False)])


@given(
    st.lists(st.tuples(FAULTS, st.none() | st.integers(0, 200), st.floats(0, 60)), min_size=20, max_size=20),
    st.integers(0, 8),
    st.floats(1, 300),
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
)
async def test_a_call_is_not_sent_more_often_or_later_than_allowed(
    attempts: list[tuple[int | TransportError, int | None, float]], most: int, total: float, method: str
) -> None:
    """And one that may count twice only as long as it was certainly refused."""
    clock = FakeClock()
    times: list[float] = []
    before: list[int | TransportError] = []
    left = list(attempts)

    def serve(_: Request) -> Response | TransportError:
        fault, wait, took = left.pop(0)
        times.append(clock.time)
        if method == "POST" and before:
            assert before[-1] in (425, 429) or (isinstance(before[-1], TransportError) and not before[-1].sent)
        before.append(fault)
        clock.time += took
        if isinstance(fault, TransportError):
            return fault
        return answer(b"<html>", fault, **({} if wait is None else {"retry_after": str(wait)}))

    async with client(FakeTransport(serve), clock, max_retries=most, max_retry_time=total, rate_limit=None) as m3ter:
        began = clock.time
        try:
            await m3ter.request(method, "/x")
        except APIError as error:
            told = error.attempts
        else:
            raise AssertionError("nothing of that is an answer")
    assert told == len(times)
    refused = [fault in (425, 429) or (isinstance(fault, TransportError) and not fault.sent) for fault in before]
    assert len(times) - sum(refused) <= most + 1
    assert most or len(times) == 1
    assert all(then - began <= total for then in times[1:])


@given(st.lists(st.booleans(), max_size=400), st.floats(1, 50), st.floats(0, 1))
def test_a_budget_never_pays_more_than_it_holds(successes: list[bool], size: float, deposit: float) -> None:
    budget = RetryBudget(size, deposit)
    paid = earned = 0.0
    for success in successes:
        if success:
            budget.refill()
            earned += deposit
        elif budget.wait(0.0) == 0:
            budget.spend(0.0)
            paid += 1
        assert 0 <= budget.left(0.0) <= size
        assert paid <= size + earned + 1e-9


@given(st.none() | st.text(max_size=40) | st.floats().map(str), st.floats(0, 1e10))
def test_every_retry_after_is_seconds_or_nothing(value: str | None, wall: float) -> None:
    seconds = retry_after(value, wall)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


# Limits hold.

STEPS = st.lists(
    st.tuples(
        st.floats(0, 4) | st.sampled_from([0.0, 0.5, 0.999, 1.0]),  # when it comes
        st.sampled_from(["org-1", "org-2"]),
        st.none() | st.floats(0, 3),  # when it is cancelled
        st.sampled_from(["read", "read", "read", "throttled"]),
    ),
    min_size=1,
    max_size=25,
)


@given(STEPS, st.sampled_from([1.0, 2.0, 5.0]), st.floats(0, 2), st.integers(1, 10))
async def test_limits_hold_in_every_interleaving(
    steps: list[tuple[float, str, float | None, str]], rate: float, latency: float, places: int
) -> None:
    """Calls to two organizations that come, are cancelled and are throttled at any time: no window sees too many."""
    clock = RestingClock()
    times: dict[str, list[float]] = {"org-1": [], "org-2": [], "org-3": []}
    asked = dict.fromkeys(times, -math.inf)  # when the service last asked for two seconds of rest
    most = 0

    async def serve(request: Request) -> Response | TransportError:
        nonlocal most
        org = request.url.split("/")[4]
        times[org].append(clock.time)
        most = max(most, transport.in_flight)
        assert not asked[org] < clock.time < asked[org] + 2
        if latency:
            await clock.sleep(latency)
        if request.url.endswith("throttled"):
            asked[org] = clock.time
            return answer({}, 429, retry_after="2")
        return answer({"id": "b"})

    transport = FakeTransport(serve)
    options: dict[str, Any] = {"rate_limit": rate, "max_connections": places, "max_retries": 0}
    async with running(clock), client(transport, clock, **options) as m3ter:
        await m3ter.with_options(org_id="org-3").bills.retrieve("warm-up")  # so that the login is made

        async def one(start: float, org: str, end: float | None, name: str) -> None:
            await clock.sleep(start)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    if end is not None:

                        async def stop(seconds: float) -> None:
                            await clock.sleep(seconds)
                            scope.cancel()

                        group.start_soon(stop, end)
                    try:
                        await m3ter.with_options(org_id=org).bills.retrieve(name)
                    except APIError as error:
                        assert error.status == 429  # noqa: PT017
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for step in steps:
                tasks.start_soon(one, *step)
    for moments in times.values():
        assert most_in_any(1.0, moments) <= rate
    assert most <= places
