"""Text from a command line made into what an annotation asks for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UnsetType

from .._core.decoding import decoder

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_object = decoder(dict[str, Any])
_objects = decoder(list[dict[str, Any]])
_texts = decoder(list[str])


@dataclass(frozen=True)
class Kind:
    """What a parameter takes.

    Attributes:
        words: What that is, as in "must be ...".
        read: Makes a value of the text, or raises ValueError.
        choices: Texts that are known to be taken; there may be others.
    """

    words: str
    read: Callable[[str], Any]
    choices: Sequence[str] = ()


def kind_of(annotation: Any) -> Kind:
    """What an annotation of the client's methods asks for; where it allows None, the text ``null`` stands for that."""
    members = set(_members(annotation)) - {UnsetType}
    kind = _kind(members - {NoneType})
    if NoneType not in members:
        return kind
    return Kind(f"{kind.words}, or null", lambda text: None if text == "null" else kind.read(text), kind.choices)


def takes_a_function(annotation: Any) -> bool:
    """Whether an argument may be a function, which no command line has."""
    return any(get_origin(each) is Callable for each in _members(annotation))


def _kind(members: set[Any]) -> Kind:
    origins = {get_origin(each) or each for each in members}
    if Sequence in origins:
        (item,) = next(get_args(each) for each in members if get_origin(each) is Sequence)
        if _is_object(_members(item)):
            return Kind("a JSON list of objects (- reads it from stdin)", lambda text: _objects.decode(_or_stdin(text)))
        return Kind("a list: texts joined by commas, or in JSON", _read_texts)
    if _is_object(members):
        return Kind("a JSON object (- reads it from stdin)", lambda text: _object.decode(_or_stdin(text)))
    if Decimal in members:
        return Kind("a number", _read_number)
    if datetime in members:
        return Kind("a date (2024-01-31) or a date-time with its zone (2024-01-31T12:00:00Z)", _read_instant)
    for type, kind in _PLAIN.items():
        if type in members:
            return kind
    choices = [str(choice) for each in members if get_origin(each) is Literal for choice in get_args(each)]
    return Kind(f"a text, such as {_either(choices)}" if choices else "a text, not empty", _read_text, choices)


def _either(choices: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is_object(members: Iterable[Any]) -> bool:
    return any((get_origin(each) or each) is Mapping for each in members)


def _read_whole(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        raise ValueError
    return int(text)


def _read_number(text: str) -> Decimal:
    number = msgspec.convert(text, Decimal, strict=False)
    if not number.is_finite():
        raise ValueError
    return number


def _read_instant(text: str) -> date | datetime:
    return msgspec.convert(text, date if "T" not in text.upper() else _Instant)


def _read_text(text: str) -> str:
    if not text:  # a shell's variable that is not set, perhaps, and the service takes it for no filter at all
        raise ValueError
    return text


def _read_texts(text: str) -> list[str]:
    return [_read_text(each) for each in (_texts.decode(text) if text.startswith("[") else text.split(","))]


def _or_stdin(text: str) -> str:
    """What holds a secret had better not be an argument, which every process can see."""
    return sys.stdin.read() if text == "-" else text


def _read_float(text: str) -> float:
    return float(_read_number(text))


_PLAIN = {
    bool: Kind("true or false", lambda text: msgspec.convert(text, bool, strict=False), ("false", "true")),
    int: Kind("a whole number", _read_whole),
    float: Kind("a number", _read_float),
    date: Kind("a date (2024-01-31)", lambda text: msgspec.convert(text, date)),
}
