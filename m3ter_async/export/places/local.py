"""A folder of this machine, as the place that an export is kept in."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from .aside_file import AsideFile
from .folder import Folder
from .journal_file import NAME, JournalFile
from .place import TEMPORARY


class LocalPlace:
    """A folder: drafts are synced and renamed, and a lock keeps others out.

    Args:
        path: Where it is; it is made when it is opened.
    """

    mark: str = ""
    threads: int = 1
    most: int | None = None

    def __init__(self, path: Path) -> None:
        self.scratch: Path = path
        self._folder = Folder(path)
        self._journal: JournalFile | None = None

    def shown(self, name: str = "") -> str:
        """Where a file is, or the whole, for messages."""
        return str(self.scratch / name)

    def path_of(self, name: str) -> Path:
        """The path of a file."""
        return self.scratch / name

    def url_of(self, name: str) -> None:
        """None: it is a file of this machine."""

    def holds_export(self) -> bool:
        """Whether there is a journal; nothing is made."""
        return (self.scratch / NAME).is_file()

    def open(self) -> JournalFile:
        """Make the folder if it is not there, lock it, and give its journal.

        Raises:
            ExportError: Another export has it.
            OSError: It cannot be written to.
        """
        self._folder.make(self.scratch)
        self._journal = JournalFile(self._folder)
        return self._journal

    def claim(self) -> None:
        """Nothing is to be done: the lock is held since it was opened."""

    def see_no_rival(self) -> None:
        """Nothing is to be done: the lock is held since it was opened."""

    def close(self) -> None:
        """Let others have the folder."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def draft(self, name: str) -> Path:
        """Where to write what is to be published under a name; its folder is there. Blocking."""
        path = self.scratch / f"{name}{TEMPORARY}"
        self._folder.make(path.parent)
        return path

    def discard(self, name: str) -> None:
        """Remove a draft, if there is one. Blocking."""
        (self.scratch / f"{name}{TEMPORARY}").unlink(missing_ok=True)

    def publish(self, names: Sequence[str]) -> list[int]:
        """Sync drafts, rename them, and sync the folders that they are in; gives their sizes. Blocking.

        Raises:
            OSError: The disk is full, or failed.
        """
        sizes: list[int] = []
        for name in names:
            path = self.scratch / name
            draft = path.with_name(path.name + TEMPORARY)
            handle = os.open(draft, os.O_RDWR)
            try:
                self._folder.sync(handle, draft)
            finally:
                os.close(handle)
            os.replace(draft, path)
            self._folder.sync_names(path.parent)
            sizes.append(path.stat().st_size)
        return sizes

    def withdraw(self, names: Iterable[str], resource: str, stem: str) -> None:
        """Nothing is to be done: there is no rival while the lock is held."""

    @contextmanager
    def at_hand(self, name: str) -> Generator[Path]:
        """A published file, to be read."""
        yield self.scratch / name

    def read_at(self, name: str, start: int, size: int) -> bytes:
        """Some bytes of a published file. Blocking."""
        with (self.scratch / name).open("rb") as file:
            file.seek(start)
            return file.read(size)

    def remove(self, names: Iterable[str]) -> None:
        """Remove published files. Blocking."""
        for name in names:
            (self.scratch / name).unlink()

    def sizes(self, folder: str) -> dict[str, int]:
        """The names of all that is below a folder, finished or not, with their sizes. Blocking."""
        return {
            path.relative_to(self.scratch).as_posix(): path.stat().st_size
            for path in sorted((self.scratch / folder).rglob("*"))
            if path.is_file()
        }

    def is_left_over(self, name: str) -> bool:
        """True: nobody else writes to the folder."""
        return True

    def forget(self, folder: str) -> None:
        """Remove a folder in it. Blocking."""
        rmtree(self.scratch / folder, ignore_errors=True)

    def aside(self, resource: str) -> AsideFile:
        """The records of a resource that were set aside."""
        return AsideFile(self._folder, resource)
