"""The folder of one resource in a lake: kept to one writer, and changed as a whole or not at all.

What a transaction adds is written under temporary names and synced. Then the manifest is replaced in one step: it names
the files that make up the tables, those that get their final names, and those that are removed. Whoever opens the
folder next finishes that, should the writer have been killed on the way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from ..bookmark import Bookmark
from ..errors import SyncError

MANIFEST = "_manifest.json"
LOCK = "_lock"
TEMPORARY = ".tmp"
FORM = 1
STATE_TABLE = "_state"


class Part(msgspec.Struct, frozen=True):
    """Files with rows of the same records, one for each table.

    Attributes:
        number: Their name.
        records: How many records.
        bytes: Of all files together.
    """

    number: int
    records: int
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """What a folder holds.

    Attributes:
        form: The version of this form.
        org: The organization.
        resource: What is in it.
        round: The number of the sync that is under way, from 0; of the one to come, where none is.
        steps: How many transactions that sync has had.
        parts: What makes up the tables.
        next: The number of the next part.
        tables: The first table, and those below it.
        bookmark: Where the sync stands, or None before the first transaction.
        added: Files that get their final names, by these, from the folder on.
        removed: Files that go.
    """

    form: int
    org: str
    resource: str
    round: int = 0
    steps: int = 0
    parts: Sequence[Part] = ()
    next: int = 0
    tables: Sequence[str] = ()
    bookmark: Bookmark | None = None
    added: Sequence[str] = ()
    removed: Sequence[str] = ()


_manifest = msgspec.json.Decoder(Manifest)
_form = msgspec.json.Decoder(dict[str, Any])


def file_of(table: str, number: int) -> str:
    """The file of a table in a part, from the folder of the resource on."""
    return f"{STATE_TABLE if table == STATE_TABLE else f'current/{table}'}/{number:06d}.parquet"


class Place:
    """The folder of one resource, open for writing. All that it does is blocking.

    Args:
        lake: The folder of all resources.
        org: The organization.
        resource: What goes into it.

    Attributes:
        folder: Where it is.
        manifest: What it holds.

    Raises:
        SyncError: Another sync writes to it, or it holds something else. Nothing in it was touched.
        OSError: The disk failed.
    """

    def __init__(self, lake: Path, org: str, resource: str) -> None:
        self.folder: Path = lake / resource
        before = read_manifest(self.folder)
        if before is None and self.folder.is_dir() and {each.name for each in self.folder.iterdir()} - {LOCK}:
            raise SyncError(f"{self.folder} holds something that is no table of a sync: give another folder")
        self._check(before, org, resource)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder / LOCK)
        try:
            before = read_manifest(self.folder)  # as it was left by who had the lock
            self._check(before, org, resource)
            self.manifest: Manifest = before or Manifest(FORM, org, resource)
            self._finish()
            self._tidy()
        except BaseException:
            self.close()
            raise

    def _check(self, found: Manifest | None, org: str, resource: str) -> None:
        if found is not None and (found.org, found.resource) != (org, resource):
            raise SyncError(
                f"{self.folder} holds {found.resource} of organization {found.org}, not {resource} of {org}: "
                "give another folder"
            )

    def close(self) -> None:
        """Let others write to it."""
        self._lock.close()

    def temporary(self, name: str) -> Path:
        """Where to write a file that a transaction adds under this name."""
        path = self.folder / (name + TEMPORARY)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def commit(self, manifest: Manifest) -> None:
        """Change what it holds, in one step: `added` and `removed` say which files come and go."""
        for name in manifest.added:
            _sync(self.folder / (name + TEMPORARY))
        for parent in {(self.folder / name).parent for name in manifest.added}:
            _sync_names(parent)
        temporary = self.folder / (MANIFEST + TEMPORARY)
        temporary.write_bytes(msgspec.json.encode(manifest))
        _sync(temporary)
        os.replace(temporary, self.folder / MANIFEST)
        _sync_names(self.folder)
        self.manifest = manifest
        self._finish()

    def _finish(self) -> None:
        """Give files their final names, and remove what is not needed any more."""
        for name in self.manifest.added:
            temporary = self.folder / (name + TEMPORARY)
            if temporary.exists():
                os.replace(temporary, self.folder / name)
        for name in self.manifest.removed:
            (self.folder / name).unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove what a killed sync wrote and did not enter."""
        for path in self.folder.rglob(f"*{TEMPORARY}"):
            path.unlink()


def read_manifest(folder: Path) -> Manifest | None:
    """What a folder holds, or None where it has no manifest.

    Raises:
        SyncError: The manifest is damaged, or of a later version.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if (form := _form.decode(content).get("form")) != FORM:
            raise SyncError(f"{folder} is of version {form}; this release of m3ter-async reads version {FORM}")
        return _manifest.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SyncError(f"{folder / MANIFEST} is damaged: give another folder") from None


def lake_files(lake: str | os.PathLike[str], resource: str, table: str | None = None) -> list[Path]:
    """The files that make up a table of a lake, as the last transaction left it.

    They stay until the next transaction. A pattern such as ``lake/bills/current/line_items/*.parquet`` finds the same
    files, but for the moment in which a transaction ends.

    Args:
        lake: The folder that was synced to.
        resource: Such as ``bills``.
        table: Such as ``line_items``; by default that with a row for each record.

    Raises:
        ValueError: There is no such table in it.
        SyncError: Its manifest is damaged, or of a later version.
    """
    folder = Path(lake) / resource
    manifest = read_manifest(folder)
    if manifest is None:
        raise ValueError(f"{folder} holds no table of a sync")
    table = table or next(iter(manifest.tables), resource)
    if manifest.tables and table not in manifest.tables:
        raise ValueError(f"{folder} has no table {table}; it has {', '.join(manifest.tables)}")
    found: list[Path] = []
    for part in manifest.parts:
        path = folder / file_of(table, part.number)
        # of a sync that was killed the last step of a transaction may be left to do
        found.append(path if path.exists() else Path(f"{path}{TEMPORARY}"))
    return found


def _locked(path: Path) -> IO[bytes]:
    """A file that nobody else has, until it is closed."""
    file = path.open("ab")
    try:
        _lock(file)
    except OSError:
        file.close()
        raise SyncError(f"another sync writes to {path.parent}") from None
    return file


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # on Windows
        import msvcrt

        locking: Mapping[str, Any] = vars(msvcrt)
        locking["locking"](file.fileno(), locking["LK_NBLCK"], 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_names(folder: Path) -> None:
    if os.name == "nt":  # where folders cannot be opened, and renaming is journaled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
