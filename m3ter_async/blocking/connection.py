"""Where the workers of an engine connect to: a value that travels with a task, and holds no secret."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from .._core.settings import positive, whole
from ..client import AsyncM3ter
from ..errors import ConfigurationError


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a worker makes its client. Pickle it, or send it as JSON: there is no secret in it.

    Each worker finds key and secret where it runs: in its environment variables, or in the profile that is named. What
    is left out here is read from the same place.

    Attributes:
        org_id: The organization that is read.
        base_url: Where the API is.
        share: How many processes share the rate limit of an organization: each keeps ``1 / share`` of `rate_limit`.
        rate_limit: Requests per second and organization that the service allows to all of them together.
        timeout: Seconds for one attempt, from connecting to the last byte.
        max_connections: The most requests in flight at once, of one process.
        allow_insecure_http: Take a plain-http `base_url` that is not loopback.

    Raises:
        ConfigurationError: A value cannot be used; the text says which.
    """

    org_id: str | None = None
    base_url: str | None = None
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

    @property
    def requests_per_second(self) -> float:
        """What one process keeps to, for each organization."""
        return self.rate_limit / self.share

    def client(self) -> AsyncM3ter:
        """A client of this connection, for bulk work.

        Raises:
            ConfigurationError: Credentials are missing where this runs, or a setting cannot be used.
        """
        settings: dict[str, Any] = {
            "org_id": self.org_id,
            "base_url": self.base_url,
            "rate_limit": self.requests_per_second,
            "timeout": self.timeout,
            "max_connections": self.max_connections,
            "allow_insecure_http": self.allow_insecure_http,
        }
        return AsyncM3ter(bulk=True, **settings)
