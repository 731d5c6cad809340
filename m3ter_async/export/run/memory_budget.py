"""Room in memory for pages that are fetched or wait to be converted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

_ROOM = 16 * 2**20
_FIRST = 8 * 2**20  # what a page is taken for before one was seen


class Room:
    """Lets in as many pages at once as there is room for, by the size that pages have; one always."""

    def __init__(self) -> None:
        self._taken = 0
        self._size = _FIRST
        self._guess = True
        self._left = anyio.Event()

    @asynccontextmanager
    async def one_page(self) -> AsyncGenerator[None]:
        """Wait for room, and take it while a page is fetched and converted."""
        while self._taken and self._taken + self._size > _ROOM:
            await self._left.wait()
        size = self._size
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size
            self._wake()

    def seen(self, size: int) -> None:
        """A page had so many bytes: the next ones are taken for about as large as the largest of late."""
        self._size = size if self._guess else max(size, self._size * 9 // 10)
        self._guess = False
        self._wake()

    def _wake(self) -> None:
        self._left.set()
        self._left = anyio.Event()
