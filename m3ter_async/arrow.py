"""Records as Arrow record batches, without files: for engines, data frames and destinations of your own.

Needs the extra ``export``. `Paginator.arrow` and `Paginator.to_arrow` are the same for any listing of a client.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ._paging.arrow import refusal
from ._tabular.arrow_page import ArrowPage, arrow_page, no_records
from ._tabular.fitting import Misfit
from .client import AsyncM3ter
from .errors import RecordError
from .export import Position, Slice, read_slice
from .export.formats.converters import of_listing, of_slice
from .export.slices.arguments import Value, as_texts
from .export.slices.listings import find, unconnected
from .export.slices.slice import START

__all__ = ["ArrowPage", "read_arrow", "schemas"]


def schemas(resource: str, *, where: Mapping[str, Value] | None = None, nested: bool = False) -> dict[str, Any]:
    """The Arrow schema of each table of a listing, by name; nothing is asked of the service.

    Args:
        resource: Its dotted name: ``bills``, ``balances.transactions``.
        where: Arguments of the listing, where it needs any.
        nested: The one table that has lists and structs in its rows.

    Raises:
        ValueError: There is no such listing.
        ImportError: pyarrow is not installed.
    """
    listing = find(unconnected(), resource, as_texts(where or {}))
    return of_listing(listing, nested=nested).schemas


async def read_arrow(
    client: AsyncM3ter,
    slice: Slice,
    position: Position = START,
    *,
    nested: bool = False,
    on_bad: Callable[[RecordError], object] | None = None,
    ahead: bool = True,
) -> AsyncGenerator[ArrowPage]:
    """Read a slice page by page as Arrow record batches, from `position` on.

    At least one page comes, with the schemas and without a row where there is no record.

    Args:
        client: Any client of the slice's organization, in any process.
        slice: What to read, from `plan_slices`.
        position: Where to begin; of a page that was read before, its `position`.
        nested: One table with lists and structs in its rows, in place of a table for each of them.
        on_bad: Called with a `RecordError` for each record that Arrow cannot hold exactly; its tables hold nothing of
            it. Without it the first such record ends the reading.
        ahead: Fetch the next page while one is consumed.

    Raises:
        ValueError: The client calls another organization than that of the slice; nothing was sent.
        APIError: The service failed; nothing of the page was handed out.
        RecordError: A record does not fit, and `on_bad` is not given.
        ImportError: pyarrow is not installed.
    """
    operation, convert = of_slice(client, slice, nested=nested)
    token = position.token
    none = True

    def misfit(found: Misfit, record: bytes) -> None:
        error = refusal(operation, found, record, token)
        if on_bad is None:
            raise error
        on_bad(error)

    async with aclosing(read_slice(client, slice, position, ahead=ahead)) as pages:
        async for page in pages:
            made = await arrow_page(convert, page.records, page.position, misfit)
            token = None if page.position is None else page.position.token
            if page.records or page.gone:
                none = False
                yield replace(made, gone=page.gone)
    if none:
        yield no_records(convert)


for _public in (ArrowPage, read_arrow, schemas):
    _public.__module__ = __name__  # users import it from here, wherever it stands
