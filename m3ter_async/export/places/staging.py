"""A folder of this machine where files are written before they are put into a store; it is removed at the end.

A process that is killed leaves its folder. The next one on the machine removes it: it finds that nobody has it locked.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

_PREFIX = "m3ter-async-export-"
_NEW = "m3ter-async-new-"
_LOCK = "lock"
_CAN_LOCK = os.name != "nt"  # nothing tells there which processes are alive


class Staging:
    """The folder, made and locked; those that killed processes left are removed.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self) -> None:
        _remove_old(Path(tempfile.gettempdir()))
        made = Path(tempfile.mkdtemp(prefix=_NEW if _CAN_LOCK else _PREFIX))
        self._lock = os.open(made / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        if _CAN_LOCK:  # it is locked before another process can find it
            _locked(self._lock)
            made = made.rename(made.with_name(_PREFIX + made.name.removeprefix(_NEW)))
        self.path: Path = made

    def remove(self) -> None:
        """Remove it with all that is in it. Blocking."""
        if not _CAN_LOCK:  # and where an open file cannot be removed
            os.close(self._lock)
            rmtree(self.path, ignore_errors=True)
            return
        with suppress(OSError):  # what cannot be removed now is left to the next process
            _remove(self.path)
        os.close(self._lock)


def _remove_old(folder: Path) -> None:
    if not _CAN_LOCK:
        return
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is somebody else's, or is being removed by another process
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            if not (path / _LOCK).exists():  # it was about to be removed, and is empty, or it is none of ours
                path.rmdir()
                continue
            lock = os.open(path / _LOCK, os.O_RDWR)
            try:
                if _locked(lock):
                    _remove(path)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a folder, the lock last of all, so that one that was removed by half can be told from a strange one."""
    for each in folder.iterdir():
        if each.is_dir():
            rmtree(each)
        elif each.name != _LOCK:
            each.unlink()
    (folder / _LOCK).unlink()
    folder.rmdir()


def _locked(file: int) -> bool:
    """Whether nobody else has an open file locked; this process has from now on."""
    try:
        import fcntl
    except ModuleNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
