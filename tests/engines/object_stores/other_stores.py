"""Google Cloud Storage and Azure, as far as an export needs them: a server of a few lines, by their documentation."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_S3 = """<ListBucketResult>{}<IsTruncated>false</IsTruncated></ListBucketResult>"""
_S3_OBJECT = """<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>{}</Size><ETag>"1"</ETag>
</Contents>"""
_AZURE = """<EnumerationResults><Blobs>{}</Blobs><NextMarker/></EnumerationResults>"""
_AZURE_OBJECT = """<Blob><Name>{}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>
<Content-Length>{}</Content-Length><Content-Type>x/y</Content-Type><Etag>1</Etag></Properties></Blob>"""


class _Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: dict[str, bytes]
    turn: threading.Lock

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        _, container, key = [*unquote(url.path).split("/", 2), ""][:3]
        with self.turn:
            if container != "bucket":
                self._answer(404, b"<Error><Code>ContainerNotFound</Code></Error>")
            elif not key and self.command == "POST":
                self._batch(body)
            elif not key:
                self._answer(200, self._listed(query.get("prefix", "")))
            elif self.command == "PUT":
                new = "if-none-match" in self.headers or self.headers.get("x-goog-if-generation-match") == "0"
                there = new and key in self.objects
                if not there:
                    self.objects[key] = body
                self._answer((409 if "if-none-match" in self.headers else 412) if there else 201)
            elif key not in self.objects:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            elif self.command == "DELETE":
                del self.objects[key]
                self._answer(202)
            else:
                self._give(self.objects[key])

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

    def _batch(self, body: bytes) -> None:
        """Azure's way to delete many: requests in the parts of a body, answers in those of another."""
        parts = []
        for number, found in enumerate(re.findall(rb"^DELETE /bucket/(\S+) HTTP", body, re.MULTILINE)):
            gone = self.objects.pop(unquote(found.decode()), None)
            status = "404 The specified blob does not exist." if gone is None else "202 Accepted"
            head = f"Content-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status}\r\n"
            parts.append(f"--b\r\n{head}x-ms-version: 2023-11-03\r\n\r\n")
        self._answer(202, "".join([*parts, "--b--\r\n"]).encode(), content_type="multipart/mixed; boundary=b")

    def _give(self, content: bytes) -> None:
        start, _, end = self.headers.get("range", "").removeprefix("bytes=").partition("-")
        if start:
            part = content[int(start) : int(end) + 1]
            self._answer(206, part, content_range=f"bytes {start}-{end}/{len(content)}")
        else:
            self._answer(200, content)

    def _listed(self, prefix: str) -> bytes:
        azure = "x-ms-version" in self.headers
        each = _AZURE_OBJECT if azure else _S3_OBJECT
        found = [
            each.format(escape(key), len(body)) for key, body in sorted(self.objects.items()) if key.startswith(prefix)
        ]
        return (_AZURE if azure else _S3).format("".join(found)).encode()

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"etag": '"1"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def other_store() -> Generator[dict[str, str]]:
    """A server that is both, with a bucket that is named so; gives the environment that leads to it."""
    handler = type("Handler", (_Store,), {"objects": {}, "turn": threading.Lock()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": ""}
        yield {
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, "private_key_id": ""}),
            "GOOGLE_ALLOW_HTTP": "true",
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(b"hush-hush-secret").decode(),
            "AZURE_STORAGE_ENDPOINT": url,
            "AZURE_ALLOW_HTTP": "true",
        }
        server.shutdown()
