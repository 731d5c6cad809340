"""Bodies and URLs as httpx and httpx2 are to take them, and answers as they give them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import anyio

from . import decompression

if TYPE_CHECKING:
    import httpx

_PIECE = 262_144  # bytes


class Content:
    """A request's body. httpx's own is a generator, of which trio complains when sending breaks off."""

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


@lru_cache
def stream(library: Any) -> Callable[[AsyncIterable[bytes]], httpx.AsyncByteStream]:
    """A class of bodies that come piece by piece, as a library wants them."""

    class Stream(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, pieces: AsyncIterable[bytes]) -> None:
            self._pieces = pieces

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self._pieces.__aiter__()

    return Stream


@lru_cache
def presigned(library: Any) -> Callable[[httpx.URL], httpx.URL]:
    """A class of URLs that keep a secret of their query: the library logs the text of every URL."""
    url: Any = library.URL

    class PresignedURL(url):  # type: ignore[misc]
        def __str__(self) -> str:
            shown: str = url.__str__(self)
            return shown.partition("?")[0]

        def __repr__(self) -> str:
            return f"URL({str(self)!r})"

    return cast("Callable[[httpx.URL], httpx.URL]", PresignedURL)


async def read(
    library: Any, answer: httpx.Response, most: float, into: Callable[[bytes], Awaitable[None]] | None
) -> bytes:
    """Read and decompress the body, or hand it on; the library's own decompression knows no bound."""
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
            with suppress(library.HTTPError), anyio.CancelScope() as scope:
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
