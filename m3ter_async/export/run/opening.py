"""The beginning of an export: whether what is asked for can be done, there and now, before anything is read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import msgspec

from ...client import AsyncM3ter
from ..errors import ExportError
from ..formats.layout import FORMATS, Layout, layout
from ..places.choice import place_of
from ..places.place import Place
from ..slices.listings import PAGE_SIZE, Listing, find
from .entries import Begun
from .exported_ids import forget
from .files import found
from .heads import Head, check_settles
from .manifest import Manifest
from .schema_file import forget_schema


def opened(
    client: AsyncM3ter, out: str | os.PathLike[str], given: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> Manifest:
    """The manifest of what is asked for, which nobody else writes to from now on. Blocking.

    Raises:
        ValueError: What is asked for cannot be done, or cannot be done there.
    """
    try:
        manifest = open_manifest(client, place_of(out), given, resume=resume, overwrite=overwrite)
        try:
            if not is_done(manifest):
                manifest.place.claim()
        except BaseException:
            manifest.close()
            raise
    except OSError as error:
        raise ValueError(f"cannot write to {error.filename or out}: {error.strerror or error}") from error
    return manifest


def is_done(manifest: Manifest) -> bool:
    """Whether all is there, and nothing was set aside that can be asked for again."""
    return manifest.finished and not any(standing.aside for standing in manifest.resources.values())


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
    if begun.settle:
        for name, each in listings.items():
            check_settles(each)
            layouts[name] = replace(layouts[name], head=Head(each))
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
        place.remove(filter(place.is_left_over, found(place, resource)))
        place.aside(resource).remove()
    forget(place)
    if before is not None:
        forget_schema(place)
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
