"""What a client is told, checked before anything is sent: arguments first, then the environment."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from ..errors import ConfigurationError
from .redaction import Secret, fits_a_header
from .retry import RetryPolicy

_URL = re.compile(r"https?://[\w.:\[\]-]*\w\]?(:\d+)?(/[!-~]*)?", re.ASCII | re.IGNORECASE)
_ORGANIZATION = re.compile(r"[\w.~:@;,+=()!*'$-]+", re.ASCII)
_BLANKS = " \t\n\v\f\r\x85\xa0\u2028\u2029\ufeff"  # the last is what some editors begin a file with
_WHAT = {"api_key": "API key", "api_secret": "API secret", "org_id": "organization"}
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
        )


def secret(value: str | None) -> Secret | None:
    """Mask a value as early as possible: a traceback may show local variables."""
    return Secret(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was set, and by what.

    Attributes:
        value: The text; where it is a secret, it stays masked.
        name: ``api_key=`` for an argument, ``M3TER_API_KEY`` for a variable.
    """

    value: str
    name: str


def passed(argument: str, value: object) -> Text | None:
    """What an argument says: it is taken as it is, or refused; None says nothing.

    Raises:
        ConfigurationError: It cannot be used; its value is not shown, since any may be a secret.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"{argument}= must be a str, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(
            f"{argument}= is an empty text: pass a value, or leave it out and set {_variable(argument)}"
        )
    if value[0] in _BLANKS or value[-1] in _BLANKS:
        raise ConfigurationError(f"{argument}= begins or ends with a blank or line end: take it off, as strip() does")
    return _checked(Text(value, f"{argument}="))


def exported(argument: str) -> Text | None:
    """What the environment says in place of an argument: the ends are trimmed, since many variables are filled from
    files, and one that is empty then is not set.

    Raises:
        ConfigurationError: As in `passed`.
    """
    value = Secret(Secret(os.environ.get(_variable(argument), "")).strip(_BLANKS))
    return _checked(Text(value, _variable(argument))) if value else None


def _variable(argument: str) -> str:
    return "M3TER_API_TOKEN" if argument == "token" else f"M3TER_{argument.upper()}"


def _checked(given: Text) -> Text:
    value = given.value
    if not value.isprintable():
        raise ConfigurationError(f"{given.name} holds a line end, or another character that cannot be shown")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        raise ConfigurationError(f"{given.name} stands in quotation marks: set it without them")
    return given


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, and for whom.

    Attributes:
        login: Key and secret.
        token: The token to start with.
        org_id: The organization that is called.
    """

    login: tuple[Secret, Secret] | None
    token: Secret | None
    org_id: str


def identity(api_key: Secret | None, api_secret: Secret | None, token: Secret | None, org_id: object) -> Identity:
    """What to log in with and whom to call; a token that is passed is not mixed with another's key.

    Raises:
        ConfigurationError: Something is missing, and the text names all that is; or something cannot be used.
    """
    start, key, shared = passed("token", token), passed("api_key", api_key), passed("api_secret", api_secret)
    if start is None:
        if key is None and shared is None:
            start = exported("token")
        key, shared = key or exported("api_key"), shared or exported("api_secret")
    named = passed("org_id", org_id) or exported("org_id")
    missing: list[str] = []
    if key is None and (shared is not None or start is None):
        missing.append("api_key")
    if shared is None and (key is not None or start is None):
        missing.append("api_secret")
    if named is None:
        missing.append("org_id")
    if missing or named is None:
        raise _missing(missing)
    if start is not None and not fits_a_header(start.value):
        raise ConfigurationError(f"{start.name} holds a space, or another character that no token has")
    if key is not None and ":" in key.value:
        raise ConfigurationError(f"{key.name} holds a colon, which HTTP Basic cannot carry")
    return Identity(
        None if key is None or shared is None else (Secret(key.value), Secret(shared.value)),
        None if start is None else Secret(start.value),
        _organization(named),
    )


def organization(org_id: object) -> str:
    """The organization of a view."""
    named = passed("org_id", org_id) or exported("org_id")
    if named is None:
        raise _missing(["org_id"])
    return _organization(named)


def _organization(named: Text) -> str:
    if named.value in (".", "..") or not _ORGANIZATION.fullmatch(named.value):
        # not shown: who mixed up the order of arguments has passed a secret here
        raise ConfigurationError(f"{named.name} is no id of an organization: it holds characters that no id has")
    return str(named.value)


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


def _missing(arguments: Sequence[str]) -> ConfigurationError:
    what = _listed([f"no {_WHAT[each]}" for each in arguments])
    passed = _listed([f"{each}=" for each in arguments])
    variables = _listed([_variable(each) for each in arguments])
    comma, plural = (",", "s") if len(arguments) > 1 else ("", "")
    return ConfigurationError(f"{what}: pass {passed}{comma} or set the environment variable{plural} {variables}")


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def loopback(name: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
