"""The pages of a slice as record batches of one table."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from .._tabular.pyarrow_import import pa
from ..arrow import read_arrow
from ..client import AsyncM3ter
from ..errors import RecordError
from ..export import Slice
from ..export.formats.converters import of_slice
from ..export.slices.listings import unconnected

_log = logging.getLogger("m3ter_async")
BAD = "_bad_record"
"""The column that has the JSON of a record which does not fit the others."""


class Rows:
    """One table of a listing.

    Args:
        slice: Any slice of the listing.
        table: Its name, or None for whole records.
        keep_bad: Whether records that do not fit have rows of their own.

    Attributes:
        schema: The Arrow schema of the rows.

    Raises:
        ValueError: The listing has no such table, or that table cannot keep bad records.
    """

    def __init__(self, slice: Slice, table: str | None, *, keep_bad: bool) -> None:
        schemas = _schemas(slice, nested=table is None)
        first = next(iter(schemas))
        if table is not None and table not in schemas:
            raise ValueError(f"{slice.method} has no table {table!r}: it has {', '.join(schemas)}")
        if keep_bad and table not in (None, first):
            raise ValueError(f"bad records are kept with whole records or the table {first}, not with {table}")
        self._nested = table is None
        self._table = table or first
        self._keep_bad = keep_bad
        self.schema: Any = schemas[self._table]
        if keep_bad:
            self.schema = self.schema.append(pa.field(BAD, pa.string()))

    async def read(self, client: AsyncM3ter, slice: Slice) -> AsyncGenerator[Any]:
        """The record batches of a slice, at least one.

        Raises:
            RecordError: A record does not fit, and bad ones are not kept.
            APIError: The service failed.
        """
        bad: list[RecordError] = []
        kept = bad.append if self._keep_bad else None
        async with aclosing(read_arrow(client, slice, nested=self._nested, on_bad=kept)) as pages:
            async for page in pages:
                if page.gone:
                    gone = ", ".join(page.gone)
                    _log.warning("%d records of %s are not there any more: %s", len(page.gone), slice.method, gone)
                batch = page.tables[self._table]
                if not self._keep_bad:
                    yield batch
                    continue
                yield self._batch([*batch, pa.nulls(len(batch), pa.string())])
                if bad:
                    yield self._bad_rows(bad)
                    bad.clear()

    def _bad_rows(self, bad: Sequence[RecordError]) -> Any:
        texts = [each.record.decode(errors="backslashreplace") for each in bad]
        nulls = [pa.nulls(len(texts), each.type) for each in self.schema][:-1]
        return self._batch([*nulls, pa.array(texts, pa.string())])

    def _batch(self, columns: Sequence[Any]) -> Any:
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _schemas(slice: Slice, *, nested: bool) -> dict[str, Any]:
    return of_slice(unconnected(), slice, nested=nested)[1].schemas
