"""What a client is told, checked before anything is sent: arguments first, then the environment."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from ..errors import ConfigurationError
from .redaction import Secret, fits_a_header
from .retry import RetryPolicy

_URL = re.compile(r"https?://[\w.:\[\]-]*\w\]?(:\d+)?(/[!-~]*)?", re.ASCII | re.IGNORECASE)
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
        total: Seconds for a call as a whole, from its start to its last byte, every wait included.
        bulk: Whether calls let all others go first.
        patient: Whether calls are repeated as long as there is time, however often.
    """

    org_id: str
    timeout: float
    max_bytes: int
    policy: RetryPolicy
    allow_insecure: bool = False
    total: float = math.inf
    bulk: bool = False
    patient: bool = False

    def changed(
        self,
        *,
        org_id: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        max_retry_time: float | None = None,
        total_timeout: float | None = None,
        bulk: bool | None = None,
    ) -> Settings:
        """These settings but for what is given."""
        policy, total = self.policy, self.total
        if max_retries is not None:
            policy = replace(policy, max_retries=whole("max_retries", max_retries, 0))
        if max_retry_time is not None:
            policy = replace(policy, total=positive("max_retry_time", max_retry_time))
        if max_retry_time is not None or total_timeout is not None:
            total = call_time(max_retry_time, total_timeout)
        return replace(
            self,
            org_id=self.org_id if org_id is None else organization(org_id),
            timeout=self.timeout if timeout is None else positive("timeout", timeout),
            policy=policy,
            total=total,
            bulk=self.bulk if bulk is None else bulk,
            patient=self.patient if bulk is None else bulk,
        )


def call_time(max_retry_time: float | None, total_timeout: float | None) -> float:
    """Seconds for a call as a whole: the least of what was asked for, and infinite where nothing was."""
    return min(
        math.inf if max_retry_time is None else positive("max_retry_time", max_retry_time),
        math.inf if total_timeout is None else positive("total_timeout", total_timeout),
    )


def secret(value: str | None) -> Secret | None:
    """Mask a value as early as possible: a traceback may show local variables."""
    return None if value is None else Secret(value)


def organization(org_id: object) -> str:
    """The organization to call."""
    org_id = os.environ.get("M3TER_ORG_ID") if org_id is None else org_id
    if org_id is not None and not isinstance(org_id, str):
        raise ConfigurationError(f"org_id={org_id!r} is not a str")
    if org_id in (".", ".."):
        raise ConfigurationError(f"org_id={org_id!r} names no organization")
    if not org_id:
        raise _missing("organization", "org_id", "M3TER_ORG_ID")
    return org_id


def credentials(
    api_key: Secret | None, api_secret: Secret | None, token: Secret | None
) -> tuple[tuple[Secret, Secret] | None, Secret | None]:
    """What to log in with and what token to start with; a token that is passed is not mixed with another's key."""
    if not token:
        if not (api_key or api_secret):
            token = secret(os.environ.get("M3TER_API_TOKEN"))
        api_key = api_key or secret(os.environ.get("M3TER_API_KEY"))
        api_secret = api_secret or secret(os.environ.get("M3TER_API_SECRET"))
    if token and not fits_a_header(token):
        raise ConfigurationError("token= (or M3TER_API_TOKEN) holds characters that no token has")
    if api_key and ":" in api_key:
        raise ConfigurationError("api_key= (or M3TER_API_KEY) holds a colon, which HTTP Basic cannot carry")
    if api_key and api_secret:
        return (api_key, api_secret), token or None
    if api_secret or not (api_key or token):
        raise _missing("API key", "api_key", "M3TER_API_KEY")
    if api_key:
        raise _missing("API secret", "api_secret", "M3TER_API_SECRET")
    return None, token


def host(argument: str, url: str, *, allow_insecure: bool) -> str:
    """A base URL without a slash at its end; plain http is for loopback, unless it was asked for by name."""
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{argument}= is not a URL") from None
    if parts.username or parts.password:
        raise ConfigurationError(f"{argument}= holds a user or password; pass api_key= and api_secret= instead")
    if parts.scheme not in ("http", "https") or not name or not _URL.fullmatch(url):
        raise ConfigurationError(f"{argument}={url!r} is not an http or https URL")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{argument}={url!r} must have no query or fragment")
    if parts.scheme == "http" and not allow_insecure and not loopback(name):
        raise ConfigurationError(
            f"{argument}={url!r} would send key and secret in the clear: use https, or pass allow_insecure_http=True"
        )
    return url.rstrip("/")


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


def _missing(what: str, argument: str, variable: str) -> ConfigurationError:
    return ConfigurationError(f"no {what}: pass {argument}= or set the environment variable {variable}")


def loopback(name: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
