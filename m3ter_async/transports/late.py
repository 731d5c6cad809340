"""The default transport: its library is loaded with the first request, in a thread, so that the event loop goes on."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from anyio import Lock, current_time, move_on_after
from anyio.to_thread import run_sync

from .network import Network
from .protocol import Request, Response, TransportError
from .stage import connect_within

if TYPE_CHECKING:
    from .aiohttp import AiohttpTransport


class LateTransport:
    """An `AiohttpTransport` that is made when it is needed. Importing aiohttp takes a tenth of a second or more.

    Args:
        max_connections: As there.
        proxy: As there; the environment is read now.
        ssl_context: As there.

    Raises:
        ConfigurationError: The proxy or a file of certificates cannot be used as it is.
    """

    keeps_time: bool = True

    def __init__(self, *, max_connections: int, proxy: str | None, ssl_context: ssl.SSLContext | None) -> None:
        self.network: Network = Network(proxy, ssl_context)
        self.alike: Network | None = self.network
        self._max_connections = max_connections
        self._made: AiohttpTransport | None = None
        self._lock = Lock()
        self._closed = False

    async def load(self) -> None:
        """Make it now. Whoever is cancelled meanwhile leaves the thread to itself; the next one waits for the same."""
        async with self._lock:
            if self._made is None:
                self._made = await run_sync(self._make, abandon_on_cancel=True)

    def _make(self) -> AiohttpTransport:
        from .aiohttp import AiohttpTransport

        self.network.context()  # reading certificates takes as long as a request
        return AiohttpTransport(max_connections=self._max_connections, _network=self.network)

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it on."""
        made = self._made or await self._make_for(request)
        return await made.send(request)

    async def _make_for(self, request: Request) -> AiohttpTransport:
        began = current_time()
        with move_on_after(connect_within(request.timeout)):
            await self.load()
        if not request.streamed:
            request.timeout -= current_time() - began
        if self._closed:
            raise TransportError("this transport is closed", closed=True)
        if self._made is None:
            raise TransportError("no connection in time", sent=False, timeout=True)
        return self._made

    @property
    def connections(self) -> int | None:
        """How many connections are open now, idle ones included."""
        return 0 if self._made is None else self._made.connections

    @property
    def opened(self) -> bool:
        """Whether there is anything to close."""
        return self._made is not None and self._made.opened

    def abandon(self) -> None:
        """Let go of what is open without a word."""
        if self._made is not None:
            self._made.abandon()

    async def aclose(self) -> None:
        """Close what was opened."""
        self._closed = True
        if self._made is not None:
            await self._made.aclose()
