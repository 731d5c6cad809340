"""The journal of an export in a folder: one file, to which lines are appended and synced.

A process that is killed while it writes leaves a last line that is cut short, which counts as not written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from .folder import Folder

NAME = "manifest.jsonl"


class JournalFile:
    """The file, locked while it is open; it is made if it is not there.

    Args:
        folder: Where it is.

    Raises:
        ExportError: Another export has it.
        OSError: It cannot be written to.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._path = folder.path / NAME
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            folder.lock(self._file)
        except BaseException:
            self.close()
            raise
        self._new = True  # whether its name may not be on the disk yet
        self._good: int | None = None  # how much of it is good, where that may not be all

    @property
    def shown(self) -> str:
        """Its path."""
        return str(self._path)

    def load(self) -> Iterator[bytes]:
        """The whole lines that are there; a last one that was cut short, and never relied on, is cut off. Blocking."""
        content = self._path.read_bytes()
        *lines, rest = content.split(b"\n")
        yield from lines
        if rest:
            os.ftruncate(self._file, len(content) - len(rest))

    def append(self, line: bytes) -> None:
        """Write a line and see it on the disk. Blocking."""
        self._cut()
        size = os.fstat(self._file).st_size
        try:
            rest = memoryview(line)
            while rest:  # what is left over after a part was written says why when it is tried
                rest = rest[os.write(self._file, rest) :]
            self._folder.sync(self._file, self._path)
        except OSError:
            self._good = size
            with suppress(OSError):  # then whoever appends the next line tries it again
                self._cut()
            raise
        if self._new:
            self._folder.sync_names(self._folder.path)
            self._new = False

    def _cut(self) -> None:
        """Cut off what is left of a line that failed: half a line would hide those after it."""
        if self._good is not None:
            os.ftruncate(self._file, self._good)
            self._good = None

    def lines(self) -> Iterator[bytes]:
        """The lines that are there. Blocking."""
        with self._path.open("rb") as file:
            yield from file

    def clear(self) -> None:
        """Cut all of it off. Blocking."""
        if os.fstat(self._file).st_size:
            os.ftruncate(self._file, 0)
            self._folder.sync(self._file, self._path)
        self._new, self._good = True, None

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)
