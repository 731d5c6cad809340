"""The default backend: aiohttp, on asyncio."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from functools import partial
from typing import Any
from weakref import WeakSet

import aiohttp

from ..errors import ConfigurationError
from .aiohttp_attempts import Attempt, BareAttempt, CheckedRequest, connecting
from .aiohttp_bodies import read, read_refusal
from .aiohttp_origins import Origins
from .aiohttp_reads import Read, Reads, untouched
from .aiohttp_sessions import abandon
from .network import Network
from .protocol import Request, Response, TransportError
from .stage import connect_within
from .streaming import move

# Shorter than the idle time after which load balancers hang up, so that no request is sent into a closing connection.
_KEEP_ALIVE = 15.0


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
        self._origins = Origins(ours)
        self._reads: Reads | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._sockets = WeakSet[socket.socket]()

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it on."""
        if request.method == "GET" and (read := self._read(request)) is not None:
            return await read.send()
        attempt = Attempt() if "Authorization" in request.headers else BareAttempt()
        if request.streamed:
            return await move(request, partial(self._exchange, attempt=attempt), attempt)
        return await self._exchange(request, attempt)

    async def _exchange(self, request: Request, attempt: Attempt) -> Response:
        session = self._ready()
        try:
            origin, target = self._origins.find(request.url)
            attempt.route = origin.route
            proxy = origin.route.proxy
            answer = await session.request(
                request.method,
                origin.whole(target),
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
                    body = await read(answer.content, answer.headers, request.max_bytes, request.into)
                    return Response(answer.status, answer.headers, body)
                await read_refusal(answer.content, answer.headers, attempt.take)
                return Response(answer.status, answer.headers, attempt.body)
            finally:
                answer.close()  # cuts what was not read to its end; after that, the connection is back in the pool
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a library raises is told by the stage it fell into
            failure = attempt.told(error)
        return attempt.broken(failure)

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
            if self._reads is not None:
                self._reads.close()
            await session.close()

    def _read(self, request: Request) -> Read | None:
        """A read that needs nothing of the session but its connections; None where it needs more."""
        if not self._owned or request.content is not None or request.streamed:
            return None
        session = self._ready()
        if self._reads is None or not untouched(session):
            return None
        try:
            origin, target = self._origins.find(request.url)
            head = origin.head(target, request.headers)
        except ValueError:  # the session tells what is wrong with it
            return None
        return None if head is None else Read(self._reads, origin, head, request)

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
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            keepalive_timeout=_KEEP_ALIVE,
            socket_factory=self._socket,
            ssl=self.network.context() or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), request_class=CheckedRequest
        )
        self._reads = Reads(connector, asyncio.get_running_loop())
        return self._session

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        # made here so that they can be counted: aiohttp itself does not tell how many are open
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        if attempt := connecting.get():
            attempt.connected = True
        return made


def _for_proxy(request: Request, headers: dict[str, str]) -> dict[str, str]:
    """Headers of a request; one in plain http is read by the proxy itself, which wants its own among them."""
    return request.headers if request.url.startswith("https:") else {**request.headers, **headers}


AiohttpTransport.__module__ = "m3ter_async"  # where users import it from
