"""One limit for all processes of a host, in a file that all of them map, under its lock."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .._core.rate_limits import RateLimit, address_window, checked_rate, shared_window
from ..errors import ConfigurationError
from ..events import Scope
from . import shared_file
from .shared_file import AddressRecord, Fault, LimitRecord

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
_HELD = 0.001  # seconds until the lock is asked for again, which nobody holds for longer than some microseconds
_TRIES = 20
_SEEN_EVERY = 5.0  # seconds


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
        self.path: Path = Path(path)
        self.rate: float = checked_rate(rate)
        if not 1 <= self.rate <= shared_file.RING:
            raise ConfigurationError(f"a HostLimiter keeps a rate from 1 to {shared_file.RING}, not {self.rate:g}")
        self._lock = threading.Lock()
        self._pid = 0
        self._descriptor = -1
        self._memory: mmap.mmap
        self._token = b""
        self._seen = 0.0
        self.owner: int = 0
        self.generation: int = 0
        self._open()

    def limit(self, scope: Scope, organization: str, host: str) -> RateLimit:
        """The limit that requests of this kind share."""
        return _HostLimit(self, scope, organization, host)

    def close(self) -> None:
        """Let go of the file; it stays for the others."""
        with self._lock:
            self._close()
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
            for _ in range(_TRIES):
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    continue
            else:
                return None
            try:
                if now - self._seen > _SEEN_EVERY:
                    self._seen = now
                    self.owner = shared_file.own_place(self._memory, self._token, now)
                return work(self._memory)
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _open(self) -> None:
        if fcntl is None:
            raise ConfigurationError("a HostLimiter needs file locks, which this system lacks: take a ShareLimiter")
        self._close()
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
            self._descriptor = os.open(self.path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            size = os.fstat(self._descriptor).st_size
            if size not in (0, shared_file.SIZE):
                with open(self._descriptor, "rb", closefd=False) as file:
                    ours = file.read(8) == b"m3terlim"
                raise Fault("is of another version of this package" if ours else "is not a file of limits")
            if size == 0:
                os.ftruncate(self._descriptor, shared_file.SIZE)
            self._memory = mmap.mmap(self._descriptor, shared_file.SIZE)
            shared_file.check(self._memory, _boot(), self.rate)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except Fault as fault:
            self._close()
            raise ConfigurationError(f"{self.path} {fault}") from None
        except (OSError, ValueError) as error:
            self._close()
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"the limiter's file {self.path} cannot be used: {reason}") from None
        self._token = os.urandom(8)
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

    def __del__(self) -> None:
        descriptor: int = getattr(self, "_descriptor", -1)
        if descriptor >= 0:
            os.close(descriptor)


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
        return _HELD if found is None else found

    def paused(self, now: float) -> float:
        return self._limiter.locked(now, lambda memory: self._found(memory, now).paused(now)) or 0.0

    def pause(self, now: float, seconds: float) -> None:
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            if self._limiter.locked(now, lambda memory: (self._found(memory, now).pause(now, seconds), True)):
                return

    def _found(self, memory: mmap.mmap, now: float) -> LimitRecord:
        if self._generation != self._limiter.generation:
            self._generation = self._limiter.generation
            self._record = LimitRecord(memory, self._key, now, self._size, self._period)
            if self._address_size is not None:
                self._address = AddressRecord(memory, self._address_key, now, self._address_size)
        return self._record


def _boot() -> bytes:
    """Which start of the machine this is: the clock begins anew with each."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        text = str(round((time.time() - time.monotonic()) / 600))  # when that was, in ten minutes
    return shared_file.key_of("boot", text.strip())
