"""What is said while a call waits, so that nobody takes it for stuck."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import anyio

from ..events import Event, RequestSent, ResponseReceived, RetryScheduled
from .console import one_line

if TYPE_CHECKING:
    from typing import Self

_FIRST = 1.0  # seconds before a failure that is repeated is told
_SILENT = 10.0  # seconds without any answer before that is told
_SOON = 1.0  # and where somebody sits in front of it
_AGAIN = 5.0  # seconds from one line to the next, at least


class Patience:
    """Tells why nothing comes, beside the call, as long as it is entered.

    Args:
        tell: Takes a line.
        now: Gives monotonic seconds.
    """

    def __init__(self, tell: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._now = now
        self._silent = _SOON if sys.stderr is not None and sys.stderr.isatty() else _SILENT
        self._since: float | None = None  # that something is waited for
        self._told = -math.inf
        self._failure = ""
        self._stack = AsyncExitStack()

    def take(self, event: Event) -> None:
        """An event of the client."""
        if isinstance(event, ResponseReceived):
            self._since, self._failure = None, ""
        elif isinstance(event, (RequestSent, RetryScheduled)) and self._since is None:
            self._since = self._now()
        if isinstance(event, RetryScheduled) and event.status != 429:  # the client warns of that one by itself
            self._failure = one_line(event.reason)

    def look(self) -> None:
        """Tell what there is to tell now."""
        now = self._now()
        waited = 0.0 if self._since is None else now - self._since
        if now - self._told < _AGAIN or waited < (_FIRST if self._failure else self._silent):
            return
        self._told = now
        self._tell(f"trying again: {self._failure}" if self._failure else f"no answer yet, after {waited:.0f} s")

    async def _keep_looking(self) -> None:
        while True:
            await anyio.sleep(_FIRST / 4)
            self.look()

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(self._keep_looking)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()
