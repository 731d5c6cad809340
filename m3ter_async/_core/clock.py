"""Time and chance, in one object that a test can replace."""

from __future__ import annotations

import math
import random
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
from anyio._core._eventloop import get_async_backend


def in_trio() -> bool:
    """Whether this code runs in trio."""
    # nobody runs trio who has not imported it; another thread may be about to, and then a part of it is there
    asked: Callable[[], bool] | None = getattr(sys.modules.get("trio.lowlevel"), "in_trio_task", None)
    return asked is not None and asked()


def _effective_deadline() -> float:
    """As `anyio.current_effective_deadline`, which takes four microseconds to find out where it is."""
    try:
        return get_async_backend("trio" if in_trio() else "asyncio").current_effective_deadline()
    except RuntimeError:  # no event loop here, such as after a fork: that is told when the call is to be sent
        return math.inf


class Clock:
    """The real thing; everything that waits, measures or draws takes one of these."""

    def now(self) -> float:
        """Monotonic seconds, blind to changes of the wall clock."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, to read the dates that servers send."""
        return time.time()

    def random(self) -> float:
        """A number from 0 up to 1."""
        return random.random()

    def left(self) -> float:
        """Seconds until the cancel scopes around the caller end it; infinite where none does."""
        deadline = _effective_deadline()
        return deadline if math.isinf(deadline) else deadline - anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        """Wait, giving way to other tasks."""
        await anyio.sleep(seconds)


_made_by: ContextVar[Callable[[], Clock] | None] = ContextVar("made_by", default=None)
_for_new_threads: list[tuple[Callable[[], Clock], frozenset[threading.Thread]]] = []


def new_clock() -> Clock:
    """The clock of a client that is made here: that of a block of `clocks_made_by` around it, or the real one."""
    make = _made_by.get()
    if make is None and _for_new_threads:
        here = threading.current_thread()
        make = next((make for make, before in reversed(_for_new_threads) if here not in before), None)
    return (make or Clock)()


@contextmanager
def clocks_made_by(make: Callable[[], Clock]) -> Generator[None]:
    """Clients that are made within the block get their clock from `make`.

    That holds in the block's own context, in tasks and threads that were handed that context, and, as long as the
    block is open, in threads that began within it: these have a context of their own, as that of an application which
    a test client runs.
    """
    before = _made_by.get()
    entry = (make, frozenset(threading.enumerate()))
    _made_by.set(make)
    _for_new_threads.append(entry)
    try:
        yield
    finally:
        _for_new_threads.remove(entry)
        _made_by.set(before)  # no reset by token: an async fixture may be torn down in another context
