"""The export of listings into a folder or a store: what is asked for is checked first, then it is run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from ...client import AsyncM3ter
from ..formats.layout import Compression, FormatName, Layout
from ..report import ExportedFile, ExportProgress, ExportReport
from ..slices.arguments import Value, as_texts, day
from ..slices.listings import PAGE_SIZE, Listing
from .blocking import in_thread
from .children import network_of
from .files import look_over
from .manifest import Manifest
from .notes import notes
from .opening import is_done, opened, plan
from .progress import Tally
from .run import Run
from .side_by_side import together


async def export(
    client: AsyncM3ter,
    resources: Sequence[str],
    out: str | os.PathLike[str],
    *,
    format: FormatName | None = None,
    since: date | str | None = None,
    until: date | str | None = None,
    where: Mapping[str, Value] | None = None,
    nested: bool | None = None,
    compression: Compression | None = None,
    concurrency: int = 8,
    processes: int = 1,
    page_size: int | None = None,
    settle: bool | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[ExportProgress], None] | None = None,
) -> ExportReport:
    """Write every record of some listings into files, each exactly once.

    Files are written part by part, ``out/bills/line_items/00000.parquet``, and entered in ``out/manifest.jsonl`` when
    they are finished. An export that is killed, cancelled or that fails keeps them; with `resume` it goes on from
    there, and ends with the rows of one that was never interrupted.

    What cannot be read or kept does not hold up the rest. A record that the format cannot hold exactly is set aside
    whole, with the reason, in ``out/aside/bills.ndjson``. A parent or a slice that the service does not give is set
    aside too, and with `resume` it is asked for again. The report's notes tell of all that.

    Args:
        client: Its limits hold over all that is read side by side.
        resources: Dotted names: ``bills``, ``balances.transactions``, ``bills.search``. What belongs to a parent is
            read for every parent there is.
        out: The folder; it is made if it is not there. Or a prefix of an object store: ``s3://bucket/prefix``,
            ``gs://…`` or ``az://container/prefix``; its options come from the environment.
        format: ``ndjson`` (the bytes that the service sent, a record a line; the default), ``csv`` or ``parquet``
            (bills, line items and pricing bands as three tables).
        since: The first day, by the bill's date; only bills, and what belongs to them, are selected by date.
        until: The day after the last.
        where: Other arguments of the listings: ``{"status": "APPROVED", "locked": False}``; texts, numbers, booleans,
            days, and lists of them.
        nested: One nested Parquet table in place of three.
        compression: Of NDJSON.
        concurrency: How many cursors read side by side; each process has one at the least.
        processes: How many processes read, convert and write. With 1 it is this one; with more, this one only keeps
            the limits and the list of what is finished, and starts as many others. It pays with large bills.
        page_size: How many records to ask for in a page; the largest that the service gives is the default. It may be
            another one when an export is gone on with.
        settle: At the end list all records again, without their line items, and compare them with what was written.
            What differs or is new is read again, what is not there any more or not selected any more is removed, until
            nothing differs, five times at the most; then a note names what still does. For listings that can be asked
            for ids, such as ``bills``.
        resume: Go on with the export that is in `out`; arguments that are left out are as they were.
        overwrite: Remove the export that is in `out` first.
        on_progress: Told after every page; it should be quick.

    Raises:
        ValueError: An argument cannot be used, `out` cannot be written to, or holds another export; or the client
            cannot be used by several processes.
        ImportError: The format needs pyarrow, or the store obstore.
        APIError: The service failed; what was finished is kept.
        ExportError: The disk is full, the store failed, or what was written was changed by somebody else.
    """
    if isinstance(resources, str) or not resources or len(set(resources)) < len(resources):
        raise ValueError(f"resources must be a list of different names, not {resources!r}")
    if concurrency < 1:
        raise ValueError(f"concurrency must be 1 or more, not {concurrency}")
    if processes < 1:
        raise ValueError(f"processes must be 1 or more, not {processes}")
    network = None if processes == 1 else network_of(client)
    if resume and overwrite:
        raise ValueError("resume goes on with an export and overwrite removes it: one or the other")
    asked = {
        "org_id": client.org_id,
        "resources": list(resources),
        "format": format,
        "since": None if since is None else day("since", since),
        "until": None if until is None else day("until", until),
        **_where(where, page_size),
        "nested": nested,
        "compression": compression,
        "settle": settle,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    opening = partial(opened, client, out, given, resume=resume, overwrite=overwrite)
    manifest = await anyio.to_thread.run_sync(opening)
    try:
        assert manifest.begun is not None
        listings, layouts = plan(client, manifest.begun)
        tally = Tally(client, on_progress)
        if is_done(manifest):
            await in_thread(manifest.place, partial(look_over, manifest, layouts, ids=False))
        else:
            side_by_side = max(concurrency, processes)
            run = Run(
                patient(client), manifest, listings, layouts, side_by_side, tally, network=network, processes=processes
            )
            await together(run.run)
        return report(manifest, listings, layouts, tally.now)
    finally:
        manifest.close()


def patient(client: AsyncM3ter) -> AsyncM3ter:
    """The client as an export uses it: behind all calls that somebody waits for, and longer than a short outage."""
    return client.with_options(bulk=True)


def _where(where: Mapping[str, Value] | None, page_size: int | None) -> dict[str, Any]:
    """The arguments of the listings, and the size of the pages, which may be among them."""
    texts = None if where is None else as_texts(where)
    size = None if texts is None else texts.pop(PAGE_SIZE, None)
    if size is not None and page_size is not None:
        raise ValueError(f"{PAGE_SIZE} is given twice")
    if size is not None:
        if not (size.isascii() and size.isdecimal()):
            raise ValueError(f"{PAGE_SIZE} must be a whole number from 1, not {size}")
        page_size = int(size)
    if page_size is not None and page_size < 1:
        raise ValueError(f"{PAGE_SIZE} must be a whole number from 1, not {page_size}")
    return {"where": texts, PAGE_SIZE: page_size}


def report(
    manifest: Manifest, listings: Mapping[str, Listing], layouts: Mapping[str, Layout], end: ExportProgress
) -> ExportReport:
    """What a finished export comes to."""
    place = manifest.place
    files = [
        ExportedFile(place.path_of(file.path), name, file.table, file.rows, file.bytes, place.url_of(file.path))
        for name, progress in manifest.resources.items()
        for part in progress.parts.values()
        for file in part.files
    ]
    rows: dict[str, dict[str, int]] = {name: dict.fromkeys(layouts[name].tables, 0) for name in manifest.resources}
    for file in files:
        rows[file.resource][file.table] = rows[file.resource].get(file.table, 0) + file.rows
    return ExportReport(
        {name: progress.records for name, progress in manifest.resources.items()},
        rows,
        tuple(files),
        sum(each.pages for each in end.resources),
        sum(each.bytes for each in end.resources),
        end.retries,
        end.seconds,
        tuple(notes(manifest, listings)),
    )
