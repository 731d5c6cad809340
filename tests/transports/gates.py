"""What may stand between a client and its service: TLS, proxies, and sockets at which nobody answers."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Key and certificate of localhost, signed by itself; it guards nothing."""


class _Listener:
    """Serves each connection in a thread of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def keep(self, connection: socket.socket) -> socket.socket:
        self._open.append(connection)
        return connection

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.keep(connection)
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self.serve(connection)


class TLS(_Listener):
    """Takes TLS and hands what is inside on to a port in the clear."""

    def __init__(self, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)
        self._behind = port
        super().__init__()
        self.url = f"https://localhost:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        with self.keep(self._context.wrap_socket(connection, server_side=True)) as inside:
            _join(inside, self.keep(socket.create_connection(("127.0.0.1", self._behind))))


class HTTPProxy(_Listener):
    """An HTTP proxy.

    Args:
        answer: What it says to every request, in place of doing what it is for.

    Attributes:
        heads: What it was asked, request by request.
    """

    def __init__(self, answer: bytes | None = None, *, user: str = "") -> None:
        self.answer = answer
        self.heads: list[str] = []
        super().__init__()
        self.url = f"http://{user}127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                return
            head += piece
        self.heads.append(head.decode("latin-1"))
        if self.answer is not None:
            connection.sendall(self.answer)
            connection.shutdown(socket.SHUT_WR)
            return
        method, target, _ = self.heads[-1].split(" ", 2)
        host, port = target.removeprefix("http://").partition("/")[0].rsplit(":", 1)
        behind = self.keep(socket.create_connection((host, int(port))))
        if method == "CONNECT":
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            behind.sendall(head)
        _join(connection, behind)


class Mute(_Listener):
    """Takes connections and says nothing."""

    def serve(self, connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass


class Plain(_Listener):
    """Says in plain HTTP that it does not understand, whatever it is sent."""

    def serve(self, connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)


def _join(one: socket.socket, other: socket.socket) -> None:
    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=pump, args=(other, one), daemon=True).start()
    pump(one, other)


@contextmanager
def deaf() -> Iterator[int]:
    """A port whose queue is full: whoever connects gets no answer at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()
