"""Time that is skipped instead of waited for."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import anyio.lowlevel

from .._core.clock import Clock, clocks_made_by


class SkippingClock(Clock):
    """Real time, in which each sleep is over at once and seems to have lasted as long as it was to last."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        """Monotonic seconds, with those that were skipped."""
        return super().now() + self._skipped

    def wall(self) -> float:
        """Seconds since 1970, with those that were skipped."""
        return super().wall() + self._skipped

    def left(self) -> float:
        """No sleep is cut off by a deadline in real time."""
        return math.inf

    async def sleep(self, seconds: float) -> None:
        """Skip so much time; those who sleep side by side skip it together."""
        until = self.now() + seconds
        await anyio.lowlevel.checkpoint()
        self._skipped += max(0.0, until - self.now())


@contextmanager
def no_waits() -> Generator[None]:
    """Clients that are made within this block wait for nothing: neither back-offs nor pauses nor rate limits.

    What they do is otherwise the same, as often and in the same order. The block holds for what runs in its own
    context, and for threads that begin within it, such as that in which Starlette's ``TestClient`` runs an
    application; no client that was there before is concerned. Against a sandbox with a ``rate_limit`` of its own,
    which counts real seconds, a client has to wait.
    """
    with clocks_made_by(SkippingClock):
        yield
