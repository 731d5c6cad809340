"""What goes with each request through a session of aiohttp: how far it came, and a look before it is written."""

from __future__ import annotations

import asyncio
import select
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

import aiohttp

from .protocol import TransportError
from .stage import Stage, refused_by_proxy

if TYPE_CHECKING:
    from aiohttp.connector import Connection

_READS = ("GET", "HEAD", "OPTIONS")


class _HungUp(Exception):
    """The server has closed an idle connection: nothing was sent over it."""


class CheckedRequest(aiohttp.ClientRequest):
    """Looks before a write is sent over a connection that was idle, whether the server has closed it meanwhile.

    The event loop sees that only in its next round, and then nobody could tell whether the request took effect. For a
    read, which can be repeated, the look costs more than it saves.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """As that of aiohttp, after the look."""
        if self.method not in _READS:
            attempt = connecting.get()
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


class AiohttpStage(Stage):
    """A stage that knows the exceptions of aiohttp."""

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


class Attempt(AiohttpStage):
    """A stage that goes with its request as a middleware, since there aiohttp tells how far it came.

    Attributes:
        connected: Whether a connection was made for it.
    """

    connected = False
    _request: aiohttp.ClientRequest | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Have the request sent; aiohttp calls this."""
        self._request = request
        while True:
            before = connecting.set(self)
            try:
                return await handler(request)
            except _HungUp:
                continue  # over the next connection; each idle one falls out once, and a new one is not looked at
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                failure = self.told(error)
            finally:
                connecting.reset(before)
            # aiohttp sends a PUT or DELETE again by itself when the connection drops. Whether that is safe is not its
            # to say, and a caller must know of the doubt; an exception that it does not know passes through.
            raise failure

    def may_have_left(self) -> bool:
        """Whether a byte of the request may have left."""
        # set in the moment in which the request is handed to the socket: before it, aiohttp can only connect
        return self._request is not None and self._request.response is not None


class BareAttempt(Attempt):
    """One that sends no access token."""

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """As above, without what aiohttp itself knows of."""
        request.headers.popall("Authorization", None)  # of the caller's session, or out of ~/.netrc
        return await super().__call__(request, handler)


connecting: ContextVar[Attempt | None] = ContextVar("m3ter_connecting", default=None)
