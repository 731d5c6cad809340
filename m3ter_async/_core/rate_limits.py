"""The service's own rate limits, kept on this side so that nobody runs into them, and what a 429 does to them."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..errors import ConfigurationError
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


class RateLimit(Protocol):
    """One limit of the service: that of a scope for an organization, with the window per address where there is one.

    Times are monotonic seconds (`time.monotonic`). No method may block: each is called by an event loop.
    """

    def take(self, now: float, *, bulk: bool = False) -> float:
        """Take a pass for a request that is sent in this moment.

        Args:
            now: The time.
            bulk: Whether the request lets all others go first.

        Returns:
            0.0 if it may be sent; else the seconds until that is worth asking again, and nothing was taken.
        """
        ...

    def paused(self, now: float) -> float:
        """Seconds left of a pause; 0 or less where there is none."""
        ...

    def pause(self, now: float, seconds: float) -> None:
        """Let nobody pass for so many seconds: the service answered 429."""
        ...


class Limiter(Protocol):
    """Who may send a request, and when: what ``AsyncM3ter(limiter=...)`` takes."""

    def limit(self, scope: Scope, organization: str, host: str) -> RateLimit:
        """The limit that requests of this kind share.

        Args:
            scope: Which of the service's limits it is.
            organization: Whose requests these are.
            host: The base URL that is called: its window per address is shared by all organizations.
        """
        ...


class LocalLimit:
    """A limit that is kept in this process.

    A request takes a token from each bucket or from none, in the moment before it is sent: a token that was taken
    earlier would let through what belongs to another second.

    After a 429 others use the same limit: half of the tokens are used at first, and a tenth more each period.
    """

    def __init__(self, own: TokenBucket | None, address: AddressWindow | None = None) -> None:
        self._own = own
        self._address = address
        self._paused_until = -math.inf
        self._start = math.inf  # tokens used when the last pause ended
        self._started = 0.0

    def take(self, now: float, *, bulk: bool = False) -> float:
        """As `RateLimit.take`."""
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
        grown = slow_start(self._start, now - self._started, own.size, own.period)
        if grown < own.size:
            return max(1, int(grown))
        self._start = math.inf
        return own.size

    def paused(self, now: float) -> float:
        """As `RateLimit.paused`."""
        return self._paused_until - now

    def pause(self, now: float, seconds: float) -> None:
        """As `RateLimit.pause`."""
        until = max(self._paused_until, now + seconds)
        if self._own is not None and self._paused_until <= now:  # more of them in one pause say nothing new
            self._start = max(1.0, self._most(self._own, now) / 2)
        self._paused_until = self._started = until

    def address_wait(self, now: float) -> float:
        """Seconds until the window per address has a token again, told once for each such stretch; else 0."""
        address = self._address
        if address is None or now < address.told_until or not (wait := address.wait(now)):
            return 0.0
        address.told_until = now + wait
        return wait


def slow_start(began: float, seconds: float, size: int, period: float) -> float:
    """How many of `size` tokens are used so many seconds after a pause, of which `began` were used at its end."""
    return began + seconds / period * size / 10


class Gate:
    """Where the requests of one scope and organization pass: a limit, and what else they share.

    Attributes:
        organization: Whose requests these are.
        scope: Which of the service's limits it is.
        budget: What these requests may spend on repeats.
        take: `RateLimit.take`.
        paused: `RateLimit.paused`.
    """

    __slots__ = ("__weakref__", "_limit", "budget", "organization", "paused", "scope", "take")

    def __init__(self, scope: Scope, organization: str, limit: RateLimit) -> None:
        self.scope: Scope = scope
        self.organization = organization
        self.budget: RetryBudget = RetryBudget()
        self._limit = limit
        self.take = limit.take
        self.paused = limit.paused

    def pause(self, now: float, seconds: float) -> tuple[bool, float]:
        """Let nobody pass for so long: the service said that it has had enough.

        Returns:
            Whether that begins a pause, and by how many seconds it is longer than what is left of one already.
        """
        before = max(0.0, self.paused(now))
        self._limit.pause(now, seconds)
        after = max(0.0, self.paused(now))
        return before == 0.0 < after, after - before

    def address_wait(self, now: float) -> float:
        """Seconds until the window per address has a token again, where the limit tells of that; else 0."""
        tell: Callable[[float], float] | None = getattr(self._limit, "address_wait", None)
        return 0.0 if tell is None else tell(now)


class Gates:
    """The gates of every organization, shared by all views of a client.

    Args:
        limiter: Has the limits.
        host: The service that is called.
    """

    def __init__(self, limiter: Limiter, host: str) -> None:
        self._limiter = limiter
        self._host = host
        self._gates: dict[tuple[Scope, str], Gate] = {}

    def gate(self, scope: Scope, organization: str) -> Gate:
        """The gate for requests of this scope to this organization."""
        gate = self._gates.get((scope, organization))
        if gate is None:
            limit = self._limiter.limit(scope, organization, self._host)
            gate = self._gates[scope, organization] = Gate(scope, organization, limit)
        return gate


def window(scope: Scope, rate: float, share: float = 1.0) -> tuple[int, float]:
    """How many requests in how many seconds a scope allows one organization.

    Args:
        scope: Which limit it is.
        rate: Requests a second on the configuration and ingest APIs.
        share: The part of it that is used.
    """
    size, period = (rate, 1.0) if scope in _ADDRESS_WINDOWS else _WINDOWS[scope]
    part = size * share
    # below one in a period, the period grows instead of the bucket
    return (int(part), period) if part >= 1 else (1, period / part)


def shared_window(scope: Scope, rate: float, late: float = 0.02) -> tuple[int, float]:
    """The same for those who share a limit, a little less of it.

    Each of them may be held up between taking a pass and sending, so that its request comes among those of others.

    Args:
        scope: Which limit it is.
        rate: Requests a second on the configuration and ingest APIs.
        late: The part of a period that a request may be late by.
    """
    size, period = window(scope, rate)
    return size - size // 50, period * (1 + late)


def address_window(scope: Scope) -> tuple[int, float] | None:
    """How many requests in how many seconds a scope allows one address, for all organizations together."""
    return _ADDRESS_WINDOWS.get(scope)


class LocalLimiter:
    """The limits of one process, which is what a client has by itself.

    Clients of one event loop may share one.

    Args:
        rate: Requests per second and organization on the configuration and ingest APIs; None holds nothing back, and
            only pauses on a 429.

    Raises:
        ConfigurationError: `rate` is not a number above 0.
    """

    def __init__(self, rate: float | None = _RATE, *, _clock: Clock | None = None, _share: float = 1.0) -> None:
        self._rate = rate if rate is None else checked_rate(rate)
        self._share = _share
        self._clock = _clock or Clock()
        self._limits: dict[tuple[Scope, str, str], LocalLimit] = {}
        self._windows: dict[str, dict[Scope, AddressWindow]] = {}

    def limit(self, scope: Scope, organization: str, host: str) -> LocalLimit:
        """The limit that requests of this kind share."""
        key = (scope, organization, host)
        found = self._limits.get(key)
        if found is None:
            found = self._limits[key] = self._made(scope, host)
        return found

    def _made(self, scope: Scope, host: str) -> LocalLimit:
        if self._rate is None:
            return LocalLimit(None)
        if host not in self._windows:
            self._windows[host] = _address_windows(host, self._clock, self._share)
        return LocalLimit(TokenBucket(*window(scope, self._rate, self._share)), self._windows[host].get(scope))


def checked_rate(rate: object) -> float:
    """A rate that can be kept.

    Raises:
        ConfigurationError: It is not a number above 0.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
        raise ConfigurationError(f"rate={rate!r} is not a number above 0")
    return float(rate)


_windows: dict[tuple[str, float], dict[Scope, AddressWindow]] = {}
_windows_lock = threading.Lock()
_MOST_HOSTS = 64


def _address_windows(host: str, clock: Clock, share: float) -> dict[Scope, AddressWindow]:
    made: dict[Scope, AddressWindow] = {
        scope: AddressWindow(max(1, int(size * share)), period) for scope, (size, period) in _ADDRESS_WINDOWS.items()
    }
    # clocks of tests tell times of their own, which must not meet in one window
    if type(clock) is not Clock:
        return made
    with _windows_lock:
        found = _windows.get((host, share))
        if found is None:
            found = made
            if len(_windows) >= _MOST_HOSTS:  # hosts come from configuration, but tests make many
                del _windows[next(iter(_windows))]
            _windows[host, share] = found
        return found
