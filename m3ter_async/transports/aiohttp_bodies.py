"""Bodies of answers as aiohttp gives them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp

from . import decompression

_SMALL, _LARGE = 65_536, 67_108_864  # bytes; for more than the latter, a length alone is no reason to make room


def encoding(answer: aiohttp.ClientResponse) -> str:
    """How the body is compressed; empty where it is not."""
    return answer.headers.get("Content-Encoding", "")


async def read(
    answer: aiohttp.ClientResponse, most: int, into: Callable[[bytes], Awaitable[None]] | None
) -> bytes | bytearray:
    """Read and decompress the body, or hand it on."""
    coding = encoding(answer)
    length = answer.content_length
    if into is not None or coding or length is None or not 0 < length <= min(most, _LARGE):
        return await decompression.read(answer.content.iter_any(), coding, most, into)
    if length < _SMALL:
        return await answer.read()
    # filled in place where the length is known: joining the chunks of a large page would hold it twice
    body = bytearray(length)
    size = 0
    async for chunk in answer.content.iter_any():
        end = size + len(chunk)
        body[size:end] = chunk
        size = end
    del body[size:]  # an answer to HEAD has a length and no body
    return body
