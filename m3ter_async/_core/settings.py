"""What a client is told, checked before anything is sent: arguments first, then the environment."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from ..errors import ConfigurationError
from .identity import Text, exported, organization, passed
from .request_headers import more_headers
from .retry import RetryPolicy

_URL = re.compile(r"https?://[\w.:\[\]-]*\w\]?(:\d+)?(/[!-~]*)?", re.ASCII | re.IGNORECASE)
_API = "https://api.m3ter.com"
_INGEST = "https://ingest.m3ter.com"
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a view of a client may set for itself.

    Attributes:
        org_id: The organization that fills ``{orgId}``.
        timeout: Seconds for one attempt.
        max_bytes: The largest answer that is read.
        policy: How patiently calls are repeated.
        allow_insecure: Whether plain http may be used beyond loopback.
        total_timeout: Seconds for a call as a whole, from its start to its last byte, every wait included.
        max_retry_time: The same, as it was asked for by that name.
        total: The lesser of both; infinite where nothing bounds a call.
        bulk: Whether calls let all others go first.
        patient: Whether calls are repeated as long as there is time, however often.
        headers: What goes with every request to the service besides its own headers.
    """

    org_id: str
    timeout: float
    max_bytes: int
    policy: RetryPolicy
    allow_insecure: bool = False
    total_timeout: float = math.inf
    max_retry_time: float = math.inf
    bulk: bool = False
    patient: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    total: float = field(init=False, default=math.inf)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", min(self.total_timeout, self.max_retry_time))

    def changed(
        self,
        *,
        org_id: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        max_retry_time: float | None = None,
        total_timeout: float | None = None,
        bulk: bool | None = None,
        headers: object = None,
    ) -> Settings:
        """These settings but for what is given."""
        policy, retry_time = self.policy, self.max_retry_time
        if max_retries is not None:
            policy = replace(policy, max_retries=whole("max_retries", max_retries, 0))
        if max_retry_time is not None:
            retry_time = positive("max_retry_time", max_retry_time)
            policy = replace(policy, total=retry_time)
        return replace(
            self,
            org_id=self.org_id if org_id is None else organization(org_id),
            timeout=self.timeout if timeout is None else positive("timeout", timeout),
            policy=policy,
            max_retry_time=retry_time,
            total_timeout=self.total_timeout if total_timeout is None else positive("total_timeout", total_timeout),
            bulk=self.bulk if bulk is None else bulk,
            patient=self.patient if bulk is None else bulk,
            headers=self.headers if headers is None else more_headers(self.headers, headers),
        )


def base_urls(api: object, ingest: object, *, allow_insecure: bool) -> dict[str, str]:
    """Where the API is and where measurements go, by scope of host."""
    given = passed("base_url", api) or exported("base_url") or Text(_API, "base_url=")
    found = host(given, allow_insecure=allow_insecure)
    apart = passed("ingest_base_url", ingest) or exported("ingest_base_url")
    if apart is None:
        return {"api": found, "ingest": _INGEST if found == _API else found}
    return {"api": found, "ingest": host(apart, allow_insecure=allow_insecure)}


def host(given: Text, *, allow_insecure: bool) -> str:
    """A base URL without a slash at its end; plain http is for loopback, unless it was asked for by name."""
    url, argument = str(given.value), given.name if given.name.endswith("=") else f"{given.name}="
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{argument} is not a URL") from None
    if parts.username or parts.password:
        raise ConfigurationError(f"{argument} holds a user or password; pass api_key= and api_secret= instead")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{argument} must have no query or fragment")
    shown = f"{url!r} " if "://" in url else ""  # a text that is not a URL may be a secret in the wrong place
    if parts.scheme not in ("http", "https") or not name or not _URL.fullmatch(url):
        raise ConfigurationError(f"{argument}{shown or ' '}is not an http or https URL")
    if parts.scheme == "http" and not allow_insecure and not loopback(name):
        raise ConfigurationError(
            f"{argument}{shown}would send key and secret in the clear: use https, or pass allow_insecure_http=True"
        )
    return url.rstrip("/")


def flag(argument: str, value: object) -> bool:
    """A bool and nothing that only looks like one: the text "no" would count as true."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{argument}= must be True or False, not of type {type(value).__name__}")
    return value


def whole(argument: str, value: object, least: int = 1) -> int:
    """A whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{argument}={value!r} is not a whole number from {least}")
    return value


def positive(argument: str, value: object) -> float:
    """A finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigurationError(f"{argument}={value!r} is not a number above 0")
    return value


def plain_path(path: str) -> str:
    """A path that a caller wrote by hand, with what may not stand in a URL percent-encoded."""
    if not path.startswith("/") or "?" in path or "#" in path:
        raise ValueError(f"path {path!r} must start with / and hold no query or fragment; pass query= for those")
    if _STRAY_PERCENT.search(path) or set("{}") & set(path.replace("{orgId}", "")):
        raise ValueError(f"path {path!r} holds a % that encodes nothing, or a parameter that is not filled in")
    if any(unquote(segment) in ("", ".", "..") for segment in path[1:].split("/")):
        raise ValueError(f"path {path!r} holds an empty segment, '.' or '..'")
    return quote(path, safe="/%{}:@!$&'()*+,;=~")


def loopback(name: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
