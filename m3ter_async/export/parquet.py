"""Parquet: amounts as ``decimal128(38, 18)``, exact or refused; date-times in UTC; free-form maps as JSON text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .arrow import pa, pc, pq
from .errors import ExportError
from .tables import Kind, Table, amount, read_rows, split, texts

AMOUNT = pa.decimal128(38, 18)
COMPRESSION = "zstd"
TYPES: Mapping[Kind, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "number": AMOUNT,
    "date": pa.date32(),
    "instant": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}


class ParquetSink:
    """A file for each table."""

    def __init__(self, table: Table, paths: Mapping[str, Path]) -> None:
        self.rows = {each.name: 0 for each in table.walk()}
        self._table = table
        self._decoder = msgspec.json.Decoder(table.row)
        self._writers: dict[str, Any] = {}
        for each in table.walk():
            schema = pa.schema([(column.title, TYPES[column.kind]) for column in each.header])
            self._writers[each.name] = pq.ParquetWriter(str(paths[each.name]), schema, compression=COMPRESSION)

    def write(self, records: Sequence[bytes]) -> None:
        """Append records and the rows in them, as one row group of each file."""
        for table, columns in split(self._table, read_rows(self._decoder, records)):
            header = table.header
            where = _Where(table.name, header[0].title, columns[0])
            arrays = [
                array(column.kind, values, where.field(column.title))
                for column, values in zip(header, columns, strict=True)
            ]
            writer = self._writers[table.name]
            writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema))
            self.rows[table.name] += len(columns[0])

    def close(self) -> None:
        """Finish the files."""
        for writer in self._writers.values():
            writer.close()


@dataclass(frozen=True)
class _Where:
    """How to name a row in an error: by the first column of its table."""

    table: str
    key: str
    keys: Sequence[Any]

    def field(self, name: str) -> Callable[[int], str]:
        return lambda row: f"{self.table}.{name} ({self.key} {self.keys[row]})"


def array(kind: Kind, values: Sequence[Any], where: Callable[[int], str]) -> Any:
    """The values of a column.

    Raises:
        ExportError: One of them does not fit the column's type; `where` names it.
    """
    type_ = TYPES[kind]
    try:
        if kind == "number":
            return _amounts(values)
        if kind == "json":
            return pa.array(texts(values), type_)
        if kind in ("date", "instant"):
            return pa.array(values, pa.string()).cast(type_)
        return pa.array(values, type_)
    except (pa.ArrowInvalid, OverflowError):
        return pa.chunked_array([_one(kind, value, where(row)) for row, value in enumerate(values)]).combine_chunks()


def _amounts(values: Sequence[Any]) -> Any:
    """Amounts from their digits: parsed by Arrow, which refuses whatever it would have to round."""
    if not values:
        return pa.array([], AMOUNT)
    lines = pa.scalar(b"\n".join(values).decode())
    found = pc.list_flatten(pc.split_pattern(pa.array([lines]), "\n"))
    if len(found) != len(values):
        raise pa.ArrowInvalid("not one amount a line")
    return pc.if_else(pc.equal(found, "null"), None, found).cast(AMOUNT)


def _one(kind: Kind, value: Any, where: str) -> Any:
    """A single value, read with more patience, and named if it cannot be kept."""
    text = value
    try:
        if kind == "number":
            text = amount(value)
            return pa.array([text], pa.string()).cast(AMOUNT)
        if kind == "json":
            text = texts([value])[0]
        return pa.array([text], pa.string() if isinstance(text, str) else None).cast(TYPES[kind])
    except (pa.ArrowInvalid, OverflowError, ExportError) as error:
        reason = str(error) if isinstance(error, ExportError) else f"{text} does not fit {TYPES[kind]}"
        raise ExportError(f"{where}: {reason}; NDJSON and CSV keep it as it is") from None
