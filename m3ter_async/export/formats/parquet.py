"""Parquet: amounts as ``decimal128(38, 18)``, exact or refused; date-times in UTC; free-form maps as JSON text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ExportError
from .pyarrow_import import pa, pc, pq
from .sink import close_all
from .tables import Kind, Table, amount, read_rows, split, texts

AMOUNT = pa.decimal128(38, 18)
_COMPRESSION = "zstd"
_ROW_GROUP = 2 * 2**20  # bytes of a row group in memory
TYPES: Mapping[Kind, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "number": AMOUNT,
    "date": pa.date32(),
    "instant": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}


class RowGroups:
    """A Parquet file, written in row groups of some size, however small the pieces are that it gets.

    Args:
        columns: Names and Arrow types.
    """

    def __init__(self, path: Path, columns: Sequence[tuple[str, Any]]) -> None:
        self._schema = pa.schema(columns)
        # a dictionary of ids or amounts, of which hardly any comes twice, would only be made to be thrown away
        repeating = [name for name, type in columns if type == TYPES["text"] and not name.endswith("id")]
        self._writer = pq.ParquetWriter(str(path), self._schema, compression=_COMPRESSION, use_dictionary=repeating)
        self._waiting: list[Any] = []
        self._bytes = 0
        self.rows: int = 0

    def write(self, arrays: Sequence[Any]) -> None:
        """Append rows, given as an array for each column."""
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._waiting.append(batch)
        self._bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._bytes >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        try:
            self._flush()
            self._writer.close()
        finally:
            self._writer.is_open = False  # what failed is not tried again when it is collected

    def _flush(self) -> None:
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if waiting:
            self._writer.write_table(pa.Table.from_batches(waiting, self._schema))


class ParquetSink:
    """A file for each table."""

    def __init__(self, table: Table, paths: Mapping[str, Path]) -> None:
        self._table = table
        self._decoder = msgspec.json.Decoder(table.row)
        self._files = {
            each.name: RowGroups(paths[each.name], [(column.title, TYPES[column.kind]) for column in each.header])
            for each in table.walk()
        }

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each table has got."""
        return {name: file.rows for name, file in self._files.items()}

    def write(self, records: Sequence[bytes]) -> None:
        """Append records and the rows in them."""
        for table, columns in split(self._table, read_rows(self._decoder, records)):
            header = table.header
            where = _Where(table.name, header[0].title, columns[0])
            arrays = [
                array(column.kind, values, where.field(column.title))
                for column, values in zip(header, columns, strict=True)
            ]
            self._files[table.name].write(arrays)

    def close(self) -> None:
        """Finish the files."""
        close_all(self._files.values())


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
    except (pa.ArrowInvalid, OverflowError, ExportError):
        return pa.chunked_array([_one(kind, value, where(row)) for row, value in enumerate(values)]).combine_chunks()


def _amounts(values: Sequence[Any]) -> Any:
    """Amounts from their digits: parsed by Arrow, which refuses whatever it would have to round."""
    if not values:
        return pa.array([], AMOUNT)
    lines = b"\n".join(values).decode(errors="replace")
    found = pc.split_pattern(pa.scalar(lines), "\n").values
    if len(found) != len(values):
        raise pa.ArrowInvalid("not one amount a line")
    if "null" in lines:
        found = pc.if_else(pc.equal(found, "null"), None, found)
    return found.cast(AMOUNT)


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
        raise ExportError(f"{where}: {reason}; NDJSON and CSV keep it as it is", resumable=False) from None
