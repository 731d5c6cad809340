"""The other backend: httpx, on asyncio and on trio."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import httpx

from . import decompression
from .protocol import Request, Response, TransportError
from .streaming import move

_CONNECT = 10.0  # seconds
_KEEP_ALIVE = 15.0
_POOL = 8  # connections


class HttpxTransport:
    """Sends through an ``httpx.AsyncClient``.

    Args:
        client: A client of yours, which stays yours to close; by default one is opened with the first request.
        max_connections: The most connections of a client that is opened here.
    """

    def __init__(self, client: httpx.AsyncClient | None = None, *, max_connections: int = 100) -> None:
        self._max_connections = max_connections
        self._owned = client is None
        self._closed = False
        self._clients = [] if client is None else [client]
        self._busy = [0] * len(self._clients)

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it on."""
        return await (move(request, self._exchange) if request.streamed else self._exchange(request))

    async def _exchange(self, request: Request) -> Response:
        if self._closed:
            raise TransportError("this transport is closed", sent=False)
        if not self._clients:
            self._open()
        busy = self._busy
        place = busy.index(min(busy))
        client = self._clients[place]
        if client.is_closed:
            raise TransportError("the client of this transport is closed", sent=False)
        busy[place] += 1
        try:
            # httpx bounds each read, not the whole: a server that trickles bytes would never time out
            with anyio.fail_after(request.timeout):
                message = client.build_request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    content=request.content,
                    timeout=httpx.Timeout(request.timeout, connect=min(_CONNECT, request.timeout)),
                )
                message.stream = _Pieces(request.pieces) if request.pieces else _Content(request.content or b"")
                if "Authorization" not in request.headers:
                    message.headers.pop("Authorization", None)  # the caller's client may have one
                    message.url = _PresignedURL(message.url)
                answer = await client.send(message, stream=True, follow_redirects=False, auth=None)
                try:
                    into = request.into if answer.is_success else None
                    body = await _read(answer, request.max_bytes, into)
                finally:
                    with anyio.CancelScope(shield=True):
                        await answer.aclose()
                return Response(answer.status_code, dict(answer.headers), body)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError) as error:
            failure = _translate(error)
        finally:
            busy[place] -= 1
        # raised here, where nothing is chained: httpx's frames hold headers, and its texts quote what came in
        raise failure

    @property
    def connections(self) -> int | None:
        """How many connections are open now, idle ones included; None if the client is yours."""
        return sum(map(_connections, self._clients)) if self._owned else None

    async def aclose(self) -> None:
        """Close what was opened here."""
        self._closed = self._owned
        if self._owned:
            clients, self._clients = self._clients, []
            for client in clients:
                await client.aclose()

    def _open(self) -> None:
        # Each step of httpx's pool costs the square of its connections, with a hundred of them 20 ms a request: so
        # there are many small pools.
        certificates = httpx.create_ssl_context()
        for start in range(0, self._max_connections, _POOL):
            size = min(_POOL, self._max_connections - start)
            limits = httpx.Limits(max_connections=size, max_keepalive_connections=size, keepalive_expiry=_KEEP_ALIVE)
            self._clients.append(httpx.AsyncClient(verify=certificates, limits=limits, timeout=None))
        self._busy = [0] * len(self._clients)


def _connections(client: httpx.AsyncClient) -> int:
    # httpx shows its pools to nobody; the ones beside the first are for proxies from the environment
    inside: Any = client
    pools = (getattr(one, "_pool", None) for one in (inside._transport, *inside._mounts.values()))
    return sum(len(pool.connections) for pool in pools if pool is not None)


class _PresignedURL(httpx.URL):
    """Keeps a secret of its query: httpx logs the text of every URL."""

    def __str__(self) -> str:
        return super().__str__().partition("?")[0]

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"


class _Content(httpx.AsyncByteStream):
    """A request's body. httpx's own is a generator, of which trio complains when sending breaks off."""

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces.__aiter__()


async def _read(answer: httpx.Response, most: int, into: Callable[[bytes], Awaitable[None]] | None) -> bytes:
    """Read and decompress the body, or hand it on; httpx's own decompression knows no bound."""
    received = answer.aiter_raw()
    whole = False
    try:
        content = await decompression.read(received, answer.headers.get("content-encoding", ""), most, into)
        whole = True
    finally:
        if not whole:
            # Reading on under cancellation unwinds the generators within httpx. Left to the garbage collector, trio
            # complains about each of them.
            with suppress(httpx.HTTPError), anyio.CancelScope() as scope:
                scope.cancel()
                async for _ in received:
                    pass
    return content


def _translate(error: Exception) -> TransportError:
    name = type(error).__name__
    if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
        return TransportError("no connection in time", sent=False, timeout=True)
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return TransportError("no answer in time", timeout=True)
    if isinstance(error, (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return TransportError(f"no connection: {_text(error)}", sent=False)
    if isinstance(error, httpx.RemoteProtocolError):
        return TransportError(f"the answer broke off or is not HTTP ({name})")
    return TransportError(f"the connection broke ({name})")


def _text(error: BaseException) -> str:
    """What an error says, or what it came from: on trio, that of an unknown certificate is empty itself."""
    source: BaseException | None = error
    while source is not None and not str(source):
        source = source.__cause__ or source.__context__
    return str(source or type(error).__name__)


HttpxTransport.__module__ = "m3ter_async"  # where users import it from
