"""One child process, seen from its parent: what it is told, what it answers, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from ...transports.protocol import TransportError
from ..errors import ExportError
from .child_messages import LENGTH, MAGIC, Call, Cancel, Fault, Order, Reply, Start, framed

T = TypeVar("T")

_STRAY = 2**20  # bytes that others may print before a child speaks
_TO_START = 120.0  # seconds
_TO_CARRY_OUT = 600.0  # seconds; whatever takes longer does not end any more
_TO_TAKE = 60.0  # seconds for a message
TO_ANSWER = 60.0  # seconds beyond those that a request has
_TO_END = 5.0  # seconds


_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class ChildDied(ExportError):
    """A child process ended in the middle of its work; what it had not finished is lost."""


class Child:
    """One child process.

    Args:
        process: It, as it was started.

    Attributes:
        alive: Whether it has not ended yet.
        why: How it ended.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._numbers = count(1)
        self._waiting: dict[int, tuple[anyio.Event, list[Reply]]] = {0: (anyio.Event(), [])}
        self._turn = anyio.Lock()
        self._ended = anyio.Event()
        self.alive: bool = True
        self.why: str = ""

    async def start(self, start: Start) -> None:
        """Tell it what it works for, and wait until it is there.

        Raises:
            ChildDied: It ended.
        """
        with anyio.move_on_after(_TO_START):
            await self._send(start)
            await self._reply(0)
            return
        raise await self._put_down()

    async def call(self, order: Order, kind: type[T], *, seconds: float = _TO_CARRY_OUT, droppable: bool = False) -> T:
        """Have an order carried out.

        Args:
            seconds: After which a child that does not answer is ended.
            droppable: Whether it stops where the caller is cancelled; else it is seen to its end.

        Raises:
            ChildDied: The child ended.
            TransportError: As of a transport.
            OSError: As of a disk.
            ExportError: It failed.
        """
        number = next(self._numbers)
        try:
            with anyio.CancelScope(shield=not droppable), anyio.move_on_after(seconds):
                self._waiting[number] = anyio.Event(), []
                await self._send(Call(number, order))
                reply = await self._reply(number)
                if reply.fault is not None:
                    raise _raised(reply.fault)
                return msgspec.msgpack.decode(reply.value, type=kind)
        except BaseException:
            if self._waiting.pop(number, None) is not None and self.alive:
                with anyio.CancelScope(shield=True), anyio.move_on_after(TO_ANSWER):
                    await self._send(Call(next(self._numbers), Cancel(number)))
            raise
        raise await self._put_down()

    async def _reply(self, number: int) -> Reply:
        event, found = self._waiting[number]
        await event.wait()
        self._waiting.pop(number, None)
        if not found:
            raise self._death()
        return found[0]

    async def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        if not self.alive:
            raise self._death()
        async with self._turn:
            # half a message would spoil those after it
            with anyio.move_on_after(_TO_TAKE, shield=True), suppress(*_BROKEN):
                await self._process.stdin.send(framed(message))
                return
        raise await self._put_down()

    async def listen(self) -> None:
        """Take its answers until it ends."""
        assert self._process.stdout is not None
        stream = BufferedByteReceiveStream(self._process.stdout)
        decoder = msgspec.msgpack.Decoder(Reply)
        try:
            await stream.receive_until(MAGIC, _STRAY)
            while True:
                length = int.from_bytes(await stream.receive_exactly(LENGTH), "big")
                reply = decoder.decode(await stream.receive_exactly(length))
                if (waiting := self._waiting.get(reply.number)) is not None:
                    waiting[1].append(reply)
                    waiting[0].set()
        except (anyio.IncompleteRead, anyio.DelimiterNotFound, msgspec.MsgspecError, *_BROKEN):
            pass
        with anyio.move_on_after(_TO_END):
            await self._process.wait()
        self.kill()  # it says nothing any more
        self.why = _told(await self._process.wait())
        self.alive = False
        self._ended.set()
        for event, _ in self._waiting.values():
            event.set()
        await self._process.aclose()

    @property
    def killed(self) -> bool:
        """Whether it was ended by a signal."""
        return (self._process.returncode or 0) < 0

    def _death(self) -> ChildDied:
        return ChildDied(f"a process of this export ended in the middle of its work ({self.why})")

    async def _put_down(self) -> ChildDied:
        """End it, since it takes or answers nothing, and say how it ended."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(_TO_END):
                await self._ended.wait()  # it may have ended by itself
            self.kill()
            await self._ended.wait()
        return self._death()

    def kill(self) -> None:
        """End it, in whatever it does."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                # not by asyncio's own means, which take its exit status from those who wait for it
                self._process.kill() if sys.platform == "win32" else os.kill(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Let it end, and see it end."""
        if not self.alive:
            return
        assert self._process.stdin is not None
        with anyio.move_on_after(_TO_END):
            await self._process.stdin.aclose()
            await self._process.wait()
            return
        self.kill()


def _told(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name


def _raised(fault: Fault) -> Exception:
    """A fault of a child as it would have been raised here."""
    if fault.kind == "disk":
        return OSError(fault.errno or 0, fault.reason, fault.where)
    if fault.kind == "wire":
        wire: Mapping[str, Any] = fault.wire
        return TransportError(fault.reason, **wire)
    return ExportError(f"a process of this export failed: {fault.reason}")
