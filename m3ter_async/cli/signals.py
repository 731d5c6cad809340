"""Ctrl-C and SIGTERM as a cancellation, so that what runs can end in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import anyio

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """The work was cancelled by a signal, and has ended.

    Attributes:
        status: What the process is to exit with.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status: int = 128 + number


def run(work: Callable[[], Awaitable[T]], on_stop: Callable[[], None] = lambda: None) -> T:
    """Run `work` in an event loop of its own until it ends; the first signal cancels it, a second one kills.

    asyncio does so by itself for SIGINT alone.

    Args:
        on_stop: Called at the first signal, before the cancellation is delivered.

    Raises:
        Stopped: It was cancelled.
    """
    received: list[int] = []

    async def stoppable() -> T:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:

            def cancel() -> None:
                on_stop()
                scope.cancel()

            def stop(number: int, frame: FrameType | None) -> None:
                received.append(number)
                for each in _SIGNALS:
                    signal.signal(each, signal.SIG_DFL)
                loop.call_soon_threadsafe(cancel)

            with handled_by(stop):
                return await work()
        raise Stopped(received[0])

    return anyio.run(stoppable)


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Let Ctrl-C and SIGTERM call a function, until the end of the block."""
    before = {each: signal.signal(each, handler) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, previous in before.items():
            signal.signal(each, previous or signal.SIG_DFL)  # None is a handler that Python does not know
