"""The lines of an export's journal: what was begun, planned, read, set aside and finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from ..slices.slice import Position, Slice

VERSION = 2


class Begun(msgspec.Struct, frozen=True, tag="begun", omit_defaults=True):
    """What is exported, and how; nothing of it may change on the way but the size of the pages."""

    org_id: str
    resources: Sequence[str]
    format: str
    since: str | None = None
    until: str | None = None
    where: Mapping[str, str] = {}
    nested: bool = False
    compression: str | None = None
    page_size: int | None = None
    settle: bool = False
    columns: Mapping[str, Mapping[str, Sequence[str]]] = {}
    version: int = VERSION


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """Records that were set aside for the same reason."""

    where: str
    why: str
    count: int
    names: Sequence[str] = ()


class Unit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parent or a slice that was set aside: where it stands, and what was answered."""

    slice: Slice
    position: Position
    why: str
    status: int | None = None


class Planned(msgspec.Struct, frozen=True, tag="planned", omit_defaults=True):
    """Slices to be read, and the page of parents to make the next ones from."""

    resource: str
    slices: Sequence[Slice]
    next_parents: str | None = None
    unusable: Sequence[Group] = ()


class Replanned(msgspec.Struct, frozen=True, tag="replanned"):
    """The parents are listed from their beginning again, and those that were planned before are passed over."""

    resource: str


class Unplanned(msgspec.Struct, frozen=True, tag="unplanned", omit_defaults=True):
    """A page of parents was set aside, and with it all parents that come after it."""

    resource: str
    token: str
    why: str
    status: int | None = None


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
    """Files that were finished together, and where that leaves the slices they are of (None: read to the end).

    Attributes:
        records: Those that are in the files.
        taken: Those that were read; the others were set aside.
        aside: Why records were set aside.
        units: Parents and slices that were set aside.
        gone: Parents that the service says are not there.
        unknown: How often each field came that no model names.
        contradicted: How many records named another parent than theirs.
        begun: By slice, which of the records taken are of the parent that it stands in the middle of.
        twice: Ids whose records it has no more because they came again later; only some are named.
        twice_count: How many these are.
        mark: What the names of its files have behind the number.
        witness: Something of which a page was read, or of which the service says that it is not there.
    """

    number: int
    resource: str
    records: int
    files: Sequence[File]
    slices: Mapping[str, Position | None]
    taken: int = 0
    aside: Sequence[Group] = ()
    units: Sequence[Unit] = ()
    gone: Sequence[str] = ()
    unknown: Mapping[str, int] = {}
    contradicted: int = 0
    begun: Mapping[str, tuple[int, int]] = {}
    witness: Slice | None = None
    twice: Sequence[str] = ()
    twice_count: int = 0
    mark: str = ""


class Replaced(msgspec.Struct, frozen=True, tag="replaced", omit_defaults=True):
    """Parts that took the place of others, which had records that are dropped.

    Attributes:
        parts: By the number of the one that each replaces.
        dropped: For each of those, the records that it has no more, as half-open ranges in order.
        positions: Where that leaves slices.
    """

    resource: str
    parts: Mapping[int, Part]
    dropped: Mapping[int, Sequence[tuple[int, int]]]
    positions: Mapping[str, Position] = {}


class Retried(msgspec.Struct, frozen=True, tag="retried"):
    """What was set aside and is read again: units by the ids of their slices, and the page of parents."""

    resource: str
    units: Sequence[str]
    parents: bool = False


class Settled(msgspec.Struct, frozen=True, tag="settled", omit_defaults=True):
    """What was written was compared with what is there now.

    Attributes:
        again: Records that were read again, because they had changed or are new.
        removed: Records that are not there any more, or not among what is selected.
        left: Records that were different at the last look still.
        names: Ids of some of these.
        unread: Days and records that could not be looked at.
    """

    resource: str
    again: int
    removed: int
    left: int = 0
    names: Sequence[str] = ()
    unread: Sequence[Group] = ()


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """All is there or set aside, and was counted."""

    records: Mapping[str, int]


Entry: TypeAlias = Begun | Planned | Replanned | Unplanned | Split | Part | Replaced | Retried | Settled | Finished
OfResource: TypeAlias = Planned | Replanned | Unplanned | Split | Part | Replaced | Retried | Settled
