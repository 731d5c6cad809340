"""The folder of an export: kept to one writer and seen on the disk, as far as its file system can do either.

Network and FUSE file systems may have no locks, or may not sync. Such a folder is used without them, and that is told
once. A lock that somebody holds, and a disk that is full or fails, are told as what they are.
"""

from __future__ import annotations

import errno
import logging
import os
from itertools import takewhile
from pathlib import Path

from ..errors import ExportError

_log = logging.getLogger("m3ter_async.export")
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_LOCKS = {*_NOT_SUPPORTED, errno.ENOLCK}
# some systems open no folder as a file, or have descriptors of folders that stand for nothing
_NO_FOLDER_SYNC = {*_NOT_SUPPORTED, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR}


class Folder:
    """A folder that is written to.

    Attributes:
        path: Where it is.
        told: What it cannot do, as it was told.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []

    def make(self, path: Path) -> None:
        """Make a folder in it, or itself, with those above it, and see their names on the disk. Blocking."""
        missing = list(takewhile(lambda each: not each.exists(), (path, *path.parents)))
        for each in reversed(missing or [path]):
            each.mkdir(exist_ok=True)
            if missing:
                self.sync_names(each.parent)

    def lock(self, file: int) -> None:
        """Keep the folder to the holder of an open file in it, until that is closed.

        Raises:
            ExportError: Another export has it.
            OSError: The disk failed.
        """
        try:
            import fcntl
        except ModuleNotFoundError:  # on Windows: nothing keeps two exports apart there
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # the latter where a network file system locks in its own way
            raise ExportError(f"another export is writing to {self.path}") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise _of(self.path, error) from None
            self._tell(f"{self.path} has no locks: see to it that no other export writes to it meanwhile")

    def sync(self, file: int, path: Path) -> None:
        """See the content of an open file on the disk. Blocking.

        Raises:
            OSError: The disk is full, or failed.
        """
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise _of(path, error) from None
            self._cannot_sync()

    def sync_names(self, path: Path) -> None:
        """See the names in a folder on the disk; a file that is renamed may else be gone after a power cut. Blocking.

        Raises:
            OSError: The disk is full, or failed.
        """
        if os.name == "nt":  # where folders cannot be opened, and renaming is journaled
            return
        try:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise _of(path, error) from None
            self._cannot_sync()

    def _cannot_sync(self) -> None:
        self._tell(f"{self.path} cannot be synced to the disk: after a power cut, files of this export may be missing")

    def _tell(self, text: str) -> None:
        if text not in self.told:
            self.told.append(text)
            _log.warning("%s", text)


def _of(path: Path, error: OSError) -> OSError:
    """The same error, which names the file that it is about."""
    return OSError(error.errno, error.strerror or str(error), str(path))
