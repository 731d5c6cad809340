"""Virtual time on asyncio and on trio, and everything else that would make two runs of one seed differ."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import random
import signal
import sys
import threading
from asyncio import base_events
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import anyio
import trio
from anyio._backends import _asyncio as anyio_asyncio
from trio._core import _run as trio_run

from m3ter_async._core.clock import Clock

# steps of a loop at one moment: more of them is a loop that never waits for anything
_MOST_STEPS = 300_000
_WALL = 1_700_000_000.0
_LONGEST_REAL = 20.0  # seconds for a world; the usual one takes a fiftieth of one


class Stuck(BaseException):
    """Nothing will ever happen again, or too much at one moment; it ends the event loop from inside."""


class _Time:
    """The present of one world.

    Attributes:
        now: Seconds since its beginning.
        limit: The world is ended by force when time would pass this.
        ended: Why it was.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.limit = math.inf
        self.ended: str | None = None
        self._steps = 0

    def step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            self.end(f"{_MOST_STEPS} steps of the event loop at one moment")

    def end(self, reason: str) -> NoReturn:
        self.ended = self.ended or reason
        raise Stuck(reason)

    def jump(self, seconds: float) -> None:
        if self.now + seconds > self.limit:
            self.end("nothing could end the world")
        if seconds > 0:
            self.now += seconds
            self._steps = 0


class _Selector:
    """In place of one that waits for sockets: it waits for nothing, and lets time jump to the next timer."""

    def __init__(self, time: _Time) -> None:
        self._time = time

    def select(self, timeout: float | None) -> list[Any]:
        self._time.step()
        if timeout is None:
            self._time.end("no timer is set and no task can go on")
        if timeout > 0:
            self._time.jump(timeout)
        return []


class _Task(asyncio.Task[Any]):
    """A task whose place in a set depends on when it was made, and not on where in memory."""

    _numbers = itertools.count()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number


class _Scope(anyio_asyncio.CancelScope):
    """The same for cancel scopes, of which anyio keeps sets."""

    __slots__ = ("_number",)
    _numbers = itertools.count()

    def __init__(self, deadline: float = math.inf, shield: bool = False) -> None:
        self._number = next(self._numbers)
        super().__init__(deadline, shield)

    def __hash__(self) -> int:
        return self._number


class _Loop(base_events.BaseEventLoop):
    """asyncio's own loop, without sockets, signals and threads."""

    def __init__(self, time: _Time, complain: Callable[[str], None], eager: bool) -> None:
        super().__init__()
        self._virtual = time
        self._selector = _Selector(time)
        self._clock_resolution = 1e-9
        self.set_exception_handler(lambda loop, context: complain(f"{context['message']}: {context.get('exception')}"))
        if eager and sys.version_info >= (3, 12):
            self.set_task_factory(asyncio.create_eager_task_factory(_Task))
        else:
            self.set_task_factory(lambda loop, coro, **options: _Task(coro, loop=loop, **options))

    def time(self) -> float:
        return self._virtual.now

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass  # nobody calls from another thread


class _TrioClock(trio.abc.Clock):
    """The same on trio: as its own clock that jumps, but on the time of a world, and with an end."""

    def __init__(self, time: _Time) -> None:
        self._time = time

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        self._time.step()
        return self._time.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        # asked when no task can go on; a finalizer may have called from outside of them
        if trio.lowlevel.current_statistics().run_sync_soon_queue_size == 0:
            if math.isinf(deadline):
                self._time.end("no timer is set and no task can go on")
            self._time.jump(max(0.0, deadline - self._time.now))
        return 0.0


class VirtualClock(Clock):
    """What the client takes its time and chance from.

    Args:
        skew: Seconds by which this machine's wall clock is ahead of the service's.
    """

    def __init__(self, time: _Time, chance: random.Random, skew: float) -> None:
        self._time = time
        self._chance = chance
        self._skew = skew

    def now(self) -> float:
        return self._time.now

    def wall(self) -> float:
        return self.service_wall() + self._skew

    def service_wall(self) -> float:
        """What the clock on the service's wall shows."""
        return _WALL + self._time.now

    def random(self) -> float:
        return self._chance.random()


@contextmanager
def _repeatable(seed: str, complain: Callable[[str], None]) -> Iterator[None]:
    """Take the order of memory addresses and the moments of garbage collection out of what happens."""

    def unraisable(what: Any) -> None:
        complain(f"{what.err_msg or 'ignored'}: {what.exc_value!r}")

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    scope, state, flag = anyio_asyncio.CancelScope, trio_run._r.getstate(), trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    collecting = gc.isenabled()
    gc.disable()
    anyio_asyncio.CancelScope = _Scope  # type: ignore[misc]
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    trio_run._r.seed(seed)
    _Task._numbers, _Scope._numbers = itertools.count(), itertools.count()
    try:
        yield
    finally:
        anyio_asyncio.CancelScope = scope  # type: ignore[misc]
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = flag  # type: ignore[misc]
        trio_run._r.setstate(state)
        sys.unraisablehook = hook
        if collecting:
            gc.enable()


@contextmanager
def _watched(time: _Time) -> Iterator[None]:
    """End a world that turns round in one step of one task, which nothing in it can see; this alone is real time."""

    def end(number: int, frame: object) -> None:
        time.end(f"one step took longer than {_LONGEST_REAL:g} s of real time")

    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_REAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def run(
    seed: str,
    backend: str,
    main: Callable[[_Time], Awaitable[None]],
    complain: Callable[[str], None],
    *,
    eager: bool = False,
) -> str | None:
    """Run `main` in virtual time.

    Args:
        complain: Told of errors that had nobody to go to: of finalizers, and of tasks that nobody waited for.
        eager: Whether asyncio's tasks take their first steps at once, where Python can do that (from 3.12 on).

    Returns:
        Why the event loop had to be ended by force, or None where `main` ended by itself.
    """
    time = _Time()

    def told(text: str) -> None:
        if not time.ended:  # what a loop that was broken off says of that is its own affair
            complain(text)

    options = {"clock": _TrioClock(time)} if backend == "trio" else {"loop_factory": lambda: _Loop(time, told, eager)}
    with _repeatable(seed, told), _watched(time):
        try:
            anyio.run(main, time, backend=backend, backend_options=options)
        except BaseException:
            if not time.ended:
                raise
    if time.ended:
        gc.freeze()  # what such a loop leaves behind cannot be taken down
    return time.ended
