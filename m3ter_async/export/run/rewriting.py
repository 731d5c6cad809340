"""Parts that take the place of others, without records that are dropped: those that came again later, or are read anew.

The new files are written under new names and entered in the manifest together; only then the old ones are removed.
Killed before that, the new ones count for nothing; killed after, whoever finds the old ones removes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ..formats.layout import Layout
from ..formats.selection import copy_rows
from ..slices.slice import Position
from .aside import AsideFile, groups, moved
from .entries import File, Part, Replaced
from .exported_ids import FOLDER, Taken, path_of
from .files import TEMPORARY, file_of
from .manifest import Manifest

_NAMED = 10  # ids that came twice and are named


def drop(
    manifest: Manifest,
    resource: str,
    layout: Layout,
    dropped: Mapping[int, Sequence[tuple[int, int]]],
    number: Callable[[], int],
    *,
    positions: Mapping[str, Position] | None = None,
    twice: bool = False,
) -> int:
    """Drop records of finished parts. Blocking.

    Args:
        dropped: By part, ranges of the records that were taken into it.
        number: Gives the numbers of the parts that are made.
        positions: Where that leaves slices.
        twice: Whether these are records that came again.

    Returns:
        How many records are in the files no more.
    """
    parts: dict[int, Part] = {}
    before = manifest.resources[resource].parts
    for old, ranges in dropped.items():
        parts[old], names = _without(manifest, resource, layout, before[old], ranges, number())
        if twice:
            parts[old] = msgspec.structs.replace(
                parts[old],
                twice=[*before[old].twice, *names][:_NAMED],
                twice_count=before[old].twice_count + before[old].records - parts[old].records,
            )
    fewer = sum(before[old].records - part.records for old, part in parts.items())
    stale = [file.path for old in parts for file in before[old].files]
    entry = Replaced(resource, parts, dropped, positions or {})
    manifest.append(entry)
    for name in stale:
        (manifest.folder / name).unlink()
    return fewer


def _without(
    manifest: Manifest,
    resource: str,
    layout: Layout,
    part: Part,
    dropped: Sequence[tuple[int, int]],
    number: int,
) -> tuple[Part, list[str]]:
    """A part without some of its records, and the ids of these that are to be named."""
    out, place = manifest.folder, manifest.place
    taken = Taken.load(path_of(out, resource, part.number), part, layout.tables[1:])
    rest = taken.without(dropped)
    files: list[File] = []
    names: list[str] = []
    for file in part.files:
        scratch = file_of(out, resource, file.table, number, layout.suffix + TEMPORARY)
        top = file.table == layout.tables[0]
        ranges = taken.rows(None if top else file.table, dropped)
        rows, ids = copy_rows(out / file.path, scratch, layout.suffix, ranges)
        if top:
            names = ids
        if not rows:
            scratch.unlink()
            continue
        path = _published(manifest, scratch)
        files.append(File(path.relative_to(out).as_posix(), file.table, rows, path.stat().st_size))
    if rest.kept:
        path = path_of(out, resource, number)
        rest.save(path)
        _sync(manifest, path)
        place.sync_names(out / FOLDER)
    aside = AsideFile(place, resource)
    lines = moved(aside.of_part(part.number), number, dropped) if part.aside else []
    aside.append(lines)
    return (
        msgspec.structs.replace(
            part,
            number=number,
            records=sum(rest.kept),
            taken=len(rest.kept),
            files=files,
            aside=groups(lines),
            begun={},
        ),
        names,
    )


def _published(manifest: Manifest, scratch: Path) -> Path:
    path = scratch.with_name(scratch.name.removesuffix(TEMPORARY))
    _sync(manifest, scratch)
    os.replace(scratch, path)
    manifest.place.sync_names(path.parent)
    return path


def _sync(manifest: Manifest, path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        manifest.place.sync(handle, path)
    finally:
        os.close(handle)
