"""The arguments of listings as text, which is how slices and the manifest keep them, and as what the client takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias, cast

Value: TypeAlias = str | bool | int | Decimal | date | Sequence[str]
"""What an argument of a listing may be."""


def as_texts(where: Mapping[str, Value]) -> dict[str, str]:
    """Arguments as the service writes them.

    Raises:
        ValueError: One of them is nothing that a listing takes.
    """
    return {name: as_text(name, value) for name, value in where.items()}


def as_text(name: str, value: object) -> str:
    """One argument as the service writes it.

    Raises:
        ValueError: It is nothing that a listing takes.
    """
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration, the value and not the name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite()):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple, set, frozenset)) and value:
        return ",".join(as_text(name, each) for each in cast("Collection[object]", value))
    raise ValueError(f"{name} cannot be {value!r}: give a text, a number, True or False, a day, or a list of them")


def as_arguments(call: Callable[..., Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of a method of the client, from texts.

    Raises:
        ValueError: A text is not what its argument takes.
    """
    parameters = inspect.signature(call).parameters
    return {name: _as_argument(name, text, str(parameters[name].annotation)) for name, text in texts.items()}


def _as_argument(name: str, text: str, annotation: str) -> Any:
    kind = annotation.partition(" | ")[0]
    if kind == "bool":
        if text not in ("true", "false"):
            raise ValueError(f"{name} must be true or false, not {text!r}")
        return text == "true"
    if kind == "int":
        if not text.removeprefix("-").isdecimal():
            raise ValueError(f"{name} must be a whole number, not {text!r}")
        return int(text)
    return text.split(",") if kind.startswith("Sequence[") else text


def day(name: str, value: date | str) -> str:
    """A day as the service writes it.

    Raises:
        ValueError: It is none.
    """
    try:
        return date.fromisoformat(value if isinstance(value, str) else value.isoformat()).isoformat()
    except ValueError:
        raise ValueError(f"{name} must be a day such as 2024-01-31, not {value!s}") from None
