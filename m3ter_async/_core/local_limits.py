"""The rate limits of one process: token buckets, and the windows per address that its clients share."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from msgspec import UNSET, UnsetType

from ..errors import ConfigurationError
from ..events import Scope
from .clock import Clock
from .identity import exported
from .rate_limits import ADDRESS_WINDOWS, RATE, Limiter, checked_rate, slow_start, window
from .settings import positive


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


class LocalLimiter:
    """The limits of one process, which is what a client has by itself.

    Clients of one event loop may share one.

    Args:
        rate: Requests per second and organization on the configuration and ingest APIs; None holds nothing back, and
            only pauses on a 429.

    Raises:
        ConfigurationError: `rate` is not a number above 0.
    """

    def __init__(self, rate: float | None = RATE, *, _clock: Clock | None = None, _share: float = 1.0) -> None:
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


def chosen(
    limiter: Limiter | None, rate: float | UnsetType | None, clock: Clock, named: Callable[[str], Limiter]
) -> Limiter:
    """The limiter of a client: what it was passed, what the environment names, or one of its own.

    Raises:
        ConfigurationError: They do not fit together.
    """
    if limiter is not None:
        if rate is not UNSET:
            raise ConfigurationError("limiter= has a rate of its own: pass rate= to it in place of rate_limit=")
        if not callable(getattr(limiter, "limit", None)):
            raise ConfigurationError(f"limiter= must be one of m3ter_async.limits, not a {type(limiter).__name__}")
        return limiter
    if rate is not UNSET:
        return LocalLimiter(None if rate is None else positive("rate_limit", rate), _clock=clock)
    where = exported("limiter")
    return LocalLimiter(_clock=clock) if where is None else named(where.value)


_windows: dict[tuple[str, float], dict[Scope, AddressWindow]] = {}
_windows_lock = threading.Lock()
_MOST_HOSTS = 64


def _address_windows(host: str, clock: Clock, share: float) -> dict[Scope, AddressWindow]:
    made: dict[Scope, AddressWindow] = {
        scope: AddressWindow(max(1, int(size * share)), period) for scope, (size, period) in ADDRESS_WINDOWS.items()
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
