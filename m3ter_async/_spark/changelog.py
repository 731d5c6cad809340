"""The changes of listings in a folder, numbered: what a streaming query reads again if it has to."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from .._tabular.pyarrow_import import pa, pq

_ENTRY = re.compile(r"(\d{9})-(.+)")
_ROWS, _MARK, _NAME = "rows.parquet", "mark", "name"
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Entry:
    """A change that is kept.

    Attributes:
        number: Its place among all changes, from 1.
        organization: Whose records they are.
        folder: Where its files are.
    """

    number: int
    organization: str
    folder: Path

    @property
    def rows(self) -> Path:
        """The file of its rows."""
        return self.folder / _ROWS

    @property
    def mark(self) -> bytes:
        """Where the sync of its organization stands after it."""
        return (self.folder / _MARK).read_bytes()


class Changelog:
    """The folder. Every entry appears whole, under its number, or not at all.

    Args:
        folder: It is made where it is not there. The driver and all workers reach it under this path.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    @property
    def name(self) -> str:
        """What tells this folder from one that was emptied and filled again.

        Raises:
            OSError: The folder cannot be written to.
        """
        path = self._folder / _NAME
        with suppress(FileNotFoundError):
            return path.read_text(encoding="ascii")
        self._folder.mkdir(parents=True, exist_ok=True)
        staged = self._folder / f"{_NAME}{_UNFINISHED}"
        _write(staged, uuid4().hex.encode())
        os.rename(staged, path)
        return path.read_text(encoding="ascii")

    def entries(self) -> list[Entry]:
        """All that are kept, in their order."""
        found: list[Entry] = []
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                named = _ENTRY.fullmatch(path.name)
                if named is not None:
                    found.append(Entry(int(named[1]), named[2], path))
        return sorted(found, key=lambda each: each.number)

    def latest(self) -> int:
        """The number of the last entry; 0 before the first."""
        entries = self.entries()
        return entries[-1].number if entries else 0

    def standing(self, organization: str) -> bytes | None:
        """The mark of the last entry of an organization, or None where there is none."""
        own = [each for each in self.entries() if each.organization == organization]
        return own[-1].mark if own else None

    def append(self, organization: str, batches: Sequence[Any], schema: Any, mark: bytes) -> None:
        """Keep a change; one without rows only moves the mark of the last entry on.

        Raises:
            RuntimeError: Another query has written into the folder meanwhile.
            OSError: The folder cannot be written to.
        """
        entries = self.entries()
        own = [each for each in entries if each.organization == organization]
        if own and not any(len(each) for each in batches):
            _write(own[-1].folder / f"{_MARK}{_UNFINISHED}", mark)
            os.replace(own[-1].folder / f"{_MARK}{_UNFINISHED}", own[-1].folder / _MARK)
            return
        number = entries[-1].number + 1 if entries else 1
        staged = self._folder / f"{_UNFINISHED}-{uuid4().hex}"
        staged.mkdir(parents=True)
        pq.write_table(pa.Table.from_batches(batches, schema), staged / _ROWS, compression="zstd")
        _synced(staged / _ROWS)
        _write(staged / _MARK, mark)
        try:
            os.rename(staged, self._folder / f"{number:09}-{organization}")
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            raise RuntimeError(f"two queries write into {self._folder}: give each its own option state") from None
        _synced(self._folder)

    def tidy(self) -> None:
        """Remove what was being written when a query ended; to be called before anything is written."""
        for path in self._folder.glob(f"{_UNFINISHED}-*"):
            shutil.rmtree(path)

    def between(self, start: int, end: int) -> list[Entry]:
        """The entries after `start`, up to `end`.

        Raises:
            RuntimeError: Some of them are gone.
        """
        found = [each for each in self.entries() if start < each.number <= end]
        if [each.number for each in found] != [*range(start + 1, end + 1)] or not all(
            each.rows.exists() for each in found
        ):
            raise self.torn()
        return found

    def torn(self) -> RuntimeError:
        """The error where a query and the folder are not at the same place."""
        return RuntimeError(
            f"{self._folder} has not the changes that the checkpoint of this query asks for: the checkpoint and the "
            "option state belong together; begin anew with both empty"
        )

    def forget(self, end: int) -> None:
        """Remove rows up to an entry, which nobody asks for any more; the last mark of each organization stays."""
        entries = self.entries()
        last = {each.organization: each.number for each in entries}
        for each in entries:
            if each.number <= end:
                if last[each.organization] == each.number:
                    each.rows.unlink(missing_ok=True)
                else:
                    shutil.rmtree(each.folder)


def read_rows(path: Path) -> Iterator[Any]:
    """The rows of an entry as record batches."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _synced(path)


def _synced(path: Path) -> None:
    with suppress(OSError):  # some mounted stores cannot
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
