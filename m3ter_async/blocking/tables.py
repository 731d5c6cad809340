"""The pages of a slice as record batches of one table."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from .._core.operation import Operation
from ..client import AsyncM3ter
from ..errors import RecordError
from ..export import Slice, read_slice
from ..export.formats.batches import RecordBatches
from ..export.formats.fitting import Misfit
from ..export.formats.pyarrow_import import pa
from ..export.slices.listings import paginator

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
        self._operation = _operation(slice)
        name = slice.method.split(".")[-2]
        self._convert = RecordBatches(
            self._operation.answer, name, _parent_column(slice, self._operation), nested=table is None
        )
        if table is not None and table not in self._convert.schemas:
            raise ValueError(f"{slice.method} has no table {table!r}: it has {', '.join(self._convert.schemas)}")
        if keep_bad and table not in (None, name):
            raise ValueError(f"bad records are kept with whole records or the table {name}, not with {table}")
        self._table = table or name
        self._keep_bad = keep_bad
        self.schema: Any = self._convert.schemas[self._table]
        if keep_bad:
            self.schema = self.schema.append(pa.field(BAD, pa.string()))

    async def read(self, client: AsyncM3ter, slice: Slice) -> AsyncGenerator[Any]:
        """The record batches of a slice, at least one.

        Raises:
            RecordError: A record does not fit, and bad ones are not kept.
            APIError: The service failed.
        """
        some = False
        async with aclosing(read_slice(client, slice)) as pages:
            async for page in pages:
                for batch in self._batches(page.records):
                    some = True
                    yield batch
        if not some:
            yield pa.RecordBatch.from_pylist([], self.schema)

    def _batches(self, records: Sequence[bytes]) -> list[Any]:
        made = self._convert(records)
        misfits = made.written.misfits
        if misfits and not self._keep_bad:
            raise self._refusal(records, misfits)
        batches = made.tables[self._table]
        if not self._keep_bad:
            return batches
        kept = [self._row_batch([*each, pa.nulls(len(each), pa.string())]) for each in batches]
        if misfits:
            texts = [records[each.place].decode(errors="backslashreplace") for each in misfits]
            nulls = [pa.nulls(len(texts), each.type) for each in self.schema][:-1]
            kept.append(self._row_batch([*nulls, pa.array(texts, pa.string())]))
        return kept

    def _row_batch(self, columns: Sequence[Any]) -> Any:
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _refusal(self, records: Sequence[bytes], misfits: Sequence[Misfit]) -> RecordError:
        first = misfits[0]
        where = f"{first.where}: " if first.where else ""
        error = RecordError(
            f"{len(misfits)} of {len(records)} records of a page do not fit the table {self._table}: {where}{first.why}"
            f"; keep_bad keeps such records in a column {BAD}",
            method=self._operation.method,
            path=self._operation.path,
        )
        error.record, error.index = bytes(records[first.place]), first.place
        return error


def _operation(slice: Slice) -> Operation[Any]:
    # a paginator asks for nothing before it is iterated: any client and any parent will do
    nobody = AsyncM3ter("nobody", "nothing", "nowhere", base_url="http://127.0.0.1:1")
    parent = {} if slice.parent_argument is None else {slice.parent_argument: "any"}
    return paginator(nobody, slice.method, {**slice.arguments, **parent}, None).operation


def _parent_column(slice: Slice, operation: Operation[Any]) -> str | None:
    """The key of a parent's id, where the records do not have it by themselves."""
    names = getattr(operation.answer, "__struct_encode_fields__", ())
    return None if slice.parent_key in names else slice.parent_key
