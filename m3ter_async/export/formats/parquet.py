"""Parquet files: amounts as ``decimal128(38, 18)``, date-times in UTC, free-form maps as JSON text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._tabular.arrays import TYPES
from ..._tabular.batches import RecordBatches
from ..._tabular.pyarrow_import import pa, pq
from ..._tabular.written import Written
from .sink import close_all

_COMPRESSION = "zstd"
_ROW_GROUP = 2 * 2**20  # bytes of a row group in memory


class RowGroups:
    """A Parquet file, written in row groups of some size, however small the pieces are that it gets."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._schema = schema
        # a dictionary of ids or amounts, of which hardly any comes twice, would only be made to be thrown away
        repeating = [each.name for each in schema if each.type == TYPES["text"] and not each.name.endswith("id")]
        self._writer = pq.ParquetWriter(str(path), schema, compression=_COMPRESSION, use_dictionary=repeating)
        self._waiting: list[Any] = []
        self._bytes = 0
        self.rows: int = 0

    def write(self, batch: Any) -> None:
        """Append a record batch."""
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

    def __init__(self, batches: RecordBatches, paths: Mapping[str, Path]) -> None:
        self._batches = batches
        self._files = {name: RowGroups(paths[name], schema) for name, schema in batches.schemas.items()}

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each table has got."""
        return {name: file.rows for name, file in self._files.items()}

    def write(self, records: Sequence[bytes]) -> Written:
        """Append records and the rows in them."""
        made = self._batches(records)
        for name, batches in made.tables.items():
            for batch in batches:
                self._files[name].write(batch)
        return made.written

    def close(self) -> None:
        """Finish the files."""
        close_all(self._files.values())
