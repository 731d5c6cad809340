"""What is kept of each record beside the files, until an export is finished: its id, and where its rows are.

Of each id a digest is kept on disk, so that finding those that came twice needs no more memory for more records. With
it stands whether the record is in the files or was set aside, and how many rows it has in the tables below the first:
so that a record can be taken out of its files again. When each page was read is kept too: of two records with one id
the one that was read later counts, whichever part was finished first.
"""

from __future__ import annotations

import re
import time
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree

from ..errors import ExportError
from ..places.place import Place
from ..slices.record_id import id_of
from ..slices.slice import SlicePage
from .entries import Part

FOLDER = "_ids"  # with a dot before it copies would lack it; readers of data sets pass over both
SIZE = 16
"""Bytes of a digest."""
NONE = bytes(SIZE)
"""Stands for the digest of a record that has no id."""
_COUNT = array("I").itemsize
_TIME = array("d").itemsize
_PAGES = b"PAGE"  # and how many, behind the pages that end a file
_FOOTER = len(_PAGES) + _COUNT
_AT_ONCE = 200_000  # ids whose digests are held in memory together


def digest_of(parent: str | None, record: bytes) -> bytes | None:
    """What is kept of the id of a record, those of different parents apart; None where it has none."""
    name = id_of(record)
    if name is None:
        return None
    return blake2b((parent or "").encode() + b"\0" + name, digest_size=SIZE).digest()


