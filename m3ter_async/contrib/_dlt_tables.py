"""Changes as tables for dlt: a listing and the tables below it are one chain, which dlt merges in one transaction."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

from .._tabular.pyarrow_import import pa, pc
from ..sync import Change

# Columns of the first table that the next run reads.
DIGEST, SETTLED, ORDER, BOOKMARK = "_m3ter_digest", "_m3ter_settled", "_m3ter_order", "_m3ter_bookmark"
DELETED: Final = "_m3ter_deleted"
MARKED: Final = 8  # rows that have a bookmark: any of them may change next
# What dlt calls the keys of rows by itself.
ROW, ROOT, PARENT = "_dlt_id", "_dlt_root_id", "_dlt_parent_id"


class _Below(dict[str, Any]):
    """A table of a chain, as dlt knows it: of no resource. Counting its rows, dlt asks for one all the same."""

    def __init__(self, table: Mapping[str, Any], above: str) -> None:
        super().__init__(table, parent=above)
        self.resource: Any = self.pop("resource", None)

    def __missing__(self, key: str) -> Any:
        if key == "resource":
            return self.resource
        raise KeyError(key)


class Tables:
    """The tables of one listing.

    Args:
        schemas: Of its tables, by name, the first one first and each after the one it lies in.
        parent: The column of the first table that names the parent of a record, or None.
    """

    def __init__(self, schemas: Mapping[str, Any], parent: str | None) -> None:
        self.names: list[str] = list(schemas)
        self.table: str = self.names[0]
        self.parent: str | None = parent
        self._schemas = schemas

    def hints(self, name: str) -> dict[str, Any]:
        """What dlt has to know of a table."""
        schema = self._schemas[name]
        columns: dict[str, dict[str, Any]] = {ROW: {"row_key": True, "unique": True, "nullable": False}}
        hints: dict[str, Any] = {"table_name": name, "columns": columns}
        if name == self.table:
            columns |= {key: {"nullable": False} for key in self.keys}
            columns[ORDER] = {"nullable": False, "dedup_sort": "desc"}
            columns[DELETED] = {"hard_delete": True}
            hints["primary_key"] = self.keys
            hints["write_disposition"] = {"disposition": "merge", "strategy": "delete-insert"}
        else:
            keys = [schema.names[0], *_places(schema.names)]
            columns |= {key: {"nullable": False} for key in keys}
            columns[ROOT] = {"root_key": True, "nullable": False}
            columns[PARENT] = {"parent_key": True, "nullable": False}
            hints["write_disposition"] = "merge"
        return hints

    @contextmanager
    def apart(self, schema: Any) -> Generator[None]:
        """Let dlt take tables below the first one as it takes first ones, and make a chain of them when all are there.

        Only a chain is merged in one transaction; dlt itself makes one only of what it took out of a record.

        Args:
            schema: dlt's.
        """
        for name in self.names[1:]:
            schema.tables.get(name, {}).pop("parent", None)
        yield
        for above, name in pairwise(self.names):
            if name in schema.tables:
                schema.tables[name] = _Below(schema.tables[name], above)

    @property
    def keys(self) -> list[str]:
        """The columns that name a record."""
        return [self.parent, "id"] if self.parent else ["id"]

    def rows(self, change: Change, order: int, bookmark: str | None) -> Iterator[tuple[str, Any]]:
        """Each table of a change, by name.

        Args:
            change: The change.
            order: Higher than that of each change before it, in this run and in others.
            bookmark: Where the sync stands when all of its changes are there; it is put on the last rows.
        """
        state = change.state
        first = change.upserts.get(self.table)
        first = self._schemas[self.table].empty_table() if first is None else first
        yield self.table, self._roots(first, state, order, bookmark)
        for place, name in enumerate(self.names[1:]):
            table = change.upserts.get(name)
            table = self._schemas[name].empty_table() if table is None else table
            yield name, self._certain(name, _child(table, order, deep=place > 0))

    def _roots(self, rows: Any, state: Any, order: int, bookmark: str | None) -> Any:
        count = rows.num_rows
        gone = state.slice(count)
        deleted: dict[str, Any] = {"id": gone.column("id")}
        if self.parent:
            deleted[self.parent] = gone.column("parent")
        columns = {}
        for field in rows.schema:
            below = deleted.get(field.name)
            below = pa.nulls(gone.num_rows, field.type) if below is None else below.cast(field.type)
            columns[field.name] = _joined(rows.column(field.name), below, field.type)
        total = count + gone.num_rows
        columns[DIGEST] = state.column("digest")
        columns[SETTLED] = state.column("settled")
        columns[ORDER] = pa.array([order] * total, pa.int64())
        marks: list[str | None] = [None] * total
        if bookmark is not None:
            marks[max(0, count - MARKED) : count] = [bookmark] * min(count, MARKED)
        columns[BOOKMARK] = pa.array(marks, pa.string())
        columns[DELETED] = pa.array([False] * count + [True] * gone.num_rows, pa.bool_())
        columns[ROW] = _key(order, *(columns[key] for key in self.keys))
        return self._certain(self.table, pa.table(columns))

    def _certain(self, name: str, table: Any) -> Any:
        """The table with a schema that says what is never null; dlt warns where it is told so by hints alone."""
        hinted = self.hints(name)["columns"]
        fields = [
            pa.field(field.name, field.type, nullable=hinted.get(field.name, {}).get("nullable", True))
            for field in table.schema
        ]
        return table.cast(pa.schema(fields))


def _places(columns: Sequence[str]) -> list[str]:
    """The columns that say where a row stands in its record; they come first."""
    return [column for column in columns[:4] if column.endswith("position")]


def _child(table: Any, order: int, *, deep: bool) -> Any:
    """A table below the first: its rows are named by the record that they lie in, and their place in it."""
    names = table.schema.names
    record = table.column(names[0])
    places = [table.column(name) for name in _places(names)]
    root = _key(order, record)
    keys = {ROW: _key(order, record, *places), ROOT: root, PARENT: _key(order, record, *places[:-1]) if deep else root}
    for name, column in keys.items():
        table = table.append_column(name, column)
    return table


def _key(order: int, *columns: Any) -> Any:
    """Texts that name rows. The order is in it, so that two versions of a record are never mixed."""
    texts = [column.cast(pa.string()) for column in columns]
    return pc.binary_join_element_wise(pa.scalar(str(order)), *texts, "/")


def _joined(above: Any, below: Any, type_: Any) -> Any:
    parts = [*_chunks(above), *_chunks(below)]
    return pa.chunked_array(parts, type_)


def _chunks(column: Any) -> list[Any]:
    return list(column.chunks) if hasattr(column, "chunks") else [column]
