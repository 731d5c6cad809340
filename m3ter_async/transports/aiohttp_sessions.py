"""A session that nobody uses any more and nobody closed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import aiohttp

_closing: set[asyncio.Task[None]] = set()  # an event loop keeps no task alive


def abandon(session: aiohttp.ClientSession) -> None:
    """Close all connections of a session without a word; a garbage collector may ask, in any thread."""
    connector = session.connector
    if connector is None:
        return
    session.detach()
    loop: asyncio.AbstractEventLoop = cast("Any", session)._loop
    if loop.is_closed():
        end = _end(connector)
        with suppress(StopIteration):  # its event loop has ended, and so there is nothing to wait for
            end.send(None)
        end.close()
    else:
        with suppress(RuntimeError):  # closed just now, in another thread
            loop.call_soon_threadsafe(_close, loop, connector)


def _close(loop: asyncio.AbstractEventLoop, connector: aiohttp.BaseConnector) -> None:
    task = loop.create_task(_end(connector))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _end(connector: aiohttp.BaseConnector) -> None:
    await connector.close()
