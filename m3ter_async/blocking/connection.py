"""Where the workers of an engine connect to: a value that travels with a task, and holds no secret."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from .._core.settings import positive, whole
from ..client import AsyncM3ter
from ..errors import ConfigurationError
from ..limits import limiter_at

_RATE = 50.0  # requests per second, as the service allows


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a worker makes its client. Pickle it, or send it as JSON: there is no secret in it.

    Each worker finds key and secret where it runs: in its environment variables, or in the profile that is named. What
    is left out here is read from the same place.

    Attributes:
        org_id: The organization that is read.
        profile: A profile in the worker's file of settings, see `AsyncM3ter.from_profile`.
        base_url: Where the API is.
        limiter: What all processes share to keep the rate limit together, as `limiter_at` takes it: the path of a file
            on one host, ``redis://...`` on several, or a share such as ``1/8``. A URL with a password goes into the
            variable ``M3TER_LIMITER`` of the workers, which is read where this is left out.
        rate_limit: Requests per second and organization that the service allows to all of them together.
        timeout: Seconds for one attempt, from connecting to the last byte: 60 where nothing says otherwise.
        max_connections: The most requests in flight at once, of one process: 100 where nothing says otherwise.
        allow_insecure_http: Take a plain-http `base_url` that is not loopback.

    Raises:
        ConfigurationError: A value cannot be used; the text says which.
    """

    org_id: str | None = None
    profile: str | None = None
    base_url: str | None = None
    limiter: str | None = None
    rate_limit: float | None = None
    timeout: float | None = None
    max_connections: int | None = None
    allow_insecure_http: bool = False

    def __post_init__(self) -> None:
        for name, check in (("rate_limit", positive), ("timeout", positive), ("max_connections", whole)):
            if (value := getattr(self, name)) is not None:
                check(name, value)
        # refused here and not by the client alone: this value is stored with tasks, and printed
        if self.base_url is not None and "@" in urlsplit(self.base_url).netloc:
            raise ConfigurationError("base_url= holds a user or password: set M3TER_API_KEY and M3TER_API_SECRET")
        limiter = self.limiter or ""
        if "://" in limiter and ("@" in limiter or "password" in limiter.lower()):
            raise ConfigurationError("limiter= holds a user or password: set M3TER_LIMITER where the workers run")

    def client(self) -> AsyncM3ter:
        """A client of this connection, for bulk work.

        Raises:
            ConfigurationError: Credentials are missing where this runs, or a setting cannot be used.
        """
        settings: dict[str, Any] = {"bulk": True, "allow_insecure_http": self.allow_insecure_http}
        for name in ("org_id", "base_url", "rate_limit", "timeout", "max_connections"):
            if (value := getattr(self, name)) is not None:
                settings[name] = value
        if self.limiter is not None:
            settings["limiter"] = limiter_at(self.limiter, rate=settings.pop("rate_limit", _RATE))
        return AsyncM3ter(**settings) if self.profile is None else AsyncM3ter.from_profile(self.profile, **settings)
