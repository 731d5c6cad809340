"""A listing as Arrow tables."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from .._core.operation import Operation
from .._tabular.arrow_page import ArrowPage, arrow_page, no_records
from .._tabular.batches import RecordBatches
from .._tabular.fitting import Misfit
from .._tabular.pyarrow_import import pa
from ..errors import RecordError
from .iteration import OnBad

if TYPE_CHECKING:
    from .paginator import Paginator


def table_of(operation: Operation[Any]) -> str:
    """The name of the table of a listing's records: the last word of its path."""
    words = [each for each in operation.path.split("/") if not each.startswith("{")]
    return words[-2] if words[-1] == "search" else words[-1]


def refusal(operation: Operation[Any], misfit: Misfit, record: bytes, next_token: str | None) -> RecordError:
    """The error for a record that the tables cannot hold exactly.

    Args:
        next_token: Of the page it is in.
    """
    where = f"{misfit.where}: " if misfit.where else ""
    error = RecordError(
        f"a record that Arrow cannot hold exactly: {where}{misfit.why}",
        method=operation.method,
        path=operation.path,
        status=200,
        next_token=next_token,
    )
    error.record, error.index = record, misfit.place
    return error


async def arrow_pages(listing: Paginator[bytes], on_bad: OnBad | None, *, nested: bool) -> AsyncGenerator[ArrowPage]:
    """The pages of a listing of raw records, and one where there are no records."""
    operation = listing.operation
    convert = RecordBatches(operation.answer, table_of(operation), nested=nested)
    token = listing.next_token
    none = True
    async with aclosing(listing.pages()) as pages:
        async for page in pages:

            def misfit(found: Misfit, record: bytes, token: str | None = token) -> None:
                error = refusal(operation, found, record, token)
                if on_bad is None:
                    raise error
                on_bad(error)

            made = await arrow_page(convert, page.data, page.next_token, misfit)
            token = page.next_token
            if page.data:
                none = False
                yield made
    if none:
        yield no_records(convert)


async def arrow_table(pages: AsyncGenerator[ArrowPage], name: str | None) -> Any:
    """All pages of one table as one ``pyarrow.Table``.

    Raises:
        ValueError: There is no such table.
    """
    batches: list[Any] = []
    async with aclosing(pages):
        async for page in pages:
            if name is not None and name not in page.tables:
                raise ValueError(f"there is no table {name!r}: there are {', '.join(page.tables)}")
            batches.append(page.tables[name or next(iter(page.tables))])
    return pa.Table.from_batches(batches)
