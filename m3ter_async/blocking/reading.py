"""Plan and read a listing, in plain calls that wait: what engines with workers of their own need."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..export import Slice, plan_slices
from ..export.slices.arguments import as_texts
from ..export.slices.listings import Listing, unconnected
from ..export.slices.listings import find as find_listing
from ..export.slices.parent_names import parent_key
from .connection import Connection
from .home import home

if TYPE_CHECKING:
    from ..export.slices.arguments import Value
    from .tables import Rows

SIDE_BY_SIDE = 4
"""How many slices one process reads at the same time."""


def listing(resource: str, where: Mapping[str, Value]) -> Listing:
    """A listing by its name, without a request.

    Raises:
        ValueError: There is none, or it does not take these arguments.
    """
    return find_listing(unconnected(), resource, as_texts(where))


def empty_slice(listing: Listing) -> Slice:
    """A slice of a listing that says what its records are; where it has parents, it reads nothing."""
    return Slice("0", listing.method, listing.arguments, listing.parent_argument, (), parent_key(listing))


def plan(
    connection: Connection,
    resource: str,
    *,
    since: date | str | None = None,
    until: date | str | None = None,
    where: Mapping[str, Value] | None = None,
    count: int = 32,
    by: Literal["days", "ids"] = "days",
) -> list[Slice]:
    """Divide a listing into slices that are read independently of each other, by `read`, wherever that is.

    Nothing is asked of the service, but where the listing is divided by parents or ids: then these are listed.

    Args:
        connection: The organization.
        resource: The listing: ``bills``, ``balances.transactions``.
        since: The first day.
        until: The day after the last.
        where: Other arguments of the listing; ``page_size`` too.
        count: About how many slices to make.
        by: ``ids`` for slices of 50 ids each, so that `count` is of no account; for listings that can be asked for
            ids, such as bills. Slices of days hold very different numbers of bills where most have the same date, and
            without days there is only one.

    Returns:
        At least one slice. Of a listing whose parents are none there is one that reads nothing.

    Raises:
        ValueError: There is no such listing, it does not take these arguments, or one of them is none.
        ConfigurationError: Credentials are missing, or the connection cannot be used.
        ExportError: A parent has no id that can be asked for.
        APIError: The service failed.
    """
    here = home()

    async def planned() -> list[Slice]:
        client = await here.client(connection)
        slices = plan_slices(client, resource, since=since, until=until, where=where, count=count, by=by)
        async with aclosing(slices):
            found = [each async for each in slices]
        return found or [empty_slice(listing(resource, where or {}))]

    return here.run(planned)


def read(connection: Connection, slice: Slice, *, table: str | None = None, keep_bad: bool = False) -> Iterator[Any]:
    """Read a slice: ``GET`` of its listing, page by page.

    Of a slice of ids, those that are not there any more are named in the log, by a warning of ``m3ter_async``.

    Args:
        connection: The organization that the slice was planned for.
        slice: What to read.
        table: A table, such as ``line_items``, without what lies below it. Left out, the records are whole: lists and
            structs stand in their rows.
        keep_bad: Add a column ``_bad_record``. A record that cannot be held exactly is a row with its JSON there, and
            nulls elsewhere; otherwise it ends the reading.

    Returns:
        An iterator of ``pyarrow.RecordBatch``: always at least one, of no rows where the slice has no records.

    Raises:
        ValueError: The listing has no such table. While it is iterated: the slice is of another organization.
        ImportError: pyarrow is not installed.
        ConfigurationError: While it is iterated: credentials are missing, or the connection cannot be used.
        RecordError: While it is iterated: a record cannot be held exactly, as an amount of more than 18 decimals.
        APIError: While it is iterated: the service failed.
    """
    rows = _rows(slice, table, keep_bad)
    return _batches(connection, [slice], rows, 1)


def reader(
    connection: Connection,
    source: str | Sequence[Slice],
    *,
    table: str | None = None,
    keep_bad: bool = False,
    since: date | str | None = None,
    until: date | str | None = None,
    where: Mapping[str, Value] | None = None,
    side_by_side: int = SIDE_BY_SIDE,
) -> Any:
    """A listing as a stream, for everything that takes Arrow: Polars, DuckDB, delta-rs, pandas.

    Args:
        connection: The organization.
        source: The listing, such as ``bills``, or slices of one listing from `plan`.
        table: As in `read`.
        keep_bad: As in `read`.
        since: The first day.
        until: The day after the last.
        where: Other arguments of the listing.
        side_by_side: How many slices are read at the same time; above 1, the order of rows is left open.

    Returns:
        A ``pyarrow.RecordBatchReader``; it reads while it is read from, and holds a few pages at most.

    Raises:
        ValueError: There is no such listing or table, or it does not take these arguments.
        ImportError: pyarrow is not installed.
        ConfigurationError: Credentials are missing, or the connection cannot be used.
        RecordError: While it is read from: a record cannot be held exactly.
        APIError: The service failed, here or while it is read from.
    """
    if side_by_side < 1:
        raise ValueError(f"side_by_side must be 1 or more, not {side_by_side}")
    slices: Sequence[Slice]
    if isinstance(source, str):
        slices = plan(connection, source, since=since, until=until, where=where)
    else:
        slices = source
        if since is not None or until is not None or where is not None:
            raise ValueError("since, until and where belong to plan() where slices are given")
    if not slices:
        raise ValueError("there is nothing to read: the listing has no parents, or no slices were given")
    methods = sorted({each.method for each in slices})
    if len(methods) > 1:
        raise ValueError(f"the slices are of several listings, {' and '.join(methods)}: make a reader for each")
    rows = _rows(slices[0], table, keep_bad)
    from .._tabular.pyarrow_import import pa

    return pa.RecordBatchReader.from_batches(rows.schema, _batches(connection, slices, rows, side_by_side))


def _rows(slice: Slice, table: str | None, keep_bad: bool) -> Rows:
    from .tables import Rows  # which needs pyarrow, and planning does not

    return Rows(slice, table, keep_bad=keep_bad)


def _batches(connection: Connection, slices: Sequence[Slice], rows: Rows, side_by_side: int) -> Iterator[Any]:
    here = home()

    async def batches(slice: Slice) -> AsyncGenerator[Any]:
        client = await here.client(connection)
        async with aclosing(rows.read(client, slice)) as made:
            async for batch in made:
                yield batch

    return here.stream([partial(batches, each) for each in slices], side_by_side=side_by_side)
