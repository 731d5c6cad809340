"""What a destination holds: for each record its id and a digest, packed; nothing of the records themselves."""

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from .bookmark import Bookmark, read_bookmark
from .errors import SyncError
from .keys import Key, pack, unpack
from .marks import Row, read_mark, write_mark

_SCHEMA = """
CREATE TABLE parents (number INTEGER PRIMARY KEY, id UNIQUE);
CREATE TABLE known (parent INTEGER, id, digest BLOB, settled INTEGER, PRIMARY KEY (parent, id)) WITHOUT ROWID;
CREATE TABLE seen (parent INTEGER, id, open INTEGER, PRIMARY KEY (parent, id)) WITHOUT ROWID;
INSERT INTO parents VALUES (0, '');
"""
_AT_ONCE = 1_000  # rows that are Python objects at a time


class Held(NamedTuple):
    """What is known of a record."""

    digest: bytes
    settled: bool


class StateRow(NamedTuple):
    """What a change does to the state of one record.

    Attributes:
        parent: The id of its parent; empty where there is none.
        id: Its id.
        digest: Of its fields; None where the record is to be forgotten.
        settled: Whether it is locked.
    """

    parent: str
    id: str
    digest: bytes | None
    settled: bool = False


class Known:
    """What a destination holds of one resource, as far as a sync has to know it: begin with an empty one.

    It is kept by whoever keeps the rows, in the same transaction, in one of two forms. As one value: `mark`, which
    ``Known(mark)`` reads. Or as a small value, `bookmark`, and a table with a row for each record, which
    `from_state` reads; each `Change` has the rows that it changes there. In memory it takes some 70 bytes a record.

    `changes` updates it when the next change is asked for, and so once the one before was taken.

    Args:
        mark: What an earlier one gave; by default nothing is known.

    Raises:
        SyncError: `mark` is damaged, or of a later version.
    """

    def __init__(self, mark: bytes | None = None) -> None:
        # autocommit: what belongs together is in savepoints; a sync runs in the thread of its event loop
        self._rows = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._rows.executescript(_SCHEMA)
        self._bookmark = Bookmark()
        self._latest: tuple[str, int] = ("", 0)
        self._busy = False
        if mark is not None:
            bookmark, rows = read_mark(mark)
            self._bookmark = bookmark
            self._load(rows)

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
            known._bookmark = read_bookmark(bookmark)
        known._load(row for table in tables for row in _of_arrow(table))
        return known

    def __len__(self) -> int:
        """How many records are known."""
        return int(self._rows.execute("SELECT count(*) FROM known").fetchone()[0])

    def __contains__(self, id: object) -> bool:
        """Whether a record with this id is known."""
        if not isinstance(id, str):
            return False
        return self._rows.execute("SELECT 1 FROM known WHERE id = ?", (pack(id),)).fetchone() is not None

    def __repr__(self) -> str:
        return f"<Known of {self._bookmark.resource or 'nothing'}: {len(self)} records>"

    @property
    def resource(self) -> str | None:
        """What it is of, or None before the first change."""
        return self._bookmark.resource or None

    @property
    def since(self) -> datetime | None:
        """When the last complete sync began, in the service's time; None before that."""
        return self._bookmark.since

    @property
    def mark(self) -> bytes:
        """All of it as one value, some 38 bytes a record: what ``Known(mark)`` reads."""
        return write_mark(self._bookmark, self._all())

    @property
    def bookmark(self) -> bytes:
        """What is in no row: some hundred bytes, which `from_state` reads with the rows."""
        return self._bookmark.encode()

    def forget_digests(self) -> None:
        """Let the next sync read every record anew, whatever it looks like; what is gone is still found.

        It has to be a full one: ``changes(..., full=True)``.
        """
        self._rows.execute("UPDATE known SET digest = x'', settled = 0")

    # What a sync asks and does.

    @contextmanager
    def _in_use(self) -> Generator[None]:
        if self._busy:
            raise SyncError("another sync uses this Known: give each its own")
        self._busy = True
        self._rows.execute("DELETE FROM seen")
        try:
            yield
        finally:
            self._busy = False
            self._rows.execute("DELETE FROM seen")

    def _held(self, parent: str, id: str) -> Held | None:
        found = self._rows.execute(
            "SELECT digest, settled FROM known WHERE parent = ? AND id = ?", (self._number(parent), pack(id))
        ).fetchone()
        return None if found is None else Held(found[0], bool(found[1]))

    def _see(self, parent: str, ids: Iterable[str], *, open: bool = False) -> None:
        """Note that records were seen in this round.

        Args:
            parent: The id of their parent, or empty.
            ids: Theirs.
            open: Whether they have to be there when the round looks again.
        """
        number = self._number(parent)
        self._rows.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", ((number, pack(id), open) for id in ids))

    def _see_again(self, ids: Iterable[str]) -> None:
        self._rows.executemany("UPDATE seen SET open = 0 WHERE parent = 0 AND id = ?", ((pack(id),) for id in ids))

    def _not_again(self) -> Iterator[str]:
        """The ids of those that were open, and were not seen when the round looked again."""
        place: Key = ""
        while True:
            rows: list[tuple[Key]] = self._rows.execute(
                f"SELECT id FROM seen WHERE parent = 0 AND open AND id > ? ORDER BY id LIMIT {_AT_ONCE}", (place,)
            ).fetchall()
            for (key,) in rows:
                yield unpack(key)
            if len(rows) < _AT_ONCE:
                return
            place = rows[-1][0]

    def _see_none(self) -> None:
        """Begin the round anew."""
        self._rows.execute("DELETE FROM seen")

    def _seen(self, parent: str, id: str) -> bool:
        """Whether a record was seen in this round."""
        key = (self._number(parent), pack(id))
        return self._rows.execute("SELECT 1 FROM seen WHERE parent = ? AND id = ?", key).fetchone() is not None

    def _unseen(self, *, settled: bool = True, parent: str | None = None) -> Iterator[tuple[str, str]]:
        """The parents and ids of records that are known and were not seen in this round.

        Args:
            settled: Those that are locked as well.
            parent: Only those of one parent.
        """
        chosen = "" if settled else "AND settled = 0 "
        bound: list[int] = []
        if parent is not None:
            chosen += "AND parent = ? "
            bound.append(self._number(parent))
        place: tuple[int, Key] = (-1, "")
        while True:  # in pieces, since what is known may change while somebody works on a piece
            rows: list[tuple[int, Key, Key]] = self._rows.execute(
                "SELECT parent, known.id, parents.id FROM known JOIN parents ON number = parent "
                f"WHERE (parent, known.id) > (?, ?) {chosen}"
                "AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.parent = known.parent AND seen.id = known.id) "
                f"ORDER BY parent, known.id LIMIT {_AT_ONCE}",
                (*place, *bound),
            ).fetchall()
            for _, key, above in rows:
                yield unpack(above), unpack(key)
            if len(rows) < _AT_ONCE:
                return
            place = rows[-1][:2]

    def _unseen_parents(self) -> Iterator[str]:
        """The parents of known records that were not seen in this round themselves; they are seen as of no parent."""
        place = 0
        while True:
            rows: list[tuple[int, Key]] = self._rows.execute(
                "SELECT number, id FROM parents WHERE number > ? "
                "AND EXISTS (SELECT 1 FROM known WHERE parent = number) "
                "AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.parent = 0 AND seen.id = parents.id) "
                f"ORDER BY number LIMIT {_AT_ONCE}",
                (place,),
            ).fetchall()
            for _, key in rows:
                yield unpack(key)
            if len(rows) < _AT_ONCE:
                return
            place = rows[-1][0]

    def _take(self, bookmark: Bookmark, rows: Sequence[StateRow]) -> None:
        """Note what a change did."""
        with self._together():
            for row in rows:
                self._put(row)
        self._bookmark = bookmark

    def _with(self, bookmark: Bookmark, rows: Sequence[StateRow]) -> bytes:
        """The mark after a change, which is not taken yet."""
        with self._together(keep=False):
            for row in rows:
                self._put(row)
            return write_mark(bookmark, self._all())

    @contextmanager
    def _together(self, *, keep: bool = True) -> Generator[None]:
        self._rows.execute("SAVEPOINT change")
        try:
            yield
        except BaseException:
            keep = False
            raise
        finally:
            if not keep:
                self._rows.execute("ROLLBACK TO change")
                self._latest = ("", 0)
            self._rows.execute("RELEASE change")

    def _put(self, row: StateRow) -> None:
        number, key = self._number(row.parent), pack(row.id)
        if row.digest is None:
            self._rows.execute("DELETE FROM known WHERE parent = ? AND id = ?", (number, key))
        else:
            self._rows.execute(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", (number, key, row.digest, row.settled)
            )

    def _number(self, parent: str) -> int:
        if parent == self._latest[0]:
            return self._latest[1]
        key = pack(parent)
        found = self._rows.execute("SELECT number FROM parents WHERE id = ?", (key,)).fetchone()
        if found is None:
            self._rows.execute("INSERT INTO parents (id) VALUES (?)", (key,))
            found = self._rows.execute("SELECT number FROM parents WHERE id = ?", (key,)).fetchone()
        self._latest = (parent, int(found[0]))
        return self._latest[1]

    def _load(self, rows: Iterable[Row]) -> None:
        with self._together():
            self._rows.executemany(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)",
                ((self._number(unpack(parent)), key, digest, settled) for parent, key, digest, settled in rows),
            )

    def _all(self) -> Iterator[Row]:
        rows = self._rows.execute(
            "SELECT parents.id, known.id, digest, settled FROM known JOIN parents ON number = parent "
            "ORDER BY parent, known.id"
        )
        for parent, key, digest, settled in rows:
            yield parent, key, digest, bool(settled)


def _of_arrow(table: Any) -> Iterator[Row]:
    names = ("parent", "id", "digest", "settled")
    for batch in table.to_batches() if hasattr(table, "to_batches") else (table,):
        for start in range(0, batch.num_rows, _AT_ONCE):
            part = batch.slice(start, _AT_ONCE)
            for parent, id, digest, settled in zip(*(part.column(name).to_pylist() for name in names), strict=True):
                yield pack(parent or ""), pack(id), bytes.fromhex(digest), bool(settled)
