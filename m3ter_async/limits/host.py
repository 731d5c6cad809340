"""One limit for all processes of a host, in a file that all of them map, under its lock."""

from __future__ import annotations

import contextlib
import logging
import math
import mmap
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .._core.rate_limits import RateLimit, address_window, checked_rate, shared_window
from ..errors import ConfigurationError
from ..events import Scope
from . import shared_file
from .address_record import AddressRecord
from .forks import tell_after_fork
from .shared_file import Fault, LimitRecord

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
_log = logging.getLogger("m3ter_async")
_HELD = 0.001  # seconds until the lock is asked for again, which nobody holds for longer than some microseconds
_TRIES = 20
_SEEN_EVERY = 5.0  # seconds
_STUCK = 2.0  # seconds after which whoever holds the lock is not at work: it was stopped


class HostLimiter:
    """The limits of all processes of a host, shared through a file: no server is needed.

    A process that is killed, in whatever moment, leaves a file that the others go on with. Requests that somebody waits
    for pass before bulk ones, across processes too, and none gets less than its share while it waits. Only hashes of
    ids are in the file.

    Args:
        path: The file; it is made if it is not there. Its folder must be on a disk of this host, not on a network.
        rate: Requests per second and organization on the configuration and ingest APIs, at most 256.

    Raises:
        ConfigurationError: The file cannot be made, belongs to something else or to another rate, or the system has
            no such locks.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: float = 50.0) -> None:
        self.path: Path = _path(path)
        self.rate: float = checked_rate(rate)
        if not 1 <= self.rate <= shared_file.RING:
            raise ConfigurationError(f"a HostLimiter keeps a rate from 1 to {shared_file.RING}, not {self.rate:g}")
        self._lock = threading.Lock()
        self._pid = 0
        self._descriptor = -1
        self._memory: mmap.mmap
        self._token = b""
        self._seen = 0.0
        self._held_since: float | None = None
        self.owner: int = 0
        self.generation: int = 0
        self._open()
        tell_after_fork(self)

    def limit(self, scope: Scope, organization: str, host: str) -> RateLimit:
        """The limit that requests of this kind share."""
        return _HostLimit(self, scope, organization, host)

    def close(self) -> None:
        """Let go of the file; it stays for the others."""
        with self._lock:
            if self._pid == os.getpid() and self._is_free():
                shared_file.leave(self._memory, self.owner)
            self._close()  # which frees the lock
            self._pid = -1

    def __enter__(self) -> HostLimiter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"HostLimiter({str(self.path)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.path, self.rate)

    def locked(self, now: float, work: Callable[[mmap.mmap], T]) -> T | None:
        """Do something with the file under its lock; None where somebody else holds it just now."""
        with self._lock:
            if self._pid != os.getpid():
                if self._pid == -1:
                    raise ConfigurationError(f"{self!r} is closed")
                self._open()  # after a fork the lock would be one with the parent's
            assert fcntl is not None
            if not self._is_free():
                return None
            if (file := os.fstat(self._descriptor)).st_nlink == 0 or file.st_size != shared_file.SIZE:
                self._open()  # somebody removed, replaced or emptied it: the others of this host meet in the new one
                if not self._is_free():
                    return None
            try:
                if now - self._seen > _SEEN_EVERY:
                    self._seen = now
                    self.owner = shared_file.own_place(self._memory, self._token, now)
                return work(self._memory)
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _is_free(self) -> bool:
        """Take the lock, if nobody holds it."""
        assert fcntl is not None
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            self._held_since = None
            return True
        now = time.monotonic()
        if self._held_since is None:
            self._held_since = now
        elif self._pid and now - self._held_since > _STUCK:
            self._held_since = math.inf  # told once
            _log.warning("a process that was stopped holds the lock of %s: no request is sent until it goes on", self)
        return False

    def _lock_new(self) -> None:
        end = time.monotonic() + _STUCK
        while not self._is_free():
            if time.monotonic() > end:
                raise Fault("is locked by another process, which does not let go of it")
            time.sleep(_HELD)

    def _open(self) -> None:
        if fcntl is None:
            raise ConfigurationError("a HostLimiter needs file locks, which this system lacks: take a ShareLimiter")
        self._close()
        try:
            # without O_NONBLOCK a named pipe would wait for somebody who writes
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(self.path, flags, 0o600)
            file = os.fstat(self._descriptor)
            if not stat.S_ISREG(file.st_mode):
                raise Fault("is not a file")
            if file.st_uid != os.geteuid():
                raise Fault("belongs to another user: all who share it must run as one")
            self._lock_new()
            if file.st_mode & 0o077:
                os.fchmod(self._descriptor, 0o600)
            size = os.fstat(self._descriptor).st_size
            if size not in (0, shared_file.SIZE):
                with open(self._descriptor, "rb", closefd=False) as content:
                    ours = content.read(8) == b"m3terlim"
                raise Fault("is of another version of this package" if ours else "is not a file of limits")
            if size == 0:
                _reserve(self._descriptor, shared_file.SIZE)
            self._memory = mmap.mmap(self._descriptor, shared_file.SIZE)
            shared_file.check(self._memory, _boot(), self.rate, time.monotonic())
            self._token = os.urandom(8)
            self.owner = shared_file.own_place(self._memory, self._token, time.monotonic())
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except Fault as fault:
            self._close()
            raise ConfigurationError(f"{self.path} {fault}") from None
        except (OSError, ValueError) as error:
            self._close()
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"the limiter's file {self.path} cannot be used: {reason}") from None
        self._pid = os.getpid()
        self._seen = 0.0
        self.generation += 1

    def _close(self) -> None:
        if self._descriptor >= 0:
            if hasattr(self, "_memory"):
                with contextlib.suppress(BufferError):
                    self._memory.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def after_fork(self) -> None:
        """As `Forked.after_fork`: the parent's lock, kept open here, would outlive the parent."""
        self._lock = threading.Lock()
        if self._pid != -1:
            self._close()
            self._pid = 0

    def __del__(self) -> None:
        descriptor: int = getattr(self, "_descriptor", -1)
        if descriptor >= 0:
            os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    """Make a file that large, with its room on the disk: a process that writes where there is none is killed."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS
        os.pwrite(descriptor, bytes(size), 0)


def _path(given: object) -> Path:
    try:
        if given:
            return Path(given)  # type: ignore[arg-type]  # which is tried here
    except TypeError:
        pass
    raise ConfigurationError(f"path={given!r} is not the path of a file")


def _again(path: Path, rate: float) -> HostLimiter:
    return HostLimiter(path, rate=rate)


class _HostLimit:
    """One limit of a host."""

    def __init__(self, limiter: HostLimiter, scope: Scope, organization: str, host: str) -> None:
        self._limiter = limiter
        self._size, self._period = shared_window(scope, limiter.rate)
        self._key = shared_file.key_of("limit", host, scope, organization)
        address = address_window(scope)
        self._address_size = None if address is None else address[0]
        self._address_key = shared_file.key_of("address", host, scope)
        self._generation = -1
        self._record: LimitRecord
        self._address: AddressRecord | None = None
        self._paused_until = -math.inf  # a pause that the others are still to be told of
        self._told_until = -math.inf

    def take(self, now: float, *, bulk: bool = False) -> float:
        def work(memory: mmap.mmap) -> float:
            record = self._found(memory, now)
            if self._address is not None and (wait := self._address.wait(now)):
                return wait
            wait = record.take(now, self._limiter.owner, bulk=bulk)
            if not wait and self._address is not None:
                self._address.take(now)
            return wait

        found = self._limiter.locked(now, work)
        return max(_HELD, self._paused_until - now) if found is None else found

    def paused(self, now: float) -> float:
        found = self._limiter.locked(now, lambda memory: self._found(memory, now).paused(now))
        return max(0.0, self._paused_until - now) if found is None else found

    def pause(self, now: float, seconds: float) -> None:
        # the event loop must not wait here for the lock: where it is held just now, the next look tells the others
        self._paused_until = max(self._paused_until, now + seconds)
        self._limiter.locked(now, lambda memory: self._found(memory, now))

    def address_wait(self, now: float) -> float:
        """Seconds until the window per address has a pass again, told once for each such stretch; else 0."""
        if self._address_size is None or now < self._told_until:
            return 0.0

        def work(memory: mmap.mmap) -> float:
            self._found(memory, now)
            return 0.0 if self._address is None else self._address.wait(now)

        wait = self._limiter.locked(now, work) or 0.0
        if wait:
            self._told_until = now + wait
        return wait

    def _found(self, memory: mmap.mmap, now: float) -> LimitRecord:
        if self._generation != self._limiter.generation:
            self._generation = self._limiter.generation
            self._record = LimitRecord(memory, self._key, now, self._size, self._period)
            if self._address_size is not None:
                self._address = AddressRecord(memory, self._address_key, now, self._address_size)
        if self._paused_until > now:
            self._record.pause(now, self._paused_until - now)
        self._paused_until = -math.inf
        return self._record


def _boot() -> bytes:
    """Which start of the machine this is: the clock begins anew with each."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        text = str(round((time.time() - time.monotonic()) / 600))  # when that was, in ten minutes
    return shared_file.key_of("boot", text.strip())
