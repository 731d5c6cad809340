"""What an export says of itself: on the way, and at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

NoteKind: TypeAlias = Literal[
    "record",
    "parent",
    "slice",
    "parents",
    "gone",
    "twice",
    "unknown_field",
    "undated",
    "other_parent",
    "settled",
    "unsettled",
]
_ASIDE: frozenset[NoteKind] = frozenset(("record", "parent", "slice", "parents", "unsettled"))


@dataclass(frozen=True)
class ResourceProgress:
    """How far one resource is.

    Attributes:
        resource: Its dotted name, as it was asked for.
        rows: Records read so far, those of an interrupted run that is gone on with included.
        pages: Pages read by this run; what was read again after a split counts again.
        bytes: JSON of the records read by this run.
        share: How much of it is done, from 0 to 1, or None where nobody can tell.
        finished: Whether all of it was read.
    """

    resource: str
    rows: int
    pages: int
    bytes: int
    share: float | None
    finished: bool


@dataclass(frozen=True)
class ExportProgress:
    """Where an export stands.

    Attributes:
        seconds: Since this run began.
        resources: In the order in which they were asked for.
        in_flight: Requests that are out now.
        retries: Repeated requests of this run.
    """

    seconds: float
    resources: tuple[ResourceProgress, ...]
    in_flight: int
    retries: int

    @property
    def rows(self) -> int:
        """Records of all resources."""
        return sum(each.rows for each in self.resources)


@dataclass(frozen=True)
class ExportedFile:
    """One finished file.

    Attributes:
        path: Where it is; of an object store, its key.
        resource: What it came from.
        table: Which of the resource's tables it holds a part of.
        rows: Its rows.
        bytes: Its size.
        url: Of an object store, its URL: ``s3://bucket/prefix/bills/bills/00000-4-9f86d081.ndjson``.
    """

    path: Path
    resource: str
    table: str
    rows: int
    bytes: int
    url: str | None = None


@dataclass(frozen=True)
class Note:
    """Something that a user could expect in the files and that is not there, or not as it was sent.

    Attributes:
        kind: ``record``, ``parent``, ``slice`` or ``parents`` for what was set aside; ``unsettled`` for records that
            were changing still when an export that settles ended, ``settled`` for those that it read again or removed;
            ``gone`` for parents that were not there any more; ``twice`` for ids that came twice; ``unknown_field`` for
            a field that the models do not name; ``undated`` for what a range of dates leaves out; ``other_parent`` for
            records that named another parent than theirs.
        resource: What it is of.
        count: How many, or None where nobody can tell.
        text: All of it, in a sentence.
        names: Which: ids, or the name of the field; of many only some.
        again: Whether the export, gone on with, asks for it again.
    """

    kind: NoteKind
    resource: str
    count: int | None
    text: str
    names: tuple[str, ...] = ()
    again: bool = False

    @property
    def aside(self) -> bool:
        """Whether it tells of something that was set aside or not settled, so that the export is not complete."""
        return self.kind in _ASIDE


@dataclass(frozen=True)
class ExportReport:
    """A finished export; every id in its files was counted, and none is there twice.

    Attributes:
        records: Records by resource.
        rows: Rows by resource and table, as ``rows["bills"]["line_items"]``.
        files: What was written, the parts of interrupted runs included.
        pages: Pages read by this run.
        bytes: JSON of the records read by this run.
        retries: Repeated requests of this run.
        seconds: How long this run took.
        notes: What is not in the files although somebody could expect it there; see `complete`.
    """

    records: Mapping[str, int]
    rows: Mapping[str, Mapping[str, int]]
    files: tuple[ExportedFile, ...]
    pages: int
    bytes: int
    retries: int
    seconds: float
    notes: tuple[Note, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was set aside, and all is settled that was to be."""
        return not any(note.aside for note in self.notes)
