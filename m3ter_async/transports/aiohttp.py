"""The default backend: aiohttp, on asyncio."""

from __future__ import annotations

import asyncio
import math
import select
import socket
import ssl
import sys
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp
from yarl import URL

from ..errors import ConfigurationError
from . import decompression
from .aiohttp_bodies import encoding, read
from .aiohttp_sessions import abandon
from .network import Network, Route
from .protocol import Request, Response, TransportError
from .stage import REFUSAL_SECONDS, Stage, connect_within, refused_by_proxy
from .streaming import move

if TYPE_CHECKING:
    from aiohttp.connector import Connection

# Shorter than the idle time after which load balancers hang up, so that no request is sent into a closing connection.
_KEEP_ALIVE = 15.0
_READS = ("GET", "HEAD", "OPTIONS")
_ORIGINS = 100  # that are remembered; presigned URLs may lead to many


class AiohttpTransport:
    """Sends through an ``aiohttp.ClientSession``.

    Args:
        session: A session of yours, which stays yours to close, and keeps its own proxies and certificates; by default
            one is opened with the first request. One with an ``auth`` or middlewares of its own is refused.
        max_connections: The most connections of a session that is opened here.
        proxy: The URL of a proxy for every request, "" for none; by default ``HTTPS_PROXY`` and its kin decide.
        ssl_context: How certificates are checked; by default ``SSL_CERT_FILE`` and its kin decide.

    Raises:
        ConfigurationError: The session, the proxy or a file of certificates cannot be used as it is.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        max_connections: int = 100,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        _network: Network | None = None,
    ) -> None:
        if session is not None and session.auth is not None:
            raise ConfigurationError("session= has an auth of its own, which would replace the access token")
        if getattr(session, "_middlewares", ()):  # nothing public tells
            raise ConfigurationError("session= has middlewares, which would not run: nothing may repeat a request here")
        if session is not None and (proxy is not None or ssl_context is not None):
            raise ConfigurationError("session= goes by its own settings: pass proxy= and ssl_context= to the session")
        ours = _network or (Network(proxy, ssl_context) if session is None else Network("", environment={}))
        self.network: Network = ours
        self.alike: Network | None = ours if session is None else None  # what one in another process is made by
        self._session = session
        self._owned = session is None
        self._closed = False
        self.keeps_time: bool = True
        self._max_connections = max_connections
        self._targets: dict[str, tuple[URL, Route]] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._sockets = WeakSet[socket.socket]()

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it on."""
        attempt = _Attempt() if "Authorization" in request.headers else _BareAttempt()
        if request.streamed:
            return await move(request, partial(self._exchange, attempt=attempt), attempt)
        return await self._exchange(request, attempt)

    async def _exchange(self, request: Request, attempt: _Attempt) -> Response:
        session = self._ready()
        try:
            url, route = self._target(request.url)
            attempt.route = route
            proxy = route.proxy
            answer = await session.request(
                request.method,
                url,
                headers=request.headers if proxy is None else _for_proxy(request, proxy.headers),
                data=request.pieces or request.content,
                timeout=self._timeouts.get(request.timeout) or self._timeout(request.timeout),
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,  # only from 3.14 on does aiohttp's own know a bound
                middlewares=(attempt,),
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.headers,
            )
            try:
                if attempt.answered(answer.status, answer.headers):
                    return Response(answer.status, answer.headers, await read(answer, request.max_bytes, request.into))
                async with asyncio.timeout(REFUSAL_SECONDS):
                    await decompression.read(answer.content.iter_any(), encoding(answer), math.inf, attempt.take)
                return Response(answer.status, answer.headers, attempt.body)
            finally:
                answer.close()  # cuts what was not read to its end; after that, the connection is back in the pool
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a library raises is told by the stage it fell into
            failure = attempt.told(error)
        if refusal := attempt.refusal():
            return refusal
        # raised here, where nothing is chained: aiohttp's frames hold headers, and its texts quote what came in
        raise failure.with_traceback(None)

    @property
    def connections(self) -> int | None:
        """How many connections are open now, idle ones included; None if the session is yours."""
        return sum(one.fileno() >= 0 for one in self._sockets) if self._owned else None

    @property
    def opened(self) -> bool:
        """Whether there is anything to close."""
        return self._owned and self._session is not None and not self._session.closed

    def abandon(self) -> None:
        """Let go of what is open without a word; a garbage collector may ask, in any thread."""
        session, self._session = self._session, None
        if session is not None:
            abandon(session)

    async def aclose(self) -> None:
        """Close what was opened here."""
        self._closed = self._owned
        if self._owned and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _target(self, url: str) -> tuple[URL, Route]:
        # parsing a URL costs as much as half of sending it: the origin is parsed once
        end = url.index("/", 8)
        known = self._targets.get(url[:end])
        if known is None:
            if len(self._targets) >= _ORIGINS:
                self._targets.clear()
            known = self._targets[url[:end]] = (URL(url[:end]), self.network.route(url[:end]))
        path, _, query = url[end:].partition("?")
        return URL(url, encoded=True) if query else known[0].with_path(path, encoded=True), known[1]

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        made = aiohttp.ClientTimeout(
            total=None if seconds == math.inf else seconds,
            connect=connect_within(seconds),
            ceil_threshold=math.inf,  # else a time limit of more than five seconds is rounded up to whole ones
        )
        self._timeouts = {seconds: made}
        return made

    def _ready(self) -> aiohttp.ClientSession:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("aiohttp needs asyncio; on trio pass transport=HttpxTransport()") from None
        session = self._session
        if self._closed or (session is not None and session.closed):
            raise TransportError("this transport, or the session it was given, is closed", closed=True)
        if getattr(session, "_loop", here) is not here:
            raise TransportError("the session of this transport belongs to another event loop", closed=True)
        return session or self._open()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_connections,
                keepalive_timeout=_KEEP_ALIVE,
                socket_factory=self._socket,
                ssl=self.network.context() or True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_CheckedRequest,
        )
        return self._session

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        # made here so that they can be counted: aiohttp itself does not tell how many are open
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        if attempt := _connecting.get():
            attempt.connected = True
        return made


