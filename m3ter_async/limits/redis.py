"""One limit for all hosts, in a Redis server."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from .._core.rate_limits import RateLimit, address_window, checked_rate, shared_window
from ..errors import ConfigurationError
from ..events import Scope
from .redis_script import PAUSE, TAKE
from .share import ShareLimiter
from .shared_file import key_of

_log = logging.getLogger("m3ter_async")
_PATIENCE = 1.0  # seconds that an answer of Redis may take
_AGAIN = 2.0  # seconds until a Redis that was gone is asked again
_FRESH = 0.02  # seconds that a pass which was fetched can be used: it belongs to the moment it was given in
_SOON = 0.002  # seconds in which an answer of Redis may be there
_MOST = 8  # passes fetched at once
_UNKNOWN = 10  # among how many the rate is shared where Redis never told how many there are


class RedisLimiter:
    """The limits of all processes of all hosts, shared through a Redis server (7 or newer, Valkey too).

    Needs the extra ``redis``. Redis is asked from a thread, so that it works on every event loop and never holds one
    up. Where Redis is gone, each process keeps to a fixed share of the rate, which is told once in the log, and comes
    back to Redis by itself. Only hashes of ids are stored, in keys that expire.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with user and password where they are needed.
        rate: Requests per second and organization on the configuration and ingest APIs.
        share: What a process keeps to while Redis is gone; by default one of as many shares as there were processes.

    Raises:
        ConfigurationError: The URL cannot be used, or the extra is not installed.
    """

    def __init__(self, url: str, *, rate: float = 50.0, share: ShareLimiter | None = None) -> None:
        self.rate: float = checked_rate(rate)
        self._url = url
        self._share = share
        self._active = _UNKNOWN
        self._condition = threading.Condition()
        self._asked: dict[_RedisLimit, None] = {}
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._closed = False
        self._gone = False
        self._owner = os.urandom(8).hex()
        try:
            library = import_module("redis")
        except ModuleNotFoundError:
            raise ConfigurationError('a RedisLimiter needs redis: pip install "m3ter-async[redis]"') from None
        self._errors: tuple[type[Exception], ...] = (library.RedisError, OSError)
        try:
            self._server: Any = library.Redis.from_url(
                url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry_on_timeout=False
            )
        except (ValueError, TypeError, AttributeError):
            raise ConfigurationError("the URL of a RedisLimiter begins with redis://, rediss:// or unix://") from None
        self._take: Any = self._server.register_script(TAKE)
        self._pause: Any = self._server.register_script(PAUSE)

    @property
    def connected(self) -> bool:
        """Whether Redis answered when it was asked last."""
        return not self._gone

    def limit(self, scope: Scope, organization: str, host: str) -> RateLimit:
        """The limit that requests of this kind share."""
        return _RedisLimit(self, scope, organization, host)

    def close(self) -> None:
        """End the thread and the connection."""
        with self._condition:
            self._closed = True
            self._condition.notify()
            thread = self._thread
        if thread is not None and self._pid == os.getpid():
            thread.join(2 * _PATIENCE)
        self._server.close()

    def __enter__(self) -> RedisLimiter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RedisLimiter({self._shown()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._url, self.rate, self._share)

    def _shown(self) -> str:
        """Where Redis is, without user and password."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def ask(self, limit: _RedisLimit) -> None:
        """Have the thread ask Redis for this limit; the caller holds the condition."""
        if self._pid != os.getpid():  # after a fork there is no thread, and the connection is the parent's
            self._pid, self._thread = os.getpid(), None
            self._owner = os.urandom(8).hex()
            self._server.connection_pool.reset()
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._work, name="m3ter-limits", daemon=True)
            self._thread.start()
        self._asked[limit] = None
        self._condition.notify()

    def instead(self, now: float, scope: Scope, organization: str, host: str) -> RateLimit:
        """The limit that is kept while Redis is gone."""
        if self._share is None:
            self._share = ShareLimiter(1, max(1, self._active), rate=self.rate)
        return self._share.limit(scope, organization, host)

    @property
    def condition(self) -> threading.Condition:
        """Held while a limit of this is read or changed."""
        return self._condition

    def _work(self) -> None:
        while True:
            with self._condition:
                if not self._asked and not self._closed:
                    self._condition.wait(_AGAIN if self._gone else None)
                if self._closed:
                    return
                asked, self._asked = list(self._asked), {}
            try:
                if self._gone:
                    self._server.ping()
                    self._back()
                for each in asked:
                    self._active = each.fetch(self._take, self._pause, self._owner) or self._active
            except self._errors as error:
                self._lost(error)
                time.sleep(_SOON)

    def _lost(self, error: Exception) -> None:
        if not self._gone:
            self._gone = True
            _log.warning(
                "the rate limit in Redis at %s cannot be reached (%s): this process keeps to a fixed share of it",
                self._shown(),
                type(error).__name__,
            )

    def _back(self) -> None:
        self._gone = False
        _log.warning("the rate limit in Redis at %s is shared again", self._shown())


