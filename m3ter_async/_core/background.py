"""Work that goes on beside the caller who started it, on asyncio and on trio.

A task group would tie it to one caller's scope: a login must outlive the call that began it, and a page fetched
ahead belongs to an iterator that may be dropped at any moment, without a word.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import math
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import anyio

from .clock import in_trio

if TYPE_CHECKING:
    import outcome
    import trio

ELSEWHERE = "this client belongs to another event loop or process: make one in each"
_SEE_THEM_END = 5.0  # seconds; work that does not end when it is cancelled is somebody's own function

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_inside: ContextVar[tuple[object, ...]] = ContextVar("_inside", default=())
"""The tasks that the present code runs in: who waited for the end of one of them would wait for itself."""


class TaskAbandoned(Exception):
    """The work was cancelled from outside, by the closing client or the ending event loop. No caller gets this."""


class ElsewhereError(Exception):
    """Asked in another event loop or process than the first time. No caller gets this."""


class Task(Protocol[T_co]):
    """Work that is under way.

    Attributes:
        ended: Set once it is over, in whatever way.
    """

    ended: anyio.Event

    @property
    def done(self) -> bool:
        """Whether it is over, in whatever way: what tasks share is put right by who looks, not by the task itself."""
        ...

    async def wait(self) -> T_co:
        """Wait for the result or the exception of the work; a waiter who is cancelled does not cancel the work.

        Raises:
            TaskAbandoned: The work was cancelled.
        """
        ...

    def cancel(self) -> None:
        """Stop the work; any thread may ask, since a garbage collector runs on any."""
        ...


_Registry: TypeAlias = "dict[_AsyncioTask[Any] | _TrioTask[Any], None]"


class Background:
    """The tasks of one client, all in one event loop; it holds the only references that keep them alive."""

    def __init__(self) -> None:
        self._tasks: _Registry = {}  # in the order in which they began
        self._home: tuple[int, object] | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def at_home(self) -> bool:
        """Whether this is the process and the event loop in which it was first asked: its sockets work nowhere else."""
        here = (os.getpid(), _loop())
        if self._home is None:
            self._home = here
        return self._home == here

    def start(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        deadline: float = math.inf,
        ended: Callable[[BaseException | None], None] | None = None,
    ) -> Task[T]:
        """Begin `work` and return at once.

        Args:
            work: An async function.
            deadline: When it is cancelled, in the event loop's time (`anyio.current_time`). What it calls sees that.
            ended: Called when it is over, with what it raised: also if it was cancelled before its first step.

        Raises:
            ElsewhereError: This is not the event loop or process of the client.
        """
        if not self.at_home():
            raise ElsewhereError(ELSEWHERE)
        bounded = work if deadline == math.inf else lambda: _bounded(work, deadline)
        if in_trio():
            return _TrioTask(bounded, self._tasks, ended)
        return _AsyncioTask(bounded, self._tasks, ended)

    async def aclose(self) -> None:
        """Cancel what is still under way and see it end, but for what this very call is part of."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        with anyio.move_on_after(_SEE_THEM_END):
            for task in tasks:
                if not inside(task):
                    await task.ended.wait()


def _context_within(task: Task[Any]) -> contextvars.Context:
    """The present context, for what is to run as part of `task`."""
    context = contextvars.copy_context()
    context.run(_inside.set, (*_inside.get(), task))
    return context


def inside(task: Task[Any]) -> bool:
    """Whether the present code is part of `task`."""
    return task in _inside.get()


async def _bounded(work: Callable[[], Coroutine[Any, Any, T]], deadline: float) -> T:
    with anyio.CancelScope(deadline=deadline):
        return await work()
    raise TaskAbandoned


def _loop() -> object:
    if in_trio():
        return sys.modules["trio"].lowlevel.current_trio_token()
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # asyncio's way to notice a fork
        return None


class _AsyncioTask(Generic[T]):
    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        registry: _Registry,
        ended: Callable[[BaseException | None], None] | None,
    ) -> None:
        self.ended = anyio.Event()
        self._registry = registry
        self._then = ended
        registry[self] = None
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[T] | None = None  # an eager task runs before there is a name for it
        context = _context_within(self)
        self._task = context.run(self._loop.create_task, work())
        self._task.add_done_callback(self._finish)

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    def _finish(self, task: asyncio.Task[T]) -> None:
        self._registry.pop(self, None)
        # looked at in any case: nobody may be left to wait for it, and asyncio would complain
        error = TaskAbandoned() if task.cancelled() else task.exception()
        self.ended.set()
        then, self._then = self._then, None  # a context may keep this task, and must not keep a client with it
        if then is not None:
            then(error)

    async def wait(self) -> T:
        await self.ended.wait()
        if self._task is None or self._task.cancelled():
            raise TaskAbandoned
        return self._task.result()

    def cancel(self) -> None:
        if not self.done and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed just now, in another thread
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class _TrioTask(Generic[T]):
    def __init__(
        self,
        work: Callable[[], Awaitable[T]],
        registry: _Registry,
        ended: Callable[[BaseException | None], None] | None,
    ) -> None:
        import trio

        self.ended = anyio.Event()
        self._registry = registry
        self._then = ended
        registry[self] = None
        self._scope: trio.CancelScope = trio.CancelScope()
        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.RunFinishedError  # a garbage collector at the end of a program can import nothing
        self._cancelled = trio.Cancelled
        self._outcome: outcome.Outcome[T] | None = None
        # as asyncio does it: what is awaited here belongs to the trace of whoever began it
        context = _context_within(self)
        trio.lowlevel.spawn_system_task(self._run, work, context=context)

    @property
    def done(self) -> bool:
        return self.ended.is_set()

    async def _run(self, work: Callable[[], Awaitable[T]]) -> None:
        import outcome

        try:
            with self._scope:
                found = await outcome.acapture(work)
                if not isinstance(getattr(found, "error", None), self._cancelled):
                    self._outcome = found
        finally:
            self._registry.pop(self, None)
            self.ended.set()
            then, self._then = self._then, None
            if then is not None:
                then(TaskAbandoned() if self._outcome is None else getattr(self._outcome, "error", None))

    async def wait(self) -> T:
        await self.ended.wait()
        if self._outcome is None:
            raise TaskAbandoned
        outcome, self._outcome = self._outcome, copy.copy(self._outcome)  # each can be unwrapped only once
        return outcome.unwrap()

    def cancel(self) -> None:
        with suppress(self._over):  # and then so has everything that ran in it
            self._token.run_sync_soon(self._scope.cancel)
