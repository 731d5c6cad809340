"""The journal of an export in a store: numbered objects, of which each is created only if it is not there yet.

There is no lock in a store. Instead the numbers have no gaps, and of two exports that want to write the next one only
one can. An export that begins or goes on first *claims* the next number. From then on whoever wrote before, and may
only be slow, finds a number taken that it wants to write, and stops. Objects are never removed: a number that was free
again could be taken by somebody who knows nothing of those after it.

Each object has a line that says whose it is, and below it a line of the journal; that of a claim has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from threading import Lock

import msgspec

from ..errors import ExportError
from .bucket import NO_CONDITIONS, Bucket, StoreError
from .place import Rival

FOLDER = "manifest"
_KEY = re.compile(rf"{FOLDER}/(\d{{10}})\.jsonl")
_AT_ONCE = 64  # objects that are read together


class _Head(msgspec.Struct, omit_defaults=True):
    """What stands above the line of an object: who wrote it, and whether all before it is void."""

    run: str
    anew: bool = False


def _key(number: int) -> str:
    return f"{FOLDER}/{number:010d}.jsonl"


class JournalObjects:
    """The objects.

    Args:
        bucket: Where they are.
        shown: Where that is, for messages.
        copy: A file of this machine for a copy of the lines.
        run: What no other run has.
        threads: For objects that are read together.
    """

    def __init__(self, bucket: Bucket, shown: str, copy: Path, run: str, threads: Executor) -> None:
        self._bucket = bucket
        self._where = shown
        self._copy = copy
        self._run = run
        self._threads = threads
        self._turn = Lock()
        self._anew = False
        self._failure: OSError | None = None  # after which nothing is appended any more
        self.next: int = 0  # the number of the next object
        self.claimed: int | None = None  # the number of this run's claim

    @property
    def shown(self) -> str:
        """Where they are, for messages."""
        return f"{self._where}/{FOLDER}"

    def numbers(self) -> list[int]:
        """Those that are there. Blocking."""
        return sorted(int(found[1]) for key in self._bucket.sizes(FOLDER) if (found := _KEY.fullmatch(key)))

    def load(self) -> Iterator[bytes]:
        """The lines that count. Blocking.

        Raises:
            ExportError: Objects are missing, or are not ours.
        """
        there = self.numbers()
        self.next = there[-1] + 1 if there else 0
        bodies = self._since_anew(set(there))
        with self._copy.open("wb") as copy:
            for line in filter(None, bodies):
                copy.write(line)
                yield line.removesuffix(b"\n")

    def _since_anew(self, there: set[int]) -> list[bytes]:
        """The lines of the objects from the last one that makes those before it void, in order."""
        found: list[bytes] = []
        end = self.next
        while end:
            start = max(end - _AT_ONCE, 0)
            block = range(end - 1, start - 1, -1)
            for head, line in self._threads.map(partial(self._read, there), block):
                found.append(line)
                if head.anew:
                    return found[::-1]
            end = start
        return found[::-1]

    def _read(self, there: set[int], number: int) -> tuple[_Head, bytes]:
        name = f"{self._where}/{_key(number)}"
        if number not in there:
            raise ExportError(f"{name} is not there any more: export anew, under another prefix", resumable=False)
        head, _, line = self._bucket.get(_key(number)).partition(b"\n")
        try:
            return msgspec.json.decode(head, type=_Head), line
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ExportError(f"{name} is none of ours: choose another prefix", resumable=False) from None

    def claim(self) -> None:
        """Have the next number, and with it all that come after it. Blocking.

        Raises:
            ExportError: Another export wrote to the journal since it was loaded.
            StoreError: The store failed, or can keep nobody out.
        """
        with self._turn:
            number, body = self.next, self._body(b"")
            if not self._create(body):
                raise ExportError(f"another export is writing to {self._where}")
            # a store that does not know of such conditions puts whatever it is asked to put
            if self._bucket.create(_key(number), body):
                self._bucket.delete([_key(number)])
                raise StoreError(NO_CONDITIONS, self._where)
            self.claimed = number

    def append(self, line: bytes) -> None:
        """Create the next object. Blocking.

        Raises:
            Rival: Another export has it.
            OSError: The store failed. Nobody knows whether the object is there, so that no other can follow it.
        """
        with self._turn:
            if self._failure is not None:
                raise OSError(self._failure.errno, self._failure.strerror, self._failure.filename)
            if not self._create(self._body(line)):
                raise Rival(self._where)
            self._anew = False
            try:
                with self._copy.open("ab") as copy:
                    copy.write(line)
            except OSError as error:
                self._failure = error
                raise

    def see_no_rival(self) -> None:
        """See that there is no object after those that are known. Blocking.

        Raises:
            Rival: There is.
            StoreError: The store failed.
        """
        with self._turn:
            if self._failure is None and max(self.numbers(), default=-1) >= self.next:
                raise Rival(self._where)

    def _create(self, body: bytes) -> bool:
        """Whether the next object is there with this content: now, or by a try that seemed to have failed."""
        key = _key(self.next)
        try:
            if not self._bucket.create(key, body) and self._bucket.get(key) != body:
                return False
        except StoreError as error:
            self._failure = error
            raise
        self.next += 1
        return True

    def _body(self, line: bytes) -> bytes:
        return msgspec.json.encode(_Head(self._run, self._anew)) + b"\n" + line

    def lines(self) -> Iterator[bytes]:
        """The lines that count, of their copy. Blocking."""
        with self._copy.open("rb") as file:
            yield from file

    def clear(self) -> None:
        """Have the next line make all before it void. Blocking."""
        self._anew = True
        self._copy.write_bytes(b"")
