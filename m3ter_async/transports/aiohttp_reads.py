"""Reads without a body, over the connections of a session but past the session itself.

What the session does for each request, such as copying headers, asking for cookies and setting timers, costs more than
to send it and to read a small answer. What is used of aiohttp in its place is what the session itself uses of its
connections. That is no public interface: so this way is gone only with versions that are known.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import hdrs
from aiohttp.http import HttpProcessingError

from . import decompression
from .aiohttp_attempts import AiohttpStage
from .aiohttp_bodies import read, read_refusal
from .protocol import Request, Response
from .stage import connect_within

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

    from .aiohttp_origins import Origin
    from .network import Route

KNOWN = aiohttp.__version__.startswith("3.14.")
_EARLY = 0.001  # seconds by which an event loop may call too early


def _made_by_aiohttp(name: str) -> object:
    """A method of all sessions; None where another one stands in its place already."""
    method, other = getattr(aiohttp.ClientSession, name, None), aiohttp.ClientSession.close
    own = isinstance(method, FunctionType) and method.__code__.co_filename == other.__code__.co_filename
    return method if own else None


_OUTER, _INNER = (_made_by_aiohttp(name) for name in ("request", "_request"))


def untouched(session: aiohttp.ClientSession) -> bool:
    """Whether nobody but aiohttp has a hand in requests: libraries that trace or fake them replace methods of it."""
    kind: Any = type(session)
    return KNOWN and kind.request is _OUTER and kind._request is _INNER and not session.trace_configs


class Reads:
    """The reads of one session that are on their way, and their time.

    One timer serves all of them: setting one for each costs more than all else here.
    """

    def __init__(self, connector: aiohttp.BaseConnector, loop: asyncio.AbstractEventLoop) -> None:
        self._connector = connector
        self._loop = loop
        self._connect = aiohttp.ClientTimeout(total=None)
        self._ends: dict[Read, float] = {}
        self._next = math.inf  # when the timer rings
        self._timer: asyncio.TimerHandle | None = None

    def connection(self, origin: Origin, timeout: float) -> Awaitable[Connection]:
        """One that is idle, or a new one.

        Args:
            origin: Where to.
            timeout: Seconds for the whole read.
        """
        within = connect_within(timeout)
        if within != self._connect.connect:
            self._connect = aiohttp.ClientTimeout(connect=within, ceil_threshold=math.inf)
        return self._connector.connect(origin.to_connect, [], self._connect)

    def begin(self, one: Read, seconds: float) -> None:
        """Give a read so many seconds from now on."""
        self._ends[one] = end = self._loop.time() + seconds
        if seconds <= 0:
            one.late()
        elif end < self._next:
            self._wait(end)

    def ended(self, one: Read) -> None:
        """A read is over, whatever became of it."""
        del self._ends[one]

    def close(self) -> None:
        """Leave no timer behind; nothing begins any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = until
        self._timer = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        now = self._loop.time() + _EARLY
        for one, end in self._ends.items():
            if end <= now:
                one.late()
        self._next = min((end for end in self._ends.values() if end > now), default=math.inf)
        if self._next < math.inf:
            self._wait(self._next)


class Read(AiohttpStage):
    """One read.

    Args:
        reads: Where it is one of.
        origin: Where it goes.
        head: Its bytes.
        request: What it was made of.
    """

    _over = False
    _protocol: ResponseHandler | None = None
    _content: aiohttp.StreamReader | None = None

    def __init__(self, reads: Reads, origin: Origin, head: bytes, request: Request) -> None:
        super().__init__()
        self.route: Route | None = origin.route
        self._reads = reads
        self._origin = origin
        self._head = head
        self._request = request

    async def send(self) -> Response:
        """Send it, and read its answer to the end."""
        self._reads.begin(self, self._request.timeout)
        try:
            return await self._exchange()
        except Exception as error:  # noqa: BLE001  whatever a library raises is told by the stage it fell into
            failure = self.told(error)
        finally:
            self._reads.ended(self)
        return self.broken(failure)

    def late(self) -> None:
        """Its time is over."""
        self._over = True
        error = aiohttp.SocketTimeoutError()
        if self._content is not None and not self._content.is_eof():
            self._content.set_exception(error)
        if self._protocol is not None:
            self._protocol.set_exception(error)

    async def _exchange(self) -> Response:
        connection = await self._reads.connection(self._origin, self._request.timeout)
        content: aiohttp.StreamReader | None = None
        try:
            protocol = connection.protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError
            if self._over:
                raise aiohttp.ConnectionTimeoutError
            self._protocol = protocol
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            self.begun = True
            transport.write(self._head)
            try:
                message, content = await protocol.read()
                while 100 <= message.code < 200 and message.code != 101:
                    message, content = await protocol.read()
            except HttpProcessingError as error:
                told = self._origin.to_connect.request_info
                raise aiohttp.ClientResponseError(told, (), status=error.code) from error
            self._content = content
            return Response(message.code, message.headers, await self._body(message.code, message.headers, content))
        finally:
            # by then the whole answer came in, or nobody knows what comes over this connection next
            if content is not None and content.is_eof():
                connection.release()
            else:
                connection.close()

    async def _body(self, status: int, headers: Mapping[str, str], content: aiohttp.StreamReader) -> bytes:
        if not self.answered(status, headers):
            await read_refusal(content, headers, self.take)
            return self.body
        most = self._request.max_bytes
        if content.is_eof() and hdrs.CONTENT_ENCODING not in headers:  # most often it came with the headers
            body = content.read_nowait()
            if len(body) > most:
                raise decompression.too_large(most)
            return body
        return await read(content, headers, most)
