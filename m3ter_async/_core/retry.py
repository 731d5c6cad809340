"""When to send again, and after how long: pure functions of what happened, without clock or chance of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

Verdict = Literal["refused", "doubtful", "final"]
"""Refused: it certainly took no effect. Doubtful: it may have. Final: a repeat would end the same way."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patiently a call is repeated.

    Attributes:
        max_retries: The most repeats after the first attempt.
        initial: The ceiling of the first back-off, in seconds; it doubles with each repeat.
        longest: The ceiling of any back-off, in seconds. What a server asks for by ``Retry-After`` may be longer.
        total: No repeat starts later than this many seconds after the call began.
    """

    max_retries: int = 5
    initial: float = 0.5
    longest: float = 8.0
    total: float = 120.0

    def delay(
        self, attempt: int, elapsed: float, retry_after: float | None, chance: float, left: float = math.inf
    ) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        Full jitter: the back-off is drawn evenly between nothing and its ceiling, so that callers who failed
        together do not come back together. A ``Retry-After`` is a floor beneath it.

        Args:
            attempt: How many attempts there were.
            elapsed: Seconds since the first one began.
            retry_after: Seconds that the server asked for.
            chance: A random number from 0 up to 1.
            left: Seconds until the caller's own deadline: to wait for that would only lose what went wrong.
        """
        if attempt > self.max_retries:
            return None
        ceiling = min(self.longest, self.initial * 2.0 ** min(attempt - 1, 30))
        wait = (retry_after or 0.0) + chance * ceiling
        return wait if elapsed + wait <= self.total and wait < left else None


def verdict(status: int) -> Verdict:
    """What an HTTP status says of the request it answers."""
    if status in (425, 429):
        return "refused"
    if status == 408 or (status >= 500 and status != 501):
        return "doubtful"
    return "final"


def retry_after(value: str | None, wall: float) -> float | None:
    """The seconds that a ``Retry-After`` header asks for, given as seconds or as an HTTP date; None if it is neither.

    Args:
        value: The header.
        wall: The present, in seconds since 1970.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
            # a date without a zone is one of the old forms, which are in GMT
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


class RetryBudget:
    """What all calls of a client may spend on repeats together, so that an outage is not answered by more load.

    A repeat costs one, a success gives back half of one, up to `size`: a client in trouble sends at most half again
    as many requests as it would without repeats, while one whose requests fail now and then is never held back.
    """

    def __init__(self, size: float = 100.0, deposit: float = 0.5) -> None:
        self._size = size
        self._deposit = deposit
        self._left = size

    @property
    def left(self) -> float:
        """How many repeats could be paid now."""
        return self._left

    def spend(self) -> bool:
        """Pay for one repeat; False if there is nothing left to pay with."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def refill(self) -> None:
        """Note a success."""
        if self._left < self._size:
            self._left = min(self._size, self._left + self._deposit)
