"""A mark: where a sync stands and what it knows, as one value.

It begins with a name and the bookmark. Then come the rows in pieces, each of one parent, and at the end a checksum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from io import BytesIO
from itertools import groupby, islice
from operator import itemgetter
from typing import TypeAlias

import msgspec

from .bookmark import Bookmark, read_bookmark
from .errors import SyncError
from .keys import Key

Row: TypeAlias = tuple[Key, Key, bytes, bool]
"""The parent, the id, the digest, and whether it is settled."""

_MAGIC = b"m3ter-sync\n"
_SUM = 16  # bytes of the checksum
_LENGTH = 4  # bytes of the length before each piece
_AT_ONCE = 1_000  # rows in a piece

_decoder = msgspec.msgpack.Decoder()
_encoder = msgspec.msgpack.Encoder()


def write_mark(bookmark: Bookmark, rows: Iterable[Row]) -> bytes:
    """A mark; the rows of each parent come together."""
    made = BytesIO()  # whose value is not copied
    made.write(_MAGIC)
    _append(made, bookmark.encode())
    for parent, group in groupby(rows, key=itemgetter(0)):
        while piece := [row[1:] for row in islice(group, _AT_ONCE)]:
            _append(made, _encoder.encode((parent, piece)))
    made.write(_sum(made.getbuffer()))
    return made.getvalue()


def read_mark(mark: bytes) -> tuple[Bookmark, Iterator[Row]]:
    """What a mark holds.

    Raises:
        SyncError: It is damaged, or of a later version.
    """
    view = memoryview(mark)
    end = len(view) - _SUM
    if bytes(view[: len(_MAGIC)]) != _MAGIC or end < len(_MAGIC) + _LENGTH or _sum(view[:end]) != bytes(view[end:]):
        raise SyncError("this is no mark of a sync, or it is damaged: begin anew with Known()")
    first, place = _piece(view, len(_MAGIC))
    return read_bookmark(bytes(first)), _rows(view, place, end)


def _rows(view: memoryview, place: int, end: int) -> Iterator[Row]:
    while place < end:
        piece, place = _piece(view, place)
        parent, rows = _decoder.decode(piece)
        for id, digest, settled in rows:
            yield parent, id, digest, settled


def _piece(view: memoryview, place: int) -> tuple[memoryview, int]:
    start = place + _LENGTH
    end = start + int.from_bytes(view[place:start], "big")
    return view[start:end], end


def _append(made: BytesIO, piece: bytes) -> None:
    made.write(len(piece).to_bytes(_LENGTH, "big"))
    made.write(piece)


def _sum(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_SUM).digest()
