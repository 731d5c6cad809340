"""Which limiter a client goes by, fixed shares, and Redis where it is not there."""

from __future__ import annotations

import logging
import pickle
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from m3ter_async import AsyncM3ter, RateLimitError
from m3ter_async.errors import ConfigurationError
from m3ter_async.events import Scope
from m3ter_async.limits import HostLimiter, Limiter, LocalLimiter, RedisLimiter, ShareLimiter

from ..fakes import KEY, ORG, SECRET, FakeTransport, answer, client
from ..wire import closed_port

HOST = "https://api.m3ter.com"


class Counting:
    """A limiter of a user's own: it lets every other request wait, and notes what it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[Scope, str, str]] = []
        self.takes = 0
        self.pauses: list[float] = []

    def limit(self, scope: Scope, organization: str, host: str) -> Any:
        self.asked.append((scope, organization, host))
        return SimpleNamespace(take=self.take, paused=lambda now: 0.0, pause=lambda now, s: self.pauses.append(s))

    def take(self, now: float, *, bulk: bool = False) -> float:
        self.takes += 1
        return 0.001 if self.takes % 2 else 0.0


async def test_a_client_goes_by_the_limiter_it_is_given_one_limit_for_each_scope_and_organization() -> None:
    mine = Counting()
    m3ter = client(FakeTransport(lambda request: answer({"data": []})), limiter=mine)
    await m3ter.accounts.list()
    await m3ter.accounts.list()
    await m3ter.with_options(org_id="other").accounts.list()
    assert mine.asked == [("configuration", ORG, HOST), ("configuration", "other", HOST)]
    assert mine.takes == 6


async def test_a_429_is_told_to_the_limiter() -> None:
    mine = Counting()
    m3ter = client(FakeTransport(lambda request: answer({}, 429, retry_after="7")), limiter=mine, max_retries=0)
    with pytest.raises(RateLimitError):
        await m3ter.accounts.list()
    assert mine.pauses == [7.0]


async def test_clients_that_share_a_limiter_share_its_limits() -> None:
    shared = LocalLimiter(2.0)
    clients = [client(FakeTransport(lambda request: answer({"data": []})), limiter=shared) for _ in range(3)]
    for each in clients:
        await each.accounts.list()
    assert [each.stats().waits for each in clients] == [0, 0, 1]


def test_a_limiter_beside_a_rate_and_what_is_none_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="pass rate= to it in place of rate_limit="):
        AsyncM3ter(KEY, SECRET, ORG, limiter=LocalLimiter(), rate_limit=10)
    wrong: Any = "/run/m3ter.limit"
    with pytest.raises(ConfigurationError, match=r"limiter= must be one of m3ter_async\.limits, not a str"):
        AsyncM3ter(KEY, SECRET, ORG, limiter=wrong)


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan"), "50", True])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    for make in (LocalLimiter, lambda each: ShareLimiter(1, 2, rate=each)):
        with pytest.raises(ConfigurationError, match="is not a number above 0"):
            make(rate)


@pytest.mark.parametrize(("part", "of"), [(0, 2), (3, 2), (1.5, 2), (True, 2), (1, "2")])
def test_a_share_that_is_none_is_refused(part: Any, of: Any) -> None:
    with pytest.raises(ConfigurationError, match="a share is part of a whole"):
        ShareLimiter(part, of)


@pytest.mark.parametrize("of", [1, 2, 7, 8, 50, 60])
@pytest.mark.parametrize("scope", ["configuration", "ingest", "explorer", "usage_query"])
def test_all_shares_together_never_pass_more_than_the_whole(scope: Scope, of: int) -> None:
    most = {"configuration": 50, "ingest": 50, "explorer": 10, "usage_query": 20}[scope]
    period = 1.0 if most == 50 else 10.0
    shares = [ShareLimiter(1, of).limit(scope, "org", HOST) for _ in range(of)]
    passed: list[float] = []
    for step in range(round(3 * period * 20)):
        now = 1000.0 + step / 20
        for each in shares:
            while each.take(now) == 0.0:
                passed.append(now)
    for begin in passed:
        assert sum(begin <= each < begin + period for each in passed) <= max(most, of)
    assert len(passed) >= (0.8 if of < most else 0) * 2 * most


def test_limiters_say_what_they_are_and_go_to_other_processes(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    limiters: list[Limiter] = [
        LocalLimiter(),
        ShareLimiter(1, 8),
        HostLimiter(tmp_path / "limit"),
        RedisLimiter("redis://user:geheim@127.0.0.1:1/0"),
    ]
    for each in limiters:
        assert type(pickle.loads(pickle.dumps(each))) is type(each)
        assert "geheim" not in repr(each)
    assert repr(limiters[1]) == "ShareLimiter(1, 8)"


# Redis that is not there


def test_a_url_that_is_none_is_refused_without_showing_it() -> None:
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError, match="begins with redis://") as refused:
        RedisLimiter("http://user:geheim@host")
    assert "geheim" not in str(refused.value)


def test_without_redis_each_keeps_to_a_share_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("redis")
    caplog.set_level(logging.WARNING, "m3ter_async")
    with RedisLimiter(f"redis://:geheim@127.0.0.1:{closed_port()}/0", share=ShareLimiter(1, 5)) as limiter:
        limit = limiter.limit("configuration", "org", HOST)
        end = time.monotonic() + 10
        passed = 0
        while limiter.connected and time.monotonic() < end:
            passed += limit.take(time.monotonic()) == 0.0
            time.sleep(0.005)
        now = time.monotonic()
        passed += sum(limit.take(now) == 0.0 for _ in range(60))
        assert passed == 10
        time.sleep(0.1)
        assert limit.take(now) > 0
    assert len(caplog.records) == 1
    assert "cannot be reached" in caplog.text
    assert "geheim" not in caplog.text
