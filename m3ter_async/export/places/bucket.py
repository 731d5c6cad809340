"""What an export needs of an object store: objects that are put whole, and some only where there is none yet."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

NO_CONDITIONS = "the store cannot create an object only where there is none, so that nothing keeps two exports apart"


class StoreError(OSError):
    """A store that failed or refused; like a disk that does."""

    def __init__(self, reason: str, where: str) -> None:
        super().__init__(errno.EIO, reason, where)


class MissingObject(StoreError):
    """There is no such object, or no such bucket."""


class Bucket(Protocol):
    """The objects below the prefix of an export. All calls are blocking, and any thread may make them.

    Keys are relative to the prefix. What is read and listed is as it was last written (stores say "strongly
    consistent"). All methods raise `StoreError`.
    """

    def create(self, key: str, body: bytes) -> bool:
        """Put an object if there is none of that key; False where there is one."""
        ...

    def put(self, key: str, source: Path) -> int:
        """Put a file whole, and give its size."""
        ...

    def get(self, key: str) -> bytes:
        """All of an object."""
        ...

    def get_range(self, key: str, start: int, size: int) -> bytes:
        """Some bytes of an object."""
        ...

    def fetch(self, key: str, target: Path) -> None:
        """Write all of an object to a file."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """The keys below a folder, with the sizes of the objects."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        ...

    def be_patient(self) -> None:
        """From now on, outlast an outage of some minutes rather than tell of it at once."""
        ...
