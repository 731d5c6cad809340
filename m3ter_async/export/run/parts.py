"""A part of an export: files that are finished together, and entered in the manifest when all of them are.

They are written under temporary names, synced, renamed, and the folders synced; then the manifest says that they are
there. Killed before that, nothing of them counts; killed after, all of it does.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from ..errors import ExportError
from ..formats.layout import Layout
from ..formats.sink import Sink
from ..slices.slice import Position, Slice, SlicePage
from .exported_ids import FOLDER, Ids
from .manifest import File, Manifest, Part

# JSON that is collected before it is converted, and that is converted in one go: more takes more memory, and no less
# time.
_BATCH = 4 * 2**20
_PIECE = 1 * 2**20
# JSON after which a part is finished, and seconds: what a kill costs at the most.
_FULL = 96 * 2**20
_OLD = 60.0

_TEMPORARY = ".tmp"
_NAME = re.compile(r"\d{5,}\.(ndjson|ndjson\.zst|csv|parquet)(\.tmp)?")


class OpenPart:
    """A part that is being written.

    Args:
        manifest: Where it is entered when it is finished.
        layout: Its files.
        number: Which no other part of the resource has.
        record: The type of its records.
    """

    def __init__(self, manifest: Manifest, resource: str, layout: Layout, number: int, record: type[object]) -> None:
        self._manifest = manifest
        self.resource = resource
        self._layout = layout
        self._number = number
        self._ids = Ids(record)
        self._began = time.monotonic()
        self._sink: Sink | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = self._bytes = 0
        self._slices: dict[str, Position | None] = {}
        self.records: int = 0
        self.sound: bool = True  # whether what was taken is either waiting or in the files

    def add(self, slice: Slice, page: SlicePage) -> int:
        """Take a page, and what it means for its slice, both or neither; returns the bytes of its records."""
        self.sound = False
        self._ids.add(page)
        size = sum(map(len, page.records))
        self._waiting += page.records
        self._waiting_bytes += size
        self._bytes += size
        self.records += len(page.records)
        self._slices[slice.id] = page.position
        self.sound = True
        return size

    @property
    def ripe(self) -> bool:
        """Whether enough is waiting to be converted."""
        return self._waiting_bytes >= _BATCH

    @property
    def full(self) -> bool:
        """Whether it is time for another part."""
        return self._bytes >= _FULL or time.monotonic() - self._began > _OLD

    def convert(self) -> None:
        """Write what is waiting into the files. Blocking.

        Raises:
            ExportError: A record cannot be kept exactly; the part is to be discarded.
        """
        self.sound = False
        if self._sink is None:
            for table in self._layout.tables:
                self._manifest.place.make(folder(self._manifest.folder, self.resource, table))
            paths = {table: self._path(table, _TEMPORARY) for table in self._layout.tables}
            self._sink = self._layout.open(paths)
        for some in _in_pieces(self._waiting):
            self._sink.write(some)
        self._waiting, self._waiting_bytes = [], 0
        self.sound = True

    def finish(self) -> None:
        """Finish the files and enter them in the manifest, or leave nothing of them. Blocking; not to be interrupted.

        Raises:
            ExportError: A record cannot be kept exactly.
            OSError: The disk is full, or not there.
        """
        with ExitStack() as undo:
            undo.callback(self.discard)
            self._finish()
            undo.pop_all()

    def _finish(self) -> None:
        self.convert()
        sink = self._sink
        assert sink is not None
        self.sound = False
        sink.close()
        files: list[File] = []
        for table in self._layout.tables:
            path = self._path(table)
            os.replace(self._synced(self._path(table, _TEMPORARY)), path)
            self._manifest.place.sync_names(path.parent)
            name = path.relative_to(self._manifest.folder).as_posix()
            files.append(File(name, table, sink.rows[table], path.stat().st_size))
        self._manifest.place.make(self._manifest.folder / FOLDER)
        ids = self._synced(self._ids.save(self._manifest.folder, self.resource, self._number))
        self._manifest.place.sync_names(ids.parent)
        self._manifest.append(Part(self._number, self.resource, self.records, files, self._slices))

    def discard(self) -> None:
        """Remove what was written; the slices stand where they stood before."""
        if self._sink is not None:
            with suppress(OSError, ValueError):  # what failed to be written fails again to be closed
                self._sink.close()
        for table in self._layout.tables:
            self._path(table, _TEMPORARY).unlink(missing_ok=True)

    def _synced(self, path: Path) -> Path:
        handle = os.open(path, os.O_RDWR)
        try:
            self._manifest.place.sync(handle, path)
        finally:
            os.close(handle)
        return path

    def _path(self, table: str, ending: str = "") -> Path:
        name = f"{self._number:05d}{self._layout.suffix}{ending}"
        return folder(self._manifest.folder, self.resource, table) / name


def _in_pieces(records: list[bytes]) -> Iterator[list[bytes]]:
    """The records in a few lists, of which none is much larger than a piece, and at least one is there."""
    start = size = 0
    for end, record in enumerate(records):
        if size + len(record) > _PIECE and end > start:
            yield records[start:end]
            start, size = end, 0
        size += len(record)
    yield records[start:]


def folder(out: Path, resource: str, table: str) -> Path:
    """Where the files of a table are."""
    return out / resource / table


def remove_unfinished(manifest: Manifest, layouts: Mapping[str, Layout]) -> None:
    """Remove what a killed run left behind and the manifest does not name.

    Raises:
        ExportError: What it does name is not there, or not as it was.
    """
    for resource, layout in layouts.items():
        parts = manifest.resources[resource].parts
        kept = {file.path: file.bytes for part in parts.values() for file in part.files}
        for name, size in kept.items():
            path = manifest.folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise ExportError(f"{path} is not as it was finished: export anew with overwrite", resumable=False)
        for table in layout.tables:
            for path in found(manifest.folder, resource, table):
                if path.relative_to(manifest.folder).as_posix() not in kept:
                    path.unlink()


def found(out: Path, resource: str = "*", table: str = "*") -> list[Path]:
    """What looks like a file of a part, finished or not; nothing else in an export is ours."""
    return [path for path in sorted(out.glob(f"{resource}/{table}/*")) if _NAME.fullmatch(path.name)]
