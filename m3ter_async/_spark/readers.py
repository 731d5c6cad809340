"""The readers of a batch query: Spark asks for partitions in one process, and reads each in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from ..blocking import Connection, plan, read
from ..export import Slice
from .base import DataSourceReader, InputPartition
from .filters import METHOD, narrowed
from .options import Options


class SlicePartition(InputPartition):
    """What one task reads: a slice, and how its organization is reached. There is no secret in it."""

    def __init__(self, connection: Connection, slice: Slice) -> None:
        super().__init__((connection, slice))


class Reader(DataSourceReader):
    """Reads a listing, a task for each slice of it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._nothing = False

    def partitions(self) -> list[InputPartition]:
        """The slices: of ranges of days, of parents, or the listing as a whole; of each organization in turn."""
        if self._nothing:
            return []
        options = self._options
        count = -(-options.partitions // len(options.connections))
        return [
            SlicePartition(connection, slice)
            for connection in options.connections
            for slice in plan(
                connection,
                options.resource,
                since=options.since,
                until=options.until,
                where=options.where,
                count=count,
            )
        ]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """The rows of a task, as record batches."""
        if partition.value is None:  # what Spark makes of no partitions
            return iter(())
        connection, slice = partition.value
        return read(connection, slice, table=self._options.table, keep_bad=self._options.keep_bad)


class PushingReader(Reader):
    """The same, asking for less where Spark's filters allow it."""

    def pushFilters(self, filters: list[Any]) -> Iterable[Any]:  # noqa: N802 (Spark's name)
        """Take filters over.

        Returns:
            All of them: Spark tries each row itself once more, so that nothing depends on how the service compares.
        """
        options = self._options
        if options.method == METHOD and options.table in (None, "bills"):
            left = narrowed(filters).within(_day(options.since), _day(options.until))
            self._nothing = left.empty
            self._options = replace(
                options,
                since=None if left.since is None else left.since.isoformat(),
                until=None if left.until is None else left.until.isoformat(),
                where={**left.where, **options.where},  # what the query gave itself stays
            )
        return filters


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
