"""One Parquet table in which the structs and lists of a record stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, Protocol

import msgspec

from .parquet import TYPES, RowGroups, array
from .pyarrow_import import pa
from .tables import NULL, READ, Kind, kind_of, read_rows, snake, without_none

Where = Callable[[int, str], str]  # how to name a row, and what of it


class NestedSink:
    """One file, a row for each record."""

    def __init__(self, record: type[Any], table: str, extra: str | None, path: Path) -> None:
        self._table = table
        self._node = _Struct(record, (), extra)
        self._decoder = msgspec.json.Decoder(self._node.read)
        self._file = RowGroups(path, [(field.name, field.type) for field in self._node.type])

    @property
    def rows(self) -> dict[str, int]:
        """How many rows the table has got."""
        return {self._table: self._file.rows}

    def write(self, records: Sequence[bytes]) -> None:
        """Append records."""
        rows = read_rows(self._decoder, records)
        arrays = self._node.members(
            rows, lambda row, path: f"{self._table}{path} (id {getattr(rows[row], 'id', None)})"
        )
        self._file.write(arrays)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class _Node(Protocol):
    """A type of the models: what JSON is read into, what stands for a missing value, and how Arrow keeps it."""

    read: Any
    blank: Any
    type: Any

    def build(self, values: Sequence[Any], where: Where) -> Any: ...


def _node(type_: Any, within: tuple[Any, ...]) -> _Node:
    kind, item = kind_of(type_)
    if item is not None and item not in within:
        return _List(_Struct(item, within))
    bare = without_none(type_)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and bare not in within:
        return _Struct(bare, within)
    return _Plain(kind)


class _Plain:
    def __init__(self, kind: Kind) -> None:
        raw = kind not in READ
        self.kind: Kind = kind
        self.read = msgspec.Raw if raw else READ[kind] | None
        self.blank = NULL if raw else None
        self.type = TYPES[kind]

    def build(self, values: Sequence[Any], where: Where) -> Any:
        return array(self.kind, values, lambda row: where(row, ""))


class _List:
    def __init__(self, item: _Node) -> None:
        self.item = item
        self.read = list[item.read] | None  # type: ignore[name-defined]
        self.blank = None
        self.type = pa.list_(item.type)

    def build(self, values: Sequence[Any], where: Where) -> Any:
        lengths = [len(value or ()) for value in values]
        owners = [row for row, length in enumerate(lengths) for _ in range(length)]
        items = self.item.build(
            list(chain.from_iterable(value or () for value in values)), lambda at, path: where(owners[at], path)
        )
        offsets = pa.array([0, *accumulate(lengths)], pa.int32())
        missing = pa.array([value is None for value in values], pa.bool_())
        return pa.ListArray.from_arrays(offsets, items, type=self.type, mask=missing)


class _Struct:
    blank = None

    def __init__(self, record: type[Any], within: tuple[Any, ...], extra: str | None = None) -> None:
        fields = [
            (each.name, each.encode_name, _node(each.type, (*within, record)))
            for each in msgspec.structs.fields(record)
        ]
        if extra is not None:
            fields.insert(0, (snake(extra), extra, _Plain("text")))
        self._fields = [(name, node) for name, _, node in fields]
        row = msgspec.defstruct(
            f"{record.__name__}Row",
            [(name, node.read, msgspec.field(default=node.blank, name=wire)) for name, wire, node in fields],
            frozen=True,
            gc=False,
        )
        self.read = row | None if within else row
        self.type = pa.struct([(name.rstrip("_"), node.type) for name, node in self._fields])

    def members(self, values: Sequence[Any], where: Where) -> list[Any]:
        """An array for each field."""
        return [self._member(name, node, values, where) for name, node in self._fields]

    def _member(self, name: str, node: _Node, values: Sequence[Any], where: Where) -> Any:
        found = [node.blank if value is None else getattr(value, name) for value in values]
        return node.build(found, lambda row, path: where(row, f".{name.rstrip('_')}{path}"))

    def build(self, values: Sequence[Any], where: Where) -> Any:
        missing = pa.array([value is None for value in values], pa.bool_())
        return pa.StructArray.from_arrays(self.members(values, where), fields=list(self.type), mask=missing)
