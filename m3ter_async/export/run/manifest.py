"""What an export has done so far, on disk: a journal that is only ever appended to, one JSON object a line.

A line is written and synced after that which it speaks of. A process that is killed in between leaves files that no
line names; they are removed before it is gone on with. A last line that is cut short counts as not written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import msgspec

from ..errors import ExportError
from ..slices.slice import START, Position, Slice
from .folder import Folder

NAME = "manifest.jsonl"
_VERSION = 1


class Begun(msgspec.Struct, frozen=True, tag="begun", omit_defaults=True):
    """What is exported, and how; nothing of it may change on the way."""

    org_id: str
    resources: Sequence[str]
    format: str
    since: str | None = None
    until: str | None = None
    where: Mapping[str, str] = {}
    nested: bool = False
    compression: str | None = None
    version: int = _VERSION


class Planned(msgspec.Struct, frozen=True, tag="planned", omit_defaults=True):
    """Slices to be read, and the page of parents to make the next ones from."""

    resource: str
    slices: Sequence[Slice]
    next_parents: str | None = None


class Split(msgspec.Struct, frozen=True, tag="split", omit_defaults=True):
    """A slice that others are read in place of: what it brought so far is void."""

    resource: str
    slice: str
    into: Sequence[Slice]


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finished file; its path is relative to the export."""

    path: str
    table: str
    rows: int
    bytes: int


class Part(msgspec.Struct, frozen=True, tag="part", omit_defaults=True):
    """Files that were finished together, and where that leaves the slices they are of (None: read to the end)."""

    number: int
    resource: str
    records: int
    files: Sequence[File]
    slices: Mapping[str, Position | None]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """All is there, and was counted."""

    records: Mapping[str, int]


Entry: TypeAlias = Begun | Planned | Split | Part | Finished
_decoder = msgspec.json.Decoder(Entry)


class Progress:
    """What the entries come to, for one resource."""

    def __init__(self) -> None:
        self.slices: dict[str, Slice] = {}  # those that are not read to the end
        self.positions: dict[str, Position] = {}
        self.parts: dict[int, Part] = {}
        self.planned: bool = False
        self.next_parents: str | None = None
        self.parents_seen: set[str | None] = {None}
        self.named: int = 0  # slices that were ever planned, so that the next ones get other names
        self.ended: float = 0.0  # how much of the listing those were that were read to the end

    def take(self, entry: Planned | Split | Part) -> None:
        """Count an entry in."""
        if isinstance(entry, Planned):
            self.planned, self.next_parents = True, entry.next_parents
            self.parents_seen.add(entry.next_parents)
            self._add(entry.slices)
        elif isinstance(entry, Split):
            self.slices.pop(entry.slice, None)
            self.positions.pop(entry.slice, None)
            self.parts = {number: part for number, part in self.parts.items() if entry.slice not in part.slices}
            self._add(entry.into)
        else:
            self.parts[entry.number] = entry
            for name, position in entry.slices.items():
                if position is None:
                    if (ended := self.slices.pop(name, None)) is not None:
                        self.ended += ended.weight
                    self.positions.pop(name, None)
                else:
                    self.positions[name] = position

    def _add(self, slices: Sequence[Slice]) -> None:
        self.slices.update((each.id, each) for each in slices)
        self.named += len(slices)

    def position(self, slice: Slice) -> Position:
        """Where a slice stands by what is finished."""
        return self.positions.get(slice.id, START)

    @property
    def records(self) -> int:
        """Records in finished files."""
        return sum(part.records for part in self.parts.values())


class Manifest:
    """The journal of one export folder; nobody else may write to it meanwhile.

    Attributes:
        place: The folder, and what its file system can do.
        begun: What is exported.
        resources: What is done, by resource.
        finished: Whether all of it is.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal in `folder`, or an empty one where there is none; the folder is made if it is not there.

        Raises:
            ExportError: Another export holds it, or it cannot be read.
            OSError: It cannot be written to.
        """
        self.folder = folder
        self.place = Folder(folder)
        self.place.make(folder)
        self.begun: Begun | None = None
        self.resources: dict[str, Progress] = {}
        self.finished: bool = False
        self._turn = Lock()
        self._path = folder / NAME
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        with ExitStack() as undo:
            undo.callback(self.close)
            self.place.lock(self._file)
            self._load()
            undo.pop_all()

    def _load(self) -> None:
        good = 0
        *lines, _ = self._path.read_bytes().split(b"\n")  # the last was cut short, and never relied on, or is empty
        for line in lines:
            try:
                self._take(_decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
                reason = f"{self._path} is damaged after {good} bytes ({error}): remove {self.folder} and export anew"
                raise ExportError(reason, resumable=False) from None
            good += len(line) + 1
        if os.fstat(self._file).st_size > good:
            os.ftruncate(self._file, good)

    def append(self, entry: Entry) -> None:
        """Write an entry, see it on the disk, and only then count it in. Blocking; any thread may."""
        with self._turn:
            self._write(entry)
            if isinstance(entry, Begun):
                self.place.sync_names(self.folder)
            self._take(entry)

    def clear(self) -> None:
        """Forget all of it. Blocking."""
        if os.fstat(self._file).st_size:
            os.ftruncate(self._file, 0)
            self.place.sync(self._file, self._path)
        self.begun, self.resources, self.finished = None, {}, False

    def close(self) -> None:
        """Let others have the folder."""
        os.close(self._file)

    def _write(self, entry: Entry) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        size = os.fstat(self._file).st_size
        try:
            rest = memoryview(line)
            while rest:  # what is left over after a part was written says why when it is tried
                rest = rest[os.write(self._file, rest) :]
            self.place.sync(self._file, self._path)
        except OSError:
            with suppress(OSError):  # half a line would hide those after it
                os.ftruncate(self._file, size)
            raise

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Begun):
            if entry.version != _VERSION:
                reason = f"{self._path} is of another version of this package: remove {self.folder} and export anew"
                raise ExportError(reason, resumable=False)
            self.begun = entry
            self.resources = {name: Progress() for name in entry.resources}
        elif isinstance(entry, Finished):
            self.finished = True
        else:
            self.resources[entry.resource].take(entry)
