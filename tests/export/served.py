"""A service over real HTTP for processes of their own to read, and a way to kill the one that asks for something."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from m3ter_async import AsyncM3ter
from m3ter_async.transports.protocol import Request, Response

from ..fakes import KEY, ORG, SECRET, answer

Deadly = Callable[[str], bool]


class Served:
    """A service that was made for `FakeTransport`, reached over loopback.

    Args:
        service: Answers requests; every login succeeds.

    Attributes:
        deadly: Which URLs kill the process that asks for them, before they are answered.
        times: When each page was asked for.
        killed: How many processes were.
    """

    def __init__(self, service: Callable[[Request], Response]) -> None:
        self._service = service
        self.deadly: Deadly = lambda url: False
        self.times: list[float] = []
        self.killed = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.put(answer({"access_token": "a-token-for-tests", "expires_in": 18_000}))

            def do_GET(self) -> None:
                outer.times.append(time.monotonic())
                if outer.deadly(self.path):
                    outer.kill(self.client_address[1])
                    return
                url = f"http://{self.headers['Host']}{self.path}"
                self.put(outer._service(Request("GET", url, dict(self.headers))))

            def put(self, response: Response) -> None:
                self.send_response(response.status)
                self.send_header("Content-Length", str(len(response.content)))
                self.end_headers()
                self.wfile.write(response.content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def handle(self) -> None:
                with suppress(OSError):  # of a connection whose process was killed
                    super().handle()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def kill(self, port: int) -> None:
        """Kill the process that has a port of this machine."""
        for pid in children():
            if port in _ports(pid):
                self.killed += 1
                os.kill(pid, signal.SIGKILL)

    def client(self, **options: Any) -> AsyncM3ter:
        """A client of this service."""
        options = {"rate_limit": None, **options}
        return AsyncM3ter(KEY, SECRET, ORG, base_url=f"http://127.0.0.1:{self._server.server_port}", **options)

    def __enter__(self) -> Served:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def children(parent: int | None = None) -> list[int]:
    """The child processes of an export in a process, by default this one."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes()
            if int(fields[1]) == (parent or os.getpid()) and b"export.run.child" in words:
                found.append(int(path.name))
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only waits for somebody to ask for its exit status."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _ports(pid: int) -> set[int]:
    """The local TCP ports of a process."""
    sockets: set[str] = set()
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            sockets.add(os.readlink(path))
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(line[1].partition(":")[2], 16) for line in lines if f"socket:[{line[9]}]" in sockets}


@contextmanager
def none_left() -> Iterator[None]:
    """Sees that the block leaves no child process."""
    yield
    assert children() == []
