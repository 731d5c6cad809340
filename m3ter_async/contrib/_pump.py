"""An async generator that runs in a thread of its own, for callers that know no event loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Final, TypeVar

import anyio
from anyio import to_thread

T = TypeVar("T")
_END: Final = object()
_PATIENCE: Final = 0.05  # seconds after which a full queue is looked at again


class _Left(Exception):
    """Nobody wants more."""


@contextmanager
def pumped(source: Callable[[], AsyncGenerator[T]]) -> Generator[Generator[T]]:
    """What `source` yields, in the thread that asks for it; at the end of the block it is stopped.

    It runs in one task from beginning to end, so that it may hold task groups and cancel scopes open. It is at most one
    item ahead.
    """
    items: queue.Queue[Any] = queue.Queue(maxsize=1)
    left = threading.Event()

    def put(item: object) -> None:
        while not left.is_set():
            try:
                return items.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
        raise _Left

    async def work() -> None:
        failure: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, left, tasks.cancel_scope)
            try:
                async with aclosing(source()) as found:
                    async for item in found:
                        await to_thread.run_sync(put, item)
            except _Left:
                pass
            except Exception as error:  # noqa: BLE001  it is raised where the items are asked for
                failure = error
            tasks.cancel_scope.cancel()
        if not left.is_set():
            put(failure or _END)

    def given() -> Generator[T]:
        while (item := items.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item

    def run() -> None:
        try:
            anyio.run(work)
        except _Left:
            pass
        except BaseException as error:  # noqa: BLE001  or who waits for an item would wait for ever
            with suppress(_Left):
                put(error)

    thread = threading.Thread(target=run, name="m3ter-sync", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        left.set()
        thread.join()


async def _watch(left: threading.Event, scope: anyio.CancelScope) -> None:
    while not left.is_set():  # noqa: ASYNC110  another thread sets it
        await anyio.sleep(_PATIENCE)
    scope.cancel()
