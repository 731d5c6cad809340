"""The export of listings into a folder: what is asked for is checked first, then it is run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from shutil import rmtree
from typing import Any

import msgspec

from ...client import AsyncM3ter
from ..formats.layout import FORMATS, Compression, FormatName, Layout, layout
from ..report import ExportedFile, ExportProgress, ExportReport
from ..slices.listings import Listing, day, find
from .exported_ids import FOLDER
from .folder import local_folder
from .manifest import NAME, Begun, Manifest
from .parts import found, remove_unfinished
from .progress import Tally
from .side_by_side import together
from .workers import Run


async def export(
    client: AsyncM3ter,
    resources: Sequence[str],
    out: str | os.PathLike[str],
    *,
    format: FormatName | None = None,
    since: date | str | None = None,
    until: date | str | None = None,
    where: Mapping[str, str] | None = None,
    nested: bool | None = None,
    compression: Compression | None = None,
    concurrency: int = 8,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[ExportProgress], None] | None = None,
) -> ExportReport:
    """Write every record of some listings into files, each exactly once.

    Files are written part by part, ``out/bills/line_items/00000.parquet``, and entered in ``out/manifest.jsonl`` when
    they are finished. An export that is killed, cancelled or that fails keeps them; with `resume` it goes on from
    there, and ends with the rows of one that was never interrupted.

    Args:
        client: Its limits hold over all that is read side by side.
        resources: Dotted names: ``bills``, ``balances.transactions``, ``bills.search``. What belongs to a parent is
            read for every parent there is.
        out: The folder; it is made if it is not there.
        format: ``ndjson`` (the bytes that the service sent, a record a line; the default), ``csv`` or ``parquet``
            (bills, line items and pricing bands as three tables).
        since: The first day, by the bill's date; only bills, and what belongs to them, are selected by date.
        until: The day after the last.
        where: Other arguments of the listings: ``{"status": "APPROVED"}``.
        nested: One nested Parquet table in place of three.
        compression: Of NDJSON.
        concurrency: How many cursors read side by side.
        resume: Go on with the export that is in `out`; arguments that are left out are as they were.
        overwrite: Remove the export that is in `out` first.
        on_progress: Told after every page; it should be quick.

    Raises:
        ValueError: An argument cannot be used, `out` cannot be written to, or holds another export.
        ImportError: The format needs pyarrow.
        APIError: The service failed; what was finished is kept.
        ExportError: The disk is full, an amount does not fit its column, ids came twice, or such.
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
        "where": None if where is None else dict(where),
        "nested": nested,
        "compression": compression,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        manifest = open_manifest(client, local_folder(out), given, resume=resume, overwrite=overwrite)
    except OSError as error:
        raise ValueError(f"cannot write to {error.filename or out}: {error.strerror or error}") from error
    try:
        assert manifest.begun is not None
        listings, layouts = plan(client, manifest.begun)
        tally = Tally(client, on_progress)
        if manifest.finished:
            remove_unfinished(manifest, layouts)
        else:
            run = Run(client, manifest, listings, layouts, concurrency, tally)
            await together(run.run)
        return report(manifest, tally.now)
    finally:
        manifest.close()


def open_manifest(
    client: AsyncM3ter, folder: Path, given: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> Manifest:
    """The manifest of what is asked for, begun now or before.

    Raises:
        ValueError: What is asked for cannot be done, or cannot be done there.
    """
    new = msgspec.convert({"type": "begun", "format": "ndjson", **given}, Begun)
    if not resume:
        plan(client, new)  # refused before there is a folder
    elif not (folder / NAME).is_file():
        raise ValueError(f"{folder} holds no export to go on with")
    with ExitStack() as undo:
        manifest = Manifest(folder)
        undo.callback(manifest.close)
        if not resume:
            begin(manifest, new, overwrite=overwrite)
        check_same(manifest, given)
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
    listings = {name: find(client, name, begun.where).narrowed(begun.since, begun.until) for name in begun.resources}
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
    folder, before = manifest.folder, manifest.begun
    if before is not None and not overwrite:
        raise ValueError(f"{folder} holds an export already: go on with it by resume, or remove it by overwrite")
    ours: Sequence[str] = before.resources if before is not None else ()
    for resource in begun.resources:
        if resource not in ours and (strange := found(folder, resource)):
            raise ValueError(f"{strange[0]} would be taken for a part of this export: choose another folder")
    for resource in ours:
        for path in found(folder, resource):
            path.unlink()
    rmtree(folder / FOLDER, ignore_errors=True)
    manifest.clear()
    manifest.append(begun)


def check_same(manifest: Manifest, given: Mapping[str, Any]) -> None:
    """See that what was begun is what is asked for.

    Raises:
        ValueError: It is not.
    """
    begun = manifest.begun
    if begun is None:
        raise ValueError(f"{manifest.folder} holds no export to go on with")
    for name, value in given.items():
        before = getattr(begun, name)
        if value != before:
            raise ValueError(f"{manifest.folder} was begun with {name}={before!r}, not {value!r}: it cannot go on so")


def report(manifest: Manifest, end: ExportProgress) -> ExportReport:
    """What a finished export comes to."""
    files = [
        ExportedFile(manifest.folder / file.path, name, file.table, file.rows, file.bytes)
        for name, progress in manifest.resources.items()
        for part in progress.parts.values()
        for file in part.files
    ]
    rows: dict[str, dict[str, int]] = {name: {} for name in manifest.resources}
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
    )
