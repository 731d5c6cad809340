"""What msgspec decodes without a word although it is not exact: amounts that are no numbers, moments that it rounds.

A look at each value would take as long as decoding it. So whole pages are looked at by iterators that run in C, and by
one search of the JSON; only what does not pass is gone through value by value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from operator import attrgetter, itemgetter, methodcaller
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

T = TypeVar("T")
Data: TypeAlias = bytes | bytearray | msgspec.Raw | str
Numbers: TypeAlias = Callable[[Iterable[Any]], Iterable[Any]]
"""Gives all amounts in values of one type, and None where one is missing."""

# The time of a moment, in more digits than a datetime holds: looked for by its dot, of which there are few. Or any of
# these characters as an escape. And the digits that would be lost.
_MAYBE_FINER = re.compile(rb"\.(?<=:..\.)[0-9]{7}", re.DOTALL).search
_ESCAPED = re.compile(rb"\\u00(?:3[0-9aA]|2[eE])").search
_FINER = re.compile(r"\.[0-9]{6}0*[1-9]").search
_finite = Decimal.is_finite
_values = methodcaller("values")
_plain = msgspec.json.Decoder(float_hook=Decimal)


class Exactness:
    """Whether values of one type were decoded exactly.

    Args:
        answer: The type; anything that msgspec decodes.
    """

    def __init__(self, answer: Any) -> None:
        from msgspec import inspect  # not before it is needed

        self._inspect = inspect
        self._structs: dict[type, Numbers] = {}
        self._moments = False
        self._numbers = self._of(inspect.type_info(answer))

    def fault(self, value: Any, data: Data) -> tuple[str, str] | None:
        """What is not exact in `value`, which was decoded from `data`: the reason, and where.

        Returns:
            None where all is exact.
        """
        sure = self._numbers is None or self._all_finite(value)
        if sure and not (self._moments and _maybe_finer(data)):
            return None
        return next(_faults(value, _plain.decode(data), "$"), None)

    def _all_finite(self, value: Any) -> bool:
        try:
            return self._numbers is None or all(map(_finite, filter(bool, self._numbers((value,)))))
        except (TypeError, AttributeError):  # fields that were left out, or one of several types
            return False

    def _of(self, info: Any) -> Numbers | None:
        kinds = self._inspect
        if isinstance(info, kinds.Metadata):
            return self._of(info.type)
        if isinstance(info, kinds.DecimalType):
            return iter
        if isinstance(info, kinds.DateTimeType):
            self._moments = True
        if isinstance(info, kinds.UnionType):
            found = [each for each in map(self._of, info.types) if each]
            return found[0] if len(found) == 1 else _deeply if found else None
        if isinstance(info, kinds.DictType):
            return _within(self._of(info.value_type), lambda values: map(_values, values))
        if isinstance(info, kinds.CollectionType):
            return _within(self._of(info.item_type), iter)
        if isinstance(info, kinds.StructType):
            return self._of_struct(info)
        if isinstance(info, (kinds.TupleType, kinds.DataclassType, kinds.TypedDictType, kinds.NamedTupleType)):
            self._moments = True  # rare enough to be gone through
            return _deeply
        return None

    def _of_struct(self, info: Any) -> Numbers | None:
        if info.cls in self._structs:  # one that holds itself
            return lambda values: self._structs[info.cls](values)
        self._structs[info.cls] = _nothing
        amounts: list[int] = []
        children: list[tuple[int, Numbers]] = []
        for place, field in enumerate(info.fields):
            if inner := self._of(field.type):
                if inner is iter:
                    amounts.append(place)
                else:
                    children.append((place, inner))
        if not (amounts or children):
            return None
        self._structs[info.cls] = _struct([field.name for field in info.fields], amounts, children)
        return self._structs[info.cls]


@lru_cache(maxsize=1024)
def exactness(answer: Any) -> Exactness:
    """That of a type; looking through a large one takes a millisecond."""
    return Exactness(answer)


class Decoder(Generic[T]):
    """A JSON decoder for one type, under which every number and every moment is exact, or an error.

    Numbers are exact also where the contract leaves the type open.

    Args:
        answer: The type; anything that msgspec decodes.
    """

    __slots__ = ("_decode", "_exactness")

    def __init__(self, answer: Any) -> None:
        self._decode: Callable[[Data], T] = msgspec.json.Decoder(answer, float_hook=Decimal).decode
        try:
            self._exactness = exactness(answer)
        except TypeError:  # a type that cannot be hashed
            self._exactness = Exactness(answer)

    def decode(self, data: Data) -> T:
        """Decode one value.

        Raises:
            msgspec.DecodeError: It is not JSON, or not of this type.
        """
        value = self._decode(data)
        if fault := self._exactness.fault(value, data):
            raise msgspec.ValidationError("{} - at `{}`".format(*fault))
        return value


def _maybe_finer(data: Data) -> bool:
    """Whether any moment in the JSON may be finer than a microsecond."""
    content = data.encode() if isinstance(data, str) else bytes(data) if isinstance(data, msgspec.Raw) else data
    return bool(_MAYBE_FINER(content) or (b"\\" in content and _ESCAPED(content)))


def _struct(names: list[str], amounts: list[int], children: list[tuple[int, Numbers]]) -> Numbers:
    """The amounts of structs: their own, by one look at each struct, and those of what they hold."""
    get: Callable[[Any], Any] | None = None
    pick: Callable[[Any], Any] | None = None
    if amounts:
        get = attrgetter(*(names[place] for place in amounts))
    if len(amounts) > len(names) / 2:  # then it is quicker to take all fields at once
        get, pick = astuple, itemgetter(*amounts)
    within = [(attrgetter(names[place]), inner) for place, inner in children]

    def numbers(values: Iterable[Any]) -> Iterable[Any]:
        if within:
            values = list(values)
        found: list[Iterable[Any]] = []
        if get:
            own = map(pick, map(get, values)) if pick else map(get, values)
            found.append(chain.from_iterable(own) if len(amounts) > 1 else own)
        for child, inner in within:
            if held := list(filter(bool, map(child, values))):
                found.append(inner(held))
        return chain.from_iterable(found)

    return numbers


def _within(inner: Numbers | None, items: Callable[[Iterable[Any]], Iterable[Any]]) -> Numbers | None:
    """The amounts of lists or mappings, whose items these are."""
    return inner and (lambda values: inner(chain.from_iterable(items(values))))


def _nothing(values: Iterable[Any]) -> Iterable[Any]:
    return ()


def _deeply(values: Iterable[Any]) -> Iterable[Any]:
    """Of any values, all amounts in them, one by one."""
    for value in values:
        if isinstance(value, Decimal):
            yield value
        else:
            yield from _deeply(part for _, _, part in _parts(value, None))


def _faults(value: Any, plain: Any, at: str) -> Iterator[tuple[str, str]]:
    """What is not exact in a value, beside the plain one that was decoded from the same JSON."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            yield "an amount that is not a finite number", at
    elif isinstance(value, datetime):
        if isinstance(plain, str) and _FINER(plain):
            yield "a moment that is finer than a microsecond", at
    else:
        for step, inner, part in _parts(value, plain):
            yield from _faults(part, inner, at + step)


