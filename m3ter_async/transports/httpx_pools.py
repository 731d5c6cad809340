"""Connections of httpx, kept so that no request ever queues inside it.

One that is cancelled in httpcore's own queue, or while a tunnel is made, can leave a connection that is neither used
nor given up for the rest of the process. And each step of a pool costs the square of its connections, with a hundred
of them 20 ms a request: so there are many small ones.
"""

from __future__ import annotations

import ssl
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import anyio

from .network import Proxy

if TYPE_CHECKING:
    import httpx

_KEEP_ALIVE = 15.0  # seconds
_SIZE = 8  # connections

_load = attrgetter("load")


class Pool:
    """A client with room for a few requests.

    Attributes:
        client: The client.
        load: How many requests are under way, less those it has room for.
        doubted: Whether it takes no more requests.
    """

    __slots__ = ("busy", "client", "doubted", "load", "size")

    def __init__(self, client: httpx.AsyncClient, size: int) -> None:
        self.client: httpx.AsyncClient = client
        self.size: int = size
        self.busy: int = 0
        self.load: int = -size
        self.doubted: bool = False


class Pools:
    """All connections that go the same way, directly or through one proxy.

    Args:
        library: What sends: httpx or httpx2.
        most: The most requests at once, which whoever uses this has to keep to.

    Attributes:
        proxied: Whether they go through a proxy.
    """

    def __init__(self, library: Any, most: int, certificates: ssl.SSLContext, proxy: Proxy | None) -> None:
        self._library = library
        self._certificates = certificates
        self._proxy = proxy
        self.proxied: bool = proxy is not None
        self._pools = [self._make(min(_SIZE, most - start)) for start in range(0, most, _SIZE)]
        self._leaving = set[Pool]()
        self._closed = False

    def enter(self) -> Pool:
        """A pool that has room, for one request."""
        pool: Pool = min(self._pools, key=_load)
        pool.busy += 1
        pool.load += 1
        return pool

    async def leave(self, pool: Pool, *, sound: bool) -> None:
        """Give a place back.

        Args:
            sound: Whether it is certain that the connection was given back too. A pool of which it is not takes no
                more requests, and is closed after its last.
        """
        pool.busy -= 1
        pool.load -= 1
        if not (sound or pool.doubted):
            pool.doubted = True
            self._leaving.add(pool)
            if not self._closed:
                self._pools[self._pools.index(pool)] = self._make(pool.size)
        if pool.doubted and not pool.busy:
            with anyio.CancelScope(shield=True):
                await pool.client.aclose()
            self._leaving.discard(pool)

    @property
    def clients(self) -> list[httpx.AsyncClient]:
        """The clients whose connections these are."""
        return [pool.client for pool in (*self._pools, *self._leaving)]

    async def aclose(self) -> None:
        """Close all."""
        self._closed = True
        for client in self.clients:
            await client.aclose()

    def _make(self, size: int) -> Pool:
        proxy = None
        if self._proxy is not None:
            certificates = self._certificates if self._proxy.url.startswith("https:") else None
            proxy = self._library.Proxy(self._proxy.url, auth=self._proxy.credentials, ssl_context=certificates)
        client: httpx.AsyncClient = self._library.AsyncClient(
            verify=self._certificates,
            limits=self._library.Limits(
                max_connections=size, max_keepalive_connections=size, keepalive_expiry=_KEEP_ALIVE
            ),
            timeout=None,
            proxy=proxy,
            trust_env=False,  # what it says was read already, for both backends alike
        )
        return Pool(client, size)


def connections(client: httpx.AsyncClient) -> int:
    """How many connections of a client are open."""
    # httpx shows its pools to nobody; the ones beside the first are for a proxy
    inside: Any = client
    pools = (getattr(one, "_pool", None) for one in (inside._transport, *inside._mounts.values()))
    return sum(len(pool.connections) for pool in pools if pool is not None)
