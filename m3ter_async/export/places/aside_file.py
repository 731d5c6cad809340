"""The records that were set aside, in a folder: one file for each resource."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import ExportError
from .folder import Folder
from .place import TEMPORARY

FOLDER = "aside"
_PART = re.compile(rb'\{"part":(\d+),"at":\d+,')


class AsideFile:
    """The file of one resource."""

    def __init__(self, folder: Folder, resource: str) -> None:
        self._folder = folder
        self.path: Path = folder.path / FOLDER / f"{resource}.ndjson"

    @property
    def shown(self) -> str:
        """Its path."""
        return str(self.path)

    def append(self, stem: str, lines: Sequence[bytes]) -> None:
        """Write lines and see them on the disk, all or none. Blocking."""
        if not lines:
            return
        self._folder.make(self.path.parent)
        new = not self.path.exists()
        before = [b"\n"] if self._is_cut() else []  # half a line that failed, and could not be cut off, is of no part
        with self.path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                rest = memoryview(b"".join([*before, *lines]))
                while rest:  # what is left over after a part was written says why when it is tried
                    rest = rest[file.write(rest) :]
                self._folder.sync(file.fileno(), self.path)
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise
        if new:
            self._folder.sync_names(self.path.parent)

    def of_part(self, stem: str) -> list[bytes]:
        """The lines of a part. Blocking."""
        return [each for part, each in self._lines() if part == int(stem)]

    def tidy(self, counts: Mapping[str, int]) -> None:
        """Remove the lines of all parts but these, and see that theirs are there. Blocking.

        Raises:
            ExportError: They are not.
        """
        wanted = {int(stem): count for stem, count in counts.items()}
        found = dict.fromkeys(wanted, 0)
        strange = False
        for part, _ in self._lines():
            if part in found:
                found[part] += 1
            else:
                strange = True
        if found != wanted:
            raise ExportError(f"{self.path} is not as it was finished: export anew with overwrite", resumable=False)
        if strange or self._is_cut():
            self._rewrite(wanted)

    def _rewrite(self, parts: Mapping[int, int]) -> None:
        scratch = self.path.with_name(self.path.name + TEMPORARY)
        with scratch.open("wb") as file:
            file.writelines(each for part, each in self._lines() if part in parts)
            file.flush()
            self._folder.sync(file.fileno(), scratch)
        if scratch.stat().st_size:
            os.replace(scratch, self.path)
        else:
            scratch.unlink()
            self.path.unlink()
        self._folder.sync_names(self.path.parent)

    def _is_cut(self) -> bool:
        if not self.path.exists() or not self.path.stat().st_size:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines, and the part of each; -1 is none of ours."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for each in file:
                match = _PART.match(each)
                yield int(match[1]) if match and each.endswith(b"\n") else -1, each

    def remove(self) -> None:
        """Remove it. Blocking."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(self.path.name + TEMPORARY).unlink(missing_ok=True)
        with suppress(OSError):  # of another resource there may still be something
            self.path.parent.rmdir()