@dataclass
class Taken:
    """What is kept of the records of one part, in the order in which they were read.

    Attributes:
        tables: The tables below the first.
        digests: Of their ids; zeros where there is none.
        kept: For each record 1 if it is in the files, 0 if it was set aside.
        below: For each table below the first, how many rows each record that is in the files has there.
        heads: Digests of what stands in them; empty where none are kept.
        ends: Of each page, how many records there were after it.
        read: When each page was read, in seconds since 1970.
    """

    tables: Sequence[str]
    digests: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    below: dict[str, array[int]] = field(default_factory=lambda: {})
    heads: bytearray = field(default_factory=bytearray)
    ends: array[int] = field(default_factory=lambda: array("I"))
    read: array[float] = field(default_factory=lambda: array("d"))

    def add(self, page: SlicePage, *, identified: bool, head: Callable[[bytes], bytes] | None = None) -> None:
        """Take the ids of a page, those of different parents apart, and digests of what stands in its records."""
        if head is not None:
            self.heads += b"".join(map(head, page.records))
        if identified:
            for record in page.records:
                self.digests += digest_of(page.parent, record) or NONE
        else:
            self.digests += bytes(SIZE * len(page.records))
        self.ends.append(len(self.digests) // SIZE)
        self.read.append(time.time())

    def converted(self, count: int, aside: Iterable[int], below: Mapping[str, Sequence[int]]) -> None:
        """So many records more were written but for those set aside, with so many rows in the tables below."""
        flags = bytearray(b"\1") * count
        for place in aside:
            flags[place] = 0
        self.kept += flags
        for table in self.tables:
            self.below.setdefault(table, array("I")).extend(below.get(table) or [0] * sum(flags))

    def save(self, path: Path) -> None:
        """Write it. Blocking."""
        with path.open("wb") as file:
            file.write(self.digests)
            file.write(self.kept)
            for table in self.tables:
                self.below.get(table, array("I")).tofile(file)
            file.write(self.heads)
            self.ends.tofile(file)
            self.read.tofile(file)
            file.write(_PAGES)
            array("I", [len(self.ends)]).tofile(file)

    @classmethod
    def load(cls, path: Path, part: Part, tables: Sequence[str]) -> Taken:
        """Read it. Blocking."""
        taken = cls(tables)
        content, taken.ends, taken.read = _parted(path.read_bytes())
        start = SIZE * part.taken
        taken.digests += content[:start]
        taken.kept += content[start : start + part.taken]
        start += part.taken
        for table in tables:
            end = start + part.records * _COUNT
            taken.below[table] = array("I", content[start:end])
            start = end
        taken.heads += content[start:]
        return taken

    def without(self, dropped: Sequence[tuple[int, int]]) -> Taken:
        """The same without some ranges of records."""
        ends = [end - sum(min(stop, end) - start for start, stop in dropped if start < end) for end in self.ends]
        rest = Taken(self.tables, ends=array("I", ends), read=self.read)
        rows = positions(self.kept)
        for start, end in _gaps(dropped, len(self.kept)):
            rest.digests += self.digests[start * SIZE : end * SIZE]
            rest.kept += self.kept[start:end]
            rest.heads += self.heads[start * SIZE : end * SIZE]
            for table in self.tables:
                rest.below.setdefault(table, array("I")).extend(self.below[table][rows[start] : rows[end]])
        return rest

    def rows(self, table: str | None, dropped: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The ranges of rows that are left of a table without some records; None is the first table."""
        rows = positions(self.kept)
        left = [(rows[start], rows[end]) for start, end in _gaps(dropped, len(self.kept))]
        if table is None:
            return left
        ends = [0]
        for count in self.below[table]:
            ends.append(ends[-1] + count)
        return [(ends[start], ends[end]) for start, end in left]


def positions(kept: bytes | bytearray) -> list[int]:
    """For each record, and for the end, how many rows are before it."""
    found = [0]
    for flag in kept:
        found.append(found[-1] + flag)
    return found


def _gaps(ranges: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """What is left of so many places without some ranges, which are in order."""
    edges = [0, *(edge for each in ranges for edge in each), size]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def name_of(resource: str, stem: str) -> str:
    """The name of the file that it is kept in for a part.

    Args:
        stem: What the names of the part's files begin with.
    """
    return f"{FOLDER}/{resource}-{stem}"


def _of(part: Part) -> str:
    return name_of(part.resource, f"{part.number:05d}{part.mark}")


def last_digest(place: Place, part: Part) -> bytes | None:
    """What is kept of the id of the last record that was taken into a part. Blocking."""
    found = place.read_at(_of(part), (part.taken - 1) * SIZE, SIZE)
    return None if found == NONE else found


def load(place: Place, part: Part, tables: Sequence[str]) -> Taken:
    """What is kept of a part. Blocking."""
    with place.at_hand(_of(part)) as path:
        return Taken.load(path, part, tables)


def look_over(place: Place, resource: str, parts: Iterable[Part], tables: int, *, heads: bool = False) -> None:
    """See that it is there for all parts, and whole, and remove what else a killed run left behind. Blocking.

    Raises:
        ExportError: It is not.
    """
    there = place.sizes(FOLDER)
    kept: set[str] = set()
    for part in parts:
        name = _of(part)
        kept.add(name)
        size = part.taken * (SIZE + 1 + SIZE * heads) + part.records * tables * _COUNT
        pages = there.get(name, -1) - size - _FOOTER
        if part.taken and (pages < 0 or pages % (_COUNT + _TIME)):
            raise ExportError(
                f"{place.shown(name)} is not as it was finished; was the folder copied without {FOLDER}? "
                f"Copy it with {FOLDER}, or export anew with overwrite",
                resumable=False,
            )
    ours = re.compile(re.escape(name_of(resource, "")) + r"\d{5,}(-\d+-[0-9a-f]+)?(\.tmp)?")
    place.remove([name for name in there.keys() - kept if ours.fullmatch(name) and place.is_left_over(name)])


def find_twice(place: Place, parts: Sequence[Part]) -> dict[int, list[tuple[int, int]]]:
    """By part, the records whose ids came again later, as ranges. Blocking.

    Args:
        parts: In the order in which they were finished.
    """
    parts = [part for part in parts if part.taken]
    twice = _repeated(place, parts)
    if not twice:
        return {}
    latest: dict[bytes, tuple[float, int, int]] = {}
    dropped: dict[int, list[tuple[int, int]]] = {}
    for part in parts:
        content, ends, read = _parted(_content(place, part))
        for at in range(part.taken):
            digest = content[at * SIZE : (at + 1) * SIZE]
            if digest in twice and content[part.taken * SIZE + at]:
                this = read[bisect_right(ends, at)] if ends else 0.0, part.number, at
                before = latest.get(digest, this)
                older, latest[digest] = (before, this) if before[0] <= this[0] else (this, before)
                if before is not this:
                    dropped.setdefault(older[1], []).append((older[2], older[2] + 1))
    return {number: sorted(ranges) for number, ranges in dropped.items()}


def _parted(content: bytes) -> tuple[bytes, array[int], array[float]]:
    """What is kept of records, and behind it of pages."""
    count = array("I", content[-_COUNT:])[0]
    start = len(content) - _FOOTER - count * (_COUNT + _TIME)
    middle = start + count * _COUNT
    return content[:start], array("I", content[start:middle]), array("d", content[middle:-_FOOTER])


def _content(place: Place, part: Part) -> bytes:
    with place.at_hand(_of(part)) as path:
        return path.read_bytes()


def _repeated(place: Place, parts: Sequence[Part]) -> set[bytes]:
    """The digests that are there more than once."""
    scratch = place.scratch / FOLDER / "sorted"
    rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    groups = min(sum(part.taken for part in parts) // _AT_ONCE + 1, 256)
    for part in parts:
        content = _content(place, part)
        sorted_in: list[bytearray] = [bytearray() for _ in range(groups)]
        for start in range(0, part.taken * SIZE, SIZE):
            sorted_in[content[start] % groups] += content[start : start + SIZE]
        for group, found in enumerate(sorted_in):
            with (scratch / str(group)).open("ab") as file:
                file.write(found)
    twice: set[bytes] = set()
    for group in range(groups):
        path = scratch / str(group)
        digests = path.read_bytes() if path.exists() else b""
        if len({digests[start : start + SIZE] for start in range(0, len(digests), SIZE)}) * SIZE != len(digests):
            counted = Counter(digests[start : start + SIZE] for start in range(0, len(digests), SIZE))
            twice.update(digest for digest, times in counted.items() if times > 1)
            del counted
    rmtree(scratch)
    twice.discard(NONE)
    return twice


def forget(place: Place) -> None:
    """Remove all of it; it is of no more use. Blocking."""
    place.forget(FOLDER)