class _HungUp(Exception):
    """The server has closed an idle connection: nothing was sent over it."""


class _CheckedRequest(aiohttp.ClientRequest):
    """Looks before a write is sent over a connection that was idle, whether the server has closed it meanwhile.

    The event loop sees that only in its next round, and then nobody could tell whether the request took effect. For a
    read, which can be repeated, the look costs more than it saves.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if self.method not in _READS:
            attempt = _connecting.get()
            if attempt is not None and not attempt.connected and _is_readable(conn.transport):
                raise _HungUp
        return await aiohttp.ClientRequest.send(self, conn)


def _is_readable(transport: asyncio.Transport | None) -> bool:
    """Whether anything lies in the socket of an idle connection: an end, or what no request has asked for."""
    one = None if transport is None else transport.get_extra_info("socket")
    if one is None:
        return False
    number: int = one.fileno()
    if number < 0:
        return True
    if sys.platform == "win32":
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


class _Attempt(Stage):
    """A stage that goes with its request as a middleware, since there aiohttp tells how far it came.

    Attributes:
        connected: Whether a connection was made for it.
    """

    connected = False
    _request: aiohttp.ClientRequest | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        self._request = request
        while True:
            before = _connecting.set(self)
            try:
                return await handler(request)
            except _HungUp:
                continue  # over the next connection; each idle one falls out once, and a new one is not looked at
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                failure = self.told(error)
            finally:
                _connecting.reset(before)
            # aiohttp sends a PUT or DELETE again by itself when the connection drops. Whether that is safe is not its
            # to say, and a caller must know of the doubt; an exception that it does not know passes through.
            raise failure

    def may_have_left(self) -> bool:
        # set in the moment in which the request is handed to the socket: before it, aiohttp can only connect
        return self._request is not None and self._request.response is not None

    def told(self, error: Exception) -> TransportError:
        """What `error` means."""
        if isinstance(error, aiohttp.ClientHttpProxyError) and self.route is not None:
            return refused_by_proxy(self.route, error.status, error.message)
        if isinstance(error, aiohttp.InvalidURL) and not self.may_have_left():
            return TransportError("no connection: the URL cannot be used", sent=False, final=True)
        peer = ""
        if isinstance(error, aiohttp.ClientConnectorError) and self.route is not None:
            at_proxy = self.route.proxy is not None and f"{error.host}:{error.port}" in self.route.proxy.url
            peer = "" if at_proxy else self.route.host
        return self.failure(error, peer=peer)


class _BareAttempt(_Attempt):
    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.popall("Authorization", None)  # of the caller's session, or out of ~/.netrc
        return await super().__call__(request, handler)


_connecting: ContextVar[_Attempt | None] = ContextVar("m3ter_connecting", default=None)


def _for_proxy(request: Request, headers: dict[str, str]) -> dict[str, str]:
    """Headers of a request; one in plain http is read by the proxy itself, which wants its own among them."""
    return request.headers if request.url.startswith("https:") else {**request.headers, **headers}


AiohttpTransport.__module__ = "m3ter_async"  # where users import it from
