"""A part of an export: files that are finished together, and entered in the manifest when all of them are.

They are written as drafts and published whole; then the manifest says that they are there. Killed before that, nothing
of them counts; killed after, all of it does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from ..formats.layout import Layout
from ..formats.sink import Sink
from ..slices.slice import Position, Slice, SlicePage
from .aside import groups, line
from .entries import File, Part, Unit
from .exported_ids import Taken, name_of
from .files import file_of, stem_of
from .manifest import Manifest
from .publication import Publication

# JSON that is collected before it is converted, and that is converted in one go: more takes more memory, and hardly
# less time.
_BATCH = 4 * 2**20
_PIECE = 2 * 2**20
# JSON after which a part is finished, and seconds: what a kill costs at the most.
_FULL = 96 * 2**20
_OLD = 60.0


@dataclass(frozen=True)
class Sealed:
    """A part whose files are written, and not yet published.

    Attributes:
        part: What the manifest will say of it.
        names: Of its drafts.
        aside: The lines of its records that were set aside.
    """

    part: Part
    names: Sequence[str]
    aside: Sequence[bytes]


class Drafts(Protocol):
    """Where files are written that are to be published, as in `Place`."""

    @property
    def mark(self) -> str:
        """What the stems of files end with."""
        ...

    def draft(self, name: str) -> Path:
        """Where to write what is to be published under a name."""
        ...

    def discard(self, name: str) -> None:
        """Remove a draft, if there is one."""
        ...


class OpenPart:
    """A part that is being written.

    Args:
        place: Where its files will be.
        layout: Its files.
        number: Which no other part of the resource has.
        record: The type of its records; those without an id are not told apart.
        most: Bytes of files after which it is time for another part; None is any.
    """

    def __init__(
        self,
        place: Drafts,
        resource: str,
        layout: Layout,
        number: int,
        record: type[object],
        most: int | None = None,
    ) -> None:
        self._place = place
        self._most = most
        self.resource = resource
        self._layout = layout
        self._number = number
        self._mark = place.mark
        self._stem = stem_of(number, self._mark)
        self._drafts: dict[str, Path] = {}
        self._identified = "id" in getattr(record, "__struct_encode_fields__", ())
        self._taken = Taken(layout.tables[1:])
        self._began = time.monotonic()
        self._sink: Sink | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = self._bytes = 0
        self._slices: dict[str, Position | None] = {}
        self._begun: dict[str, tuple[int, int]] = {}
        self._units: list[Unit] = []
        self._gone: list[str] = []
        self._unknown: Counter[str] = Counter()
        self._contradicted = 0
        self._aside: list[bytes] = []
        self._aside_bytes = 0
        self._witness: Slice | None = None
        self.records: int = 0
        self.sound: bool = True  # whether what was taken is either waiting or in the files

    def add(self, slice: Slice, page: SlicePage) -> int:
        """Take a page, and what it means for its slice, both or neither; returns the bytes of its records."""
        self.sound = False
        self._taken.add(page, identified=self._identified, head=self._layout.head)
        size = sum(map(len, page.records))
        self._waiting += page.records
        self._waiting_bytes += size
        self._bytes += size
        before = self.records
        self.records += len(page.records)
        self._stand(slice, page.position, before)
        self._contradicted += page.contradicted
        if self._witness is None:
            parents = () if page.parent is None else (page.parent,)
            self._witness = msgspec.structs.replace(slice, parents=parents)
        self.sound = True
        return size

    def _stand(self, slice: Slice, position: Position | None, before: int) -> None:
        """Note where a slice stands, and which records are of a parent that is not read to its end."""
        last = self._slices.get(slice.id)
        self._slices[slice.id] = position
        if position is None or position.token is None or slice.parent_argument is None:
            self._begun.pop(slice.id, None)
            return
        start = before
        if last is not None and last.parent == position.parent and slice.id in self._begun:
            start = self._begun[slice.id][0]
        self._begun[slice.id] = (start, self.records)

    def pass_over(
        self, slice: Slice, after: Position | None, *, unit: Unit | None = None, gone: str | None = None
    ) -> None:
        """Note that a parent or the rest of a slice is not read, and where that leaves the slice."""
        begun = self._begun.pop(slice.id, None)
        if unit is not None:
            self._units.append(unit)
            if unit.position.token is not None and begun is not None:
                self._begun[unit.slice.id] = begun
        if gone is not None:
            self._gone.append(gone)
            if self._witness is None:  # it is not there, and the service says so
                self._witness = msgspec.structs.replace(slice, parents=(gone,))
        self._slices[slice.id] = after

    @property
    def ripe(self) -> bool:
        """Whether enough is waiting to be converted."""
        return self._waiting_bytes >= _BATCH

    @property
    def full(self) -> bool:
        """Whether it is time for another part."""
        if self._bytes >= _FULL or self._aside_bytes >= _BATCH or time.monotonic() - self._began > _OLD:
            return True
        if self._most is None:
            return False
        return sum(each.stat().st_size for each in self._drafts.values()) >= self._most

    def convert(self) -> None:
        """Write what is waiting into the files. Blocking.

        Raises:
            OSError: The disk is full, or not there; the part is to be discarded.
        """
        self.sound = False
        if self._waiting:
            sink = self._opened()
            for some in _in_pieces(self._waiting):
                self._write(sink, some)
        self._waiting, self._waiting_bytes = [], 0
        self.sound = True

    def _opened(self) -> Sink:
        if self._sink is None:
            self._drafts = {table: self._place.draft(self._name(table)) for table in self._layout.tables}
            self._sink = self._layout.open(self._drafts)
        return self._sink

    def _write(self, sink: Sink, records: Sequence[bytes]) -> None:
        written = sink.write(records)
        first = len(self._taken.kept)
        self._taken.converted(len(records), (each.place for each in written.misfits), written.below)
        self._aside += [line(self._number, first + each.place, each, records[each.place]) for each in written.misfits]
        self._aside_bytes = sum(map(len, self._aside))
        self._unknown.update(written.unknown)

    def seal(self, headers: Iterable[str] = ()) -> Sealed:
        """Finish the files, or leave nothing of them. Blocking; not to be interrupted.

        Args:
            headers: Tables that get a file even if it has no row.

        Raises:
            OSError: The disk is full, or not there.
        """
        with ExitStack() as undo:
            undo.callback(self.discard)
            sealed = self._seal(set(headers))
            undo.pop_all()
        return sealed

    def _seal(self, headers: set[str]) -> Sealed:
        self.convert()
        self.sound = False
        if headers:
            self._opened()
        files: list[File] = []
        if (sink := self._sink) is not None:
            sink.close()
            for table in self._layout.tables:
                if sink.rows[table] or table in headers:
                    size = self._drafts[table].stat().st_size
                    files.append(File(self._name(table), table, sink.rows[table], size))
                else:
                    self._place.discard(self._name(table))
        names = [file.path for file in files]
        if self.records:
            names.append(name_of(self.resource, self._stem))
            self._taken.save(self._place.draft(names[-1]))
        return Sealed(self._entry(files), names, self._aside)

    def _entry(self, files: Sequence[File]) -> Part:
        return Part(
            self._number,
            self.resource,
            sum(self._taken.kept),
            files,
            self._slices,
            self.records,
            groups(self._aside),
            self._units,
            self._gone,
            dict(self._unknown),
            self._contradicted,
            self._begun,
            self._witness,
            mark=self._mark,
        )

    def discard(self) -> None:
        """Remove what was written and is not finished; the slices stand where they stood before."""
        if self._sink is not None:
            with suppress(OSError, ValueError):  # what failed to be written fails again to be closed
                self._sink.close()
        for name in drafts_of(self.resource, self._layout, self._stem):
            self._place.discard(name)

    def _name(self, table: str) -> str:
        return file_of(self.resource, table, self._stem, self._layout.suffix)


def drafts_of(resource: str, layout: Layout, stem: str) -> list[str]:
    """The names of all files that a part may have."""
    names = [file_of(resource, table, stem, layout.suffix) for table in layout.tables]
    return [*names, name_of(resource, stem)]


def enter(manifest: Manifest, sealed: Sealed) -> None:
    """Publish the files of a part and enter it in the manifest. Blocking; not to be interrupted.

    Raises:
        OSError: They cannot be kept, or nobody knows whether the part is entered.
        Rival: Another export has the place by now.
    """
    part = sealed.part
    with Publication(manifest, part.resource) as publication:
        publication.publish(stem_of(part.number, part.mark), sealed.names, sealed.aside)
        publication.enter(part)


def _in_pieces(records: list[bytes]) -> Iterator[list[bytes]]:
    """The records in a few lists, of which none is much larger than a piece."""
    start = size = 0
    for end, record in enumerate(records):
        if size + len(record) > _PIECE and end > start:
            yield records[start:end]
            start, size = end, 0
        size += len(record)
    yield records[start:]
