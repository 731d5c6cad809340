"""The rate limit of the service: a number of requests in each second."""

from __future__ import annotations

from time import monotonic

from m3ter_async.sandbox.refusal import Refusal


class RateLimit:
    """Counts the requests of each second; those above the limit are refused until the next second."""

    def __init__(self, per_second: int | None) -> None:
        self._per_second = per_second
        self._second = -1
        self._count = 0

    def admit(self) -> None:
        """Count one request; 429 when it is one too many."""
        if self._per_second is None:
            return
        second = int(monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > self._per_second:
            raise Refusal(429, f"more than {self._per_second} requests in this second")
