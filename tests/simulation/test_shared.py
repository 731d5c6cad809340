"""Clients that share a limit: no second is too full, a pause holds for all, who dies holds up nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from m3ter_async.events import Scope
from m3ter_async.limits import Limiter, LocalLimiter, RateLimit

from .run import BACKENDS
from .shared import KINDS, SharedWorld, draw

pytest.importorskip("fcntl")

_WORLDS = 15


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_shared_limit_promises_holds_in_every_world(tmp_path: Path, backend: str) -> None:
    assert {draw(seed).kind for seed in range(_WORLDS)} == set(KINDS)
    assert any(draw(seed).dies_at for seed in range(_WORLDS))
    assert any(draw(seed).throttled_at for seed in range(_WORLDS))
    for seed in range(_WORLDS):
        world = SharedWorld(seed, backend, tmp_path).run()
        assert not world.failures, f"seed {seed} on {backend}, {world.crowd}: {world.failures[:3]}"
        assert world.sent > 100


class _Deaf:
    """Has the same limit, and does not hear of pauses."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self.take = limit.take

    def paused(self, now: float) -> float:
        return 0.0

    def pause(self, now: float, seconds: float) -> None:
        pass


class _Deafened:
    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def limit(self, scope: Scope, organization: str, host: str) -> RateLimit:
        return _Deaf(self._limiter.limit(scope, organization, host))


def _alone(_: Limiter) -> Limiter:
    return LocalLimiter(50)


@pytest.mark.parametrize(("limiter", "found"), [(_alone, "requests in the second"), (_Deafened, "in a pause")])
def test_a_limit_that_is_not_shared_is_found(tmp_path: Path, limiter: Callable[[Limiter], Limiter], found: str) -> None:
    worlds = [SharedWorld(seed, "asyncio", tmp_path, limiter).run() for seed in range(6)]
    assert any(found in failure for world in worlds for failure in world.failures)