def _parts(value: Any, plain: Any) -> Iterator[tuple[str, Any, Any]]:
    """What a value is made of: the step to each part, its plain form, and itself."""
    if isinstance(value, (Struct, Mapping)) or hasattr(value, "__dataclass_fields__"):
        for place, (wire, part) in enumerate(_fields(value)):
            inner = cast("dict[str, Any]", plain).get(wire) if isinstance(plain, dict) else _item(plain, place)
            yield f"[{place}]" if isinstance(plain, list) else f".{wire}", inner, part
    elif isinstance(value, (list, tuple, set, frozenset)):
        for place, part in enumerate(cast("Iterable[Any]", value)):
            yield f"[{place}]", _item(plain, place), part


def _fields(value: Any) -> Iterable[tuple[str, Any]]:
    """The name on the wire and the value of each field."""
    if isinstance(value, Struct):
        wires: tuple[str, ...] = cast("Any", value).__struct_encode_fields__  # older stubs of msgspec do not name it
        names = zip(wires, value.__struct_fields__, strict=True)
        return ((wire, getattr(value, name)) for wire, name in names)
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).items()
    return ((field.name, getattr(value, field.name)) for field in fields(value))


def _item(plain: Any, place: int) -> Any:
    items = cast("list[object]", plain) if isinstance(plain, list) else []
    return items[place] if place < len(items) else None
