"""The files of an export: where they are, whether all are there, and what a killed run left behind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import ExportError
from ..formats.layout import Layout
from . import exported_ids
from .aside import AsideFile
from .manifest import Manifest

TEMPORARY = ".tmp"
_NAME = re.compile(r"\d{5,}\.(ndjson|ndjson\.zst|csv|parquet)(\.tmp)?")


def folder_of(out: Path, resource: str, table: str) -> Path:
    """Where the files of a table are."""
    return out / resource / table


def file_of(out: Path, resource: str, table: str, number: int, suffix: str) -> Path:
    """The file of a table in a part."""
    return folder_of(out, resource, table) / f"{number:05d}{suffix}"


def found(out: Path, resource: str = "*", table: str = "*") -> list[Path]:
    """What looks like a file of a part, finished or not; nothing else in an export is ours."""
    return [path for path in sorted(out.glob(f"{resource}/{table}/*")) if _NAME.fullmatch(path.name)]


def look_over(manifest: Manifest, layouts: Mapping[str, Layout], *, ids: bool) -> None:
    """See that all that the manifest names is there, and remove what else a killed run left behind. Blocking.

    Args:
        ids: Whether what is kept of the ids is needed.

    Raises:
        ExportError: Something is not there, or not as it was.
    """
    for resource, layout in layouts.items():
        parts = manifest.resources[resource].parts
        kept = {file.path: file.bytes for part in parts.values() for file in part.files}
        for name, size in kept.items():
            path = manifest.folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise ExportError(f"{path} is not as it was finished: export anew with overwrite", resumable=False)
        counts = {part.number: sum(group.count for group in part.aside) for part in parts.values() if part.aside}
        if ids:
            exported_ids.check(manifest.folder, resource, parts.values(), len(layout.tables) - 1)
        AsideFile(manifest.place, resource).tidy(counts)
        for table in layout.tables:
            for path in found(manifest.folder, resource, table):
                if path.relative_to(manifest.folder).as_posix() not in kept:
                    path.unlink()
    if not ids:
        exported_ids.forget(manifest.folder)