def _again(url: str, rate: float, share: ShareLimiter | None) -> RedisLimiter:
    return RedisLimiter(url, rate=rate, share=share)


class _Lane:
    """The passes of one lane that were fetched, and when it is worth asking for more."""

    def __init__(self) -> None:
        self.passes: deque[float] = deque()  # the moments in which they were given
        self.next_try = 0.0
        self.wanted = 0
        self.want = 1


class _RedisLimit:
    """One limit in Redis."""

    def __init__(self, limiter: RedisLimiter, scope: Scope, organization: str, host: str) -> None:
        self._limiter = limiter
        self._what = scope, organization, host
        self._size, self._period = shared_window(scope, limiter.rate)
        address = address_window(scope)
        self._address_size = 0 if address is None else address[0]
        slot = "m3ter:{" + key_of(host).hex() + "}"
        name = key_of(scope, organization).hex()
        self._keys = [*(f"{slot}:{name}:{each}" for each in ("passes", "waiting", "state")), f"{slot}:{scope}"]
        self._lanes = _Lane(), _Lane()
        self._paused_until = 0.0
        self._to_pause = 0.0

    def take(self, now: float, *, bulk: bool = False) -> float:
        with self._limiter.condition:
            if self._paused_until > now:
                return self._paused_until - now
            if not self._limiter.connected:
                return self._limiter.instead(now, *self._what).take(now, bulk=bulk)
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
                self._limiter.ask(self)
            return _SOON

    def paused(self, now: float) -> float:
        return self._paused_until - now

    def pause(self, now: float, seconds: float) -> None:
        with self._limiter.condition:
            self._paused_until = max(self._paused_until, now + seconds)
            self._to_pause = max(self._to_pause, seconds)
            self._limiter.ask(self)

    def fetch(self, take: Any, pause: Any, owner: str) -> int:
        """Ask Redis for what is wanted; how many processes share the limit."""
        with self._limiter.condition:
            seconds, self._to_pause = self._to_pause, 0.0
            wanted = [(number, lane, lane.wanted) for number, lane in enumerate(self._lanes) if lane.wanted]
        active = 0
        try:
            if seconds:
                pause(keys=[self._keys[2]], args=[seconds, self._size, self._period])
            for number, lane, want in wanted:
                args = [self._size, self._period, want, number, owner, self._address_size]
                given, wait, paused, active = take(keys=self._keys, args=args)
                with self._limiter.condition:
                    now = time.monotonic()
                    lane.passes.extend([now] * given)
                    lane.next_try = 0.0 if given else now + float(wait)
                    if float(paused):
                        self._paused_until = max(self._paused_until, now + float(paused))
        finally:
            with self._limiter.condition:
                for _, lane, _ in wanted:
                    lane.wanted = 0
        return int(active)
