"""What a change does to the state of a destination, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .keys import pack
from .marks import Row

_AT_ONCE = 1_000  # rows that are Python objects at a time


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


def schema() -> Any:
    """The columns of a state.

    Raises:
        ImportError: pyarrow is not installed.
    """
    from .._tabular.pyarrow_import import pa

    return pa.schema([("parent", pa.string()), ("id", pa.string()), ("digest", pa.string()), ("settled", pa.bool_())])


def to_arrow(rows: Sequence[StateRow]) -> Any:
    """The rows as an Arrow table, with a column more for those to be forgotten.

    Raises:
        ImportError: pyarrow is not installed.
    """
    from .._tabular.pyarrow_import import pa

    columns = [
        [row.parent for row in rows],
        [row.id for row in rows],
        [None if row.digest is None else row.digest.hex() for row in rows],
        [row.settled for row in rows],
        [row.digest is None for row in rows],
    ]
    return pa.table(columns, schema=schema().append(pa.field("deleted", pa.bool_())))


def from_arrow(table: Any) -> Iterator[Row]:
    """The rows of an Arrow table, or of a record batch."""
    names = schema().names
    for batch in table.to_batches() if hasattr(table, "to_batches") else (table,):
        for start in range(0, batch.num_rows, _AT_ONCE):
            part = batch.slice(start, _AT_ONCE)
            for parent, id, digest, settled in zip(*(part.column(name).to_pylist() for name in names), strict=True):
                yield pack(parent or ""), pack(id), bytes.fromhex(digest), bool(settled)
