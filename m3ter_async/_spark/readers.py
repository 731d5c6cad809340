"""The readers of a batch query: Spark asks for partitions in one process, and reads each in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from ..blocking import Connection, plan, reader
from ..export import Slice
from .base import DataSourceReader, InputPartition
from .filters import METHOD, narrowed
from .options import Options


class SlicesPartition(InputPartition):
    """What one task reads: slices, and how their organization is reached. There is no secret in it."""

    def __init__(self, connection: Connection, slices: Sequence[Slice]) -> None:
        super().__init__((connection, slices))


class Reader(DataSourceReader):
    """Reads a listing, a task for each slice of it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._nothing = False

    def partitions(self) -> list[InputPartition]:
        """The slices of each organization in turn, in about as many groups as tasks were asked for."""
        if self._nothing:
            return []
        options = self._options
        most = -(-options.partitions // len(options.connections))
        made: list[InputPartition] = []
        for connection in options.connections:
            slices = plan(
                connection,
                options.resource,
                since=options.since,
                until=options.until,
                where=options.where,
                count=most,
                by=options.by,
            )
            size = -(-len(slices) // most)
            made += [SlicesPartition(connection, slices[first : first + size]) for first in range(0, len(slices), size)]
        return made

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """The rows of a task, as record batches."""
        if partition.value is None:  # what Spark makes of no partitions
            return iter(())
        connection, slices = partition.value
        options = self._options
        return iter(reader(connection, slices, table=options.table, keep_bad=options.keep_bad, side_by_side=2))


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
            where = {**left.where, **options.where}  # what the query gave itself stays
            self._options = replace(
                options,
                since=None if left.since is None else left.since.isoformat(),
                until=None if left.until is None else left.until.isoformat(),
                where=where,
                by="days" if "ids" in where else options.by,  # what is asked for by its id needs no list of ids
            )
        return filters


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
