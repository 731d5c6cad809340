"""Bodies of answers as aiohttp gives them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from aiohttp import hdrs

from . import decompression
from .stage import REFUSAL_SECONDS


async def read(
    content: aiohttp.StreamReader,
    headers: Mapping[str, str],
    most: int,
    into: Callable[[bytes], Awaitable[None]] | None = None,
) -> bytes:
    """Read and decompress the body, or hand it on."""
    coding = headers.get(hdrs.CONTENT_ENCODING, "")
    if into is not None or coding or not 0 < int(headers.get(hdrs.CONTENT_LENGTH, 0)) <= most:
        return await decompression.read(content.iter_any(), coding, most, into)
    return await content.read()


async def read_refusal(
    content: aiohttp.StreamReader, headers: Mapping[str, str], take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Hand on the body of an answer that is no success, as far as it comes soon."""
    async with asyncio.timeout(REFUSAL_SECONDS):
        await decompression.read(content.iter_any(), headers.get(hdrs.CONTENT_ENCODING, ""), math.inf, take)
