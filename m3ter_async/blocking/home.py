"""The event loop of a process that knows none: one thread, one client for each connection, closed at exit."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import aclosing, suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import msgspec

from ..client import AsyncM3ter
from .connection import Connection

T = TypeVar("T")

AHEAD = 2
"""How many items are made before they are asked for."""
_SEE_IT_END = 5.0  # seconds; at exit, a client has so long to close
_END = object()


class Home:
    """An event loop in a thread of its own, with the clients that live there."""

    def __init__(self) -> None:
        self.process: int = os.getpid()
        self._clients: dict[tuple[Connection, int], AsyncM3ter] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="m3ter-async", daemon=True)
        self._thread.start()

    async def client(self, connection: Connection) -> AsyncM3ter:
        """The client of a connection; organizations that share a connection share its client, and so its login."""
        # the variables belong to the key: keys are rotated while a process lives
        key = msgspec.structs.replace(connection, org_id=None), _environment()
        found = self._clients.get(key)
        if found is None:
            found = self._clients[key] = connection.client()
        if connection.org_id not in (None, found.org_id):
            return found.with_options(org_id=connection.org_id)
        return found

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` returns or raises, waited for."""
        self._check()
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise _closed() from None
        finally:
            future.cancel()  # of effect only where waiting was interrupted, as by Ctrl-C

    def stream(self, sources: Iterable[Callable[[], AsyncGenerator[T]]], *, side_by_side: int = 1) -> Iterator[T]:
        """What asynchronous generators yield, a few items made before they are asked for.

        Args:
            sources: What makes the generators.
            side_by_side: How many of them are read at the same time; above 1, their items come mixed.
        """
        self._check()
        made: SimpleQueue[Any] = SimpleQueue()
        places = asyncio.Semaphore(AHEAD)
        waiting = iter(sources)

        async def one_after_the_other() -> None:
            for source in waiting:
                async with aclosing(source()) as items:
                    async for item in items:
                        await places.acquire()
                        made.put(item)

        async def read() -> None:
            tasks = [asyncio.ensure_future(one_after_the_other()) for _ in range(side_by_side)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        future = asyncio.run_coroutine_threadsafe(read(), self._loop)
        future.add_done_callback(lambda _: made.put(_END))
        try:
            while True:
                self._check()
                item = made.get()
                if item is _END:
                    break
                with suppress(RuntimeError):  # the loop was closed: the end comes next
                    self._loop.call_soon_threadsafe(places.release)
                yield item
            future.result()
        except CancelledError:
            raise _closed() from None
        finally:
            future.cancel()

    def close(self) -> None:
        """Stop what is under way, close the clients and end the thread."""
        if self.process != os.getpid() or self._loop.is_closed():
            return
        future = asyncio.run_coroutine_threadsafe(self._aclose(), self._loop)
        with suppress(TimeoutError):
            future.result(_SEE_IT_END)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SEE_IT_END)
        if not self._thread.is_alive():
            self._loop.close()

    async def _aclose(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for client in self._clients.values():
            await client.aclose()
        await self._loop.shutdown_asyncgens()

    def _check(self) -> None:
        """Refuse what would wait for ever."""
        if self.process != os.getpid():
            raise RuntimeError("this reading began in another process, before a fork: begin it in this one")
        if threading.current_thread() is self._thread:
            raise RuntimeError("m3ter_async.blocking would wait for itself here: await the client's methods instead")
        if self._loop.is_closed():
            raise _closed()


def _closed() -> RuntimeError:
    return RuntimeError("m3ter_async.blocking was closed meanwhile: nothing can be read from here on")


def _environment() -> int:
    return hash(frozenset((name, value) for name, value in os.environ.items() if name.startswith("M3TER_")))


_lock = threading.Lock()
_home: Home | None = None
_of_parents: list[Home] = []  # kept: to collect them would close what still serves the parent process


def home() -> Home:
    """The event loop of this process."""
    global _home
    with _lock:
        if _home is None:
            _home = Home()
        return _home


def close() -> None:
    """Close the clients and the event loop of this process, which happens at its exit anyway.

    What is being read ends with a RuntimeError. The next call opens new ones.
    """
    global _home
    with _lock:
        closing, _home = _home, None
    if closing is not None:
        closing.close()


def _in_a_fork() -> None:
    global _home, _lock
    _lock = threading.Lock()  # another thread may have held it
    if _home is not None:
        _of_parents.append(_home)
        _home = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_fork)
atexit.register(close)
