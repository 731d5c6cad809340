"""What one value may be, by the contract: checked before anything is sent, and made into what is sent.

A check takes a value and returns it as it is to be encoded, or raises `Refused`. What was read from the service and is
written back (`Raw`) passes as it came.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any, TypeAlias, cast
from uuid import UUID

from msgspec import UNSET, Raw

from .json_values import Refused, number, plain
from .moments import day_of, instant_of, is_moment, is_time

Check: TypeAlias = Callable[[Any], Any]

_NUMBERS = frozenset((int, float, Decimal))
_NO_LISTS = (str, bytes, bytearray, memoryview)
# RFC 3339, as the service takes it; what is finer than a microsecond would be cut
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_FINER = re.compile(r"[.,]\d{6}\d*[1-9]", re.ASCII)


def text(value: Any) -> Any:
    """A text, or what stands for one: a member of an enumeration of texts, a UUID, a day or a moment.

    The contract declares some days and moments as texts.
    """
    if type(value) is str:
        return value
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, (str, UUID, Raw, date)) or is_moment(value):
        return plain(value)
    raise _other("a str", value)


def text_like(pattern: str, says: str) -> Check:
    """A text that a pattern matches as a whole; `says` is what to tell whoever gives another."""

    def checked(value: Any) -> Any:
        value = text(value)
        # compiled at its first use, and kept by `re`
        if not isinstance(value, Raw) and re.fullmatch(pattern, value, re.DOTALL) is None:
            raise Refused(ValueError(says))
        return value

    return checked


def whole(value: Any) -> Any:
    """A whole number, also of another library."""
    if type(value) is int:
        return value
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Raw):
        return plain(value)
    if isinstance(value, Integral) and value is not True and value is not False and not is_time(value):
        return value.__index__()
    raise _other("an int", value)


def amount(value: Any) -> Any:
    """A number, digit for digit; a text is none, however it looks."""
    if type(value) in _NUMBERS:
        return plain(value)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, (Raw, Decimal)):
        return plain(value)
    if isinstance(value, (Integral, Real)) and value is not True and value is not False and not is_time(value):
        try:
            return number(value)
        except (TypeError, ValueError) as error:
            raise Refused(error) from None
    raise _other("a Decimal, an int or a float", value)


def flag(value: Any) -> Any:
    """True or false and nothing that only counts as such: the text "false" would be true."""
    if value is True or value is False:
        return value
    if isinstance(value, Raw) or (type(value).__name__ in ("bool", "bool_") and hasattr(value, "dtype")):  # numpy's
        return plain(value)
    raise _other("True or False", value)


def scalar(value: Any) -> Any:
    """What a custom field may hold."""
    if isinstance(value, (str, UUID, Enum, Raw)):
        return plain(value)
    try:
        return amount(value)
    except Refused as refused:
        raise _other("a str or a number", value) if isinstance(refused.error, TypeError) else refused from None


def day(value: Any) -> Any:
    """A date as the service takes it, from one of Python, numpy or pandas, or from an ISO text."""
    if isinstance(value, Raw):
        return plain(value)
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
        except ValueError:
            raise Refused(ValueError(f"{_shown(value)} is no date such as '2025-06-30'")) from None
    found = _named(day_of, value)
    if found is None:
        raise _other("a date, or a text such as '2025-06-30'", value)
    return found


def moment(value: Any) -> Any:
    """A date-time as the service takes it, from one of Python, numpy or pandas, or from an ISO text; a day begins."""
    if isinstance(value, Raw):
        return plain(value)
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise Refused(ValueError(f"{_shown(value)} is no date-time such as '2025-06-30T12:00:00Z'")) from None
        if _MOMENT.fullmatch(value) and parsed.tzinfo is not None:
            return value
        if _FINER.search(value):
            raise Refused(ValueError(f"{_shown(value)} is finer than a microsecond, which the service does not take"))
        value = parsed.date() if len(value) <= 10 else parsed
    found = _named(instant_of, value)
    if found is None:
        raise _other("a datetime with a time zone, or a text such as '2025-06-30T12:00:00Z'", value)
    return found


def anything(value: Any) -> Any:
    """Whatever JSON can say."""
    return plain(value)


def bounded(check: Check, least: float, most: float, *, above: bool = False) -> Check:
    """A number within bounds; `above` is whether the lower one is too little itself."""

    def checked(value: Any) -> Any:
        value = check(value)
        if isinstance(value, Raw):
            return value
        if value < least or (above and value == least):
            bound = "more than" if above else "at least"
            raise Refused(ValueError(f"{value} is too small: it must be {bound} {least}"))
        if value > most:
            raise Refused(ValueError(f"{value} is too large: it may be {most} at the most"))
        return value

    return checked


def sized(check: Check, least: int, most: float, unit: str) -> Check:
    """A text, a list or a mapping that has so many of a unit."""

    def checked(value: Any) -> Any:
        value = check(value)
        if isinstance(value, Raw):
            return value
        if not least <= len(value) <= most:
            wanted = f"{least}" if least == most else f"{least} or more" if most == math.inf else f"{least} to {most}"
            raise Refused(ValueError(f"{len(value)} {unit}, where the service takes {wanted}"))
        return value

    return checked


def _is_list(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, _NO_LISTS)
        and getattr(type(cast("object", value)), "_fields", None) is None
    )


def list_of(item: Check) -> Check:
    """A list, or any other sequence but a text."""

    def checked(value: Any) -> Any:
        if isinstance(value, Raw):
            return plain(value)
        if type(value) is not list and not _is_list(value):
            raise _other("a list", value)
        made: list[Any] = []
        for index, each in enumerate(cast("list[object]", value)):
            try:
                made.append(item(each))
            except Refused as refused:
                refused.within(f"[{index}]")
                raise
        return made

    return checked


def map_of(item: Check) -> Check:
    """A mapping of names to values, each of which may be None."""

    def checked(value: Any) -> Any:
        if isinstance(value, Raw):
            return plain(value)
        if not isinstance(value, Mapping):
            raise _other("a mapping", value)
        made: dict[Any, Any] = {}
        for name, each in cast("dict[object, object]", value).items():
            try:
                made[name] = None if each is None else item(each)
            except Refused as refused:
                refused.within(f".{name}")
                raise
        return made

    return checked


def _named(make: Callable[[Any], str | None], value: Any) -> str | None:
    try:
        return make(value)
    except ValueError as error:
        raise Refused(error) from None


def _other(wanted: str, value: object) -> Refused:
    if value is None:
        return Refused(TypeError(f"must be {wanted}, not None: leave it out to not send it"))
    if value is UNSET:
        return Refused(TypeError("UNSET stands for what is left out: leave it out"))
    kind = type(value)
    hint = ": make plain values of it, such as by tolist()" if hasattr(value, "tolist") else ""
    if isinstance(value, (set, frozenset)):
        hint = ", which has no order"
    return Refused(TypeError(f"must be {wanted}, not {kind.__name__}{hint}"))


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "...")
