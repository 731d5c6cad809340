"""Bodies and URLs as httpx is to take them, and answers as it gives them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress

import anyio
import httpx

from . import decompression

_PIECE = 262_144  # bytes


class PresignedURL(httpx.URL):
    """Keeps a secret of its query: httpx logs the text of every URL."""

    def __str__(self) -> str:
        return super().__str__().partition("?")[0]

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"


class Content(httpx.AsyncByteStream):
    """A request's body. httpx's own is a generator, of which trio complains when sending breaks off."""

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class Pieces(httpx.AsyncByteStream):
    """A request's body that comes piece by piece."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces.__aiter__()


async def read(answer: httpx.Response, most: float, into: Callable[[bytes], Awaitable[None]] | None) -> bytes:
    """Read and decompress the body, or hand it on; httpx's own decompression knows no bound."""
    if answer.is_stream_consumed:  # by a mock or a hook of the caller's client
        return await decompression.read(_Loaded(answer.content), "", most, into)
    received = answer.aiter_raw()
    whole = False
    try:
        content = await decompression.read(received, answer.headers.get("content-encoding", ""), most, into)
        whole = True
    finally:
        if not whole:
            # Reading on under cancellation unwinds the generators within httpx. Left to the garbage collector, trio
            # complains about each of them.
            with suppress(httpx.HTTPError), anyio.CancelScope() as scope:
                scope.cancel()
                async for _ in received:
                    pass
    return content


class _Loaded:
    """A body piece by piece that is there already; no generator, of which trio would complain if it were left."""

    def __init__(self, content: bytes) -> None:
        self._left = memoryview(content)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        piece, self._left = bytes(self._left[:_PIECE]), self._left[_PIECE:]
        return piece
