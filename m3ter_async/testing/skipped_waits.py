"""Time that is skipped instead of waited for."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import anyio.lowlevel

from .._core.clock import Clock, make_clock


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

    What they do is otherwise the same, as often and in the same order. Only tasks and functions that run in the
    block's own context are concerned, and no client that was there before. Against a sandbox with a ``rate_limit`` of
    its own, which counts real seconds, a client has to wait.
    """
    before = make_clock.get()
    make_clock.set(SkippingClock)
    try:
        yield
    finally:
        make_clock.set(before)  # no reset by token: an async fixture may be torn down in another context
