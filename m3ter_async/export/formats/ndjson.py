"""NDJSON: the JSON that the service sent, a record a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO

import msgspec

from ..._tabular.fitting import Misfit
from ..._tabular.written import Written

_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NdjsonSink:
    """The bytes that the service sent, a record a line.

    Args:
        table: What it is called.
        file: Where the lines go.
        objects: Whether a record has to be an object: one with its parent's name in it can be nothing else.
    """

    def __init__(self, table: str, file: IO[bytes], *, objects: bool = False) -> None:
        self.rows: dict[str, int] = {table: 0}
        self._table = table
        self._file = file
        self._objects = objects

    def write(self, records: Sequence[bytes]) -> Written:
        """Append records; any JSON fits, unless it has to be an object."""
        misfits: list[Misfit] = []
        if self._objects:
            odd = {place for place, record in enumerate(records) if record[:1] != b"{"}
            misfits = [Misfit(place, "", "not an object") for place in sorted(odd)]
            records = [record for place, record in enumerate(records) if place not in odd] if odd else records
        if records:
            lines = b"\n".join(records)
            if b"\r" in lines or lines.count(b"\n") >= len(records):
                lines = b"\n".join(map(one_line, records))
            self._file.write(lines)
            self._file.write(b"\n")
        self.rows[self._table] += len(records)
        return Written(misfits)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def one_line(record: bytes) -> bytes:
    """JSON on one line, whatever stands between its tokens; its numbers and texts stay as they are."""
    if b"\n" not in record and b"\r" not in record:
        return record
    try:
        return msgspec.json.format(record, indent=-1)
    except msgspec.DecodeError:
        # a line break within a text, which JSON does not allow, is written as JSON wants it
        return _TEXT.sub(_escaped, record).translate(_BREAKS)


def _escaped(text: re.Match[bytes]) -> bytes:
    return text[0].replace(b"\r", b"\\r").replace(b"\n", b"\\n")
