"""The export of listings into a folder: what is asked for is checked first, then it is run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from typing import Any

import msgspec

from ...client import AsyncM3ter
from ..errors import ExportError
from ..formats.layout import FORMATS, Compression, FormatName, Layout, layout
from ..places.choice import place_of
from ..places.place import Place
from ..report import ExportedFile, ExportProgress, ExportReport
from ..slices.arguments import Value, as_texts, day
from ..slices.listings import PAGE_SIZE, Listing, find
from .entries import Begun
from .exported_ids import forget
from .files import found, look_over
from .manifest import Manifest
from .notes import notes
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
    page_size: int | None = None,
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
        out: The folder; it is made if it is not there.
        format: ``ndjson`` (the bytes that the service sent, a record a line; the default), ``csv`` or ``parquet``
            (bills, line items and pricing bands as three tables).
        since: The first day, by the bill's date; only bills, and what belongs to them, are selected by date.
        until: The day after the last.
        where: Other arguments of the listings: ``{"status": "APPROVED", "locked": False}``; texts, numbers, booleans,
            days, and lists of them.
        nested: One nested Parquet table in place of three.
        compression: Of NDJSON.
        concurrency: How many cursors read side by side.
        page_size: How many records to ask for in a page; the largest that the service gives is the default. It may be
            another one when an export is gone on with.
        resume: Go on with the export that is in `out`; arguments that are left out are as they were.
        overwrite: Remove the export that is in `out` first.
        on_progress: Told after every page; it should be quick.

    Raises:
        ValueError: An argument cannot be used, `out` cannot be written to, or holds another export.
        ImportError: The format needs pyarrow.
        APIError: The service failed; what was finished is kept.
        ExportError: The disk is full, or the folder was changed by somebody else.
    """
    if isinstance(resources, str) or not resources or len(set(resources)) < len(resources):
        raise ValueError(f"resources must be a list of different names, not {resources!r}")
    if concurrency < 1:
        raise ValueError(f"concurrency must be 1 or more, not {concurrency}")
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
    }
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        manifest = open_manifest(client, place_of(out), given, resume=resume, overwrite=overwrite)
    except OSError as error:
        raise ValueError(f"cannot write to {error.filename or out}: {error.strerror or error}") from error
    try:
        assert manifest.begun is not None
        listings, layouts = plan(client, manifest.begun)
        tally = Tally(client, on_progress)
        again = any(standing.aside for standing in manifest.resources.values())
        if manifest.finished and not again:
            look_over(manifest, layouts, ids=False)
        else:
            run = Run(patient(client), manifest, listings, layouts, concurrency, tally)
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


def open_manifest(
    client: AsyncM3ter, place: Place, given: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> Manifest:
    """The manifest of what is asked for, begun now or before.

    Raises:
        ValueError: What is asked for cannot be done, or cannot be done there.
    """
    new = msgspec.convert({"type": "begun", "format": "ndjson", **given}, Begun)
    if not resume:
        _, layouts = plan(client, new)  # refused before there is a folder
        columns = {name: each.columns for name, each in layouts.items() if each.columns}
        new = msgspec.structs.replace(new, columns=columns)
    elif not place.holds_export():
        raise ValueError(f"{place.shown()} holds no export to go on with")
    with ExitStack() as undo:
        manifest = Manifest(place)
        undo.callback(manifest.close)
        if not resume:
            begin(manifest, new, overwrite=overwrite)
        check_same(manifest, given)
        check_columns(client, manifest)
        undo.pop_all()
    return manifest


def plan(client: AsyncM3ter, begun: Begun) -> tuple[dict[str, Listing], dict[str, Layout]]:
    """What to read, and what files it goes into, by resource.

    Raises:
        ValueError: Something in it cannot be used.
    """
    if begun.format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {begun.format!r}")
    if begun.nested and begun.format != "parquet":
        raise ValueError(f"nested is for Parquet: {begun.format} has no such tables")
    if begun.compression is not None and (begun.format != "ndjson" or begun.compression != "zstd"):
        raise ValueError(f"compression can only be zstd, and of NDJSON; not {begun.compression} of {begun.format}")
    where = begun.where if begun.page_size is None else {**begun.where, PAGE_SIZE: str(begun.page_size)}
    listings = {name: find(client, name, where).narrowed(begun.since, begun.until) for name in begun.resources}
    layouts = {
        name: layout(each, begun.format, nested=begun.nested, compression=begun.compression)
        for name, each in listings.items()
    }
    return listings, layouts


def begin(manifest: Manifest, begun: Begun, *, overwrite: bool) -> None:
    """Enter what is exported into an empty manifest, emptying it first where that is allowed.

    Raises:
        ValueError: The folder holds an export already.
    """
    place, before = manifest.place, manifest.begun
    if before is not None and not overwrite:
        raise ValueError(f"{place.shown()} holds an export already: go on with it by resume, or remove it by overwrite")
    ours: Sequence[str] = before.resources if before is not None else ()
    for resource in begun.resources:
        if resource not in ours and (strange := found(place, resource)):
            raise ValueError(
                f"{place.shown(min(strange))} would be taken for a part of this export: choose another folder"
            )
    place.claim()
    for resource in ours:
        place.remove(found(place, resource))
        place.aside(resource).remove()
    forget(place)
    manifest.clear()
    manifest.append(begun)


def check_same(manifest: Manifest, given: Mapping[str, Any]) -> None:
    """See that what was begun is what is asked for.

    Raises:
        ValueError: It is not.
    """
    begun = manifest.begun
    if begun is None:
        raise ValueError(f"{manifest.place.shown()} holds no export to go on with")
    if PAGE_SIZE in given:
        manifest.begun = begun = msgspec.structs.replace(begun, page_size=given[PAGE_SIZE])
    for name, value in given.items():
        before = getattr(begun, name)
        if value != before:
            raise ValueError(
                f"{manifest.place.shown()} was begun with {name}={before!r}, not {value!r}: go on with the same "
                "options, or begin anew in another folder"
            )


def check_columns(client: AsyncM3ter, manifest: Manifest) -> None:
    """See that the next parts have the columns of those that are there.

    Raises:
        ExportError: They have others: it was begun by a version with other models.
    """
    assert manifest.begun is not None
    _, layouts = plan(client, manifest.begun)
    for resource, before in manifest.begun.columns.items():
        for table, columns in layouts[resource].columns.items():
            differ = sorted(set(columns) ^ set(before.get(table, ())))
            if differ or list(columns) != list(before.get(table, ())):
                what = f"{differ[0]} is in one and not in the other" if differ else "they are in another order"
                raise ExportError(
                    f"{manifest.place.shown()} was begun with other columns of {resource}: {table} ({what}): go on "
                    "with the version of this package that began it, or export anew with overwrite",
                    resumable=False,
                )


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
