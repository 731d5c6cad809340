"""One collection of rows: seeded ones rendered on demand, with what was written laid over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from m3ter_async.sandbox.contract import Row

# Called with a row before and after a change: before is None for a new row, after is None for one that is gone.
OnChange: TypeAlias = "Callable[[Row | None, Row | None], None]"


class Table:
    """The rows of one collection, newest first.

    A row's place never changes: seeded rows have places from 0 up, created ones from -1 down. A cursor that says
    "after this place" therefore stays right while rows come and go.
    """

    def __init__(
        self,
        seeded: Sequence[str] = (),
        render: Callable[[int], Row] | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self._on_change = on_change
        self._seeded = seeded
        self._render = render
        self._places = {row_id: place for place, row_id in enumerate(seeded)}
        self._created: list[str] = []
        self._written: dict[str, Row | None] = {}

    def get(self, row_id: str) -> Row | None:
        """The row with this id, or None where there is none (any more)."""
        if row_id in self._written:
            return self._written[row_id]
        place = self._places.get(row_id)
        return None if place is None or self._render is None else self._render(place)

    def place(self, row_id: str) -> int:
        """Where the row stands, for a row that exists or once existed."""
        return self._places[row_id]

    def next_position(self) -> int:
        """The position, past the seeded ones, that the next created row is drawn from."""
        return len(self._seeded) + len(self._created) + 1

    def put(self, row: Row) -> Row:
        """Store a new row, or a changed one in the place of the old."""
        row_id: str = row["id"]
        self._tell(row_id, row)
        if row_id not in self._places:
            self._created.append(row_id)
            self._places[row_id] = -len(self._created)
        self._written[row_id] = row
        return row

    def remove(self, row_id: str) -> None:
        """Delete the row."""
        self._tell(row_id, None)
        self._written[row_id] = None

    def _tell(self, row_id: str, after: Row | None) -> None:
        if self._on_change is not None:
            self._on_change(self.get(row_id), after)

    def walk(self, after: int | None = None) -> Iterator[tuple[int, Row]]:
        """Places and rows, newest first, from the place that follows `after`."""
        start = -len(self._created) if after is None else after + 1
        for place in range(start, len(self._seeded)):
            row = self.get(self._created[-place - 1] if place < 0 else self._seeded[place])
            if row is not None:
                yield place, row
