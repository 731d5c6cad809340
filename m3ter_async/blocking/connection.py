"""Where the workers of an engine connect to: a value that travels with a task, and holds no secret."""

import os
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .._core.settings import positive, whole
from ..client import AsyncM3ter
from ..errors import ConfigurationError
from ..limits import HostLimiter, Limiter, RedisLimiter, ShareLimiter

LIMITER = "M3TER_LIMITER"
"""The environment variable that says what all processes share which keep the rate limit together."""


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a worker makes its client. Pickle it, or send it as JSON: there is no secret in it.

    Each worker finds key and secret where it runs: in its environment variables, or in the profile that is named. What
    is left out here is read from the same place.

    Attributes:
        profile: The name of a profile in the file of settings of each worker; see `AsyncM3ter.from_profile`.
        org_id: The organization that is read.
        base_url: Where the API is.
        limiter: What all processes share that keep the rate limit together: a ``redis://`` URL without a password, or
            the path of a file for those of one host. A URL with a password goes into ``M3TER_LIMITER``, in the
            environment of the worker, which is read where this is left out.
        share: How many processes share the rate limit where no `limiter` does: each keeps ``1 / share`` of it. With
            Redis, each does so while Redis is gone.
        rate_limit: Requests per second and organization that the service allows to all of them together.
        timeout: Seconds for one attempt, from connecting to the last byte.
        max_connections: The most requests in flight at once, of one process.
        allow_insecure_http: Take a plain-http `base_url` that is not loopback.

    Raises:
        ConfigurationError: A value cannot be used; the text says which.
    """

    profile: str | None = None
    org_id: str | None = None
    base_url: str | None = None
    limiter: str | None = None
    share: int = 1
    rate_limit: float = 50.0
    timeout: float = 60.0
    max_connections: int = 100
    allow_insecure_http: bool = False

    def __post_init__(self) -> None:
        whole("share", self.share)
        whole("max_connections", self.max_connections)
        positive("rate_limit", self.rate_limit)
        positive("timeout", self.timeout)
        if self.base_url is not None and "@" in urlsplit(self.base_url).netloc:
            # refused here and not by the client alone: this value is stored with tasks, and printed
            raise ConfigurationError("base_url= holds a user or password: set M3TER_API_KEY and M3TER_API_SECRET")
        if self.limiter is not None:
            if not self.limiter:
                raise ConfigurationError("limiter= is an empty text: pass a path or a URL, or leave it out")
            if "://" in self.limiter and ("@" in self.limiter or "password" in self.limiter.lower()):
                raise ConfigurationError("limiter= holds a user or password: set M3TER_LIMITER where the workers run")

    def client(self) -> AsyncM3ter:
        """A client of this connection, for bulk work.

        Raises:
            ConfigurationError: Credentials are missing where this runs, or a setting cannot be used.
        """
        settings: dict[str, Any] = {
            "org_id": self.org_id,
            "base_url": self.base_url,
            "limiter": self._limiter(),
            "timeout": self.timeout,
            "max_connections": self.max_connections,
            "allow_insecure_http": self.allow_insecure_http,
        }
        if self.profile is not None:
            return AsyncM3ter.from_profile(self.profile, bulk=True, **settings)
        return AsyncM3ter(bulk=True, **settings)

    def _limiter(self) -> Limiter:
        where = self.limiter or os.environ.get(LIMITER)
        if not where:
            return ShareLimiter(1, self.share, rate=self.rate_limit)
        if "://" in where:
            share = ShareLimiter(1, self.share, rate=self.rate_limit) if self.share > 1 else None
            return RedisLimiter(where, rate=self.rate_limit, share=share)
        if self.share > 1:
            raise ConfigurationError("share= and the file of a limiter exclude each other: leave out one of them")
        return HostLimiter(where, rate=self.rate_limit)
