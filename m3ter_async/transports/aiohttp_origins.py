"""Where requests go: what of it stays the same from one request to the next is made once."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from .network import Network, Route

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey

_MOST = 100  # that are remembered; presigned URLs may lead to many
_TARGET = re.compile(r"/[!\"$-~]*")  # as it stands on the first line: no blank, no fragment, no line's end
# of these each means something to aiohttp, which then sends something else
_SPECIAL = frozenset(("host", "connection", "content-encoding", "content-length", "expect", "transfer-encoding"))


class Origin:
    """Scheme, host and port of a service.

    Attributes:
        url: These.
        route: The way there.
    """

    def __init__(self, url: str, network: Network) -> None:
        self._text = url
        self.url: URL = URL(url)
        self.route: Route = network.route(url)
        self._headers: dict[str, str] | None = None  # those that `_lines` were made of
        self._lines: bytes | None = None

    def whole(self, target: str) -> URL:
        """The whole URL of a path and query."""
        # parsing a URL costs as much as half of sending it: where there is no query, the origin's is built upon
        path, _, query = target.partition("?")
        return URL(self._text + target, encoded=True) if query else self.url.with_path(path, encoded=True)

    @cached_property
    def to_connect(self) -> aiohttp.ClientRequest:
        """Stands for every request that goes here without a body or a proxy, where a connection is asked for."""
        return _ToConnect("GET", self.url)

    def head(self, target: str, headers: dict[str, str]) -> bytes | None:
        """The bytes of a GET; None where aiohttp would make of it more than what stands there."""
        if headers != self._headers:
            self._lines = self._made(headers)
            self._headers = headers.copy()
        if self._lines is None or not _TARGET.fullmatch(target):
            return None
        return b"GET %b %b" % (target.encode("ascii"), self._lines)

    def _made(self, headers: dict[str, str]) -> bytes | None:
        names = {name.lower() for name in headers}
        if self.route.proxy is not None or names & _SPECIAL or "@" in self._text:  # a user with a password
            return None
        host, *added = self.to_connect.headers.items()  # what aiohttp adds where it is missing
        lines = [host, *headers.items(), *(one for one in added if one[0].lower() not in names)]
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        if text.count("\r") != len(lines) or text.count("\n") != len(lines) or "\0" in text:
            return None
        return f"HTTP/1.1\r\n{text}\r\n".encode()


class Origins:
    """The origins of a transport."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[str, Origin] = {}

    def find(self, url: str) -> tuple[Origin, str]:
        """That of a URL, and what follows it there."""
        end = url.index("/", 8)
        origin = url[:end]
        found = self._known.get(origin)
        if found is None:
            found = Origin(origin, self._network)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[origin] = found
        return found, url[end:]


class _ToConnect(aiohttp.ClientRequest):
    _key: ConnectionKey | None = None

    @property
    def connection_key(self) -> ConnectionKey:
        if self._key is None:  # it is never sent, and so it stays as it is
            self._key = super().connection_key
        return self._key
