"""A page of a listing as Arrow record batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anyio.to_thread import run_sync

from .batches import RecordBatches
from .fitting import Misfit
from .pyarrow_import import pa
from .written import Batches

_QUICK = 65_536  # bytes of JSON that are converted where they are; for more of them other tasks would wait


@dataclass(frozen=True)
class ArrowPage:
    """A page of records as Arrow record batches.

    Attributes:
        tables: One record batch for each table, by name; it may have no rows. Amounts are ``decimal128(38, 18)``,
            moments ``timestamp("us", "UTC")``, days ``date32``, maps JSON texts.
        position: Where to go on after this page: the `Position` of a slice, or the ``next_token`` of a listing; None
            after the last page.
        unknown: How often each field came that this version does not name; its values are in the column ``_extra``.
        gone: On the last page of a slice of ids, those that are not there any more.
    """

    tables: Mapping[str, Any]
    position: Any = None
    unknown: Mapping[str, int] = field(default_factory=lambda: {})
    gone: tuple[str, ...] = ()


async def arrow_page(
    convert: RecordBatches, records: Sequence[bytes], position: Any, misfit: Callable[[Misfit, bytes], None]
) -> ArrowPage:
    """The page of some records.

    Args:
        convert: Makes the record batches.
        records: The JSON of each.
        position: Where to go on after them.
        misfit: Is told of each record that the tables cannot hold exactly; they hold nothing of it.
    """
    if sum(map(len, records)) <= _QUICK:
        made = convert(records)
    else:
        made = await run_sync(convert, records)
    for each in made.written.misfits:
        misfit(each, records[each.place])
    return ArrowPage(_one_each(made, convert.schemas), position, made.written.unknown)


def no_records(convert: RecordBatches) -> ArrowPage:
    """The page where there are none, so that whoever reads it sees the schemas."""
    return ArrowPage(_one_each(Batches({name: [] for name in convert.schemas}, convert([]).written), convert.schemas))


def _one_each(made: Batches, schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _one(batches, schemas[name]) for name, batches in made.tables.items()}


def _one(batches: Sequence[Any], schema: Any) -> Any:
    if len(batches) == 1:
        return batches[0]
    found = pa.Table.from_batches(batches, schema).combine_chunks().to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], schema)
