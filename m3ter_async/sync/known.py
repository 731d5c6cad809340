"""What a destination holds, as far as a sync has to know it: nothing of the records but their ids and digests."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from .bookmark import Bookmark, read_bookmark
from .errors import SyncError
from .ledger import Ledger
from .marks import read_mark, write_mark
from .state import StateRow, from_arrow


class Known:
    """What a destination holds of one resource, as far as a sync has to know it: begin with an empty one.

    It is kept by whoever keeps the rows, in the same transaction, in one of two forms. As one value: `mark`, which
    ``Known(mark)`` reads. Or as a small value, `bookmark`, and a table with a row for each record, which
    `from_state` reads; each `Change` has the rows that it changes there. In memory it takes some 50 bytes a record,
    and some 100 while a sync runs.

    `changes` updates it when the next change is asked for, and so once the one before was taken.

    Args:
        mark: What an earlier one gave; by default nothing is known.

    Raises:
        SyncError: `mark` is damaged, or of a later version.
    """

    def __init__(self, mark: bytes | None = None) -> None:
        self._ledger = Ledger()
        self._standing = Bookmark()
        self._busy = False
        if mark is not None:
            self._standing, rows = read_mark(mark)
            self._ledger.load(rows)

    @classmethod
    def from_state(cls, bookmark: bytes | None, tables: Iterable[Any] = ()) -> "Known":
        """What a destination holds that keeps a row for each record.

        Args:
            bookmark: `Change.bookmark` of the last change that was stored, or None where none was.
            tables: Arrow tables or record batches with the columns of `Change.state`; of each record one row, and none
                of records that are ``deleted``.

        Raises:
            SyncError: `bookmark` is damaged, or of a later version.
        """
        known = cls()
        if bookmark is not None:
            known._standing = read_bookmark(bookmark)
        known._ledger.load(row for table in tables for row in from_arrow(table))
        return known

    def __len__(self) -> int:
        """How many records are known."""
        return len(self._ledger)

    def __contains__(self, id: object) -> bool:
        """Whether a record with this id is known."""
        return isinstance(id, str) and id in self._ledger

    def __repr__(self) -> str:
        return f"<Known of {self.resource or 'nothing'}: {len(self)} records>"

    @property
    def resource(self) -> str | None:
        """What it is of, or None before the first change."""
        return self._standing.resource or None

    @property
    def since(self) -> datetime | None:
        """When the last complete sync of bills began, in the service's time; None before that."""
        return self._standing.since

    @property
    def mark(self) -> bytes:
        """All of it as one value, some 38 bytes a record: what ``Known(mark)`` reads."""
        return write_mark(self._standing, self._ledger.all())

    @property
    def bookmark(self) -> bytes:
        """What is in no row: some hundred bytes, which `from_state` reads with the rows."""
        return self._standing.encode()

    def forget_digests(self) -> None:
        """Let the next sync read every record anew, whatever its head looks like; what is gone is still found."""
        self._ledger.forget_digests()

    @contextmanager
    def _in_use(self) -> Generator[None]:
        if self._busy:
            raise SyncError("another sync uses this Known: give each its own")
        self._busy = True
        self._ledger.see_none()
        try:
            yield
        finally:
            self._busy = False
            self._ledger.see_none()

    def _take(self, standing: Bookmark, rows: Sequence[StateRow]) -> None:
        """Note what a change did."""
        self._ledger.put(rows)
        self._standing = standing

    def _mark_with(self, standing: Bookmark, rows: Sequence[StateRow]) -> bytes:
        """The mark after a change that is not taken yet."""
        with self._ledger.with_(rows) as all:
            return write_mark(standing, all)
