"""What one step of a sync brings: rows that are new or changed, ids of what is gone, and the state beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from .bookmark import Bookmark
from .known import Known
from .state import StateRow, to_arrow

SyncNoteKind: TypeAlias = Literal["unknown_field", "not_deleted", "not_answered", "whole_look", "no_time", "no_locks"]


@dataclass(frozen=True)
class SyncNote:
    """Something that a user should know of a sync.

    Attributes:
        kind: ``unknown_field`` for a field that the models do not name, which is in the column ``_extra``;
            ``not_deleted`` for records that are not listed any more and cannot be asked for by id, so that nobody knows
            whether they are gone; ``not_answered`` for records that are there and that the service did not give whole:
            they stay as they were; ``whole_look`` where everything was looked at because the service refused to search;
            ``no_time`` where it sent no time, so that the next sync looks at everything; ``no_locks`` where it did not
            tell up to which date bills are locked: whether that date moved is then only found by looking at everything.
        count: How many.
        text: All of it, in a sentence.
        names: Which: ids, or the name of the field; of many only some.
    """

    kind: SyncNoteKind
    count: int
    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetAside:
    """A record that is in no table since it does not fit one exactly, or that has no id. The next sync tries it again.

    Attributes:
        record: Its JSON.
        id: Its id, or None where it has none that can be read.
        parent: The id of its parent, or None where it has none.
        where: The table and the column, or the path in the record.
        why: What is wrong with it.
    """

    record: bytes = field(repr=False)
    id: str | None
    parent: str | None
    where: str
    why: str


@dataclass(frozen=True)
class Change:
    """A step of a sync, to be stored as a whole, in one transaction.

    In the destination the rows of `ids` and `deletes` are removed from each table (the first table by ``id``, those
    below it by the id of the record that they lie in, such as ``bill_id``), then the rows of `upserts` are inserted.
    With them goes the state: `mark`, or `bookmark` and the rows of `state`.

    Attributes:
        resource: What it is of, such as ``bills``.
        table: The first table, which has a row for each record.
        ids: Of the records that are new or changed.
        records: The JSON of each, with its parent's id where it has a parent.
        upserts: The same as Arrow tables, by name: children whole. The rows of the first table are in the order of
            `ids`, and so are the first rows of `state`. Empty with ``arrow=False``.
        deletes: Ids of records that are gone: each was asked for by id, or its parent was, and was not there.
        aside: Records that are in no table. Of such a record the destination keeps what it has.
        notes: What else there is to say.
        last: Whether it completes the sync. It may have no rows, and is to be stored all the same: it says from when on
            the next sync has to look.
    """

    resource: str
    table: str
    ids: Sequence[str]
    records: Sequence[bytes] = field(repr=False)
    upserts: Mapping[str, Any] = field(repr=False)
    deletes: Sequence[str]
    aside: Sequence[SetAside]
    notes: Sequence[SyncNote]
    last: bool
    _known: Known = field(repr=False)
    _standing: Bookmark = field(repr=False)
    _state: Sequence[StateRow] = field(repr=False)

    @property
    def bookmark(self) -> bytes:
        """Where the sync stands after this change; it goes with the rows of `state`."""
        return self._standing.encode()

    @cached_property
    def mark(self) -> bytes:
        """Where the sync stands after this change, and all that is known then; some 38 bytes for each record."""
        return self._known._mark_with(self._standing, self._state)

    @cached_property
    def state(self) -> Any:
        """The rows of the state that this change writes, as an Arrow table.

        ``parent`` (empty where there is none) and ``id`` are the key; ``digest`` is a text; ``settled`` tells of locked
        bills. Rows with ``deleted`` are removed, the others inserted or replaced.

        Raises:
            ImportError: pyarrow is not installed.
        """
        return to_arrow(self._state)

    @cached_property
    def _replaced(self) -> list[tuple[str, str]]:
        """The parents and ids of what it replaces or removes; to be asked for before the next change is."""
        held = self._known._ledger.held
        return [(row.parent, row.id) for row in self._state if held(row.parent, row.id) is not None]
