"""NDJSON: the JSON that the service sent, a record a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import msgspec


class NdjsonSink:
    """The bytes that the service sent, a record a line."""

    def __init__(self, table: str, file: IO[bytes]) -> None:
        self.rows: dict[str, int] = {table: 0}
        self._table = table
        self._file = file

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
