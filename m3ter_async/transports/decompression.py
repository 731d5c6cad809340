"""Bodies read and decompressed within a bound: a thousand bytes of gzip can stand for a million."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import import_module
from typing import Any

import anyio.lowlevel

from .protocol import TransportError

_PLAIN = ("", "identity")
_GZIP = ("gzip", "x-gzip", "deflate")
_WINDOW = 47  # zlib's way to say: gzip or deflate, whichever it is
_PIECE = 1_048_576  # bytes made before other tasks get a turn, in about two milliseconds


def fastest() -> Any:
    """ISA-L, where the extra ``speed`` is installed: it does what zlib does in less than half of the time."""
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return zlib


library: Any = fastest()


async def read(
    received: AsyncIterator[bytes],
    encoding: str,
    most: float,
    into: Callable[[bytes], Awaitable[None]] | None = None,
) -> bytes:
    """A body, decompressed, and joined or handed on.

    Args:
        received: Its bytes as they come in.
        encoding: Its ``Content-Encoding``.
        most: The bytes that it may have, decompressed.
        into: Takes its pieces, of which none is kept then.

    Raises:
        TransportError: It has more, is cut or no gzip, or is encoded in a way that was not asked for.
    """
    inflater = _Inflater(encoding)
    pieces: list[bytes] = []
    size = 0
    async for chunk in received:
        for piece in inflater.pieces(chunk, most - size):
            size += len(piece)
            if size > most:
                raise too_large(most)
            if into is None:
                pieces.append(piece)
            else:
                await into(piece)
            if len(piece) == _PIECE:
                await anyio.lowlevel.checkpoint()
    inflater.check_end()
    return b"".join(pieces)


def too_large(most: float) -> TransportError:
    """The error for a body of more than `most` bytes."""
    return TransportError(f"the answer is larger than {most} bytes", too_large=True)


class _Inflater:
    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in _PLAIN + _GZIP:
            raise TransportError(f"the answer is encoded as {encoding[:40]!r}, which was not asked for")
        self._gzip = library.decompressobj(_WINDOW) if encoding in _GZIP else None
        self._begun = False

    def pieces(self, data: bytes, room: float) -> Iterator[bytes]:
        """What `data` adds to the body, in pieces that go at most one byte past `room`."""
        if self._gzip is None:
            yield data
            return
        full = False
        while data or full:
            self._begun = True
            if self._gzip.eof:  # a gzip file may have several members
                self._gzip = library.decompressobj(_WINDOW)
            most = int(min(room + 1, _PIECE))
            try:
                piece = self._gzip.decompress(data, most)
            except library.error:
                raise TransportError("broken gzip") from None
            room -= len(piece)
            yield piece
            data = self._gzip.unconsumed_tail or self._gzip.unused_data
            # then some may be left although all of `data` was taken: ISA-L reads ahead of what it gives
            full = len(piece) == most and not self._gzip.eof

    def check_end(self) -> None:
        """Raise if the body was cut."""
        if self._gzip is not None and self._begun and not self._gzip.eof:
            raise TransportError("gzip that ends too early")
