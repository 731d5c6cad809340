"""The sandbox fails when and as often as it is told to, and `applied` knows what took effect all the same."""

from __future__ import annotations

import time
from collections import Counter

import httpx
import pytest

from m3ter_async.sandbox import Faults, Sandbox

from .raw import Raw, RawFactory, adjustment_body

PATH = "/counteradjustments"


def attempt(raw: Raw) -> str | int:
    """Create something: the status of the answer, or how the connection ended."""
    try:
        return raw.ask("POST", PATH, adjustment_body()).status_code
    except httpx.RemoteProtocolError as error:
        return "cut" if "complete message body" in str(error) else "drop"


def test_failures_come_at_the_rates_given_and_applied_stays_right(start: RawFactory) -> None:
    raw = start(faults=Faults(0.3, drop_rate=0.2, cut_rate=0.1, seed=5))
    seen = Counter(attempt(raw) for _ in range(500))
    errors = sum(count for outcome, count in seen.items() if isinstance(outcome, int) and outcome >= 400)
    assert 0.25 < errors / 500 < 0.35
    assert 0.15 < seen["drop"] / 500 < 0.25
    assert 0.06 < seen["cut"] / 500 < 0.14
    assert {500, 502, 503, 504, 429} <= set(seen)
    applied = raw.sandbox.applied["PostCounterAdjustment"]
    sure = seen[200] + seen["cut"]
    doubtful = errors - seen[429] + seen["drop"]
    assert sure < applied < sure + doubtful, "failures come before the effect and after it"
    assert 0.35 < (applied - sure) / doubtful < 0.65
    assert raw.sandbox.requests["PostCounterAdjustment"] == 500


def test_what_applied_says_is_what_is_stored(start: RawFactory) -> None:
    raw = start(faults=Faults(0.5, drop_rate=0.2, seed=2))
    for _ in range(50):
        attempt(raw)
    applied = raw.sandbox.applied["PostCounterAdjustment"]
    stored = None
    while stored is None:
        answer = None
        try:
            answer = raw.ask("GET", PATH, pageSize=100)
        except httpx.RemoteProtocolError:
            continue
        if answer.status_code == 200 and answer.json()["data"]:
            stored = len(answer.json()["data"])
    assert stored == applied


def test_the_same_seed_fails_the_same_requests(start: RawFactory) -> None:
    runs = [[attempt(raw) for _ in range(60)] for raw in (start(faults=Faults(0.3, cut_rate=0.2)) for _ in range(2))]
    assert runs[0] == runs[1]


def test_the_login_fails_only_where_it_is_asked_to(start: RawFactory) -> None:
    raw = start(faults=Faults(1.0))
    assert raw.ask("GET", PATH).status_code in Faults().status
    raw.log_in()
    raw.sandbox.fail_next(1, 503, operation="GenerateToken")
    with pytest.raises(KeyError):
        raw.log_in()
    with Sandbox(bills=1, faults=Faults(1.0, login=True)) as sandbox:
        answer = httpx.post(sandbox.url + "/oauth/token", auth=(sandbox.api_key, sandbox.api_secret), trust_env=False)
        assert answer.status_code in Faults().status


def test_a_429_comes_with_retry_after_or_without(start: RawFactory) -> None:
    for seconds in (None, 3):
        raw = start(faults=Faults(1.0, status=(429,), retry_after=seconds))
        answer = raw.ask("POST", PATH, adjustment_body())
        assert answer.status_code == 429
        assert answer.headers.get("Retry-After") == (None if seconds is None else "3")
        assert not raw.sandbox.applied, "a refusal has no effect"


def test_the_next_requests_fail_as_ordered(raw: Raw) -> None:
    raw.sandbox.fail_next(2, 503)
    raw.sandbox.fail_next(1, "drop", applied=True)
    raw.sandbox.fail_next(1, "cut")
    raw.sandbox.fail_next(1, 502, applied=True)
    raw.sandbox.fail_next(1, 429, retry_after=4, operation="ListCounterAdjustments")
    assert [attempt(raw) for _ in range(6)] == [503, 503, "drop", "cut", 502, 200]
    assert raw.sandbox.applied["PostCounterAdjustment"] == 4
    assert raw.ask("GET", PATH).headers["Retry-After"] == "4"
    assert len(raw.all(PATH)) == 4


def test_only_the_operation_named_fails(raw: Raw) -> None:
    raw.sandbox.fail_next(1, 500, operation="PostCounterAdjustment")
    raw.do("GET", PATH)
    assert attempt(raw) == 500
    assert attempt(raw) == 200


def test_latency_and_ended_tokens_go_together_with_faults(start: RawFactory) -> None:
    raw = start(latency=0.1, faults=Faults(1.0, status=(503,)))
    began = time.monotonic()
    assert raw.ask("GET", PATH).status_code == 503
    assert time.monotonic() - began > 0.09
    raw.sandbox.expire_tokens()
    assert raw.ask("GET", PATH).status_code == 503


def test_nonsense_is_refused(raw: Raw) -> None:
    for error, drop, cut in ((1.5, 0.0, 0.0), (0.0, -0.1, 0.0), (0.6, 0.0, 0.6)):
        with pytest.raises(ValueError, match="rate"):
            Faults(error, drop_rate=drop, cut_rate=cut)
    with pytest.raises(ValueError, match="status"):
        Faults(status=(200,))
    with pytest.raises(ValueError, match="kind"):
        raw.sandbox.fail_next(1, 200)
    with pytest.raises(ValueError, match="count"):
        raw.sandbox.fail_next(-1, 500)
