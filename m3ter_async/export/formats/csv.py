"""CSV: a file for each table, amounts digit for digit."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._tabular.amounts import spellings
from ..._tabular.fitting import Unfit, in_halves
from ..._tabular.shapes import Reader, unknown_fields
from ..._tabular.tables import Column, InTable, Table, split, texts
from ..._tabular.written import Written
from .sink import close_all


class CsvSink:
    """A file for each table, with a header; amounts digit for digit as they were sent."""

    def __init__(self, table: Table, reader: Reader, paths: Mapping[str, Path]) -> None:
        self.rows: dict[str, int] = {each.name: 0 for each in table.walk()}
        self._table = table
        self._reader = reader
        self._files = {name: path.open("w", encoding="utf-8", newline="") for name, path in paths.items()}
        self._writers = {name: csv.writer(file) for name, file in self._files.items()}
        for each in table.walk():
            self._writers[each.name].writerow([column.title for column in each.header])

    def write(self, records: Sequence[bytes]) -> Written:
        """Append records and the rows in them."""
        rows, places, misfits = self._reader.read(records)
        pieces, unfit = in_halves(rows, self._lines) if rows else ([], [])
        written = Written()
        for piece in pieces:
            for part, lines in piece:
                name = part.table.name
                self._writers[name].writerows(lines)
                self.rows[name] += len(lines)
                if (counts := part.counts) is not None:
                    written.below.setdefault(name, []).extend(counts)
        lost = {each.place for each in unfit}
        written.misfits = sorted([*misfits, *(each._replace(place=places[each.place]) for each in unfit)])
        written.unknown = dict(unknown_fields(self._table.shape, [r for n, r in enumerate(rows) if n not in lost]))
        return written

    def _lines(self, rows: Sequence[Any]) -> list[tuple[InTable, list[tuple[Any, ...]]]]:
        """The lines for rows that were read, by table."""
        lines: list[tuple[InTable, list[tuple[Any, ...]]]] = []
        for part in split(self._table, rows):
            cells = [_cells(part, column, each) for column, each in zip(part.table.header, part.columns, strict=True)]
            lines.append((part, list(zip(*cells, strict=True))))
        return lines

    def close(self) -> None:
        """Finish the files."""
        close_all(self._files.values())


def _cells(part: InTable, column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.kind == "boolean":
        return [None if value is None else "true" if value else "false" for value in values]
    try:
        if column.kind == "number":
            return spellings(values)
        return texts(values) if column.kind == "json" else values
    except Unfit as error:
        raise Unfit(f"{part.table.name}.{column.title}", error.why) from None
