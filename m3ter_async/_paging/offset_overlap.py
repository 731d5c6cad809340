"""What tells, in a listing by offset, that rows came or went between two pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .._core.decoding import Unreadable, decode

_REMEMBERED = 400  # rows: four of the largest pages


class _Identified(msgspec.Struct):
    id: Raw | UnsetType = UNSET


_identified = msgspec.json.Decoder(_Identified)


def identity(row: Raw) -> bytes:
    """What a row is known by: its id, or else all of it."""
    try:
        id = decode(_identified, row).id
    except Unreadable:
        id = UNSET
    # a row that has changed is still the same row
    return blake2b(row if id is UNSET else id, digest_size=16).digest()


class Overlap:
    """The last rows that were handed out: the next page begins with the last of them, if nothing came or went.

    Attributes:
        complete: Whether these are all rows since the first of the listing.
    """

    def __init__(self, *, complete: bool) -> None:
        self.complete = complete
        self._last: deque[bytes] = deque(maxlen=_REMEMBERED)

    def __bool__(self) -> bool:
        return bool(self._last)

    def add(self, rows: Iterable[bytes]) -> None:
        """Note the identities of rows that are handed out."""
        for row in rows:
            self.complete = self.complete and len(self._last) < _REMEMBERED
            self._last.append(row)

    def ends_with(self, row: bytes) -> bool:
        """Whether this is the last one."""
        return self._last[-1] == row

    def count(self, rows: Sequence[bytes]) -> int:
        """How many of `rows` stand before the first that is new: up to and with the last one that is known."""
        known = set(self._last)
        return next((place for place in range(len(rows), 0, -1) if rows[place - 1] in known), 0)
