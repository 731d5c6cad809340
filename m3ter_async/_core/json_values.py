"""Python values as JSON has them: each exactly as its owner meant it, or refused with the reason and the place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from types import NoneType
from typing import Any, cast
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, Struct

from .moments import instant, is_moment, is_time, of_numpy

_AS_IT_IS = frozenset((str, int, bool, NoneType))
_json = msgspec.json.Decoder(Raw)


class Refused(Exception):
    """A value that cannot be sent.

    Attributes:
        error: What is wrong with it: a ``TypeError`` or a ``ValueError``.
    """

    def __init__(self, error: TypeError | ValueError) -> None:
        super().__init__(error)
        self.error = error
        self._steps: list[str] = []

    def within(self, step: str) -> None:
        """Note that the value stands in another one, at `step`, such as ``.amount`` or ``[3]``."""
        self._steps.append(step)

    def named(self, name: str) -> TypeError | ValueError:
        """The error for the caller, with the place of the value in what is called `name`."""
        place = name + "".join(reversed(self._steps))
        return type(self.error)(f"{place}: {self.error}")


def plain(value: object) -> Any:
    """`value` made of nothing but what msgspec writes exactly: itself, where it is already.

    Raises:
        Refused: Something in it has no exact form in JSON.
    """
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if way := _WAYS.get(kind):
        return way(value)
    return _struct(value) if isinstance(value, Struct) else _known(value)


def fields(value: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping, its keys being text."""
    made: dict[str, Any] = {}
    for name, item in value.items():
        if type(name) is not str:
            name = _key(name)
        if type(item) not in _AS_IT_IS:
            try:
                item = plain(item)
            except Refused as refused:
                refused.within(f".{name}")
                raise
        made[name] = item
    return made


def number(value: Any) -> int | float:
    """A number of another library, or of a subclass, as one of Python's that is equal to it.

    Raises:
        TypeError: It is not a number.
        ValueError: No number of Python's is equal to it.
    """
    if isinstance(value, Integral) and not is_time(value):
        return value.__index__()
    if isinstance(value, Real) and not is_time(value):
        near = float(value)
        if not math.isfinite(near):
            raise ValueError(f"{near} is not a number that can be sent")
        if near != value:
            raise ValueError(f"{value!r} has no exact form: make it a Decimal")
        return near
    raise TypeError(_no_form(value))


def known(value: Any) -> Any:
    """One value of a type that msgspec does not know, as one that it knows; what is in it may be unknown still.

    Raises:
        TypeError: It has no form in JSON.
        ValueError: Its type has one, and it has not.
    """
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, str):
        return str.__str__(value)
    if is_moment(value):
        value = of_numpy(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return f"{value.year:04}-{value.month:02}-{value.day:02}"
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return Decimal(value)
    if isinstance(value, (Integral, Real)):
        return number(value)
    if type(value).__name__ in ("bool", "bool_") and hasattr(value, "dtype"):  # numpy's
        return bool(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        items = cast("Sequence[object]", value)
        if hasattr(items, "_fields"):
            raise TypeError(f"a {type(items).__name__} may be meant as a list or as an object: make one of it")
        return list(items)
    raise TypeError(_no_form(value))


def _known(value: Any) -> Any:
    if isinstance(value, type):
        raise Refused(TypeError(f"the type {value.__name__} has no form in JSON"))
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Raw):
        return _raw(value)
    if value is UNSET:
        raise Refused(TypeError("UNSET stands for what is left out: leave it out"))
    if names := _attributes(value):
        return fields({name: item for name in names if (item := getattr(value, name)) is not UNSET})
    try:
        made = known(value)
    except (TypeError, ValueError) as error:
        raise Refused(error) from None
    return plain(made)


def _items(values: list[Any]) -> list[Any]:
    made = values[:]
    for index, item in enumerate(values):
        if type(item) not in _AS_IT_IS:
            try:
                made[index] = plain(item)
            except Refused as refused:
                refused.within(f"[{index}]")
                raise
    return made


def _struct(value: Struct) -> Struct:
    """A struct as it is, or else with those fields replaced that msgspec would not write exactly."""
    changed: dict[str, Any] = {}
    for name in value.__struct_fields__:
        item = getattr(value, name)
        if type(item) not in _AS_IT_IS and item is not UNSET:
            try:
                made = plain(item)
            except Refused as refused:
                refused.within(f".{name}")
                raise
            if made is not item:
                changed[name] = made
    return msgspec.structs.replace(value, **changed) if changed else value


def _attributes(value: Any) -> Iterator[str] | None:
    """The names of the fields of a dataclass, or of a class made by attrs."""
    if hasattr(value, "__dataclass_fields__"):
        from dataclasses import fields

        return iter([field.name for field in fields(value)])
    if made := getattr(value, "__attrs_attrs__", None):
        return iter([field.name for field in made])
    return None


def _finite(value: Decimal | float) -> Decimal | float:
    if not math.isfinite(value) if type(value) is float else not cast("Decimal", value).is_finite():
        raise Refused(ValueError(f"{value} is not a number that can be sent"))
    return value


_WAYS: dict[type, Callable[[Any], Any]] = {dict: fields, list: _items, Decimal: _finite, float: _finite}


def _key(name: Any) -> str:
    if isinstance(name, Enum):
        name = name.value
    if not isinstance(name, str):
        raise Refused(TypeError(f"the key {name!r} is not text"))
    return str.__str__(name)


def _raw(value: Raw) -> Raw:
    try:
        _json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(ValueError("what is given as JSON is none")) from None
    return value


def _no_form(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{kind} have no form in JSON: decode them to text"
    if isinstance(value, (set, frozenset)):
        return f"a {kind} has no order: make it a list"
    if isinstance(value, Iterator):
        return f"a {kind} gives its items only once: make it a list"
    if is_time(value):
        return f"a {kind} is no moment and no number"
    if hasattr(value, "tolist"):
        return f"a {kind} is not taken: make plain values of it, such as by tolist()"
    return f"a {kind} has no form in JSON"
