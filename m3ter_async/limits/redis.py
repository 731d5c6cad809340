"""One limit for all hosts, in a Redis server."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from .._core.rate_limits import RateLimit, checked_rate
from .._core.redaction import Secret
from ..errors import ConfigurationError
from ..events import Scope
from .forks import tell_after_fork
from .redis_limit import RedisLimit
from .redis_script import PAUSE, TAKE
from .share import ShareLimiter

_log = logging.getLogger("m3ter_async")
_PATIENCE = 1.0  # seconds that an answer of Redis may take
_AGAIN = 2.0  # seconds until a Redis that was gone is asked again
_UNKNOWN = 10  # among how many the rate is shared where Redis never told how many there are


class RedisLimiter:
    """The limits of all processes of all hosts, shared through a Redis server (6 or newer, Valkey too).

    Needs the extra ``redis``. Redis is asked from a thread, so that it works on every event loop and never holds one
    up. Where Redis is gone, each process keeps to a fixed share of the rate, which is told once in the log and by a
    `SharedLimitChanged` event, and comes back to Redis by itself. Only hashes of ids are stored, in keys that expire.

    A pickled one holds the URL as it is, with its password.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with user and password where they are needed.
        rate: Requests per second and organization on the configuration and ingest APIs.
        share: What a process keeps to while Redis is gone. By default one of as many shares as there were processes in
            the last minute; one of ten where Redis was never there.

    Raises:
        ConfigurationError: The URL cannot be used, or the extra is not installed.
    """

    def __init__(self, url: str, *, rate: float = 50.0, share: ShareLimiter | None = None) -> None:
        url = _masked(url)  # a traceback may show local variables
        self.rate: float = checked_rate(rate)
        self._url = url
        self._share = share
        self._shares: dict[int, ShareLimiter] = {}
        self._asked: dict[RedisLimit, None] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._gone = False
        self.condition: threading.Condition = threading.Condition()
        self.owner: str = os.urandom(8).hex()
        self.generation: int = 0
        self.lost_at: float = -math.inf
        self.returns: int = 0  # how often Redis came back
        try:
            library = import_module("redis")
        except ModuleNotFoundError:
            raise ConfigurationError('a RedisLimiter needs redis: pip install "m3ter-async[redis]"') from None
        once = import_module("redis.retry").Retry(import_module("redis.backoff").NoBackoff(), 0)
        try:
            self._server: Any = library.Redis.from_url(
                url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=once
            )
        except (ValueError, TypeError, AttributeError):
            raise ConfigurationError("the URL of a RedisLimiter begins with redis://, rediss:// or unix://") from None
        self.take_script: Any = self._server.register_script(TAKE)
        self.pause_script: Any = self._server.register_script(PAUSE)
        tell_after_fork(self)

    @property
    def connected(self) -> bool:
        """Whether the limit is shared just now: Redis answered when it was asked last."""
        return not self._gone

    def limit(self, scope: Scope, organization: str, host: str) -> RateLimit:
        """The limit that requests of this kind share."""
        return RedisLimit(self, scope, organization, host)

    def close(self) -> None:
        """End the thread and the connection."""
        with self.condition:
            self._closed = True
            self.condition.notify()
            thread = self._thread
        if thread is not None:
            thread.join(2 * _PATIENCE)
        self._server.close()

    def __enter__(self) -> RedisLimiter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RedisLimiter({self._shown()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (str(self._url), self.rate, self._share)

    def _shown(self) -> str:
        """Where Redis is, without user and password."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def check_open(self) -> None:
        """Refuse to work after the end.

        Raises:
            ConfigurationError: It was closed.
        """
        if self._closed:
            raise ConfigurationError(f"{self!r} is closed")

    def ask(self, limit: RedisLimit) -> None:
        """Have the thread ask Redis for this limit; the caller holds the condition."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="m3ter-limits", daemon=True)
            self._thread.start()
        self._asked[limit] = None
        self.condition.notify()

    def instead(self, processes: int, scope: Scope, organization: str, host: str) -> RateLimit:
        """The limit that is kept while Redis is gone, where so many processes shared it (0 is not known)."""
        share = self._share or self._shares.get(processes)
        if share is None:
            share = self._shares[processes] = ShareLimiter(1, processes or _UNKNOWN, rate=self.rate)
        return share.limit(scope, organization, host)

    def after_fork(self) -> None:
        """As `Forked.after_fork`."""
        self.condition = threading.Condition()
        self.owner = os.urandom(8).hex()
        self.generation += 1
        self._thread = None
        self._asked = {}
        self._server.connection_pool.reset()

    def _work(self) -> None:
        while True:
            with self.condition:
                if not self._asked and not self._closed:
                    self.condition.wait(_AGAIN if self._gone else None)
                if self._closed:
                    return
                asked, self._asked = list(self._asked), {}
            try:
                if self._gone:
                    self._server.ping()
                    self._back()
                for each in asked:
                    each.fetch()
            except Exception as error:  # noqa: BLE001  whatever the library raises, calls must not wait for a dead thread
                self._lost(error)

    def _lost(self, error: Exception) -> None:
        if not self._gone:
            self.lost_at = time.monotonic()
            self._gone = True
            _log.warning(
                "the rate limit in Redis at %s cannot be reached (%s): this process keeps to a fixed share of it",
                self._shown(),
                type(error).__name__,
            )

    def _back(self) -> None:
        self.returns += 1
        self._gone = False
        _log.warning("the rate limit in Redis at %s is shared again", self._shown())


def _masked(url: object) -> Secret:
    return Secret(url if isinstance(url, str) else "")


def _again(url: str, rate: float, share: ShareLimiter | None) -> RedisLimiter:
    return RedisLimiter(url, rate=rate, share=share)
