"""One limit in a real Redis: what its script counts, and what is left of a limiter after forks, pauses and ends."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

import pytest

from m3ter_async import ConfigurationError
from m3ter_async.events import Scope
from m3ter_async.limits import RateLimit, RedisLimiter

redis = pytest.importorskip("redis")


@pytest.fixture
def host() -> str:
    """A service that no other test has limits of."""
    return f"https://{uuid.uuid4()}.example"


def limits(url: str, host: str, processes: int, scope: Scope = "configuration") -> list[RateLimit]:
    return [RedisLimiter(url).limit(scope, "the-organization", host) for _ in range(processes)]


def passes(limit: RateLimit, seconds: float, *, bulk: bool = False) -> int:
    """How often it lets through, asked as a client does."""
    passed, end = 0, time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        wait = limit.take(now, bulk=bulk)
        passed += not wait
        time.sleep(min(wait, max(0.0, end - now)))
    return passed


def until(limit: RateLimit, what: str) -> None:
    """Ask until it lets through, or holds back for longer than an answer of Redis takes."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        wait = limit.take(now := time.monotonic())
        if wait > 0.1 if what == "held back" else not wait:
            return
        assert now < end
        time.sleep(min(wait, 0.002))
    raise AssertionError(f"it was never {what}")


def test_a_pause_holds_for_all_and_after_it_all_begin_slowly(redis_url: str, host: str) -> None:
    one, other = limits(redis_url, host, 2)
    until(one, "let through")
    one.pause(time.monotonic(), 1.0)
    time.sleep(0.2)
    until(other, "held back")
    assert 0 < other.paused(time.monotonic()) < 1
    time.sleep(other.paused(time.monotonic()))
    assert passes(other, 0.9) <= 26


def test_what_one_takes_the_other_lacks(redis_url: str, host: str) -> None:
    one, other = limits(redis_url, host, 2)
    assert passes(one, 0.5) > 40
    assert passes(other, 0.3) < 10


def test_the_explorer_has_its_own_limit_which_is_smaller(redis_url: str, host: str) -> None:
    (explorer,) = limits(redis_url, host, 1, "explorer")
    (others,) = limits(redis_url, host, 1)
    assert passes(explorer, 0.3) <= 10
    assert passes(others, 0.5) > 40


def test_the_window_of_the_address_is_shared_and_told_once(redis_url: str, host: str) -> None:
    (limit,) = limits(redis_url, host, 1, "ingest")
    until(limit, "let through")
    with redis.Redis.from_url(redis_url) as server:
        (key,) = [key for key in server.keys("m3ter:*:ingest") if limit._keys[0][3].encode() == key]  # type: ignore[attr-defined]
        server.hset(key, server.hkeys(key)[0], 5_000)
    until(limit, "held back")
    now = time.monotonic()
    tell: Any = limit
    assert 0 < tell.address_wait(now) <= 310
    assert tell.address_wait(now) == 0


def test_keys_expire_and_name_nobody(redis_url: str, host: str) -> None:
    (limit,) = limits(redis_url, host, 1)
    until(limit, "let through")
    limit.pause(time.monotonic(), 1.0)
    time.sleep(0.2)
    with redis.Redis.from_url(redis_url) as server:
        keys = server.keys("m3ter:*")
        assert keys
        for key in keys:
            assert 0 < server.ttl(key) <= 330
            assert b"organization" not in key
            assert b"example" not in key


def test_a_child_fetches_its_own_passes_whatever_its_parent_waited_for(redis_url: str, host: str) -> None:
    (limit,) = limits(redis_url, host, 1)
    until(limit, "let through")
    time.sleep(1.1)
    limit.take(time.monotonic())  # asks, and the answer comes to the parent
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writer, bytes([min(200, passes(limit, 1.0))]))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    (passed,) = os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    assert 0 < passed <= 50


def test_one_that_is_closed_says_so(redis_url: str, host: str) -> None:
    with RedisLimiter(redis_url) as limiter:
        limit = limiter.limit("configuration", "org", host)
        until(limit, "let through")
    with pytest.raises(ConfigurationError, match="is closed"):
        limit.take(time.monotonic())


def test_how_many_share_it_is_known_also_of_those_that_ask_seldom(redis_url: str, host: str) -> None:
    shared = limits(redis_url, host, 5)
    for each in shared:
        until(each, "let through")
        time.sleep(0.1)
    passes(shared[0], 0.1)
    assert shared[0]._processes == 5  # type: ignore[attr-defined]
