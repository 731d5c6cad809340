"""Time and chance, in one object that a test can replace."""

from __future__ import annotations

import random
import time

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

    async def sleep(self, seconds: float) -> None:
        """Wait, giving way to other tasks."""
        await anyio.sleep(seconds)
