"""How far an export is, for those who watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...client import AsyncM3ter
from ..report import ExportProgress, ResourceProgress
from ..slices.slice import Slice
from .standing import Standing


@dataclass
class _Count:
    rows: int = 0
    pages: int = 0
    bytes: int = 0
    weight: float = 0.0
    ended: float = 0.0
    open: int = 0
    planned: bool = False

    @property
    def finished(self) -> bool:
        return self.planned and not self.open


class Tally:
    """Counts what is read, and tells.

    Args:
        client: Its statistics are part of what is told.
        on_progress: Is told after every page and every slice; it should be quick.
    """

    def __init__(self, client: AsyncM3ter, on_progress: Callable[[ExportProgress], None] | None) -> None:
        self._client = client
        self._tell = on_progress
        self._began = time.monotonic()
        self._retries = client.stats().retries
        self._counts: dict[str, _Count] = {}

    def begin(self, resource: str, done: Standing) -> None:
        """Start with what earlier runs finished."""
        self._counts[resource] = _Count(rows=done.records, ended=done.ended, weight=done.ended)

    def planned(self, resource: str, slices: Iterable[Slice], *, last: bool = False, instead_of: float = 0.0) -> None:
        """There are more slices to read, perhaps the last ones, perhaps in place of others."""
        count = self._counts[resource]
        more = list(slices)
        count.weight += sum(each.weight for each in more) - instead_of
        count.open += len(more) - (1 if instead_of else 0)
        count.planned = count.planned or last
        if count.finished:
            self._report()

    def page(self, resource: str, records: int, size: int) -> None:
        """A page was read, with so many records, of so many bytes."""
        count = self._counts[resource]
        count.rows += records
        count.pages += 1
        count.bytes += size
        self._report()

    def ended(self, resource: str, slice: Slice) -> None:
        """A slice was read to its end, or the rest of it is set aside."""
        count = self._counts[resource]
        count.ended += slice.weight
        count.open -= 1
        self._report()

    def reopened(self, resource: str, slice: Slice) -> None:
        """A slice that was read to its end will be read again."""
        count = self._counts[resource]
        count.ended -= slice.weight
        count.open += 1

    def void(self, resource: str, rows: int) -> None:
        """So many rows will be read again."""
        self._counts[resource].rows -= rows
        if rows:
            self._report()

    @property
    def now(self) -> ExportProgress:
        """How far it is now."""
        stats = self._client.stats()
        return ExportProgress(
            time.monotonic() - self._began,
            tuple(
                ResourceProgress(name, each.rows, each.pages, each.bytes, _share(each), each.finished)
                for name, each in self._counts.items()
            ),
            stats.in_flight,
            stats.retries - self._retries,
        )

    def _report(self) -> None:
        if self._tell is not None:
            self._tell(self.now)


def _share(count: _Count) -> float | None:
    if count.finished:
        return 1.0
    # one slice is all or nothing, and of a listing that is still being planned nobody knows how long it is
    return count.ended / count.weight if count.planned and count.weight > 1 else None
