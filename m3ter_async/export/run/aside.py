"""The records that were set aside: one file for each resource, a line for each record, with the reason.

A line is written and synced before the manifest names the part that it belongs to. Lines of parts that the manifest
does not name, because a process was killed or a part was replaced, are removed by whoever finds them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..errors import ExportError
from ..formats.fitting import Misfit
from ..formats.ndjson import one_line
from .entries import Group
from .exported_ids import id_of
from .folder import Folder

FOLDER = "aside"
_NAMED = 10  # records of a group whose ids are named
_PART = re.compile(rb'\{"part":(\d+),"at":(\d+),')


@dataclass
class _Line:
    """What stands before the record in a line."""

    part: int
    at: int
    id: str | None
    where: str
    why: str


def line(part: int, at: int, misfit: Misfit, record: bytes) -> bytes:
    """The line for a record.

    Args:
        part: The number of the part.
        at: The place of the record among those taken into the part.
        misfit: Why it is set aside.
        record: Its JSON.
    """
    name = id_of(record)
    head = _Line(part, at, None if name is None else name.decode(errors="replace"), misfit.where, misfit.why)
    return msgspec.json.encode(head)[:-1] + b',"record":' + one_line(record) + b"}\n"


def groups(lines: Iterable[bytes]) -> list[Group]:
    """What a manifest says of lines: those with one reason together."""
    found: dict[str, list[_Line]] = {}
    for each in lines:
        head = _head(each)
        found.setdefault(head.where, []).append(head)
    return [
        Group(where, heads[0].why, len(heads), [head.id for head in heads[:_NAMED] if head.id is not None])
        for where, heads in found.items()
    ]


def _head(line: bytes) -> _Line:
    head, _, _ = line.partition(b',"record":')
    return msgspec.json.decode(head + b"}", type=_Line)


def moved(lines: Iterable[bytes], part: int, dropped: Sequence[tuple[int, int]]) -> list[bytes]:
    """The lines of a part that another takes the place of, without some of its records."""
    found: list[bytes] = []
    for each in lines:
        match = _PART.match(each)
        assert match is not None
        at = int(match[2])
        if any(start <= at < end for start, end in dropped):
            continue
        at -= sum(end - start for start, end in dropped if end <= at)
        found.append(b'{"part":%d,"at":%d,%b' % (part, at, each[match.end() :]))
    return found


class AsideFile:
    """The file of one resource."""

    def __init__(self, place: Folder, resource: str) -> None:
        self._place = place
        self.path: Path = place.path / FOLDER / f"{resource}.ndjson"

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines and see them on the disk, all or none. Blocking."""
        if not lines:
            return
        self._place.make(self.path.parent)
        new = not self.path.exists()
        with self.path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                rest = memoryview(b"".join(lines))
                while rest:  # what is left over after a part was written says why when it is tried
                    rest = rest[file.write(rest) :]
                self._place.sync(file.fileno(), self.path)
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise
        if new:
            self._place.sync_names(self.path.parent)

    def of_part(self, number: int) -> list[bytes]:
        """The lines of a part. Blocking."""
        return [each for part, each in self._lines() if part == number]

    def tidy(self, counts: Mapping[int, int]) -> None:
        """Remove the lines of all parts but these, and see that theirs are there. Blocking.

        Raises:
            ExportError: They are not.
        """
        found = dict.fromkeys(counts, 0)
        strange = False
        for part, _ in self._lines():
            if part in found:
                found[part] += 1
            else:
                strange = True
        if found != dict(counts):
            raise ExportError(f"{self.path} is not as it was finished: export anew with overwrite", resumable=False)
        if strange or self._is_cut():
            self._rewrite(counts)

    def _rewrite(self, parts: Mapping[int, int]) -> None:
        scratch = self.path.with_name(self.path.name + ".tmp")
        with scratch.open("wb") as file:
            file.writelines(each for part, each in self._lines() if part in parts)
            file.flush()
            self._place.sync(file.fileno(), scratch)
        if scratch.stat().st_size:
            os.replace(scratch, self.path)
        else:
            scratch.unlink()
            self.path.unlink()
        self._place.sync_names(self.path.parent)

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


def remove(place: Folder, resource: str) -> None:
    """Remove what an export set aside. Blocking."""
    path = AsideFile(place, resource).path
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".tmp").unlink(missing_ok=True)
    with suppress(OSError):  # of another resource there may still be something
        path.parent.rmdir()
