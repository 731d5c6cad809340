"""One call of the service, as data: what is fixed about it, what is sent, what comes back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timezone
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, Generic, Literal, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

T = TypeVar("T")

Repeat = Literal["safe", "versioned", "never"]
Scope = Literal["configuration", "ingest", "explorer", "usage_query"]
# The ids of what is an operation of no contract: a path that somebody wrote by hand, and a presigned URL.
BY_HAND = "request"
PRESIGNED = "presigned"
_REPEAT_BY_METHOD: dict[str, Repeat] = {"GET": "safe", "DELETE": "safe", "PUT": "versioned"}


@dataclass(frozen=True, eq=False)
class Operation(Generic[T]):
    """What is fixed about one operation of the contract.

    Attributes:
        id: Its name in the contract, such as ``ListBills``.
        method: The HTTP method.
        path: The path with its parameters in braces; ``{orgId}`` is the client's organization.
        answer: The type of the answer; of one record, where the answer is a list of pages.
        repeat: Whether it may be sent again when nobody knows if it took effect: ``safe`` always, ``versioned`` where
            its body carries the version it expects to replace, ``never`` where a second one would count twice. Left
            out, it goes by the method: GET and DELETE are safe, a PUT is versioned, anything else is sent once.
        page: How its pages follow each other: by ``nextToken`` (``token``), by ``fromDocument`` (``offset``), by
            ``nextToken`` if it is a page at all and not the only record itself (``either``), or None for no pages.
        page_size: The largest page the service gives.
        scope: Which of the service's rate limits it counts against.
        busy: True where a 429 speaks of this one operation (ten bill jobs at once) and not of the request rate.
        server: Which host it lives on.
    """

    id: str
    method: str
    path: str
    answer: Any
    repeat: Repeat | None = None
    page: Literal["token", "offset", "either"] | None = None
    page_size: int | None = None
    scope: Scope = "configuration"
    busy: bool = False
    server: Literal["api", "ingest"] = "api"

    def __post_init__(self) -> None:
        if self.repeat is None:
            object.__setattr__(self, "repeat", _REPEAT_BY_METHOD.get(self.method, "never"))

    @property
    def writes(self) -> bool:
        """Whether it may change anything; a POST that is safe to repeat only reads."""
        return self.method != "GET" and not (self.method == "POST" and self.repeat == "safe")

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[T]:
        """Made at the first call and kept: a large answer's decoder takes a millisecond to make."""
        return decoder(self.answer)


@dataclass(slots=True)
class Request:
    """What a transport sends: everything in it is encoded already.

    Attributes:
        timeout: Seconds for the whole exchange, from connecting to the last byte; where a body goes in pieces, seconds
            in which hardly any byte moves.
        max_bytes: The largest body that is accepted in answer, decompressed.
        pieces: The body piece by piece, in place of `content`; its ``Content-Length`` is among the headers.
        into: Takes the body of a 2xx answer piece by piece, in place of `Response.content`.
    """

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = field(default=None, repr=False)
    timeout: float = 60.0
    max_bytes: int = 2**30
    pieces: AsyncIterable[bytes] | None = field(default=None, repr=False)
    into: Callable[[bytes], Awaitable[None]] | None = field(default=None, repr=False)

    @property
    def streamed(self) -> bool:
        """Whether a body goes in pieces, either way."""
        return self.pieces is not None or self.into is not None


@dataclass(slots=True)
class Response:
    """What a transport brings back: `headers` are found by lower-case names, `content` is decompressed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | bytearray = field(repr=False)


def decoder(answer: Any) -> msgspec.json.Decoder[Any]:
    """A JSON decoder that keeps every number exact, also where the contract leaves the type open."""
    return msgspec.json.Decoder(answer, float_hook=Decimal)


_PARAMETER = re.compile(r"\{(\w+)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")  # what ids are made of; it needs no percent-encoding
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_path(template: str, arguments: Mapping[str, str]) -> str:
    """Fill in a path; every argument becomes exactly one segment.

    Raises:
        TypeError: An argument is not a string.
        ValueError: An argument is empty, ``.`` or ``..``: another path would be called than the one meant.
    """
    parts = _parts(template)[:]
    for place in range(1, len(parts), 2):
        parts[place] = _segment(parts[place], arguments[parts[place]])
    return "".join(parts)


@cache
def _parts(template: str) -> list[str]:
    """Literal text and the names of parameters in turn."""
    return _PARAMETER.split(template)


def _segment(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"path argument {name!r} must be a str, not {type(value).__name__}")
    if _PLAIN.fullmatch(value):
        return value
    if value in ("", ".", ".."):
        raise ValueError(f"path argument {name!r} must name something, not be {value!r}")
    return quote(value, safe="")


def encode_query(query: Mapping[str, Any]) -> str:
    """The query string for `query`, without what was left out; sequences are joined by commas."""
    given = {name: _query_text(name, value) for name, value in query.items() if value is not UNSET}
    return urlencode(given, quote_via=quote, safe="") if given else ""


def _query_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration, the value and not the name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite()):
        return str(value)
    if isinstance(value, datetime):
        return _instant(name, value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        value = cast("Sequence[Any]", value)
        if not value:
            raise ValueError(f"query parameter {name!r} is empty, which the service may take for no filter at all")
        parts = [_query_text(name, item) for item in value]
        if any("," in part for part in parts):
            raise ValueError(f"query parameter {name!r}: the service joins values by commas, so none may hold one")
        return ",".join(parts)
    raise TypeError(f"query parameter {name!r} cannot be {value!r}; leave it out to not send it")


def encode_body(body: Any) -> bytes:
    """The JSON for `body`; amounts are written digit for digit.

    Raises:
        ValueError: A date-time has no time zone, or a number is not finite.
        TypeError: A value has no form in JSON.
    """
    if isinstance(body, Mapping):
        fields = cast("Mapping[str, Any]", body)
        body = {name: value for name, value in fields.items() if value is not UNSET}
    _check("body", body)
    return _encoder.encode(body)


def _check(where: str, value: Any) -> None:
    """Refuse what would reach the service as something else than the caller meant."""
    if isinstance(value, Mapping):
        for name, item in cast("Any", value).items():
            _check(f"{where}.{name}", item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(cast("Sequence[Any]", value)):
            _check(f"{where}[{index}]", item)
    elif names := getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", None):
        for name in names:
            _check(f"{where}.{name}", getattr(value, name))
    elif isinstance(value, datetime):
        _instant(where, value)
    elif isinstance(value, (float, Decimal)) and not Decimal(value).is_finite():
        raise ValueError(f"{where}: {value} is not a number that can be sent")


def _instant(name: str, value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{name}: {value!r} has no time zone; give it one, such as timezone.utc")
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def as_date(value: date | str | Any) -> Any:
    """What the contract calls a date: a ``datetime`` counts as its own day, if it is midnight."""
    if isinstance(value, datetime):
        if value.timetz().replace(tzinfo=None) != time(0):
            raise ValueError(f"{value!r} has a time of day where the service takes a date")
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else value


def as_datetime(value: date | str | Any) -> Any:
    """What the contract calls a date-time: a ``date`` is its first moment, in UTC."""
    if isinstance(value, datetime):
        return _instant("date-time", value)
    return f"{value.isoformat()}T00:00:00Z" if isinstance(value, date) else value
