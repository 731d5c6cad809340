"""The reader of a streaming query: only what changed since the last batch, kept in a folder until Spark has it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias
from urllib.parse import quote

from .._tabular.pyarrow_import import pa
from ..blocking import Connection
from ..blocking.home import home
from ..blocking.tables import BAD
from ..sync import Change, Known, changes
from .base import DataSourceStreamReader, InputPartition, SupportsTriggerAvailableNow
from .changelog import Changelog, read_rows
from .options import CHANGE, Options

Offset: TypeAlias = dict[str, str | int]
"""A place in the log: its name and the number of a change."""
_log = logging.getLogger("m3ter_async")


class StreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads what changed: offsets are numbers of changes, a task reads one change.

    The service keeps no log of changes that could be read twice. So each change is written to a folder first, with the
    mark from which the next sync goes on, and Spark is told of it only then.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._log = Changelog(options.state or "")
        self._target: int | None = None

    def initialOffset(self) -> Offset:  # noqa: N802 (Spark's name)
        """Before the first change."""
        return self._offset(0)

    def latestOffset(self, start: Offset, limit: Any) -> Offset:  # noqa: N802 (Spark's name)
        """Look for changes, and keep them.

        Args:
            start: The change that was read last.
            limit: Of no effect: all that changed is one batch, a task for each 8 MB.
        """
        self._check(start)
        return self._offset(self._look() if self._target is None else self._target)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 (Spark's name)
        """Look for changes once: the query ends when these are read."""
        self._target = self._look()

    def partitions(self, start: Offset, end: Offset) -> Sequence[InputPartition]:
        """A task for each change."""
        self._check(start)
        self._check(end)
        return [InputPartition(each.rows) for each in self._log.between(_change(start), _change(end))]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """The rows of a change."""
        return read_rows(partition.value)

    def commit(self, end: Offset) -> None:
        """Remove what Spark has read."""
        self._log.forget(_change(end))

    def stop(self) -> None:
        """Nothing is left open that the end of the process does not close."""

    def _offset(self, change: int) -> Offset:
        return {"changes": self._log.name, "change": change}

    def _check(self, offset: Offset) -> None:
        """Refuse an offset of another folder, or of this one before it was emptied."""
        if offset["changes"] != self._log.name or _change(offset) > self._log.latest():
            raise self._log.torn()

    def _look(self) -> int:
        self._log.tidy()
        for connection in self._options.connections:
            self._look_at(connection)
        return self._log.latest()

    def _look_at(self, connection: Connection) -> None:
        here, options = home(), self._options

        async def sync() -> None:
            client = await here.client(connection)
            name = quote(client.org_id, safe="")  # that of a file
            known = Known(self._log.standing(name))
            found = changes(client, options.resource, known, where=options.where, nested=True)
            async with aclosing(found):
                async for change in found:
                    for note in change.notes:
                        _log.warning("%s: %s", options.resource, note.text)
                    self._log.append(name, self._rows(change), options.schema, change.mark)

        here.run(sync)

    def _rows(self, change: Change) -> list[Any]:
        schema = self._options.schema
        found: list[Any] = []
        for table in change.upserts.values():
            for batch in table.to_batches():
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                found.append(_rows(schema, len(batch), columns, "upsert"))
        if change.deletes:
            ids = pa.array(change.deletes, pa.string())
            found.append(_rows(schema, len(ids), {"id": ids}, "delete"))
        if change.aside and not self._options.keep_bad:
            first = change.aside[0]
            raise ValueError(
                f"{len(change.aside)} records of {self._options.resource} do not fit: {first.where}: {first.why}; "
                f"the option keep_bad keeps such records in a column {BAD}"
            )
        if change.aside:
            texts = [each.record.decode(errors="backslashreplace") for each in change.aside]
            ids = pa.array([each.id for each in change.aside], pa.string())
            found.append(_rows(schema, len(texts), {"id": ids, BAD: pa.array(texts, pa.string())}, "bad"))
        return found


def _rows(schema: Any, count: int, columns: dict[str, Any], kind: str) -> Any:
    """A record batch of some columns, the others null."""
    columns = {**columns, CHANGE: pa.array([kind] * count, pa.string())}
    filled = [columns[each.name] if each.name in columns else pa.nulls(count, each.type) for each in schema]
    return pa.RecordBatch.from_arrays(filled, schema=schema)


def _change(offset: Offset) -> int:
    return int(offset["change"])
