"""What an export has done so far, on disk: a journal that is only ever appended to, one JSON object a line.

A line is written and synced after that which it speaks of. A process that is killed in between leaves files that no
line names; they are removed before it is gone on with. A last line that is cut short counts as not written.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from zlib import crc32

import msgspec

from ..errors import ExportError
from .entries import VERSION, Begun, Entry, Finished, Planned, Retried
from .folder import Folder
from .standing import Standing

NAME = "manifest.jsonl"
_PLANNED = b'{"type":"planned",'
_decoder = msgspec.json.Decoder(Entry)


class Manifest:
    """The journal of one export folder; nobody else may write to it meanwhile.

    Attributes:
        place: The folder, and what its file system can do.
        begun: What is exported.
        resources: What is done, by resource.
        finished: Whether all of it is.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal in `folder`, or an empty one where there is none; the folder is made if it is not there.

        Raises:
            ExportError: Another export holds it, or it cannot be read.
            OSError: It cannot be written to.
        """
        self.folder = folder
        self.place: Folder = Folder(folder)
        self.place.make(folder)
        self.begun: Begun | None = None
        self.resources: dict[str, Standing] = {}
        self.finished: bool = False
        self._turn = Lock()
        self._path = folder / NAME
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        with ExitStack() as undo:
            undo.callback(self.close)
            self.place.lock(self._file)
            self._load()
            undo.pop_all()

    def _load(self) -> None:
        good = 0
        *lines, _ = self._path.read_bytes().split(b"\n")  # the last was cut short, and never relied on, or is empty
        for line in lines:
            try:
                self._take(_decoder.decode(line))
                if not line.endswith(_check(line[: -len(_check(b""))])):
                    raise KeyError("it is not as it was written")
            except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
                reason = f"{self._path} is damaged after {good} bytes ({error}): remove {self.folder} and export anew"
                raise ExportError(reason, resumable=False) from None
            good += len(line) + 1
        if os.fstat(self._file).st_size > good:
            os.ftruncate(self._file, good)

    def append(self, entry: Entry) -> None:
        """Write an entry, see it on the disk, and only then count it in. Blocking; any thread may."""
        with self._turn:
            self._write(entry)
            if isinstance(entry, Begun):
                self.place.sync_names(self.folder)
            self._take(entry)

    def parents_planned(self, resource: str) -> set[str]:
        """The parents that slices were planned of, whether these are read or not. Blocking."""
        found: set[str] = set()
        with self._path.open("rb") as file:
            for line in file:
                if line.startswith(_PLANNED):
                    entry = _decoder.decode(line)
                    if isinstance(entry, Planned) and entry.resource == resource:
                        found.update(parent for slice in entry.slices for parent in slice.parents)
        return found

    def clear(self) -> None:
        """Forget all of it. Blocking."""
        if os.fstat(self._file).st_size:
            os.ftruncate(self._file, 0)
            self.place.sync(self._file, self._path)
        self.begun, self.resources, self.finished = None, {}, False

    def close(self) -> None:
        """Let others have the folder."""
        os.close(self._file)

    def _write(self, entry: Entry) -> None:
        content = msgspec.json.encode(entry)[:-1]
        line = content + _check(content) + b"\n"
        size = os.fstat(self._file).st_size
        try:
            rest = memoryview(line)
            while rest:  # what is left over after a part was written says why when it is tried
                rest = rest[os.write(self._file, rest) :]
            self.place.sync(self._file, self._path)
        except OSError:
            with suppress(OSError):  # half a line would hide those after it
                os.ftruncate(self._file, size)
            raise

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Begun):
            if entry.version != VERSION:
                reason = f"{self._path} is of another version of this package: remove {self.folder} and export anew"
                raise ExportError(reason, resumable=False)
            self.begun = entry
            self.resources = {name: Standing() for name in entry.resources}
        elif isinstance(entry, Finished):
            self.finished = True
        else:
            if isinstance(entry, Retried):
                self.finished = False
            self.resources[entry.resource].take(entry)


def _check(content: bytes) -> bytes:
    """What ends a line: a checksum of all before it, so that damage does not go by unseen."""
    return b',"crc":"%08x"}' % crc32(content)
