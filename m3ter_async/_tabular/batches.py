"""Records as Arrow record batches, table by table, and what is set aside because a batch cannot hold it exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .arrays import TYPES, array
from .fitting import Misfit, in_halves
from .nested import Struct
from .pyarrow_import import pa
from .shapes import Reader, Shape, unknown_fields
from .tables import Table, flat, split
from .together import Together
from .written import Batches, Written


class _Piece(Protocol):
    def __call__(self, rows: Sequence[Any]) -> Mapping[str, tuple[Any, list[int] | None]]: ...


class RecordBatches:
    """Makes record batches of records.

    Args:
        record: The struct that the records decode to.
        name: The first table.
        parent: A key of the JSON that names the parent of a record before all else.
        nested: Whether to leave lists and structs in their rows, in place of tables for them.

    Attributes:
        schemas: The Arrow schema of each table; the same for all records.
    """

    def __init__(self, record: type[Any], name: str, parent: str | None = None, *, nested: bool = False) -> None:
        self.schemas: dict[str, Any]
        self._together: Together | None = None
        if nested:
            node = Struct(record, (), name, parent)
            self._shape: Shape = node.shape
            self.schemas = {name: pa.schema([(field.name, field.type) for field in node.type])}
            self._convert: _Piece = _Nested(node, name, self.schemas[name])
        else:
            table = flat(record, name, parent)
            self._shape = table.shape
            self.schemas = {
                each.name: pa.schema([(column.title, TYPES[column.kind]) for column in each.header])
                for each in table.walk()
            }
            self._convert = _Flat(table, self.schemas)
            self._together = Together(flat(record, name, parent, lean=True), self.schemas)
        self._reader = Reader(self._shape)

    def __call__(self, records: Sequence[bytes]) -> Batches:
        """The record batches of some records, each the JSON of one."""
        found = None if self._together is None else self._together(records)
        if found is None:
            return self.one_by_one(records)
        batches, left = found
        alone = [self.one_by_one([records[place]]).written.misfits for place in left]
        if not all(alone):
            return self.one_by_one(records)  # one fits after all, and has its place among the others
        batches.written.misfits = [each._replace(place=place) for place, (each,) in zip(left, alone, strict=True)]
        return batches

    def one_by_one(self, records: Sequence[bytes]) -> Batches:
        """The same, by a look at each record, which finds those that do not fit."""
        rows, places, misfits = self._reader.read(records)
        pieces, unfit = in_halves(rows, self._convert) if rows else ([], [])
        batches = Batches({name: [] for name in self.schemas}, Written())
        for piece in pieces:
            for name, (batch, counts) in piece.items():
                batches.tables[name].append(batch)
                if counts is not None:
                    batches.written.below.setdefault(name, []).extend(counts)
        batches.written.misfits = _sorted(misfits, unfit, places)
        if self._shape.knows_more:
            lost = {each.place for each in unfit}
            kept = [row for number, row in enumerate(rows) if number not in lost]
            batches.written.unknown = dict(unknown_fields(self._shape, kept))
        return batches


def _sorted(misfits: list[Misfit], unfit: list[Misfit], places: Sequence[int]) -> list[Misfit]:
    return sorted([*misfits, *(each._replace(place=places[each.place]) for each in unfit)])


class _Flat:
    def __init__(self, table: Table, schemas: Mapping[str, Any]) -> None:
        self._table = table
        self._schemas = schemas

    def __call__(self, rows: Sequence[Any]) -> dict[str, tuple[Any, list[int] | None]]:
        found: dict[str, tuple[Any, list[int] | None]] = {}
        for part in split(self._table, rows):
            name = part.table.name
            columns = zip(part.table.header, part.columns, strict=True)
            arrays = [array(column.kind, values, f"{name}.{column.title}") for column, values in columns]
            found[name] = pa.RecordBatch.from_arrays(arrays, schema=self._schemas[name]), part.counts
        return found


class _Nested:
    def __init__(self, node: Struct, name: str, schema: Any) -> None:
        self._node = node
        self._name = name
        self._schema = schema

    def __call__(self, rows: Sequence[Any]) -> dict[str, tuple[Any, list[int] | None]]:
        arrays = self._node.members(rows, self._name)
        return {self._name: (pa.RecordBatch.from_arrays(arrays, schema=self._schema), None)}
