"""The service's own rate limits, kept on this side so that nobody runs into them."""

from __future__ import annotations

from collections import deque

import anyio

from ..events import Scope
from .clock import Clock

_RATE = 50.0
# (requests, seconds): so many in any stretch of so many seconds. The two explorers refill steadily on the service's
# side (1/s and 2/s with a burst of ten seconds' worth), of which a window of ten seconds never asks more.
_WINDOWS: dict[Scope, tuple[int, float]] = {
    "configuration": (int(_RATE), 1.0),
    "ingest": (int(_RATE), 1.0),
    "explorer": (10, 10.0),
    "usage_query": (20, 10.0),
}
# Per address of the caller: it matters to those who work for several organizations at once.
_ADDRESS_WINDOWS: dict[Scope, tuple[int, float]] = {
    "configuration": (20_000, 300.0),
    "ingest": (5_000, 300.0),
}


class TokenBucket:
    """A bucket of `size` tokens, each of which comes back `period` seconds after it was taken.

    So no stretch of `period` seconds ever sees more than `size` requests, wherever the service lets its seconds
    begin; a bucket that refills steadily would let twice as many through at the start.
    """

    def __init__(self, size: int, period: float) -> None:
        self._size = size
        self._period = period
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0 if there is one now."""
        taken = self._taken
        while taken and taken[0] <= now - self._period:
            taken.popleft()
        if len(taken) < self._size:
            return 0.0
        # never zero, whatever rounding does to the sum
        return max(taken[0] + self._period - now, 1e-6)

    def take(self, now: float) -> None:
        """Take the token that `wait` said is there."""
        self._taken.append(now)


class Paused(Exception):
    """The service asked to be left alone for longer than the caller would wait; `seconds` are left of that."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Gate:
    """Where the requests of one scope and organization pass, first come, first served.

    A request takes a token from each bucket or from none, in the moment before it is sent: a token that was taken
    earlier would let through what belongs to another second.
    """

    def __init__(self, buckets: tuple[TokenBucket, ...], clock: Clock) -> None:
        self._buckets = buckets
        self._clock = clock
        self._paused_until = 0.0
        self._turn = anyio.Lock(fast_acquire=True)

    def pass_now(self) -> bool:
        """Pass if that is possible without waiting, and nobody waits already."""
        return not self._turn.locked() and self._try() == 0.0

    async def wait_to_pass(self, patience: float) -> None:
        """Wait for one's turn and pass. Who is cancelled while waiting takes nothing.

        Args:
            patience: The longest pause to sit out, in seconds; the queue itself is always waited for.

        Raises:
            Paused: A pause will last longer.
        """
        async with self._turn:
            while wait := self._try():
                pause = self._paused_until - self._clock.now()
                if pause > patience:
                    raise Paused(pause)
                await self._clock.sleep(wait)

    def pause(self, seconds: float) -> tuple[bool, float]:
        """Let nobody pass for so long: the service said that it has had enough.

        Returns:
            Whether that begins a pause, and by how many seconds it is longer than what is left of one already.
        """
        now = self._clock.now()
        until = max(self._paused_until, now + seconds)
        begins, added = self._paused_until <= now < until, until - max(self._paused_until, now)
        self._paused_until = until
        return begins, added

    def _try(self) -> float:
        """Take a token of each bucket and return 0, or return the seconds until that is worth another try."""
        now = self._clock.now()
        wait = self._paused_until - now
        for bucket in self._buckets:
            wait = max(wait, bucket.wait(now))
        if wait > 0.0:
            return wait
        for bucket in self._buckets:
            bucket.take(now)
        return 0.0


class Limits:
    """The gates of every organization, shared by all views of a client.

    Args:
        rate: Requests per second and organization on the configuration and ingest APIs; None holds nothing back, and
            only pauses on a 429.
    """

    def __init__(self, clock: Clock, *, rate: float | None = _RATE) -> None:
        self._clock = clock
        self._rate = rate
        self._gates: dict[tuple[Scope, str], Gate] = {}
        self._by_address = {scope: TokenBucket(*window) for scope, window in _ADDRESS_WINDOWS.items()}

    def gate(self, scope: Scope, org_id: str) -> Gate:
        """The gate for requests of this scope to this organization."""
        gate = self._gates.get((scope, org_id))
        if gate is None:
            gate = self._gates[scope, org_id] = Gate(tuple(self._new_buckets(scope)), self._clock)
        return gate

    def _new_buckets(self, scope: Scope) -> list[TokenBucket]:
        if self._rate is None:
            return []
        if scope not in self._by_address:
            return [TokenBucket(*_WINDOWS[scope])]
        # below one a second, the period grows instead of the bucket
        own = TokenBucket(int(self._rate), 1.0) if self._rate >= 1 else TokenBucket(1, 1.0 / self._rate)
        return [own, self._by_address[scope]]
