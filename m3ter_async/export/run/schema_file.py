"""``schema.json``: the columns of each table of a finished export, so that a later one can be compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from ...version import __version__
from ..formats.layout import Layout
from ..places.place import Place

NAME = "schema.json"


def write_schema(place: Place, layouts: Mapping[str, Layout]) -> None:
    """Write it, where a format has columns. Blocking.

    Args:
        place: Where the export is kept.
        layouts: By resource.

    Raises:
        OSError: It cannot be kept.
    """
    resources = {
        resource: {
            table: {name: kind for name, _, kind in (column.partition(" ") for column in columns)}
            for table, columns in layout.columns.items()
        }
        for resource, layout in layouts.items()
        if layout.columns
    }
    if not resources:
        return
    content = msgspec.json.encode({"m3ter-async": __version__, "resources": resources})
    place.see_no_rival()  # it has the same name in all exports
    place.draft(NAME).write_bytes(msgspec.json.format(content, indent=2))
    place.publish([NAME])


def forget_schema(place: Place) -> None:
    """Remove that of an earlier export, if there is one. Blocking."""
    place.see_no_rival()
    with suppress(FileNotFoundError):
        place.remove([NAME])
