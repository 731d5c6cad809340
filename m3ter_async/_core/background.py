"""Work that goes on beside the caller who started it, on asyncio and on trio.

A task group would tie it to one caller's scope: a login must outlive the call that began it, and a page fetched
ahead belongs to an iterator that may be dropped at any moment, without a word.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import anyio

from ..errors import M3terError

if TYPE_CHECKING:
    import outcome
    import trio

ELSEWHERE = "this client belongs to another event loop or process: make one in each"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class TaskAbandoned(M3terError):
    """The work was cancelled from outside, by the closing client or the ending event loop."""

    def __init__(self, reason: str = "the client was closed while this call waited") -> None:
        super().__init__(reason)


class Task(Protocol[T_co]):
    """Work that is under way.

    Attributes:
        ended: Set once it is over, in whatever way.
    """

    ended: anyio.Event

    async def wait(self) -> T_co:
        """Wait for the result or the exception of the work; a waiter who is cancelled does not cancel the work.

        Raises:
            TaskAbandoned: The work was cancelled.
        """
        ...

    def cancel(self) -> None:
        """Stop the work; any thread may ask, since a garbage collector runs on any."""
        ...


class Background:
    """The tasks of one client, all in one event loop; it holds the only references that keep them alive."""

    def __init__(self) -> None:
        self._tasks: set[_AsyncioTask[Any] | _TrioTask[Any]] = set()
        self._home: tuple[int, object] | None = None

    def at_home(self) -> bool:
        """Whether this is the process and the event loop in which it was first asked: its sockets work nowhere else."""
        here = (os.getpid(), _loop())
        if self._home is None:
            self._home = here
        return self._home == here

    def start(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Task[T]:
        """Begin `work` and return at once."""
        return (_TrioTask if _in_trio() else _AsyncioTask)(work, self._tasks)

    async def aclose(self) -> None:
        """Cancel what is still under way and see it end."""
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            await task.ended.wait()


def _in_trio() -> bool:
    trio = sys.modules.get("trio")  # nobody runs trio who has not imported it
    return trio is not None and trio.lowlevel.in_trio_task()


def _loop() -> object:
    if _in_trio():
        return sys.modules["trio"].lowlevel.current_trio_token()
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # asyncio's way to notice a fork
        return None


class _AsyncioTask(Generic[T]):
    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], registry: set[Any]) -> None:
        self.ended = anyio.Event()
        self._registry = registry
        registry.add(self)
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(work())
        self._task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[T]) -> None:
        self._registry.discard(self)
        if not task.cancelled():
            task.exception()  # seen: nobody may be left to wait for it, and asyncio would complain
        self.ended.set()

    async def wait(self) -> T:
        await self.ended.wait()
        if self._task.cancelled():
            raise TaskAbandoned
        return self._task.result()

    def cancel(self) -> None:
        if not self._task.done() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)


class _TrioTask(Generic[T]):
    def __init__(self, work: Callable[[], Awaitable[T]], registry: set[Any]) -> None:
        import trio

        self.ended = anyio.Event()
        self._registry = registry
        registry.add(self)
        self._scope: trio.CancelScope = trio.CancelScope()
        self._token = trio.lowlevel.current_trio_token()
        self._outcome: outcome.Outcome[T] | None = None
        # as asyncio does it: what is awaited here belongs to the trace of whoever began it
        trio.lowlevel.spawn_system_task(self._run, work, context=contextvars.copy_context())

    async def _run(self, work: Callable[[], Awaitable[T]]) -> None:
        import outcome

        try:
            with self._scope:
                self._outcome = await outcome.acapture(work)
        finally:
            self._registry.discard(self)
            self.ended.set()

    async def wait(self) -> T:
        await self.ended.wait()
        if self._scope.cancel_called or self._outcome is None:
            raise TaskAbandoned
        outcome, self._outcome = self._outcome, copy.copy(self._outcome)  # each can be unwrapped only once
        return outcome.unwrap()

    def cancel(self) -> None:
        import trio

        with suppress(trio.RunFinishedError):  # and then so has everything that ran in it
            self._token.run_sync_soon(self._scope.cancel)
