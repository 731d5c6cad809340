"""What an export has done so far: a journal that is only ever appended to, one JSON object a line.

A line is kept after that which it speaks of. A process that is killed in between leaves files that no line names; they
are removed before it is gone on with.
"""

from __future__ import annotations

from threading import Lock
from zlib import crc32

import msgspec

from ..errors import ExportError
from ..places.place import Journal, Place
from .entries import VERSION, Begun, Entry, Finished, Planned, Retried
from .standing import Standing

_PLANNED = b'{"type":"planned",'
_decoder = msgspec.json.Decoder(Entry)


class Manifest:
    """The journal of one export; nobody else may write to it meanwhile.

    Attributes:
        place: Where the export is kept.
        begun: What is exported.
        resources: What is done, by resource.
        finished: Whether all of it is.
    """

    def __init__(self, place: Place) -> None:
        """Open the journal that is in a place, or an empty one where there is none.

        Raises:
            ExportError: Another export holds it, or it cannot be read.
            OSError: It cannot be written to.
        """
        self.place = place
        self.begun: Begun | None = None
        self.resources: dict[str, Standing] = {}
        self.finished: bool = False
        self._turn = Lock()
        try:
            self._journal: Journal = place.open()
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        good = 0
        for line in self._journal.load():
            try:
                self._take(_decoder.decode(line))
                if not line.endswith(_check(line[: -len(_check(b""))])):
                    raise KeyError("it is not as it was written")
            except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
                reason = f"{self._journal.shown} is damaged after {good} bytes ({error}): "
                raise ExportError(f"{reason}remove {self.place.shown()} and export anew", resumable=False) from None
            good += len(line) + 1

    def append(self, entry: Entry) -> None:
        """Write an entry, see it kept, and only then count it in. Blocking; any thread may."""
        content = msgspec.json.encode(entry)[:-1]
        with self._turn:
            self._journal.append(content + _check(content) + b"\n")
            self._take(entry)

    def parents_planned(self, resource: str) -> set[str]:
        """The parents that slices were planned of, whether these are read or not. Blocking."""
        found: set[str] = set()
        for line in self._journal.lines():
            if line.startswith(_PLANNED):
                entry = _decoder.decode(line)
                if isinstance(entry, Planned) and entry.resource == resource:
                    found.update(parent for slice in entry.slices for parent in slice.parents)
        return found

    def clear(self) -> None:
        """Forget all of it. Blocking."""
        self._journal.clear()
        self.begun, self.resources, self.finished = None, {}, False

    def close(self) -> None:
        """Let others have the place."""
        self.place.close()

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Begun):
            if entry.version != VERSION:
                reason = f"{self._journal.shown} is of another version of this package: "
                raise ExportError(f"{reason}remove {self.place.shown()} and export anew", resumable=False)
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
