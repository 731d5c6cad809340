"""The Parquet files of a lake: rows of records that went are left out, small files are put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._tabular.pyarrow_import import pa, pc, pq
from ...export.formats.parquet import RowGroups
from ..errors import SyncError
from .place import STATE_TABLE


class Keys:
    """Finds the rows of some records.

    Args:
        first: The first table.
        parent: The column of the first table that holds the id of the parent, or None.
        keys: The parents and ids of the records.
    """

    def __init__(self, first: str, parent: str | None, keys: Sequence[tuple[str, str]]) -> None:
        self._first = first
        self._parent = parent
        self._below = f"{first.removesuffix('s')}_id"
        self._ids = pa.array([id for _, id in keys], pa.string())
        self._both = pa.array([f"{above}\0{id}" for above, id in keys], pa.string())

    def without(self, table: str, rows: Any) -> Any:
        """The rows of a table without those of the records."""
        return rows.filter(pc.invert(self._among(table, rows)))

    def count(self, path: Path) -> int:
        """How many of the records a file of the state has."""
        rows = _batches(path, ["parent", "id"])
        return sum(pc.sum(self._among(STATE_TABLE, each)).as_py() or 0 for each in rows)

    def _among(self, table: str, rows: Any) -> Any:
        if table not in (self._first, STATE_TABLE):
            return pc.is_in(rows.column(self._below), value_set=self._ids)
        if self._parent is None:
            return pc.is_in(rows.column("id"), value_set=self._ids)
        above = rows.column("parent" if table == STATE_TABLE else self._parent)
        return pc.is_in(pc.binary_join_element_wise(above, rows.column("id"), "\0"), value_set=self._both)


def write(path: Path, schema: Any, batches: Iterator[Any]) -> int:
    """Write a file.

    Returns:
        How many rows it has.
    """
    file = RowGroups(path, schema)
    try:
        for batch in batches:
            if batch.num_rows:
                file.write(batch)
    finally:
        file.close()
    return file.rows


def rows_of(paths: Sequence[Path], schema: Any) -> Iterator[Any]:
    """The rows of files of one table, in the columns of a schema.

    Raises:
        SyncError: A file has a column that the schema does not have, or of another type.
    """
    for path in paths:
        for batch in _batches(path, None):
            yield _fitted(path, batch, schema)


def fits(path: Path, schema: Any) -> bool:
    """Whether a file has the columns of a schema and no other.

    Raises:
        SyncError: It has a column that the schema does not have, or of another type, and so cannot get those.
    """
    found = pq.read_schema(path)
    for each in found:
        place = schema.get_field_index(each.name)
        if place < 0 or schema.field(place).type != each.type:
            raise SyncError(
                f"{path} has a column {each.name} of type {each.type}, which this release of m3ter-async does not "
                "write: sync into another folder"
            )
    return [each.name for each in found] == list(schema.names)


def _fitted(path: Path, batch: Any, schema: Any) -> Any:
    if batch.schema.names == schema.names:
        return batch.cast(schema) if batch.schema != schema else batch
    fits(path, schema)
    columns: Mapping[str, Any] = dict(zip(batch.schema.names, batch.columns, strict=True))
    arrays = [columns[each.name] if each.name in columns else pa.nulls(batch.num_rows, each.type) for each in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _batches(path: Path, columns: Sequence[str] | None) -> Iterator[Any]:
    with pq.ParquetFile(str(path)) as file:
        yield from file.iter_batches(columns=columns)
