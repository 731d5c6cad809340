"""A service that allows each organization so many requests in any second, and counts whom it refused."""

from __future__ import annotations

import socketserver
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Counting:
    """What came in.

    Attributes:
        times: For each organization, when each request came that was let through.
        refused: When each request came that got a 429.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.refused: list[float] = []
        self._last: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def allows(self, organization: str) -> bool:
        """Count a request."""
        now = time.monotonic()
        with self._lock:
            last = self._last[organization]
            while last and last[0] <= now - 1.0:
                last.popleft()
            if len(last) >= self.rate:
                self.refused.append(now)
                return False
            last.append(now)
            self.times[organization].append(now)
            return True


class Lateness(threading.Thread):
    """How late this machine lets a process go on that has waited; requests of others are then as late.

    Attributes:
        most: By so many seconds, at the most.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            before = time.monotonic()
            time.sleep(0.002)
            self.most = max(self.most, time.monotonic() - before - 0.002)

    def __enter__(self) -> Lateness:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self.join()


@contextmanager
def counting(rate: int = 50) -> Iterator[tuple[str, Counting]]:
    """Serve; yields the URL and what was counted."""
    seen = Counting(rate)

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with suppress(ConnectionResetError):
                self._serve()

        def _serve(self) -> None:
            while line := self.rfile.readline():
                length = 0
                while (header := self.rfile.readline()) not in (b"\r\n", b""):
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                self.rfile.read(length)
                path = line.split()[1].decode()
                if path.startswith("/oauth"):
                    self._say(200, b'{"access_token":"t","expires_in":18000}')
                elif seen.allows(path.split("/")[2]):
                    self._say(200, b'{"data":[]}')
                else:
                    self._say(429, b"{}")

        def _say(self, status: int, body: bytes) -> None:
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
