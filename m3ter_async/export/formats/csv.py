"""CSV: a file for each table, amounts digit for digit."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ExportError
from .sink import close_all
from .tables import Column, Table, amounts, read_rows, split, texts


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
        close_all(self._files.values())


def _cells(table: Table, column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.kind == "boolean":
        return [None if value is None else "true" if value else "false" for value in values]
    try:
        if column.kind == "number":
            return amounts(values)
        return texts(values) if column.kind == "json" else values
    except ExportError as error:
        raise ExportError(f"{table.name}.{column.title}: {error}", resumable=False) from None
