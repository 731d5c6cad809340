"""Transactions on the folder of one resource: what a change brings goes in, what it replaces goes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..._tabular.pyarrow_import import pa, pc
from ..change import Change
from ..errors import SyncError
from ..known import Known
from ..state import schema
from .parts import Keys, fits, rows_of, write
from .place import STATE_TABLE, Part, Place, file_of

_SMALL = 8 * 2**20  # bytes of a part below which it is put together with others
_MANY = 8  # small parts that are left alone
_DELETES = pa.schema([("parent", pa.string()), ("id", pa.string())])


class _Sources(NamedTuple):
    """What a new part is made of: the rows of each table, and of how many records they are."""

    rows: Mapping[str, Iterator[Any]]
    records: int


class Store:
    """The tables of one resource.

    Args:
        place: Its folder.
        schemas: Of each table, the first one first.
        parent: The column of the first table that holds the id of the parent, or None.

    Raises:
        SyncError: The folder has other tables, or columns that are not written any more. Nothing was touched.
    """

    def __init__(self, place: Place, schemas: Mapping[str, Any], parent: str | None) -> None:
        self._place = place
        self._first = next(iter(schemas))
        self._schemas = {**schemas, STATE_TABLE: schema()}
        self._parent = parent
        there = place.manifest.tables
        if there and list(there) != list(schemas):
            raise SyncError(
                f"{place.folder} has the tables {', '.join(there)}, not {', '.join(schemas)}: sync into another folder"
            )
        self._old: set[int] = set()  # parts with fewer columns
        for part in place.manifest.parts:
            for table, wanted in schemas.items():
                if not fits(self._path(table, part), wanted):
                    self._old.add(part.number)

    def known(self) -> Known:
        """What the tables hold."""
        bookmark = self._place.manifest.bookmark
        parts = self._place.manifest.parts
        return Known.from_state(
            None if bookmark is None else bookmark.encode(),
            rows_of([self._path(STATE_TABLE, part) for part in parts], self._schemas[STATE_TABLE]),
        )

    def apply(self, change: Change, there: Sequence[tuple[str, str]]) -> None:
        """One transaction.

        Args:
            change: What comes and goes.
            there: The parents and ids of those of its records that the tables have.
        """
        made = _Made(self)
        kept: list[Part] = []
        finder = Keys(self._first, self._parent, there)
        for part in self._place.manifest.parts:
            hits = finder.count(self._path(STATE_TABLE, part)) if there else 0
            if not hits and part.number not in self._old:
                kept.append(part)
                continue
            made.removed += self._names(part)
            if hits < part.records:
                kept.append(made.part(_Sources(self._without(part, finder), part.records - hits)))
        if change.ids:
            state = change.state.filter(pc.invert(change.state["deleted"])).select(self._schemas[STATE_TABLE].names)
            tables = {**change.upserts, STATE_TABLE: state}
            rows = {name: iter(table.to_batches()) for name, table in tables.items()}
            kept.append(made.part(_Sources(rows, len(change.ids))))
        self._beside(change, made)
        self._commit(made, kept, change)

    def tidy(self) -> None:
        """Put small parts together, in a transaction of its own."""
        parts = self._place.manifest.parts
        small = [part for part in parts if part.bytes < _SMALL]
        if len(small) <= _MANY:
            return
        made = _Made(self)
        rows = {
            table: rows_of([self._path(table, part) for part in small], wanted)
            for table, wanted in self._schemas.items()
        }
        for part in small:
            made.removed += self._names(part)
        merged = made.part(_Sources(rows, sum(part.records for part in small)))
        self._commit(made, [*(part for part in parts if part not in small), merged], None)

    def _beside(self, change: Change, made: _Made) -> None:
        """The change itself, in a folder for the round; all that the first round brings is in the tables anyway."""
        manifest = self._place.manifest
        if not manifest.round:
            return
        folder = f"changes/{manifest.round:06d}"
        for table, rows in change.upserts.items():
            if rows.num_rows:
                made.file(f"{folder}/{table}-{manifest.steps:04d}.parquet", rows.schema, iter(rows.to_batches()))
        gone = change.state.filter(change.state["deleted"]).select(_DELETES.names)
        if gone.num_rows:
            name = f"{folder}/{self._first}-deleted-{manifest.steps:04d}.parquet"
            made.file(name, _DELETES, iter(gone.to_batches()))

    def _commit(self, made: _Made, parts: Sequence[Part], change: Change | None) -> None:
        before = self._place.manifest
        after = msgspec.structs.replace(
            before,
            parts=parts,
            next=made.next,
            tables=[name for name in self._schemas if name != STATE_TABLE],
            added=made.added,
            removed=made.removed,
        )
        if change is not None:
            after = msgspec.structs.replace(
                after,
                bookmark=change._standing,
                round=before.round + change.last,
                steps=0 if change.last else before.steps + 1,
            )
        self._place.commit(after)
        self._old.clear()

    def _without(self, part: Part, finder: Keys) -> dict[str, Iterator[Any]]:
        def left(table: str, wanted: Any) -> Iterator[Any]:
            for rows in rows_of([self._path(table, part)], wanted):
                yield finder.without(table, rows)

        return {table: left(table, wanted) for table, wanted in self._schemas.items()}

    def _path(self, table: str, part: Part) -> Any:
        return self._place.folder / file_of(table, part.number)

    def _names(self, part: Part) -> list[str]:
        return [file_of(table, part.number) for table in self._schemas]


class _Made:
    """The files of one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.added: list[str] = []
        self.removed: list[str] = []
        self.next: int = store._place.manifest.next

    def file(self, name: str, schema: Any, rows: Iterator[Any]) -> int:
        """Write a file, under its temporary name.

        Returns:
            Its size.
        """
        path = self._store._place.temporary(name)
        write(path, schema, rows)
        self.added.append(name)
        return path.stat().st_size

    def part(self, sources: _Sources) -> Part:
        """Write the files of a part."""
        number, self.next = self.next, self.next + 1
        schemas = self._store._schemas
        size = sum(self.file(file_of(table, number), schemas[table], rows) for table, rows in sources.rows.items())
        return Part(number, sources.records, size)
