"""Waits of calls: each ends at the call's deadline at the latest, and when the client is closed."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import anyio

from .clock import Clock


class ClosedWhileWaiting(Exception):
    """The client was closed while a call waited."""


class Waits:
    """What the calls of a client wait in; closing the client ends all of it.

    Attributes:
        closed: Whether the client is closed. What was asked before a wait is asked again after it.
    """

    def __init__(self, clock: Clock) -> None:
        self.closed: bool = False
        self._clock = clock
        self._scopes: dict[anyio.CancelScope, None] = {}  # in the order in which they began

    @contextmanager
    def until(self, deadline: float) -> Generator[anyio.CancelScope]:
        """A block that is left at `deadline` (monotonic seconds), with ``cancelled_caught`` set on the scope.

        Raises:
            ClosedWhileWaiting: The client was closed, before or meanwhile.
        """
        if self.closed:
            raise ClosedWhileWaiting
        left = math.inf if deadline == math.inf else deadline - self._clock.now()
        scope = anyio.CancelScope(deadline=math.inf if left == math.inf else anyio.current_time() + left)
        self._scopes[scope] = None
        try:
            with scope:
                yield scope
        finally:
            del self._scopes[scope]
        if self.closed:
            raise ClosedWhileWaiting

    async def sleep(self, seconds: float, deadline: float = math.inf) -> None:
        """Wait for so many seconds, or until the deadline.

        Raises:
            ClosedWhileWaiting: The client was closed, before or meanwhile.
        """
        with self.until(deadline):
            await self._clock.sleep(seconds)

    def close(self) -> None:
        """End all waits."""
        self.closed = True
        for scope in list(self._scopes):
            scope.cancel()
