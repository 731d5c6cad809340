"""Where the server listens, and the turns of the event loop that opening and closing need."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address


async def turns() -> None:
    """Wait as long as asyncio needs to tell a protocol of its connection, or to free one that is closed."""
    for _ in range(6):
        await asyncio.sleep(0)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def reason(error: Exception) -> str:
    """Why there is no listening at an address, without the address."""
    text = error.strerror if isinstance(error, OSError) else None
    return (text or str(error)).partition(" (while attempting")[0]
