"""A loopback server that says what no web framework can say, scripted request by request.

It runs in threads over plain sockets, so that it owes nothing to the loop or the library under test.
"""

from __future__ import annotations

import atexit
import gzip
import os
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import anyio
import certifi
import msgspec
import pytest

from m3ter_async import AsyncM3ter, TransportError
from m3ter_async._core.clock import Clock
from m3ter_async.transports import AiohttpTransport, HttpxTransport
from m3ter_async.transports.protocol import Request, Transport

from .fakes import KEY, ORG, SECRET, TOKEN, FakeClock

SHORT = 0.25  # seconds: a client's timeout where a server stalls


class Pair(NamedTuple):
    """An event loop and a transport that runs on it."""

    backend: Literal["asyncio", "trio"]
    library: Literal["aiohttp", "httpx"]

    def transport(self) -> Transport:
        return AiohttpTransport() if self.library == "aiohttp" else HttpxTransport()


def ready(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Spare httpx the loading of a hundred certificates, which takes longer than all the rest of a test."""
    monkeypatch.setenv("SSL_CERT_FILE", _one_certificate())
    return pair


@lru_cache
def _one_certificate() -> str:
    end = "-----END CERTIFICATE-----"
    with open(certifi.where(), encoding="utf-8") as bundle:
        first = bundle.read().partition(end)[0] + end
    handle, path = tempfile.mkstemp(".pem")
    with open(handle, "w", encoding="utf-8") as file:
        file.write(first)
    atexit.register(os.unlink, path)
    return path


PAIRS = (Pair("asyncio", "aiohttp"), Pair("asyncio", "httpx"), Pair("trio", "httpx"))
PAIR_IDS = ["-".join(pair) for pair in PAIRS]


@dataclass(frozen=True)
class Received:
    """A request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class _HungUp(Exception):
    """The connection is to be used no more."""


class Peer:
    """The server's end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def trickle(self, data: bytes, *, size: int = 1, pause: float = 0.0) -> None:
        """Send a byte at a time, each in a packet of its own."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            self._socket.sendall(data[start : start + size])
            time.sleep(pause)

    def reset(self) -> None:
        """End with RST; what was sent before is given time to arrive, since a reset overtakes it."""
        time.sleep(0.005)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _HungUp

    def close(self) -> None:
        raise _HungUp

    def stall(self) -> None:
        """Say nothing until the client hangs up."""
        while self._socket.recv(65_536):
            pass
        raise _HungUp


@dataclass(frozen=True)
class Move:
    """What the server does with one request.

    Attributes:
        applies: Whether a write takes effect under it, in the worst case.
    """

    name: str
    act: Callable[[Peer], None]
    applies: bool = True


def head(status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def whole(body: Any = b"", status: int = 200, **headers: str) -> bytes:
    """A sound answer, as bytes."""
    content = encoded(body)
    given = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return head(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content))), *given]) + content


def say(body: Any = b"", status: int = 200, *, applies: bool | None = None, **headers: str) -> Move:
    """A sound answer. By default a write takes effect unless the status refuses it."""
    data = whole(body, status, **headers)
    refuses = 300 <= status < 500 and status != 408
    return Move(f"answer {status}", lambda peer: peer.send(data), not refuses if applies is None else applies)


def grant(token: str = TOKEN, **more: Any) -> Move:
    return say({"access_token": token, "token_type": "Bearer", "expires_in": 18_000, "scope": None, **more})


def _move(name: str, *parts: bytes, end: Literal["reset", "close", "stall"]) -> Move:
    def act(peer: Peer) -> None:
        for part in parts:
            peer.send(part)
        getattr(peer, end)()

    return Move(name, act)


