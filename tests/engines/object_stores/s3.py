"""A real S3, as moto plays it, and what stands in front of it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio

from m3ter_async.export import ExportReport, export
from m3ter_async.sandbox import Sandbox

from ...export.support import sandbox_client

SECRET = "hush-hush-secret"
DAYS = {"since": "2022-01-01", "until": "2026-01-01"}


def port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


def until_it_answers(number: int) -> None:
    for _ in range(200):
        try:
            request(number, "GET", "/")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


def request(number: int, method: str, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=20)
    connection.request(method, path)
    body = connection.getresponse().read()
    connection.close()
    return body


def environment(number: int) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "AKIA-of-the-tests",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{number}",
        "AWS_ALLOW_HTTP": "true",
    }


def exported(sandbox: Sandbox, out: Any, **options: Any) -> ExportReport:
    async def run() -> ExportReport:
        async with sandbox_client(sandbox) as m3ter:
            return await export(m3ter, ["bills"], out, **options)

    return anyio.run(run)


def command(sandbox: Sandbox, url: str, *options: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    code = "import sys; from m3ter_async.cli import main; sys.exit(main())"
    arguments = ["export", "bills", "--out", url, "--concurrency", "3", "--quiet", "--page-size", "5", *options]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **sandbox.environ},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, but for some that it fails: by itself, or after they took effect."""

    daemon_threads = True

    def __init__(self, behind: int, fail: Callable[[int], str | None]) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind = behind
        self.fail = fail
        self.count = 0
        self.failed = 0
        self.turn = threading.Lock()


class Passing(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def pass_on(self) -> None:
        server = self.server
        with server.turn:
            how = server.fail(server.count)
            server.count += 1
            server.failed += how is not None
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if how == "refuse":
            self._answer(503, b"<Error><Code>SlowDown</Code></Error>")
            return
        connection = http.client.HTTPConnection("127.0.0.1", server.behind, timeout=20)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if how == "lose":
            self._answer(500, b"<Error><Code>InternalError</Code></Error>")
        else:
            headers = {name: response.headers[name] for name in ("etag", "last-modified") if name in response.headers}
            self._answer(response.status, content, headers, response.headers.get("content-length"))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, size: str | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", size if self.command == "HEAD" and size else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
