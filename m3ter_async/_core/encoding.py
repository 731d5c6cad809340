"""From Python values to what is on the wire: paths, query strings and JSON bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any, cast
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

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
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
