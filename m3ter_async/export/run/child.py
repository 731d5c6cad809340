"""A child process of an export: it fetches pages, converts their records and writes files, as its parent says.

It knows no credentials: each request comes with its token. When its parent is gone, its input ends, and it ends too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ...transports.aiohttp import AiohttpTransport
from ...transports.network import Network
from ...transports.protocol import Request, TransportError
from ..slices.listings import unconnected
from ..slices.parent_names import ParentName
from ..slices.slice import SlicePage
from .child_messages import (
    LENGTH,
    MAGIC,
    Add,
    Answer,
    Call,
    Cancel,
    Clear,
    Convert,
    Fault,
    Fetch,
    Open,
    PassOver,
    Reply,
    Seal,
    Start,
    State,
    encode,
    framed,
)
from .child_pages import KeptPages
from .opening import plan
from .parts import OpenPart

_call = msgspec.msgpack.Decoder(Call)


class _Drafts:
    """The files of one part, where the parent has made room for them."""

    def __init__(self, mark: str, paths: dict[str, Path]) -> None:
        self.mark = mark
        self._paths = paths

    def draft(self, name: str) -> Path:
        return self._paths[name]

    def discard(self, name: str) -> None:
        self._paths[name].unlink(missing_ok=True)


class _Child:
    def __init__(self, start: Start, answer: Callable[[Reply], None]) -> None:
        client = unconnected()
        self._listings, self._layouts = plan(client, start.begun)
        # how many requests are out at once is the parent's to say
        self._transport = AiohttpTransport(max_connections=10_000, _network=Network.of(start.network))
        self._answer = answer
        self._pages = defaultdict[int, KeptPages](KeptPages)
        self._parts: dict[int, OpenPart] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}
        # one at a time: several would only take turns at the interpreter, each with memory of its own
        self._turn = asyncio.Lock()

    def take(self, call: Call) -> None:
        """Begin to carry out a call."""
        if isinstance(call.order, Cancel):
            if (task := self._calls.get(call.order.call)) is not None:
                task.cancel()
            return
        self._calls[call.number] = asyncio.get_running_loop().create_task(self._carry_out(call))

    async def _carry_out(self, call: Call) -> None:
        try:
            value = await self._done(call.order)
            reply = Reply(call.number, msgspec.Raw(encode(value)))
        except TransportError as error:
            names = ("sent", "timeout", "too_large", "status", "final")
            reply = Reply(call.number, fault=Fault("wire", error.reason, wire={n: getattr(error, n) for n in names}))
        except OSError as error:
            where = None if error.filename is None else str(error.filename)
            reply = Reply(call.number, fault=Fault("disk", error.strerror or str(error), error.errno, where))
        except Exception as error:  # noqa: BLE001  whatever it is, the parent has to know
            traceback.print_exc()
            reply = Reply(call.number, fault=Fault("other", f"{type(error).__name__}: {error}"))
        finally:
            del self._calls[call.number]
        self._answer(reply)

    async def _done(self, order: Any) -> object:
        match order:
            case Fetch():
                return await self._fetch(order)
            case Clear():
                self._pages.pop(order.desk, None)
                return None
            case Open():
                record = self._listings[order.resource].operation.answer
                drafts = _Drafts(order.mark, {name: Path(path) for name, path in order.drafts.items()})
                layout = self._layouts[order.resource]
                self._parts[order.part] = OpenPart(drafts, order.resource, layout, order.number, record, order.most)
                return None
            case Add():
                return self._add(order)
            case PassOver():
                part = self._parts[order.part]
                part.pass_over(order.slice, order.after, unit=order.unit, gone=order.gone)
                return _state(part)
            case Convert():
                part = self._parts[order.part]
                await self._in_thread(part.convert)
                return _state(part)
            case Seal():
                part = self._parts.pop(order.part)
                return await self._in_thread(lambda: part.seal(order.headers))
            case _:
                await self._in_thread(self._parts.pop(order.part).discard)
                return None

    async def _fetch(self, order: Fetch) -> Answer:
        request = Request(order.method, order.url, order.headers, timeout=order.timeout, max_bytes=order.max_bytes)
        response = await self._transport.send(request)
        headers = {name.lower(): value for name, value in response.headers.items()}
        content, size = response.content, len(response.content)
        if 200 <= response.status < 300:
            content = self._pages[order.desk].keep(content, order.page)
        return Answer(response.status, headers, bytes(content), size)

    def _add(self, order: Add) -> State:
        records = self._pages[order.desk].take(list(order.records))
        contradicted = 0
        if order.slice.parent_key is not None and order.parent is not None:
            naming = ParentName(order.slice.parent_key, order.parent)
            records = [naming.into(each) for each in records]
            contradicted = naming.contradicted
        part = self._parts[order.part]
        return _state(part, part.add(order.slice, SlicePage(records, order.parent, order.position, contradicted)))

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        async with self._turn:
            return await asyncio.to_thread(call)


def _state(part: OpenPart, size: int = 0) -> State:
    return State(size, part.records, part.sound, part.full, part.ripe)


def _read(stream: BinaryIO) -> bytes:
    """The next message; at the end of the input the process ends, in the middle of whatever it does."""
    length = stream.read(LENGTH)
    content = stream.read(int.from_bytes(length, "big")) if len(length) == LENGTH else b""
    if not content:
        os._exit(0)
    return content


async def _serve(start: Start, orders: BinaryIO, answers: BinaryIO) -> None:
    loop = asyncio.get_running_loop()

    def answer(reply: Reply) -> None:
        answers.write(framed(reply))
        answers.flush()

    child = _Child(start, answer)

    def listen() -> None:
        while True:
            loop.call_soon_threadsafe(child.take, _call.decode(_read(orders)))

    threading.Thread(target=listen, name="m3ter-orders", daemon=True).start()
    answer(Reply(0))
    await asyncio.Event().wait()


def main() -> None:
    """Serve the process that is at the other end of both pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # stopping is the parent's to say
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints goes elsewhere
    sys.stdout = sys.stderr
    orders = sys.stdin.buffer
    answers.write(MAGIC)
    answers.flush()
    start = msgspec.msgpack.decode(_read(orders), type=Start)
    asyncio.run(_serve(start, orders, answers))
