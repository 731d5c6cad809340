"""What is known of each record, packed: its id, a digest, whether it is settled; and what a round has seen so far."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple
from weakref import finalize

from .keys import Key, pack, unpack
from .marks import Row
from .state import StateRow

_SCHEMA = """
CREATE TABLE parents (number INTEGER PRIMARY KEY, id UNIQUE);
CREATE TABLE known (parent INTEGER, id, digest BLOB, settled INTEGER, PRIMARY KEY (parent, id)) WITHOUT ROWID;
CREATE TABLE seen (parent INTEGER, id, open INTEGER, PRIMARY KEY (parent, id)) WITHOUT ROWID;
INSERT INTO parents VALUES (0, '');
"""
_AT_ONCE = 1_000  # rows that are Python objects at a time
_KNOWN = "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)"
_BEFORE_ALL: Key = ""  # texts come before bytes


class Held(NamedTuple):
    """What is known of a record."""

    digest: bytes
    settled: bool


class Ledger:
    """Rows in memory: some 50 bytes a known record, and as much again for each that a round has seen.

    It may be used by several threads, one after the other.
    """

    def __init__(self) -> None:
        # autocommit: what belongs together is in savepoints
        self._rows = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        # since Python 3.13 one that is not closed is warned of; not by __del__, which may come after its own
        finalize(self, self._rows.close)
        self._rows.executescript(_SCHEMA)
        self._turn = RLock()
        self._latest: tuple[str, int] = ("", 0)

    def __len__(self) -> int:
        """How many records are known."""
        return int(self._ask("SELECT count(*) FROM known")[0][0])

    def __contains__(self, id: str) -> bool:
        """Whether a record with this id is known, of whatever parent."""
        return bool(self._ask("SELECT 1 FROM known WHERE id = ? LIMIT 1", pack(id)))

    # What is known

    def held(self, parent: str, id: str) -> Held | None:
        """What is known of a record, or None."""
        with self._turn:
            found = self._ask(
                "SELECT digest, settled FROM known WHERE parent = ? AND id = ?", self._number(parent), pack(id)
            )
        return Held(found[0][0], bool(found[0][1])) if found else None

    def put(self, rows: Iterable[StateRow]) -> None:
        """Note what a change did, all of it or nothing."""
        with self._together():
            self._put(rows)

    @contextmanager
    def with_(self, rows: Iterable[StateRow]) -> Generator[Iterator[Row]]:
        """All rows as they will be once a change is noted."""
        with self._together(keep=False):
            self._put(rows)
            yield self.all()

    def load(self, rows: Iterable[Row]) -> None:
        """Add rows that were kept elsewhere."""
        with self._together():
            self._rows.executemany(
                _KNOWN, ((self._number(unpack(parent)), key, digest, settled) for parent, key, digest, settled in rows)
            )

    def all(self) -> Iterator[Row]:
        """All rows, those of each parent together."""
        with self._turn:
            rows = self._rows.execute(
                "SELECT parents.id, known.id, digest, settled FROM known JOIN parents ON number = parent "
                "ORDER BY parent, known.id"
            )
            for parent, key, digest, settled in rows:
                yield parent, key, digest, bool(settled)

    def forget_digests(self) -> None:
        """Let every record look changed."""
        self._ask("UPDATE known SET digest = x'', settled = 0")

    # What a round has seen

    def see_none(self) -> None:
        """Begin a round."""
        self._ask("DELETE FROM seen")

    def see(self, parent: str, ids: Iterable[str], *, open: bool = False) -> None:
        """Note that records were seen.

        Args:
            parent: The id of their parent, or empty.
            ids: Theirs.
            open: Whether they have to be there when the round looks again.
        """
        with self._turn:
            number = self._number(parent)
            self._rows.executemany(
                "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", ((number, pack(id), open) for id in ids)
            )

    def see_again(self, ids: Iterable[str]) -> None:
        """Note that records without a parent are still there."""
        with self._turn:
            self._rows.executemany("UPDATE seen SET open = 0 WHERE parent = 0 AND id = ?", ((pack(id),) for id in ids))

    def seen(self, parent: str, id: str) -> bool:
        """Whether a record was seen."""
        with self._turn:
            return bool(self._ask("SELECT 1 FROM seen WHERE parent = ? AND id = ?", self._number(parent), pack(id)))

    def not_again(self) -> Iterator[str]:
        """The ids of those that were open, and were not seen when the round looked again."""
        chosen = "FROM seen WHERE parent = 0 AND open AND id > ? ORDER BY id"
        for (key,) in self._pieces(f"SELECT id {chosen}", (_BEFORE_ALL,), 1):
            yield unpack(key)

    def unseen(self, *, settled: bool = True, parent: str | None = None) -> Iterator[tuple[str, str]]:
        """The parents and ids of records that are known and were not seen.

        Args:
            settled: Those that are locked as well.
            parent: Only those of one parent.
        """
        chosen = "" if settled else "AND settled = 0 "
        if parent is not None:
            with self._turn:
                chosen += f"AND parent = {self._number(parent)} "
        rows = self._pieces(
            "SELECT parent, known.id, parents.id FROM known JOIN parents ON number = parent "
            f"WHERE (parent, known.id) > (?, ?) {chosen}"
            "AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.parent = known.parent AND seen.id = known.id) "
            "ORDER BY parent, known.id",
            (-1, _BEFORE_ALL),
            2,
        )
        for _, key, above in rows:
            yield unpack(above), unpack(key)

    def unseen_parents(self) -> Iterator[str]:
        """The parents of known records that were not seen themselves; they are seen as records without a parent."""
        rows = self._pieces(
            "SELECT number, id FROM parents WHERE number > ? "
            "AND EXISTS (SELECT 1 FROM known WHERE parent = number) "
            "AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.parent = 0 AND seen.id = parents.id) ORDER BY number",
            (0,),
            1,
        )
        for _, key in rows:
            yield unpack(key)

    def _pieces(self, statement: str, place: Sequence[object], width: int) -> Iterator[Any]:
        """The rows of a statement, in pieces: what is known may change while somebody works on one.

        Args:
            statement: Gives rows in order, behind a place.
            place: Before the first.
            width: How many values of a row are its place.
        """
        while True:
            rows = self._ask(f"{statement} LIMIT {_AT_ONCE}", *place)
            yield from rows
            if len(rows) < _AT_ONCE:
                return
            place = rows[-1][:width]

    # The database

    def _ask(self, statement: str, *values: object) -> list[Any]:
        with self._turn:
            return self._rows.execute(statement, values).fetchall()

    @contextmanager
    def _together(self, *, keep: bool = True) -> Generator[None]:
        with self._turn:
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

    def _put(self, rows: Iterable[StateRow]) -> None:
        for row in rows:
            key = (self._number(row.parent), pack(row.id))
            if row.digest is None:
                self._rows.execute("DELETE FROM known WHERE parent = ? AND id = ?", key)
            else:
                self._rows.execute(_KNOWN, (*key, row.digest, row.settled))

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
