"""The files of an export: how they are named, whether all are there, and what a killed run left behind."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import ExportError
from ..formats.layout import Layout
from ..places.place import Place
from . import exported_ids
from .manifest import Manifest

_NAME = re.compile(r"\d{5,}(-\d+-[0-9a-f]+)?\.(ndjson|ndjson\.zst|csv|parquet)(\.tmp)?")


def stem_of(number: int, mark: str) -> str:
    """What the names of all files of a part begin with.

    Args:
        number: Of the part.
        mark: Of the run that made it.
    """
    return f"{number:05d}{mark}"


def file_of(resource: str, table: str, stem: str, suffix: str) -> str:
    """The name of the file of a table in a part."""
    return f"{resource}/{table}/{stem}{suffix}"


def found(place: Place, resource: str) -> dict[str, int]:
    """What looks like a file of a part, finished or not, with its size; nothing else in an export is ours. Blocking."""
    there = place.sizes(resource)
    return {name: size for name, size in there.items() if name.count("/") == 2 and _NAME.fullmatch(name.split("/")[2])}


def look_over(manifest: Manifest, layouts: Mapping[str, Layout], *, ids: bool) -> None:
    """See that all that the manifest names is there, and remove what else a killed run left behind. Blocking.

    Args:
        ids: Whether what is kept of the ids is needed.

    Raises:
        ExportError: Something is not there, or not as it was.
    """
    place = manifest.place
    for resource, layout in layouts.items():
        parts = manifest.resources[resource].parts
        kept = {file.path: file.bytes for part in parts.values() for file in part.files}
        there = found(place, resource)
        for name, size in kept.items():
            if there.get(name) != size:
                why = "is not as it was finished: export anew with overwrite"
                raise ExportError(f"{place.shown(name)} {why}", resumable=False)
        counts = {
            stem_of(part.number, part.mark): sum(group.count for group in part.aside)
            for part in parts.values()
            if part.aside
        }
        if ids:
            tables = len(layout.tables) - 1
            exported_ids.look_over(place, resource, parts.values(), tables, heads=layout.head is not None)
        place.aside(resource).tidy(counts)
        place.remove(
            [
                name
                for name in there
                if name not in kept and name.split("/")[1] in layout.tables and place.is_left_over(name)
            ]
        )
    if not ids:
        exported_ids.forget(place)
