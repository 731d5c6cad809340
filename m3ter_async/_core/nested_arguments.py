"""What may stand within an argument: the fields of a model, given as one or as a mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property, lru_cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, Raw, Struct

from ..models._base import dt
from .argument_kinds import Check, amount, anything, day, flag, list_of, map_of, moment, text, whole
from .argument_words import check_of, split
from .json_values import Refused, plain

_KINDS: dict[Any, Check] = {
    str: text,
    int: whole,
    Decimal: amount,
    bool: flag,
    dt.date: day,
    dt.datetime: moment,
}
_NEVER = (str, bytes, bytearray, int, float, Decimal, Sequence, NoneType)


class _Nested:
    """The check of a model's fields; the model is loaded when a value is given.

    Args:
        kind: The model or its name.
    """

    def __init__(self, kind: str | type[Struct]) -> None:
        self._kind = kind

    @cached_property
    def _model(self) -> type[Struct]:
        if isinstance(self._kind, str):
            found: type[Struct] = getattr(import_module("m3ter_async.models"), self._kind)
            return found
        return self._kind

    @cached_property
    def _fields(self) -> dict[str, tuple[str, Check]]:
        """The name on the wire and the check of each field, by either of its names."""
        from ..models._argument_words import WORDS

        words = split(WORDS.get(self._model.__name__, ""))
        found: list[tuple[str, tuple[str, Check]]] = []
        for field in msgspec.structs.fields(self._model):
            wire = field.encode_name
            check = check_of(words[wire], nested) if wire in words else _of(field.type)
            found.append((field.name, (wire, check)))
        return {**dict(found), **{pair[0]: pair for _, pair in found}}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, Raw):
            return plain(value)
        if isinstance(value, Mapping):
            return self._mapping(cast("dict[object, object]", value))
        if isinstance(value, self._model):
            return self._struct(value)
        if isinstance(value, _NEVER):
            name, kind = self._model.__name__, type(cast("object", value)).__name__
            raise Refused(TypeError(f"must be a {name} or a mapping of its fields, not {kind}"))
        return plain(value)  # of a class of the caller's

    def _mapping(self, value: Mapping[object, object]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for name, item in value.items():
            wire, check = self._fields.get(name, (name, plain)) if isinstance(name, str) else (name, plain)
            try:
                if wire in made:
                    raise Refused(TypeError(f"is given twice, since it is the same as {wire!r}"))
                if item is UNSET and wire != name:
                    continue
                made[wire] = None if item is None else check(item)
            except Refused as refused:
                refused.within(f".{name}")
                raise
        return made

    def _struct(self, value: Struct) -> Struct:
        changed: dict[str, Any] = {}
        for name in value.__struct_fields__:
            item = getattr(value, name)
            if item is None or item is UNSET:
                continue
            try:
                made = self._fields[name][1](item)
            except Refused as refused:
                refused.within(f".{name}")
                raise
            if made is not item:
                changed[name] = made
        return msgspec.structs.replace(value, **changed) if changed else value


@lru_cache(maxsize=256)
def nested(kind: str | type[Struct]) -> Check:
    """The check of a model, or of the one by that name."""
    return _Nested(kind)


def _of(annotation: Any) -> Check:
    """The check of a field, from what a model says of it."""
    if get_origin(annotation) in (Union, UnionType):
        members = [each for each in get_args(annotation) if each is not NoneType]
        return _of(members[0]) if len(members) == 1 else anything
    if check := _KINDS.get(annotation):
        return check
    if get_origin(annotation) is Sequence:
        return list_of(_of(get_args(annotation)[0]))
    if get_origin(annotation) is Mapping:
        return map_of(_of(get_args(annotation)[1]))
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return nested(annotation)
    return anything
