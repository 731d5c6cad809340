"""One limit in Redis, as a process sees it: the passes that were fetched for it, and what it has to tell."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from .._core.rate_limits import address_window, shared_window
from ..events import Scope
from .shared_file import key_of

if TYPE_CHECKING:
    from .redis import RedisLimiter

_FRESH = 0.02  # seconds that a pass which was fetched can be used: it belongs to the moment it was given in
_SOON = 0.002  # seconds in which an answer of Redis may be there
_MOST = 8  # passes fetched at once


class _Lane:
    """The passes of one lane that were fetched, and when it is worth asking for more."""

    def __init__(self) -> None:
        self.passes: deque[float] = deque()  # the moments in which they were given
        self.next_try = 0.0
        self.wanted = 0
        self.want = 1


class RedisLimit:
    """One limit in Redis: a `RateLimit`, and what the limiter's thread does for it."""

    def __init__(self, limiter: RedisLimiter, scope: Scope, organization: str, host: str) -> None:
        self._limiter = limiter
        self._what = scope, organization, host
        self._size, self._period = shared_window(scope, limiter.rate)
        address = address_window(scope)
        self._address_size = 0 if address is None else address[0]
        slot = "m3ter:{" + key_of(host).hex() + "}"
        name = slot + ":" + key_of(scope, organization).hex()
        self._state = name + ":state"
        self._keys = [
            [name + ":passes", f"{name}:waiting:{lane}", self._state, f"{slot}:{scope}", name + ":seen"]
            for lane in (0, 1)
        ]
        self._generation = limiter.generation
        self._returns = limiter.returns
        self._lanes = _Lane(), _Lane()
        self._paused_until = -math.inf
        self._pause_to_tell = -math.inf
        self._address_until = -math.inf
        self._address_told = False
        self._processes = 0

    def take(self, now: float, *, bulk: bool = False) -> float:
        """As `RateLimit.take`."""
        limiter = self._limiter
        with limiter.condition:
            limiter.check_open()
            if self._generation != limiter.generation:  # what was fetched before a fork is the parent's
                self._generation = limiter.generation
                self._lanes = _Lane(), _Lane()
            if limiter.connected and self._returns != limiter.returns:
                # Redis knows nothing of what the shares gave: all wait until the last of them is back
                self._returns = limiter.returns
                self._paused_until = self._pause_to_tell = max(self._paused_until, now + self._period)
                limiter.ask(self)
            if self._paused_until > now:
                return self._paused_until - now
            if not limiter.connected:
                if self._processes and (left := limiter.lost_at + self._period - now) > 0:
                    # what Redis gave last still counts
                    return left
                return limiter.instead(self._processes, *self._what).take(now, bulk=bulk)
            lane = self._lanes[bulk]
            while lane.passes and lane.passes[0] < now - _FRESH:
                lane.passes.popleft()
                lane.want = 1
            if lane.passes:
                lane.passes.popleft()
                return 0.0
            if now < lane.next_try:
                return lane.next_try - now
            if not lane.wanted:
                lane.wanted, lane.want = lane.want, min(_MOST, 2 * lane.want)
                limiter.ask(self)
            return _SOON

    def paused(self, now: float) -> float:
        """As `RateLimit.paused`."""
        return self._paused_until - now

    def pause(self, now: float, seconds: float) -> None:
        """As `RateLimit.pause`."""
        limiter = self._limiter
        with limiter.condition:
            self._paused_until = self._pause_to_tell = max(self._paused_until, now + seconds)
            if limiter.connected:
                limiter.ask(self)
            else:  # which begins slowly after it
                limiter.instead(self._processes, *self._what).pause(now, seconds)

    def address_wait(self, now: float) -> float:
        """Seconds until the window per address has a pass again, told once for each such stretch; else 0."""
        until, self._address_until = self._address_until, -math.inf
        return max(0.0, until - now)

    def fetch(self) -> None:
        """Ask Redis for what is wanted, and tell it of a pause; from the limiter's thread alone."""
        limiter = self._limiter
        with limiter.condition:
            until = self._pause_to_tell
            wanted = [(bulk, lane, lane.wanted) for bulk, lane in enumerate(self._lanes) if lane.wanted]
        try:
            if (seconds := until - time.monotonic()) > 0:
                limiter.pause_script(keys=[self._state], args=[seconds, self._size, self._period])
                with limiter.condition:
                    if self._pause_to_tell == until:
                        self._pause_to_tell = -math.inf
            for bulk, lane, want in wanted:
                args = [self._size, self._period, want, bulk, limiter.owner, self._address_size]
                answer = limiter.take_script(keys=self._keys[bulk], args=args)
                self._take_in(lane, *(float(each) for each in answer))
        finally:
            with limiter.condition:
                for _, lane, _ in wanted:
                    lane.wanted = 0

    def _take_in(self, lane: _Lane, given: float, wait: float, paused: float, address: float, processes: float) -> None:
        with self._limiter.condition:
            now = time.monotonic()
            lane.passes.extend([now] * int(given))
            lane.next_try = 0.0 if given else now + wait
            self._processes = int(processes)
            if paused:
                self._paused_until = max(self._paused_until, now + paused)
            if not address:
                self._address_told = False
            elif not self._address_told:
                self._address_told, self._address_until = True, now + address
