"""When to send again, and after how long: pure functions of what happened, without clock or chance of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

Repeat = Literal["read", "safe", "versioned", "never"]
"""What an operation does, and so whether it may be repeated in doubt; see `Operation.repeat`."""

Verdict = Literal["refused", "doubtful", "final"]
"""Refused: it certainly took no effect. Doubtful: it may have. Final: a repeat would end the same way."""

_BY_METHOD: dict[str, Repeat] = {
    **dict.fromkeys(("GET", "HEAD", "OPTIONS"), "read"),
    "DELETE": "safe",
    "PUT": "versioned",
}


def repeat_of(method: str) -> Repeat:
    """What an HTTP method says of repeating, where nothing else is known of the operation."""
    return _BY_METHOD.get(method, "never")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patiently a call is repeated.

    Attributes:
        max_retries: The most repeats after failures that may have taken effect; 0 repeats nothing at all. A certain
            refusal (a 429, a connection that is refused) is repeated as long as there is time.
        initial: The ceiling of the first back-off, in seconds; it doubles with each repeat.
        longest: The ceiling of any back-off, in seconds. What a server asks for by ``Retry-After`` may be longer.
        total: No repeat starts later than this many seconds after the call was first sent.
    """

    max_retries: int = 5
    initial: float = 0.5
    longest: float = 8.0
    total: float = 120.0

    def delay(
        self, attempt: int, elapsed: float, retry_after: float | None, chance: float, left: float = math.inf
    ) -> float | None:
        """Seconds to wait before the next attempt, or None where there is no time for it.

        Full jitter: the back-off is drawn evenly between nothing and its ceiling, so that callers who failed
        together do not come back together. A ``Retry-After`` is a floor beneath it.

        Args:
            attempt: How many attempts there were.
            elapsed: Seconds since the first one began.
            retry_after: Seconds that the server asked for.
            chance: A random number from 0 up to 1.
            left: Seconds until the call's deadline: to wait for that would only lose what went wrong.
        """
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


def retry_after(value: str | None, wall: float, date: str | None = None) -> float | None:
    """The seconds that a ``Retry-After`` header asks for, given as seconds or as an HTTP date; None if it is neither.

    Args:
        value: The header.
        wall: The present by this machine, in seconds since 1970.
        date: The ``Date`` of the same answer. A date is measured by it, since this machine's clock may be wrong.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until, now = _moment(value), _moment(date)
        if until is None:
            return None
        seconds = until - (math.floor(wall) if now is None else now)  # a date has whole seconds: never wait too short
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _moment(date: str | None) -> float | None:
    """An HTTP date in seconds since 1970."""
    try:
        moment = parsedate_to_datetime(date or "")
        # a date without a zone is one of the old forms, which are in GMT
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


class RetryBudget:
    """What the calls to one organization may spend on repeats together, so that an outage is not answered by more load.

    A repeat costs one. A success gives back half of one and each second `refill`, up to `size`. When nothing is left
    repeats go on, but spaced out: each waits until its turn could be paid.
    """

    def __init__(self, size: float = 100.0, deposit: float = 0.5, refill: float = 5.0) -> None:
        self._size = size
        self._deposit = deposit
        self._refill = refill
        self._left = size
        self._as_of = -math.inf

    def left(self, now: float) -> float:
        """How many repeats could be paid now; below zero, how many wait."""
        if now > self._as_of:
            if self._left < self._size and self._as_of > -math.inf:
                self._left = min(self._size, self._left + (now - self._as_of) * self._refill)
            self._as_of = now
        return self._left

    def wait(self, now: float) -> float:
        """Seconds until one more repeat could be paid."""
        return max(0.0, 1.0 - self.left(now)) / self._refill

    def spend(self, now: float) -> None:
        """Pay for one repeat, if need be out of what comes in later."""
        self._left = self.left(now) - 1.0

    def refill(self) -> None:
        """Note a success."""
        if self._left < self._size:
            self._left = min(self._size, self._left + self._deposit)
