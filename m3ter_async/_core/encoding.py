"""From Python values to what is on the wire: paths, query strings and JSON bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from .argument_kinds import Check, day, moment
from .arguments import Arguments, snake
from .json_values import Refused, fields, plain

_PARAMETER = re.compile(r"\{(\w+)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")  # what ids are made of; it needs no percent-encoding
_HALF = re.compile("[\ud800-\udfff]")
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_path(template: str, arguments: Mapping[str, Any], known: Arguments | None = None) -> str:
    """Fill in a path; every argument becomes exactly one segment.

    Args:
        template: The path with its parameters in braces.
        arguments: Their values.
        known: What they may be.

    Raises:
        TypeError: An argument is not a string.
        ValueError: An argument is empty, ``.`` or ``..``: another path would be called than the one meant.
    """
    parts = _parts(template)[:]
    for place in range(1, len(parts), 2):
        name = parts[place]
        value = arguments[name]
        if known is not None:
            value = known.checked(name, value)
        parts[place] = _segment(name, value)
    return "".join(parts)


@lru_cache(maxsize=512)  # more than the contract has; a path by hand may be another at each call
def _parts(template: str) -> list[str]:
    """Literal text and the names of parameters in turn."""
    return _PARAMETER.split(template)


def _segment(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"path argument {snake(name)!r} must be a str, not {type(value).__name__}")
    if _PLAIN.fullmatch(value):
        return value
    if value in ("", ".", ".."):
        raise ValueError(f"path argument {snake(name)!r} must name something, not be {value!r}")
    return quote(value, safe="")


def encode_query(query: Mapping[str, Any], known: Arguments | None = None) -> str:
    """The query string for `query`, without what was left out; sequences are joined by commas.

    Args:
        query: The parameters.
        known: What they may be; None where nothing is known of them.

    Raises:
        TypeError: A value is of a kind that it may not be, or that has no form in a query.
        ValueError: It is none that the service takes. Either names the parameter.
    """
    given: dict[str, str] = {}
    for name, value in query.items():
        if value is UNSET:
            continue
        if known is not None:
            if isinstance(value, (set, frozenset)):
                value = list(cast("set[Any]", value))
            value = known.checked(name, value)
        if type(value) is not str:
            try:
                value = _query_text(value)
            except Refused as refused:
                error = refused.named(f"query parameter {name!r}" if known is None else snake(name))
                raise error from None
        given[name] = value
    return urlencode(given, quote_via=quote, safe="") if given else ""


def _query_text(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        value = list(cast("set[Any]", value))
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, (Sequence, Mapping)) or isinstance(value, str):
        value = plain(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        items = cast("Sequence[object]", value)
        if not items:
            raise Refused(ValueError("is empty, which the service may take for no filter at all"))
        parts = [_query_text(item) for item in items]
        if any("," in part for part in parts):
            raise Refused(ValueError("the service joins values by commas, so none may hold one"))
        return ",".join(parts)
    raise Refused(TypeError(f"cannot be {value!r}; leave it out to not send it"))


def encode_body(body: Any, known: Arguments | None = None) -> bytes:
    """The JSON for `body`; amounts are written digit for digit, moments in UTC.

    Args:
        body: What to send.
        known: What its fields may be; None where nothing is known of them.

    Raises:
        ValueError: A date-time has no time zone, a number is not finite, or a value is none that the service takes; the
            text says where.
        TypeError: A value has no exact form in JSON, or is of a kind that it may not be.
    """
    try:
        if known is not None:
            given = cast("Mapping[str, Any]", body)
            # what is None is sent as null: a field that is to be emptied
            body = {
                name: value if value is None else known.checked(name, value)
                for name, value in given.items()
                if value is not UNSET
            }
        elif isinstance(body, Mapping):
            given = cast("Mapping[str, Any]", body)
            body = fields({name: value for name, value in given.items() if value is not UNSET})
        else:
            body = plain(body)
        return _encoder.encode(body)
    except Refused as refused:
        error = refused.named("body")
    except UnicodeEncodeError:
        error = ValueError(f"body{_broken(body)}: holds half of a surrogate pair, which cannot be sent")
    except RecursionError:
        error = ValueError("body: nested too deeply, or holds itself")
    raise error


def _broken(value: Any) -> str:
    """Where in a body the text stands that cannot be encoded; empty where it is the whole."""
    steps: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        # a key before its value; its text is shown escaped
        steps = (
            (f".{ascii(name)[1:-1]}", each)
            for name, item in cast("dict[str, Any]", value).items()
            for each in (name, item)
        )
    elif isinstance(value, list):
        steps = ((f"[{index}]", item) for index, item in enumerate(cast("list[object]", value)))
    elif names := getattr(value, "__struct_fields__", None):
        steps = ((f".{name}", getattr(value, name)) for name in names)
    for step, item in steps:
        if isinstance(item, str) and _HALF.search(item):
            return step
        if deeper := _broken(item):
            return step + deeper
    return ""


def as_date(value: date | str | Any, name: str = "date") -> Any:
    """What the contract calls a date: a ``datetime`` counts as its own day, if it is midnight.

    Args:
        name: What the argument is called, for the error.
    """
    return _as(day, value, name)


def as_datetime(value: date | str | Any, name: str = "date-time") -> Any:
    """What the contract calls a date-time: a ``date`` is its first moment, in UTC.

    Args:
        name: What the argument is called, for the error.
    """
    return _as(moment, value, name)


def _as(check: Check, value: Any, name: str) -> Any:
    if value is UNSET or value is None:
        return value
    try:
        return check(value)
    except Refused as refused:
        error = refused.named(name)
    raise error
