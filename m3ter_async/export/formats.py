"""The files that records go into: NDJSON and CSV here, Parquet in its own module."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec

from .errors import ExportError
from .listings import Listing
from .slices import parent_key
from .tables import Column, Table, amounts, flat, read_rows, split, texts

FormatName = Literal["parquet", "csv", "ndjson"]
Compression = Literal["zstd"]
FORMATS: Sequence[FormatName] = get_args(FormatName)


class Sink(Protocol):
    """The open files of one part; all that it does is blocking."""

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows each table has got."""
        ...

    def write(self, records: Sequence[bytes]) -> None:
        """Append records, each the JSON of one.

        Raises:
            ExportError: One of them cannot be kept exactly.
            OSError: The disk is full, or not there.
        """
        ...

    def close(self) -> None:
        """Finish the files, whatever was written."""
        ...


@dataclass(frozen=True)
class Layout:
    """The files that one resource is exported into.

    Attributes:
        tables: A file for each makes a part.
        suffix: What their names end with.
        open: Begins a part, given a path for each table.
    """

    tables: Sequence[str]
    suffix: str
    open: Callable[[Mapping[str, Path]], Sink]


def layout(listing: Listing, format: str, *, nested: bool, compression: str | None) -> Layout:
    """How records of `listing` are laid out in a format.

    Raises:
        ImportError: The format needs pyarrow, which is not installed.
    """
    name, key = listing.table, parent_key(listing)
    if format == "ndjson":
        suffix = ".ndjson"
        if compression is not None:
            suffix = ".ndjson.zst"
        return Layout([name], suffix, lambda paths: NdjsonSink(name, paths[name], compression))
    record = listing.operation.answer
    if format == "csv":
        table = flat(record, name, key)
        return Layout([each.name for each in table.walk()], ".csv", lambda paths: CsvSink(table, paths))
    if nested:
        from .nested import NestedSink

        return Layout([name], ".parquet", lambda paths: NestedSink(record, name, key, paths[name]))
    from .parquet import ParquetSink

    table = flat(record, name, key)
    return Layout([each.name for each in table.walk()], ".parquet", lambda paths: ParquetSink(table, paths))


class NdjsonSink:
    """The bytes that the service sent, a record a line; compressed with zstd if asked for."""

    def __init__(self, table: str, path: Path, compression: str | None) -> None:
        self.rows: dict[str, int] = {table: 0}
        self._table = table
        self._file: Any = path.open("wb")
        if compression is not None:
            from .arrow import pa

            self._file = pa.CompressedOutputStream(self._file, compression)

    def write(self, records: Sequence[bytes]) -> None:
        """Append records."""
        lines = b"\n".join(records)
        if lines.count(b"\n") >= len(records):  # JSON that was laid out over lines; its numbers stay as they are
            lines = b"\n".join([msgspec.json.format(record, indent=-1) for record in records])
        if records:
            self._file.write(lines)
            self._file.write(b"\n")
        self.rows[self._table] += len(records)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class CsvSink:
    """A file for each table, with a header; amounts digit for digit as they were sent."""

    def __init__(self, table: Table, paths: Mapping[str, Path]) -> None:
        self.rows: dict[str, int] = {each.name: 0 for each in table.walk()}
        self._table = table
        self._decoder = msgspec.json.Decoder(table.row)
        self._files = {name: path.open("w", encoding="utf-8", newline="") for name, path in paths.items()}
        self._writers = {name: csv.writer(file) for name, file in self._files.items()}
        for each in table.walk():
            self._writers[each.name].writerow([column.title for column in each.header])

    def write(self, records: Sequence[bytes]) -> None:
        """Append records and the rows in them."""
        for table, columns in split(self._table, read_rows(self._decoder, records)):
            cells = [_cells(table, column, values) for column, values in zip(table.header, columns, strict=True)]
            rows = list(zip(*cells, strict=True))
            self._writers[table.name].writerows(rows)
            self.rows[table.name] += len(rows)

    def close(self) -> None:
        """Finish the files."""
        for file in self._files.values():
            file.close()


def _cells(table: Table, column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.kind == "boolean":
        return [None if value is None else "true" if value else "false" for value in values]
    try:
        if column.kind == "number":
            return amounts(values)
        return texts(values) if column.kind == "json" else values
    except ExportError as error:
        raise ExportError(f"{table.name}.{column.title}: {error}", resumable=False) from None
