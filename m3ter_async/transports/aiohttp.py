"""The default backend: aiohttp, on asyncio."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakSet

import aiohttp
from yarl import URL

from ..errors import ConfigurationError
from . import decompression
from .protocol import Request, Response, TransportError
from .streaming import move

_CONNECT = 10.0  # seconds
# Shorter than the idle time after which load balancers hang up, so that no request is sent into a closing connection.
_KEEP_ALIVE = 15.0
_SMALL = 65_536  # bytes
_LARGE = 67_108_864  # bytes; for more than that, a length alone is no reason to make room


class AiohttpTransport:
    """Sends through an ``aiohttp.ClientSession``.

    Args:
        session: A session of yours, which stays yours to close; by default one is opened with the first request. One
            with an ``auth`` or middlewares of its own is refused.
        max_connections: The most connections of a session that is opened here.

    Raises:
        ConfigurationError: The session cannot be used as it is.
    """

    def __init__(self, session: aiohttp.ClientSession | None = None, *, max_connections: int = 100) -> None:
        if session is not None and session.auth is not None:
            raise ConfigurationError("session= has an auth of its own, which would replace the access token")
        if getattr(session, "_middlewares", ()):  # nothing public tells
            raise ConfigurationError("session= has middlewares, which would not run: nothing may repeat a request here")
        self._session = session
        self._owned = session is None
        self._closed = False
        self._max_connections = max_connections
        self._origins: dict[str, URL] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._sockets = WeakSet[socket.socket]()

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it on."""
        return await (move(request, self._exchange) if request.streamed else self._exchange(request))

    async def _exchange(self, request: Request) -> Response:
        if self._closed or (self._session is not None and self._session.closed):
            raise TransportError("this transport, or the session it was given, is closed", sent=False)
        session = self._session or self._open()
        timeout = self._timeouts.get(request.timeout)
        if timeout is None:
            total = None if request.timeout == math.inf else request.timeout
            timeout = aiohttp.ClientTimeout(total=total, sock_connect=_CONNECT)
            self._timeouts = {request.timeout: timeout}
        try:
            answer = await session.request(
                request.method,
                self._url(request.url),
                headers=request.headers,
                data=request.pieces or request.content,
                timeout=timeout,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,  # only from 3.14 on does aiohttp's own know a bound
                middlewares=_LOGGED_IN if "Authorization" in request.headers else _BARE,
            )
            try:
                into = request.into if 200 <= answer.status < 300 else None
                return Response(answer.status, answer.headers, await _read(answer, request.max_bytes, into))
            finally:
                answer.close()  # cuts what was not read to its end; after that, the connection is back in the pool
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = _translate(error)
        # raised here, where nothing is chained: aiohttp's frames hold headers, and its texts quote what came in
        raise failure

    @property
    def connections(self) -> int | None:
        """How many connections are open now, idle ones included; None if the session is yours."""
        return sum(one.fileno() >= 0 for one in self._sockets) if self._owned else None

    async def aclose(self) -> None:
        """Close what was opened here."""
        self._closed = self._owned
        if self._owned and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _url(self, url: str) -> URL:
        # parsing a URL costs as much as half of sending it: the origin is parsed once
        end = url.index("/", 8)
        origin = self._origins.get(url[:end])
        if origin is None:
            self._origins = {url[:end]: URL(url[:end])}
            return self._url(url)
        path, _, query = url[end:].partition("?")
        return URL(url, encoded=True) if query else origin.with_path(path, encoded=True)

    def _open(self) -> aiohttp.ClientSession:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("aiohttp needs asyncio; on trio pass transport=HttpxTransport()") from None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_connections, keepalive_timeout=_KEEP_ALIVE, socket_factory=self._socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        # made here so that they can be counted: aiohttp itself does not tell how many are open
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp sends a PUT or DELETE again by itself when the connection drops. Whether that is safe is not its to say,
    # and a caller must know of the doubt; an exception that it does not know passes through.
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        failure = _translate(error)
    raise failure


async def _bare(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    request.headers.popall("Authorization", None)  # of the caller's session, or out of ~/.netrc
    return await handler(request)


_LOGGED_IN = (_once,)
_BARE = (_bare, _once)


async def _read(
    answer: aiohttp.ClientResponse, most: int, into: Callable[[bytes], Awaitable[None]] | None
) -> bytes | bytearray:
    encoding = answer.headers.get("Content-Encoding")
    length = answer.content_length
    if into is not None or encoding is not None or length is None or not 0 < length <= min(most, _LARGE):
        return await decompression.read(answer.content.iter_any(), encoding or "", most, into)
    if length < _SMALL:
        return await answer.read()
    # filled in place where the length is known: joining the chunks of a large page would hold it twice
    body = bytearray(length)
    size = 0
    async for chunk in answer.content.iter_any():
        end = size + len(chunk)
        body[size:end] = chunk
        size = end
    del body[size:]  # an answer to HEAD has a length and no body
    return body


def _translate(error: Exception) -> TransportError:
    name = type(error).__name__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransportError("no connection in time", sent=False, timeout=True)
    if isinstance(error, asyncio.TimeoutError):
        return TransportError("no answer in time", timeout=True)
    if isinstance(error, (aiohttp.ClientConnectorError, ssl.SSLCertVerificationError, aiohttp.InvalidURL)):
        return TransportError(f"no connection: {error}", sent=False)
    if isinstance(error, (aiohttp.ServerDisconnectedError, OSError)):
        return TransportError(f"the connection broke ({name})")
    return TransportError(f"the answer broke off or is not HTTP ({name})")


AiohttpTransport.__module__ = "m3ter_async"  # where users import it from
