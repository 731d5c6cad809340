"""Bodies of answers as aiohttp gives them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp

from . import decompression


def encoding(answer: aiohttp.ClientResponse) -> str:
    """How the body is compressed; empty where it is not."""
    return answer.headers.get("Content-Encoding", "")


async def read(answer: aiohttp.ClientResponse, most: int, into: Callable[[bytes], Awaitable[None]] | None) -> bytes:
    """Read and decompress the body, or hand it on."""
    coding = encoding(answer)
    length = answer.content_length
    if into is not None or coding or length is None or not 0 < length <= most:
        return await decompression.read(answer.content.iter_any(), coding, most, into)
    return await answer.read()
