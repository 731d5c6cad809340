"""Rows in which the structs and lists of a record stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, Protocol

import msgspec

from .arrays import TYPES, array
from .pyarrow_import import pa
from .shapes import Member, Shape
from .tables import EXTRA, NULL, READ, Kind, kind_of, plain, snake, without_none


class _Node(Protocol):
    """A type of the models: how its values are read, what stands for a missing value, and how Arrow keeps it."""

    blank: Any
    type: Any

    def member(self, name: str, wire: str) -> Member: ...

    def build(self, values: Sequence[Any], where: str) -> Any: ...


def _node(type_: Any, within: tuple[Any, ...], title: str) -> _Node:
    kind, item = kind_of(type_)
    if item is not None and item not in within:
        return _List(Struct(item, within, title))
    bare = without_none(type_)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and bare not in within:
        return Struct(bare, within, title)
    return _Plain(kind)


class _Plain:
    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.blank = None if kind in READ else NULL
        self.type = TYPES[kind]

    def member(self, name: str, wire: str) -> Member:
        return plain(name, wire, self.kind)

    def build(self, values: Sequence[Any], where: str) -> Any:
        return array(self.kind, values, where)


class _List:
    blank = None

    def __init__(self, item: Struct) -> None:
        self.item = item
        self.type = pa.list_(item.type)

    def member(self, name: str, wire: str) -> Member:
        return Member(name, wire, inner=self.item.shape, many=True)

    def build(self, values: Sequence[Any], where: str) -> Any:
        items = self.item.build(list(chain.from_iterable(value or () for value in values)), where)
        offsets = pa.array([0, *accumulate(len(value or ()) for value in values)], pa.int32())
        missing = pa.array([value is None for value in values], pa.bool_())
        return pa.ListArray.from_arrays(offsets, items, type=self.type, mask=missing)


class Struct:
    """A struct of the models.

    Args:
        record: The struct.
        within: Those that it lies in: one that lies in itself is kept as JSON.
        title: How to name it in errors and notes.
        parent: A key that names the parent of a record before all else.
    """

    blank = None

    def __init__(self, record: type[Any], within: tuple[Any, ...], title: str, parent: str | None = None) -> None:
        fields = [
            (each.name, each.encode_name, _node(each.type, (*within, record), f"{title}.{each.name.rstrip('_')}"))
            for each in msgspec.structs.fields(record)
        ]
        if parent is not None:
            fields.insert(0, (snake(parent), parent, _Plain("text")))
        self._fields = [(name, node) for name, _, node in fields]
        self.shape: Shape = Shape(title, [node.member(name, wire) for name, wire, node in fields])
        types = [(name.rstrip("_"), node.type) for name, node in self._fields]
        self.type: Any = pa.struct([*types, (EXTRA, TYPES["text"])])

    def member(self, name: str, wire: str) -> Member:
        """The field that has such a struct as its value."""
        return Member(name, wire, inner=self.shape)

    def members(self, values: Sequence[Any], where: str) -> list[Any]:
        """An array for each field."""
        arrays = [self._member(name, node, values, where) for name, node in self._fields]
        size, text = len(values), TYPES["text"]
        return [*arrays, pa.array(self.shape.extras(values), text) if self.shape.knows_more else pa.nulls(size, text)]

    def _member(self, name: str, node: _Node, values: Sequence[Any], where: str) -> Any:
        found = [node.blank if value is None else getattr(value, name) for value in values]
        return node.build(found, f"{where}.{name.rstrip('_')}")

    def build(self, values: Sequence[Any], where: str) -> Any:
        """The structs as one array."""
        missing = pa.array([value is None for value in values], pa.bool_())
        return pa.StructArray.from_arrays(self.members(values, where), fields=list(self.type), mask=missing)
