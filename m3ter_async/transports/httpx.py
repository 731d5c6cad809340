"""The other backend: httpx or httpx2, on asyncio and on trio."""

from __future__ import annotations

import math
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio import to_thread

from ..errors import ConfigurationError
from .httpx_bodies import Content, presigned, read, stream
from .httpx_library import default_library, library_of
from .httpx_pools import Pools, connections
from .network import Network, Proxy, Route
from .protocol import Request, Response, TransportError
from .stage import REFUSAL_SECONDS, Stage, connect_within, refused_by_proxy
from .streaming import move

if TYPE_CHECKING:
    import httpx
    import httpx2

default_library()  # loaded with this module, and not when a client is made

_ORIGINS = 100  # that are remembered; presigned URLs may lead to many


class HttpxTransport:
    """Sends through an ``httpx.AsyncClient`` or an ``httpx2.AsyncClient``.

    Args:
        client: A client of yours, which stays yours to close, and keeps its own proxies and certificates; by default
            one is opened with the first request, of httpx where that is installed, else of httpx2.
        max_connections: The most requests in flight, and connections, of a client that is opened here.
        proxy: The URL of a proxy for every request, "" for none; by default ``HTTPS_PROXY`` and its kin decide.
        ssl_context: How certificates are checked; by default ``SSL_CERT_FILE`` and its kin decide.

    Raises:
        ConfigurationError: The proxy or a file of certificates cannot be used as it is.
    """

    keeps_time: bool = True

    def __init__(
        self,
        client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        *,
        max_connections: int = 100,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if client is not None and (proxy is not None or ssl_context is not None):
            raise ConfigurationError("client= goes by its own settings: pass proxy= and ssl_context= to the client")
        self.network: Network = Network(proxy, ssl_context) if client is None else Network("", environment={})
        self.alike: Network | None = self.network if client is None else None
        self._max_connections = max_connections
        # the two libraries have the same names: what is said of one here holds for the other
        self._library: Any = default_library() if client is None else library_of(client)
        self._theirs = cast("httpx.AsyncClient | None", client)
        self._closed = False
        self._room = anyio.Semaphore(max_connections, fast_acquire=True)
        self._pools: dict[Proxy | None, Pools] = {}
        self._opening = anyio.Lock()
        self._routes: dict[str, Route] = {}

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it on."""
        progress = _Progress(self._library)
        if request.streamed:
            return await move(request, partial(self._exchange, progress=progress), progress)
        return await self._exchange(request, progress)

    async def _exchange(self, request: Request, progress: _Progress) -> Response:
        if self._closed:
            raise TransportError("this transport is closed", closed=True)
        if self._theirs is not None and self._theirs.is_closed:
            raise TransportError("the client of this transport is closed", closed=True)
        try:
            progress.route = route = self._route(request.url)
            # httpx bounds each read, not the whole: a server that trickles bytes would never time out
            with anyio.fail_after(request.timeout) as progress.scope:
                progress.within(request.timeout)
                way = self._theirs or self._pools.get(route.proxy)
                if way is None:
                    with progress.connecting():
                        way = await self._open(route.proxy)
                if isinstance(way, Pools):
                    return await self._in_a_pool(request, progress, way)
                return await self._talk(request, progress, way)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a library or hook raises is told by the stage it fell into
            failure = progress.told(error)
        return progress.broken(failure)

    async def _in_a_pool(self, request: Request, progress: _Progress, pools: Pools) -> Response:
        try:
            self._room.acquire_nowait()
        except anyio.WouldBlock:
            with progress.connecting():
                await self._room.acquire()
        try:
            if self._closed:
                raise TransportError("this transport is closed", closed=True)
            pool = pools.enter()
            sound = False
            try:
                answer = await self._talk(request, progress, pool.client)
                sound = True
                return answer
            except Exception:
                sound = not pools.proxied
                raise
            finally:
                await pools.leave(pool, sound=sound)
        finally:
            self._room.release()

    async def _talk(self, request: Request, progress: _Progress, client: httpx.AsyncClient) -> Response:
        bound = connect_within(request.timeout)
        message = client.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            timeout=self._library.Timeout(request.timeout, connect=bound, pool=bound),
            extensions={"trace": progress.trace},
        )
        message.stream = stream(self._library)(request.pieces or Content(request.content or b""))
        if "Authorization" not in request.headers:
            message.headers.pop("Authorization", None)  # the caller's client may have one
            message.url = presigned(self._library)(message.url)
        progress.handed_over = True
        try:
            answer = await client.send(message, stream=True, follow_redirects=False, auth=None)
        except BaseException:
            await progress.give_up()
            raise
        try:
            headers = dict(answer.headers)
            if progress.answered(answer.status_code, headers):
                content = await read(self._library, answer, request.max_bytes, request.into)
                return Response(answer.status_code, headers, content)
            with anyio.move_on_after(REFUSAL_SECONDS):
                await read(self._library, answer, math.inf, progress.take)
        finally:
            with anyio.CancelScope(shield=True):
                await answer.aclose()
        return Response(answer.status_code, headers, progress.body)

    @property
    def connections(self) -> int | None:
        """How many connections are open now, idle ones included; None if the client is yours."""
        return sum(map(connections, self._clients)) if self._theirs is None else None

    @property
    def opened(self) -> bool:
        """Whether there is anything to close."""
        return bool(self._pools)

    async def aclose(self) -> None:
        """Close what was opened here."""
        self._closed = self._theirs is None
        opened, self._pools = self._pools, {}
        for pools in opened.values():
            await pools.aclose()

    @property
    def _clients(self) -> list[httpx.AsyncClient]:
        return [client for pools in self._pools.values() for client in pools.clients]

    async def load(self) -> None:
        """Do what the first request would have to do before it connects."""
        if self._theirs is None:
            await self._open(None)

    async def _open(self, proxy: Proxy | None) -> Pools:
        async with self._opening:
            made = self._pools.get(proxy)
            if made is None:
                # in a thread: reading certificates takes longer than a request
                made = await to_thread.run_sync(self._make, proxy, abandon_on_cancel=True)
                if self._closed:
                    raise TransportError("this transport is closed", closed=True)
                self._pools[proxy] = made
            return made

    def _make(self, proxy: Proxy | None) -> Pools:
        certificates = self.network.context() or ssl.create_default_context()
        return Pools(self._library, self._max_connections, certificates, proxy)

    def _route(self, url: str) -> Route:
        origin = url[: url.index("/", 8)]
        route = self._routes.get(origin)
        if route is None:
            if len(self._routes) >= _ORIGINS:
                self._routes.clear()
            route = self._routes[origin] = self.network.route(origin)
        return route


class _Progress(Stage):
    """A stage that httpcore tells of as it goes, and the time limit that goes with it.

    Args:
        library: What sends: httpx or httpx2.

    Attributes:
        handed_over: Whether the request was given to the client.
        scope: Bounds the exchange: the connecting first, then the whole.
    """

    scope: anyio.CancelScope
    handed_over = False
    _traced = False
    _stream: Any = None
    _in_tunnel = False
    _unsent = False

    def __init__(self, library: Any) -> None:
        super().__init__()
        self._library = library

    def within(self, timeout: float) -> None:
        """Set the limits: `timeout` seconds for the whole."""
        now = anyio.current_time()
        self._until = now + timeout
        self._connected_by = now + connect_within(timeout)

    @contextmanager
    def connecting(self) -> Generator[None]:
        """Set the shorter limit."""
        self.scope.deadline = self._connected_by
        yield
        self.scope.deadline = self._until

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take an event of httpcore; the other requests of a connection, to a proxy, are told apart by their method."""
        if self.begun:
            return
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self.begun = True
            self.scope.deadline = self._until
            self._stream = None
            info["request"].extensions.pop("trace", None)  # each event costs, and no other is needed
        elif not self._traced:
            self._traced = True
            self.scope.deadline = self._connected_by
        elif event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event == "proxy.start_tls.started":
            self._in_tunnel = True

    async def give_up(self) -> None:
        """Close what was connected for a request that was not begun: cancelled in TLS, httpcore leaves it open."""
        if self._stream is not None:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()

    def may_have_left(self) -> bool:
        # a client of the caller's may have a transport that tells nothing: there the class of the error decides
        return self.begun or (self.handed_over and not self._traced and not self._unsent)

    def told(self, error: Exception) -> TransportError:
        """What `error` means."""
        if not self.begun:
            if isinstance(error, self._library.ProxyError) and self.route is not None:
                status, _, phrase = str(error).partition(" ")
                return refused_by_proxy(self.route, int(status) if status.isdecimal() else 0, phrase)
            if isinstance(error, (self._library.InvalidURL, self._library.UnsupportedProtocol)):
                return TransportError("no connection: the URL cannot be used", sent=False, final=True)
        library = self._library
        self._unsent = isinstance(error, (library.ConnectError, library.ConnectTimeout, library.PoolTimeout))
        peer = self.route.host if self._in_tunnel and self.route is not None else ""
        return self.failure(error, peer=peer, late=isinstance(error, self._library.TimeoutException))


HttpxTransport.__module__ = "m3ter_async"  # where users import it from
