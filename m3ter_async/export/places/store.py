"""A prefix of an object store, as the place that an export is kept in.

Nothing is renamed or appended to there. Drafts are staged on this machine and put whole, under names that no other run
gives; the journal is one of numbered objects. All that going on needs is in the store: any machine can do it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from .aside_objects import AsideObjects
from .bucket import Bucket, StoreError
from .journal_objects import JournalObjects
from .place import TEMPORARY
from .staging import Staging

_MARK = re.compile(r"-(\d+)-([0-9a-f]+)(\.|$)")
_UPLOADS = 8
# Bytes of files of which a copy is kept on this machine, such as those of the ids: of one, and of all.
_SMALL = 1 * 2**20
_KEPT = 64 * 2**20


class StorePlace:
    """A prefix of a bucket.

    Args:
        url: What is shown: ``s3://bucket/prefix``.
        prefix: Of the keys.
        bucket: The objects below it.
    """

    threads: int = 4  # parts that are published side by side
    most: int | None = 32 * 2**20  # bytes that are put in one request: the rest is read and written meanwhile

    def __init__(self, url: str, prefix: str, bucket: Bucket) -> None:
        self._url = url
        self._prefix = prefix
        self._bucket = bucket
        self._run = secrets.token_hex(4)
        self._staging: Staging | None = None
        self._journal: JournalObjects | None = None
        self._turn = Lock()
        self._kept = 0
        self._pool = ThreadPoolExecutor(_UPLOADS, "m3ter-async-store")

    @property
    def scratch(self) -> Path:
        """The folder of this machine that files are staged in, while it is open."""
        assert self._staging is not None
        return self._staging.path

    @property
    def mark(self) -> str:
        """The number of this run's claim, and letters that no other run has."""
        assert self._journal is not None
        return f"-{self._journal.claimed}-{self._run}"

    def shown(self, name: str = "") -> str:
        """The URL of an object, or of the whole."""
        return f"{self._url}/{name}" if name else self._url

    def path_of(self, name: str) -> Path:
        """The key of an object."""
        return Path(self._prefix, name)

    def url_of(self, name: str) -> str:
        """The URL of an object."""
        return self.shown(name)

    def holds_export(self) -> bool:
        """True: whether there is one is known when it is opened, and nothing is made for that."""
        return True

    def open(self) -> JournalObjects:
        """Make a folder to stage in, and give the journal; nothing is written to the store.

        Raises:
            OSError: The folder cannot be made.
        """
        self._staging = Staging()
        (self.scratch / "copies").mkdir()
        copy = self.scratch / "manifest.jsonl"
        self._journal = JournalObjects(self._bucket, self._url, copy, secrets.token_hex(8), self._pool)
        return self._journal

    def claim(self) -> None:
        """Have all that is entered from now on be this run's. Blocking.

        Raises:
            ExportError: Another export is writing to it.
            StoreError: The store fails or refuses, or can keep nobody out.
        """
        journal = self._journal
        assert journal is not None
        if journal.claimed is None:
            journal.claim()
            self._bucket.delete([f"manifest/-{self._run}"])  # not there; whether things may be removed is told now
            self._bucket.be_patient()

    def see_no_rival(self) -> None:
        """See that the journal has no object that another run wrote after this one's. Blocking.

        Raises:
            Rival: It has.
            StoreError: The store failed.
        """
        assert self._journal is not None
        self._journal.see_no_rival()

    def close(self) -> None:
        """Remove what was staged. Blocking."""
        self._pool.shutdown()
        staging, self._staging = self._staging, None
        if staging is not None:
            staging.remove()

    def draft(self, name: str) -> Path:
        """Where to write what is to be published under a name; its folder is there. Blocking."""
        path = self._draft(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def discard(self, name: str) -> None:
        """Remove a draft, if there is one. Blocking."""
        self._draft(name).unlink(missing_ok=True)

    def _draft(self, name: str) -> Path:
        return self.scratch / "drafts" / f"{name}{TEMPORARY}"

    def publish(self, names: Sequence[str]) -> list[int]:
        """Put drafts whole, and give their sizes. Blocking.

        Raises:
            StoreError: The store failed.
        """
        return list(self._pool.map(self._put, names))

    def _put(self, name: str) -> int:
        draft = self._draft(name)
        size = self._bucket.put(name, draft)
        with self._turn:
            keep = size <= _SMALL and self._kept + size <= _KEPT
            self._kept += size if keep else 0
        if keep:
            draft.replace(self._copy(name))
        else:
            draft.unlink(missing_ok=True)
        return size

    def _copy(self, name: str) -> Path:
        """Where a small file is kept, which may be asked for again."""
        return self.scratch / "copies" / name.replace("/", "%")

    def withdraw(self, names: Iterable[str], resource: str, stem: str) -> None:
        """Remove what was published of a part that is never entered. Blocking."""
        with suppress(StoreError):  # whoever has the place now finds it, and removes it
            self._bucket.delete([*names, self.aside(resource).key(stem)])

    @contextmanager
    def at_hand(self, name: str) -> Generator[Path]:
        """An object as a file of this machine, for a while. Blocking."""
        if (copy := self._copy(name)).exists():
            yield copy
            return
        path = self.scratch / f"fetched-{secrets.token_hex(8)}"
        try:
            self._bucket.fetch(name, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def read_at(self, name: str, start: int, size: int) -> bytes:
        """Some bytes of an object. Blocking."""
        return self._bucket.get_range(name, start, size)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects. Blocking."""
        gone = list(names)
        self._bucket.delete(gone)
        for name in gone:
            self._copy(name).unlink(missing_ok=True)

    def sizes(self, folder: str) -> dict[str, int]:
        """The names of all that is below a folder, with their sizes. Blocking."""
        return self._bucket.sizes(folder)

    def is_left_over(self, name: str) -> bool:
        """Whether an object was made by a run that can enter nothing any more, or by this one.

        A run that claimed the journal after this one may be about to enter what it has put.
        """
        journal = self._journal
        assert journal is not None
        found = _MARK.search(name.rpartition("/")[2])
        if found is None:
            return False
        claim = int(found[1])
        if claim == journal.claimed:
            return found[2] == self._run
        return claim < (journal.next if journal.claimed is None else journal.claimed)

    def forget(self, folder: str) -> None:
        """Remove all that is below a folder. Blocking."""
        self._bucket.delete(filter(self.is_left_over, self._bucket.sizes(folder)))

    def aside(self, resource: str) -> AsideObjects:
        """The records of a resource that were set aside."""
        return AsideObjects(self._bucket, self._url, resource, self.draft, self.is_left_over)
