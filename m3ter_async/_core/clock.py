"""Time and chance, in one object that a test can replace."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from contextvars import ContextVar

import anyio


class Clock:
    """The real thing; everything that waits, measures or draws takes one of these."""

    def now(self) -> float:
        """Monotonic seconds, blind to changes of the wall clock."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, to read the dates that servers send."""
        return time.time()

    def random(self) -> float:
        """A number from 0 up to 1."""
        return random.random()

    def left(self) -> float:
        """Seconds until the cancel scopes around the caller end it; infinite where none does."""
        deadline = anyio.current_effective_deadline()
        return deadline if math.isinf(deadline) else deadline - anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        """Wait, giving way to other tasks."""
        await anyio.sleep(seconds)


make_clock: ContextVar[Callable[[], Clock]] = ContextVar("make_clock", default=Clock)
"""What clients that are made in this context take their clock from."""