def faults(body: Any) -> dict[str, Move]:
    """Everything that can go wrong with an answer which should have carried `body`; a write has taken effect."""
    content = encoded(body)
    half = content[: len(content) // 2]
    json = [("Content-Type", "application/json")]
    length = [*json, ("Content-Length", str(len(content)))]
    longer = [*json, ("Content-Length", str(len(content) + 10))]
    # who hangs up after a whole message says so, else the next request would race with that
    shorter = [*json, ("Connection", "close"), ("Content-Length", str(len(half)))]
    chunked = [*json, ("Transfer-Encoding", "chunked")]
    squeezed = gzip.compress(content)
    gzipped = [*json, ("Connection", "close"), ("Content-Encoding", "gzip")]
    packed = [*gzipped, ("Content-Length", str(len(squeezed)))]
    spoilt = squeezed[:12] + bytes(byte ^ 0x5A for byte in squeezed[12:])
    cut = squeezed[: len(squeezed) // 2]
    made = [
        _move("reset instead of an answer", end="reset"),
        _move("closed instead of an answer", end="close"),
        _move("reset mid-head", head(200, length)[:30], end="reset"),
        _move("closed mid-head", head(200, length)[:30], end="close"),
        _move("reset mid-body", head(200, length), half, end="reset"),
        _move("closed mid-body", head(200, length), half, end="close"),
        _move("content-length too long", head(200, longer), content, end="close"),
        _move("content-length too short", head(200, shorter) + content, end="close"),
        _move("chunked body cut", head(200, chunked), b"%x\r\n%b" % (len(content), half), end="close"),
        _move("chunk of no size", head(200, chunked) + b"zz\r\n" + content, end="close"),
        _move("broken gzip", head(200, packed), spoilt, end="close"),
        _move("gzip cut", head(200, [*gzipped, ("Content-Length", str(len(cut)))]), cut, end="close"),
        _move("plain called gzip", head(200, [*gzipped, ("Content-Length", str(len(content)))]), content, end="close"),
        _move("not HTTP", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", end="close"),
        _move("headers without end", head(200, length)[:-4] + b"\r\nX-More: " + b"m" * 70_000, end="close"),
        _move("stalls before the answer", end="stall"),
        _move("stalls mid-body", head(200, length), half, end="stall"),
        say(content[:-1], 200),
        say(b"<html><body>Sorry</body></html>", 200, Content_Type="text/html"),
        say(b"", 200),
        say(b"\xff\xfe\x00", 200),
    ]
    names = {17: "JSON cut", 18: "HTML 200", 19: "nothing 200", 20: "not UTF-8"}
    return {names.get(index, move.name): move for index, move in enumerate(made)}


TRICKLE = "a byte at a time"


def trickle(body: Any, *, pause: float = 0.0) -> Move:
    data = whole(body)
    return Move(TRICKLE, lambda peer: peer.trickle(data, pause=pause))


def squeezed(body: Any, how: Literal["gzip", "deflate"]) -> Move:
    content = encoded(body)
    packed = gzip.compress(content) if how == "gzip" else zlib.compress(content)
    return say(packed, Content_Encoding=how)


def deep(levels: int = 500_000) -> bytes:
    """JSON that is nested deeper than anyone follows, as the value of a field that is asked for."""
    return b'{"data":' + b"[" * levels + b"]" * levels + b"}"


Script = Callable[[Received], Move]


class Wire:
    """The server. As a context manager it is stopped at the end, with every connection.

    Args:
        script: What to do with each request but logins: moves in turn, the last one for all that follow, or a
            function.
        login: The same for logins.
        hang_up: So many of the first connections are closed at once after they were accepted.

    Attributes:
        requests: All requests but logins, in order.
        logins: The logins.
        applied: Those of `requests`, other than GET, that took effect.
        accepted: How many connections there were.
    """

    def __init__(
        self, script: Script | Sequence[Move] = (), *, login: Script | Sequence[Move] = (), hang_up: int = 0
    ) -> None:
        self._script = _turns(script or [say({})])
        self._login = _turns(login or [grant()])
        self._hang_up = hang_up
        self.requests: list[Received] = []
        self.logins: list[Received] = []
        self.applied: list[Received] = []
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        # a blocked accept() does not notice that its socket is closed, but that somebody calls
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def connections(self) -> int:
        """How many are open now."""
        with self._lock:
            return len(self._open)

    def seen(self, number: int) -> bool:
        """Whether so many requests came in, logins not counted."""
        return len(self.requests) == number

    def client(self, pair: Pair, **options: Any) -> AsyncM3ter:
        """A client of this server; without waits between attempts, unless it is given a clock."""
        clock: Clock = options.pop("clock", None) or FakeClock()
        transport = options.pop("transport", None) or pair.transport()
        options = {"api_key": KEY, "api_secret": SECRET, "org_id": ORG, "base_url": self.url, **options}
        return AsyncM3ter(**options, transport=transport, _clock=clock)

    def request(self, method: str = "GET", target: str = "/x", content: bytes | None = None, **more: Any) -> Request:
        """A request to this server, as the pipeline would hand it to a transport."""
        headers = {"Accept-Encoding": "gzip, deflate", **more.pop("headers", {})}
        return Request(method, self.url + target, headers, content, **{"timeout": 5.0, **more})

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.accepted <= self._hang_up:
                connection.close()
                continue
            with self._lock:
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection, self.accepted), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        peer = Peer(connection)
        try:
            # a client that goes away in the middle is part of the play
            with suppress(_HungUp, OSError), connection.makefile("rb") as stream:
                for received in _read(stream, number):
                    self._take(received).act(peer)
        finally:
            connection.close()
            with self._lock:
                self._open.discard(connection)

    def _take(self, received: Received) -> Move:
        with self._lock:
            if received.path == "/oauth/token":
                self.logins.append(received)
                return self._login(received)
            self.requests.append(received)
            move = self._script(received)
            if move.applies and received.method != "GET":
                self.applied.append(received)
            return move


def _turns(script: Script | Sequence[Move]) -> Script:
    if callable(script):
        return script
    moves = list(script)
    return lambda _: moves.pop(0) if len(moves) > 1 else moves[0]


def _read(stream: Any, connection: int) -> Iterator[Received]:
    while line := stream.readline():
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body: bytes = stream.read(int(headers.get("content-length", "0")))
        yield Received(method, target, headers, body, connection)


def pages(*sizes: int) -> dict[str, dict[str, Any]]:
    """Pages of rows with ids that count up, by the token that fetches each."""
    made: dict[str, dict[str, Any]] = {}
    row = 0
    for number, size in enumerate(sizes):
        token = f"t{number}" if number else ""
        data = [{"id": f"b{row + index}", "billTotal": 1} for index in range(size)]
        row += size
        made[token] = {"data": data, "nextToken": f"t{number + 1}" if number + 1 < len(sizes) else None}
    return made


def token_of(received: Received) -> str:
    """The page token that a request carries; empty for the first page."""
    fields = dict(part.split("=", 1) for part in received.query.split("&") if part)
    return fields.get("nextToken", "")


def bare(token: str) -> str:
    """The page that a token stands for: with anything after "~" it is another name of the same one."""
    return token.partition("~")[0]


def listing(made: dict[str, dict[str, Any]], fault: Callable[[str, int], Move | None] = lambda *_: None) -> Script:
    """Serves `made`; `fault(token, attempt)` may put something else in a page's place."""
    seen: dict[str, int] = {}

    def script(received: Received) -> Move:
        token = bare(token_of(received))
        seen[token] = attempt = seen.get(token, 0) + 1
        return fault(token, attempt) or say(made[token])

    return script


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def until(met: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that another thread or task does."""
    with anyio.fail_after(seconds):
        while not met():  # noqa: ASYNC110  what is awaited happens in a thread
            await anyio.sleep(0.005)


async def failure(transport: Transport, request: Request) -> TransportError:
    """What `transport` makes of a request that must fail."""
    try:
        answer = await transport.send(request)
    except TransportError as error:
        return error
    raise AssertionError(f"no failure, but {answer!r}")
