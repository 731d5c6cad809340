"""The service's own rate limits, kept on this side so that nobody runs into them, and what a 429 does to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from ..errors import ConfigurationError
from ..events import Scope
from .retry import RetryBudget

RATE = 50.0
# (requests, seconds): so many in any stretch of so many seconds. The two explorers refill steadily on the service's
# side (1/s and 2/s with a burst of ten seconds' worth), of which a window of ten seconds never asks more.
_WINDOWS: dict[Scope, tuple[int, float]] = {
    "configuration": (int(RATE), 1.0),
    "ingest": (int(RATE), 1.0),
    "explorer": (10, 10.0),
    "usage_query": (20, 10.0),
}
# Per address of the caller: it matters to those who work for several organizations at once.
ADDRESS_WINDOWS: dict[Scope, tuple[int, float]] = {
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


def slow_start(began: float, seconds: float, size: int, period: float) -> float:
    """How many of `size` tokens are used so many seconds after a pause, of which `began` were used at its end."""
    return began + seconds / period * size / 10


class _Take(Protocol):
    def __call__(self, now: float, *, bulk: bool = False) -> float: ...


class Gate:
    """Where the requests of one scope and organization pass: a limit, and what else they share.

    Attributes:
        organization: Whose requests these are.
        scope: Which of the service's limits it is.
        budget: What these requests may spend on repeats.
        take: `RateLimit.take`.
        paused: `RateLimit.paused`.
        sharing_changed: Whether a limiter that others use too can be used again, or (False) not for now; None where
            that is as it was.
    """

    __slots__ = ("__weakref__", "_limit", "budget", "organization", "paused", "scope", "sharing_changed", "take")

    def __init__(
        self,
        scope: Scope,
        organization: str,
        limit: RateLimit,
        sharing_changed: Callable[[], bool | None] = lambda: None,
    ) -> None:
        self.sharing_changed: Callable[[], bool | None] = sharing_changed
        self.scope: Scope = scope
        self.organization: str = organization
        self.budget: RetryBudget = RetryBudget()
        self._limit = limit
        self.take: _Take = limit.take
        self.paused: Callable[[float], float] = limit.paused

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
        self._shared = True
        self._gates: dict[tuple[Scope, str], Gate] = {}

    def gate(self, scope: Scope, organization: str) -> Gate:
        """The gate for requests of this scope to this organization."""
        gate = self._gates.get((scope, organization))
        if gate is None:
            limit = self._limiter.limit(scope, organization, self._host)
            gate = self._gates[scope, organization] = Gate(scope, organization, limit, self._sharing_changed)
        return gate

    def _sharing_changed(self) -> bool | None:
        shared = bool(getattr(self._limiter, "connected", True))
        if shared is self._shared:
            return None
        self._shared = shared
        return shared


def window(scope: Scope, rate: float, share: float = 1.0) -> tuple[int, float]:
    """How many requests in how many seconds a scope allows one organization.

    Args:
        scope: Which limit it is.
        rate: Requests a second on the configuration and ingest APIs.
        share: The part of it that is used.
    """
    size, period = (rate, 1.0) if scope in ADDRESS_WINDOWS else _WINDOWS[scope]
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
    return ADDRESS_WINDOWS.get(scope)


def checked_rate(rate: object) -> float:
    """A rate that can be kept.

    Raises:
        ConfigurationError: It is not a number above 0.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
        raise ConfigurationError(f"rate={rate!r} is not a number above 0")
    return float(rate)
