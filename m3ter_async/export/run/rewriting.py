"""Parts that take the place of others, without records that are dropped: those that came again later, or are read anew.

The new files are written under new names and entered in the manifest together; only then the old ones are removed.
Killed before that, the new ones count for nothing; killed after, whoever finds the old ones removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..formats.layout import Layout
from ..formats.selection import copy_rows
from ..places.place import Place
from ..slices.slice import Position
from .aside import groups, moved
from .entries import File, Part, Replaced
from .exported_ids import load, name_of
from .files import file_of, stem_of
from .manifest import Manifest
from .publication import Publication

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
    with Publication(manifest, resource) as publication:
        for old, ranges in dropped.items():
            parts[old], names = _without(publication, manifest.place, layout, before[old], ranges, number())
            if twice:
                parts[old] = msgspec.structs.replace(
                    parts[old],
                    twice=[*before[old].twice, *names][:_NAMED],
                    twice_count=before[old].twice_count + before[old].records - parts[old].records,
                )
        fewer = sum(before[old].records - part.records for old, part in parts.items())
        stale = [file.path for old in parts for file in before[old].files]
        publication.enter(Replaced(resource, parts, dropped, positions or {}))
    manifest.place.remove(stale)
    return fewer


def _without(
    publication: Publication,
    place: Place,
    layout: Layout,
    part: Part,
    dropped: Sequence[tuple[int, int]],
    number: int,
) -> tuple[Part, list[str]]:
    """A part without some of its records, and the ids of these that are to be named."""
    stem = stem_of(number, place.mark)
    taken = load(place, part, layout.tables[1:])
    rest = taken.without(dropped)
    made: list[tuple[str, str, int]] = []
    names: list[str] = []
    for file in part.files:
        name = file_of(part.resource, file.table, stem, layout.suffix)
        top = file.table == layout.tables[0]
        ranges = taken.rows(None if top else file.table, dropped)
        with place.at_hand(file.path) as source:
            rows, ids = copy_rows(source, place.draft(name), layout.suffix, ranges)
        if top:
            names = ids
        if rows:
            made.append((name, file.table, rows))
        else:
            place.discard(name)
    drafts = [name for name, _, _ in made]
    if rest.kept:
        drafts.append(name_of(part.resource, stem))
        rest.save(place.draft(drafts[-1]))
    aside = place.aside(part.resource)
    lines = moved(aside.of_part(stem_of(part.number, part.mark)), number, dropped) if part.aside else []
    sizes = publication.publish(stem, drafts, lines)
    files = [File(name, table, rows, size) for (name, table, rows), size in zip(made, sizes, strict=False)]
    return (
        msgspec.structs.replace(
            part,
            number=number,
            records=sum(rest.kept),
            taken=len(rest.kept),
            files=files,
            aside=groups(lines),
            begun={},
            mark=place.mark,
        ),
        names,
    )
