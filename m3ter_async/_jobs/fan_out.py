"""One call for each of many items, so many of them at once, on asyncio and on trio.

All of it runs in one background task, inside a task group: stopping that task stops everything. The iterator that the
caller holds only takes results out, so it may be dropped at any moment; a generator around a task group may not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from .._core.attempts import in_bulk
from .._core.background import ELSEWHERE, ElsewhereError, Task, inside
from .._core.pipeline import Pipeline
from ..errors import ClientClosedError, M3terError

T = TypeVar("T")
R = TypeVar("R")


class _Slot:
    """An item that was drawn, until what came of it is handed out."""

    __slots__ = ("done", "item", "result")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.result: Any = None
        self.done = False


class _Work:
    """What goes on in the background: drawing items, fetching, and keeping what came of each.

    Attributes:
        complete: Whether all items were drawn and all have a result.
        error: What ended it, if anything did.
    """

    def __init__(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        fetch: Callable[[Any], Awaitable[Any]],
        concurrency: int,
        ordered: bool,
        collect: bool,
    ) -> None:
        self._source = items.__aiter__() if isinstance(items, AsyncIterable) else _Source(items)
        self._fetch = fetch
        self._ordered = ordered
        self._collect = collect
        self._room = anyio.Semaphore(concurrency)
        self._slots: deque[_Slot] = deque()
        self._news = anyio.Event()
        self._ended = False
        self.complete: bool = False
        self.error: BaseException | None = None

    async def run(self) -> None:
        """Draw and fetch, until there is nothing more or something failed."""
        in_bulk.set(True)  # a background task has a context of its own
        try:
            async with anyio.create_task_group() as group:
                await self._feed(group)
            self.complete = not group.cancel_scope.cancel_called
        except BaseException:
            if self.error is None:  # cancelled, and so is this task
                raise
            # else it is what the group was ended by, or bundles it: the reader gets that one itself

    def over(self, _: BaseException | None) -> None:
        """Nothing more will come, in whatever way it ended: told by who watches, since `run` may not have begun."""
        self._ended = True
        self._news.set()

    async def _feed(self, group: TaskGroup) -> None:
        try:
            while True:
                await self._room.acquire()  # first: what is drawn is held
                try:
                    slot = _Slot(await self._source.__anext__())
                except StopAsyncIteration:
                    return
                if self._ordered:
                    self._slots.append(slot)
                group.start_soon(self._one, slot)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            self.error = self.error or error
            if not self._collect or not isinstance(error, Exception):
                raise
        finally:
            # by the task that drew from it, and in its task group: a generator may have a scope open
            if close := getattr(self._source, "aclose", None):
                await close()

    async def _one(self, slot: _Slot) -> None:
        try:
            slot.result = await self._fetch(slot.item)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            if not self._collect or not isinstance(error, Exception):
                self.error = self.error or error
                raise  # which cancels the rest
            slot.result = error
        slot.done = True
        if not self._ordered:
            self._slots.append(slot)
        self._news.set()

    async def next(self) -> tuple[Any, Any] | None:
        """What came next, or None when there is nothing more and all has ended, in whatever way."""
        while True:
            if self._slots and self._slots[0].done:
                slot = self._slots.popleft()
                self._room.release()
                return slot.item, slot.result
            if self._ended:
                return None
            self._news = anyio.Event()
            await self._news.wait()


class _Source:
    """Things at hand, drawn as if they had to be waited for."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if close := getattr(self._items, "close", None):  # a generator
            close()


class FanOut(Generic[T, R]):
    """Pairs of an item and what came of it: ``async for item, result in m3ter.map(items, fetch)``.

    It can be gone through once. Dropping it, as ``break`` does, stops all that is under way; `aclose` also waits until
    it has stopped.
    """

    def __init__(self, work: _Work, pipeline: Pipeline) -> None:
        self._work = work
        self._pipeline = pipeline
        self._deadline = math.inf
        self._task: Task[None] | None = None
        self._reading = False
        self._closed = False

    def __repr__(self) -> str:
        return "<FanOut: 'async for item, result in' it begins the work and gives each pair, once>"

    def __aiter__(self) -> FanOut[T, R]:
        # that of the loop as a whole; one around a single step is not the map's
        self._deadline = anyio.current_effective_deadline()
        return self

    async def __anext__(self) -> tuple[T, R]:
        if self._reading:
            raise RuntimeError("two tasks read from one iterator: each needs its own, or a queue between them")
        if self._closed:
            raise StopAsyncIteration
        task = self._task = self._task or self._begin()
        pair = None
        self._reading = True
        try:
            pair = await self._work.next()
        finally:
            self._reading = False
            if pair is None:
                task.cancel()  # this reader was cancelled, if it has not ended anyhow
        if pair is not None:
            return pair
        error = self._work.error
        if isinstance(error, StopAsyncIteration):
            raise RuntimeError("fetch raised StopAsyncIteration") from error  # or it would pass for the end
        if error is not None:
            raise error
        if not self._work.complete:
            raise self._stopped()
        raise StopAsyncIteration

    def _begin(self) -> Task[None]:
        if self._pipeline.waits.closed:
            raise self._stopped()
        try:
            return self._pipeline.background.start(self._work.run, deadline=self._deadline, ended=self._work.over)
        except ElsewhereError:
            raise ClientClosedError(ELSEWHERE, method="", path="") from None

    def _stopped(self) -> M3terError:
        if self._pipeline.waits.closed:
            return ClientClosedError("this map was stopped: its client is closed", method="", path="")
        return M3terError("this map was stopped: its reader or a call of its function was cancelled")

    def __del__(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """Stop what is under way, and see it end."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            if not inside(self._task):
                await self._task.ended.wait()


def fan_out(
    pipeline: Pipeline,
    items: Iterable[T] | AsyncIterable[T],
    fetch: Callable[[T], Awaitable[R]],
    *,
    concurrency: int,
    ordered: bool,
    errors: str,
) -> FanOut[T, Any]:
    """Check the arguments of `AsyncM3ter.map`; nothing begins before the first result is asked for."""
    if not isinstance(items, (AsyncIterable, Iterable)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"items must be an iterable or async iterable, not {type(items).__name__}")
    if not callable(fetch):
        raise TypeError(f"fetch must be an async function of one item, not {type(fetch).__name__}")
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"concurrency must be a whole number from 1, not {concurrency!r}")
    if errors not in ("raise", "collect"):
        raise ValueError(f"errors must be 'raise' or 'collect', not {errors!r}")
    return FanOut(_Work(items, fetch, concurrency, ordered, errors == "collect"), pipeline)


FanOut.__module__ = "m3ter_async"  # where users import it from
