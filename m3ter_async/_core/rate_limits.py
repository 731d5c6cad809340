"""The service's own rate limits, kept on this side so that nobody runs into them, and what a 429 does to them."""

from __future__ import annotations

import math
import threading
from collections import deque

from ..events import Scope
from .clock import Clock
from .retry import RetryBudget

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
# After a 429 without Retry-After: the service refuses for the rest of the second in which the limit was passed.
_PAUSE = 1.0
# No limit of the service looks back further than this: whoever asks for more is not believed.
_LONGEST_PAUSE = 300.0


def pause_after(retry_after: float | None) -> float:
    """How long nobody passes after a 429, in seconds."""
    return _PAUSE if retry_after is None else min(retry_after, _LONGEST_PAUSE)


class TokenBucket:
    """A bucket of `size` tokens, each of which comes back `period` seconds after it was taken.

    So no stretch of `period` seconds ever sees more than `size` requests, wherever the service lets its seconds
    begin; a bucket that refills steadily would let twice as many through at the start.

    Bulk requests leave room for others: as many tokens as others took of late, and a few more.

    Attributes:
        size: How many tokens there are.
        period: After how many seconds a token comes back.
    """

    def __init__(self, size: int, period: float) -> None:
        self.size = size
        self.period = period
        self._taken: deque[float] = deque()
        self._bulk: deque[float] = deque()

    def wait(self, now: float, *, most: int | None = None, bulk: bool = False) -> float:
        """Seconds until there is a token; 0 if there is one now.

        Args:
            now: Monotonic seconds.
            most: How many of the tokens may be used, where not all.
            bulk: Whether it is for a bulk request.
        """
        taken, gone = self._taken, now - self.period
        while taken and taken[0] <= gone:
            taken.popleft()
        most = self.size if most is None else most
        over = len(taken) - most
        # never zero, whatever rounding does to the sum
        wait = 0.0 if over < 0 else max(taken[over] - gone, 1e-6)
        if bulk:
            others = self._bulk
            while others and others[0] <= gone:
                others.popleft()
            kept = min(most // 2, most // 25 + len(taken) - len(others))
            over = len(others) - (most - kept)
            if over >= 0:
                wait = max(wait, others[over] - gone, 1e-6)
        return wait

    def take(self, now: float, *, bulk: bool = False) -> None:
        """Take the token that `wait` said is there."""
        self._taken.append(now)
        if bulk:
            self._bulk.append(now)


class AddressWindow(TokenBucket):
    """The window per address: every client of a process that calls the same host counts against it.

    Attributes:
        told_until: Until then it was told that the window is used up.
    """

    def __init__(self, size: int, period: float) -> None:
        super().__init__(size, period)
        self.told_until: float = -math.inf


class Gate:
    """Where the requests of one scope and organization pass.

    A request takes a token from each bucket or from none, in the moment before it is sent: a token that was taken
    earlier would let through what belongs to another second.

    After a 429 others use the same limit: half of the tokens are used at first, and a tenth more each period.

    Attributes:
        organization: Whose requests these are.
        scope: Which of the service's limits it is.
        budget: What these requests may spend on repeats.
    """

    def __init__(
        self, scope: Scope, organization: str, own: TokenBucket | None, address: AddressWindow | None = None
    ) -> None:
        self.scope: Scope = scope
        self.organization = organization
        self.budget: RetryBudget = RetryBudget()
        self._own = own
        self._address = address
        self._paused_until = -math.inf
        self._start = math.inf  # tokens used when the last pause ended
        self._started = 0.0

    def take(self, now: float, *, bulk: bool = False) -> float:
        """Take a token of each bucket and return 0, or return the seconds until that is worth another try."""
        wait = self._paused_until - now
        own, address = self._own, self._address
        if own is not None:
            wait = max(wait, own.wait(now, most=self._most(own, now), bulk=bulk))
        if address is not None:
            wait = max(wait, address.wait(now))
        if wait > 0.0:
            return wait
        if own is not None:
            own.take(now, bulk=bulk)
        if address is not None:
            address.take(now)
        return 0.0

    def _most(self, own: TokenBucket, now: float) -> int:
        if self._start == math.inf:
            return own.size
        grown = self._start + (now - self._started) / own.period * own.size / 10
        if grown < own.size:
            return max(1, int(grown))
        self._start = math.inf
        return own.size

    def paused(self, now: float) -> float:
        """Seconds left of a pause; 0 or less where there is none."""
        return self._paused_until - now

    def pause(self, now: float, seconds: float) -> tuple[bool, float]:
        """Let nobody pass for so long: the service said that it has had enough.

        Returns:
            Whether that begins a pause, and by how many seconds it is longer than what is left of one already.
        """
        until = max(self._paused_until, now + seconds)
        begins, added = self._paused_until <= now < until, until - max(self._paused_until, now)
        if self._own is not None and self._paused_until <= now:  # more of them in one pause say nothing new
            self._start = max(1.0, self._most(self._own, now) / 2)
        self._paused_until = self._started = until
        return begins, added

    def address_wait(self, now: float) -> float:
        """Seconds until the window per address has a token again, told once for each such stretch; else 0."""
        address = self._address
        if address is None or now < address.told_until or not (wait := address.wait(now)):
            return 0.0
        address.told_until = now + wait
        return wait


class Limits:
    """The gates of every organization, shared by all views of a client.

    Args:
        rate: Requests per second and organization on the configuration and ingest APIs; None holds nothing back, and
            only pauses on a 429.
        host: The service that is called: its window per address is shared by the clients of a process.
    """

    def __init__(self, clock: Clock, *, rate: float | None = _RATE, host: str = "") -> None:
        self._rate = rate
        self._gates: dict[tuple[Scope, str], Gate] = {}
        self._address = {} if rate is None else _address_windows(host, clock)

    def gate(self, scope: Scope, organization: str) -> Gate:
        """The gate for requests of this scope to this organization."""
        gate = self._gates.get((scope, organization))
        if gate is None:
            gate = self._gates[scope, organization] = Gate(
                scope, organization, self._own(scope), self._address.get(scope)
            )
        return gate

    def _own(self, scope: Scope) -> TokenBucket | None:
        if self._rate is None:
            return None
        if scope not in _ADDRESS_WINDOWS:
            return TokenBucket(*_WINDOWS[scope])
        # below one a second, the period grows instead of the bucket
        return TokenBucket(int(self._rate), 1.0) if self._rate >= 1 else TokenBucket(1, 1.0 / self._rate)


_windows: dict[str, dict[Scope, AddressWindow]] = {}
_windows_lock = threading.Lock()
_MOST_HOSTS = 64


def _address_windows(host: str, clock: Clock) -> dict[Scope, AddressWindow]:
    # clocks of tests tell times of their own, which must not meet in one window
    made: dict[Scope, AddressWindow] = {scope: AddressWindow(*window) for scope, window in _ADDRESS_WINDOWS.items()}
    if type(clock) is not Clock:
        return made
    with _windows_lock:
        found = _windows.get(host)
        if found is None:
            found = made
            if len(_windows) >= _MOST_HOSTS:  # hosts come from configuration, but tests make many
                del _windows[next(iter(_windows))]
            _windows[host] = found
        return found
