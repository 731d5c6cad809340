"""The batch that is being filled: handed over when it is full, before it would be too large, or at its age."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import anyio

from .._core.background import Background, Task
from .._core.clock import Clock
from .ingest_outcomes import OnRefused
from .measurement import ENVELOPE, MOST_BYTES, MOST_ROWS
from .refusals import Item


class OpenBatch:
    """Takes measurements until there is a request full of them; then the next batch begins.

    Args:
        hand_over: Takes the measurements of one request. It must not wait.
        max_age: Seconds after which a batch is handed over as it is.
    """

    def __init__(
        self, hand_over: Callable[[list[Item]], None], *, max_age: float, clock: Clock, background: Background
    ) -> None:
        self._hand_over = hand_over
        self._max_age = max_age
        self._clock = clock
        self._background = background
        self._timer: Task[None] | None = None
        self._watching = False
        self._begin()

    def uid(self) -> str:
        """A ``uid`` for the measurement that is put in next."""
        # as unique as a UUID, at a tenth of its time: 128 random bits for each batch, and the place within
        return f"{self._prefix}-{len(self._items)}"

    def put(self, index: int, on_refused: OnRefused | None, content: bytes) -> None:
        """Take one more; nothing in here waits, so a measurement is either in or not."""
        size = len(content) + 1
        if self._size + size > MOST_BYTES:
            self.close()
        if not self._items:
            self._born = self._clock.now()
            if not self._watching:
                self._watching = True
                self._timer = self._background.start(self._watch)
        self._items.append((content, index, on_refused))
        self._size += size
        if len(self._items) == MOST_ROWS:
            self.close()

    def close(self) -> None:
        """Hand over what was gathered, if anything was."""
        if self._items:
            items = self._items
            self._begin()
            self._hand_over(items)

    async def stop(self) -> None:
        """Watch no longer how old it is."""
        if self._timer is not None:
            self._timer.cancel()
            with anyio.CancelScope(shield=True):
                await self._timer.ended.wait()

    def _begin(self) -> None:
        self._items: list[Item] = []
        self._size = ENVELOPE
        self._born = 0.0
        self._prefix = secrets.token_hex(16)

    async def _watch(self) -> None:
        """Close each batch at its age, as long as there are any."""
        while self._items:
            wait = self._born + self._max_age - self._clock.now()
            if wait > 0:
                await self._clock.sleep(wait)
            else:
                self.close()
        self._watching = False
