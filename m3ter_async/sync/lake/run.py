"""A sync into a lake, from its arguments to its report."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from os import PathLike
from pathlib import Path

from anyio import to_thread

from ...client import AsyncM3ter
from ...export.slices.arguments import Value, as_texts
from ...export.slices.listings import find
from ...export.slices.parent_names import parent_field
from ..change import Change, SetAside, SyncNote
from ..changes import changes
from ..known import Known
from .place import Place

_DAY = timedelta(days=1)
_AT_ONCE = 32 * 2**20  # bytes of JSON in a transaction: parts that are worth a file


@dataclass(frozen=True)
class SyncReport:
    """A sync that came to its end.

    Attributes:
        resource: What was read.
        upserts: Records that were new or changed.
        deletes: Records that were gone.
        records: Records in the destination now.
        aside: Records that are in no table; the next sync tries them again.
        notes: What else there is to say.
    """

    resource: str
    upserts: int
    deletes: int
    records: int
    aside: tuple[SetAside, ...] = ()
    notes: tuple[SyncNote, ...] = ()


async def sync_lake(
    client: AsyncM3ter,
    resource: str,
    lake: str | PathLike[str],
    *,
    full: bool | timedelta = _DAY,
    where: Mapping[str, Value] | None = None,
    look_back: timedelta = timedelta(hours=1),
    nested: bool = False,
    on_change: Callable[[Change], object] | None = None,
) -> SyncReport:
    """Let a folder of Parquet files hold what a listing holds.

    ::

        report = await sync_lake(m3ter, "bills", "lake")

    ``lake/bills/current/bills/*.parquet`` is the table as it is now, with the tables below it beside it;
    ``lake/bills/changes/000001/`` holds what the second sync brought, ``000002`` what the third did, and so on. Each
    change is a transaction: a sync that is killed leaves the tables as they were before it or as they are after it, and
    the next one goes on from there. `lake_files` names the files of a table as of the last transaction.

    Args:
        client: Of the organization.
        resource: Its dotted name.
        lake: The folder; it is made if it is not there. It can hold any number of resources.
        full: When to look at locked bills too; see `changes`.
        where: Other arguments of the listing.
        look_back: See `changes`.
        nested: Leave lists and structs in their rows, in place of tables for them.
        on_change: Called with each change once it is stored.

    Raises:
        ValueError: There is no such listing, it does not take these arguments, or one of them is none.
        ImportError: pyarrow is not installed.
        SyncError: Another sync writes to the folder, or it holds something else. Nothing in it was touched.
        APIError: The service failed; what was stored is kept.
        OSError: The disk is full, or failed; the same holds.
    """
    changes(client, resource, Known(), full=full, where=where, look_back=look_back, nested=nested)  # checks them
    from ...export.formats.converters import of_listing  # it loads pyarrow, as the next one does
    from .store import Store

    listing = find(client, resource, as_texts(where or {}))
    schemas = of_listing(listing, nested=nested).schemas
    place = await to_thread.run_sync(Place, Path(lake), client.org_id, resource)
    try:
        store = Store(place, schemas, parent_field(listing))
        known = await to_thread.run_sync(store.known)
        upserts = deletes = 0
        aside: list[SetAside] = []
        notes: list[SyncNote] = []
        round = changes(
            client,
            resource,
            known,
            full=full,
            where=where,
            look_back=look_back,
            nested=nested,
            batch_bytes=_AT_ONCE,
        )
        async with aclosing(round):
            async for change in round:
                await to_thread.run_sync(store.apply, change, change._replaced)
                upserts += len(change.ids)
                deletes += len(change.deletes)
                aside += change.aside
                notes += change.notes
                if on_change is not None:
                    on_change(change)
        await to_thread.run_sync(store.tidy)
    finally:
        place.close()
    return SyncReport(resource, upserts, deletes, len(known), tuple(aside), tuple(notes))
