"""What went over the wire, without secrets: to look at in a test, to keep as a file, and to play again."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace as changed

from .._core.auth import LOGIN
from .._core.outcomes import REQUEST_ID_HEADERS
from .._core.redaction import MASK, Redactor
from ..transports.protocol import Request, Response, TransportError
from .exchanges import Exchange, Failure, from_line, to_line

if TYPE_CHECKING:
    from ..transports.protocol import Transport

_KEPT = {"content-type", "location", "retry-after", *REQUEST_ID_HEADERS}
_SECRET_FIELD = re.compile(rb'("(?:apiKey|secret|access_token|x-amz-[\w-]+)"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_URL_QUERY = re.compile(rb'(https?:[^"\s?]+\?)[^"\s]+')  # a presigned URL is good for whoever holds it
_SIGNED = "redacted"
_GRANT = b'{"access_token":"replayed","token_type":"Bearer","expires_in":18000}'


class RecordingTransport:
    """Sends through another transport and keeps each exchange, in the order in which they ended.

    No secret is kept: of the headers of requests none, in bodies neither keys, secrets and tokens nor the query of
    any URL. Logins are not kept at all.

    Args:
        transport: What sends; it is closed with this one.
        path: A file to write each exchange to, as a line of JSON; one that is there is replaced.

    Attributes:
        exchanges: What was kept so far.
    """

    def __init__(self, transport: Transport, path: str | PathLike[str] | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self._transport = transport
        self._file = None if path is None else Path(path).open("wb")  # noqa: SIM115  it stays open
        self._masks = _Masks()

    async def send(self, request: Request) -> Response:
        """Send one request and keep what became of it."""
        self._masks.learn(request.headers)
        tap = _Tap(request)
        try:
            response = await self._transport.send(tap.request)
        except TransportError as error:
            failure = Failure(self._masks.text(error.reason), error.sent, error.timeout, error.too_large)
            self._keep(request, tap, None, failure)
            raise
        self._keep(request, tap, response, None)
        return response

    @property
    def connections(self) -> int | None:
        """How many connections are open now, if the other transport can tell."""
        return getattr(self._transport, "connections", None)

    async def aclose(self) -> None:
        """Close the file and the other transport."""
        if self._file is not None:
            self._file.close()
        await self._transport.aclose()

    def _keep(self, request: Request, tap: _Tap, response: Response | None, failure: Failure | None) -> None:
        masks = self._masks
        if _is_login(request):
            return
        exchange = Exchange(*masks.key(request, tap.sent), failure=failure)
        if response is not None:
            headers = {name.lower(): masks.text(value) for name, value in response.headers.items()}
            exchange = changed(
                exchange,
                status=response.status,
                headers={name: value for name, value in headers.items() if name in _KEPT},
                received=masks.data(response.content or tap.received),
            )
        self.exchanges.append(exchange)
        if self._file is not None:
            self._file.write(to_line(exchange))
            self._file.flush()  # whatever ends the test, what happened before is there


class ReplayTransport:
    """Answers each request as a recording says, and any login by itself; nothing is sent anywhere.

    A request is known by its method, path, query and body. Asked more than once, the answers come in the order of the
    recording.

    Args:
        recording: A file that `RecordingTransport` wrote, or its `exchanges`.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no recording.
    """

    def __init__(self, recording: str | PathLike[str] | Iterable[Exchange]) -> None:
        if isinstance(recording, (str, PathLike)):
            recording = [from_line(line) for line in Path(recording).read_bytes().splitlines()]
        self._masks = _Masks()
        self._left: dict[tuple[str, str, bytes], deque[Exchange]] = {}
        for exchange in recording:
            self._left.setdefault((exchange.method, exchange.target, exchange.sent), deque()).append(exchange)

    @property
    def left(self) -> list[Exchange]:
        """What was recorded and not asked for yet."""
        return [exchange for queue in self._left.values() for exchange in queue]

    async def send(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            AssertionError: There is no answer to it in the recording, or no further one.
        """
        if _is_login(request):
            return Response(200, {"content-type": "application/json"}, _GRANT)
        self._masks.learn(request.headers)
        sent = b"".join([piece async for piece in request.pieces]) if request.pieces else request.content
        key = self._masks.key(request, sent or b"")
        if not (queue := self._left.get(key)):
            known = any(key[:2] == other[:2] for other, queue in self._left.items() if queue)
            hint = ", but with another body" if known else ""
            raise AssertionError(f"{key[0]} {key[1]} is not in what is left of the recording{hint}")
        exchange = queue.popleft()
        if (failure := exchange.failure) is not None:
            raise TransportError(
                failure.reason, sent=failure.sent, timeout=failure.timeout, too_large=failure.too_large
            )
        content = exchange.received
        if request.into is not None and 200 <= (exchange.status or 0) < 300:
            await request.into(content)
            content = b""
        return Response(exchange.status or 0, exchange.headers, content)

    async def aclose(self) -> None:
        """Nothing is open."""


class _Tap:
    """A request that keeps a copy of its bodies, also of those that are streamed."""

    def __init__(self, request: Request) -> None:
        self.sent = bytearray(request.content or b"")
        self.received = bytearray()
        pieces, into = request.pieces, request.into

        async def take(piece: bytes) -> None:
            self.received += piece
            if into is not None:
                await into(piece)

        self.request: Request = request
        if request.streamed:
            copied = None if pieces is None else _Copied(pieces, self.sent)
            self.request = replace(request, pieces=copied, into=None if into is None else take)


class _Copied(AsyncIterator[bytes]):
    def __init__(self, pieces: AsyncIterable[bytes], copy: bytearray) -> None:
        self._pieces = pieces.__aiter__()
        self._copy = copy

    async def __anext__(self) -> bytes:
        piece = await self._pieces.__anext__()
        self._copy += piece
        return piece


class _Masks:
    """Takes secrets out of what is kept: what has authorized requests, and what is a secret by its place."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._redactor = Redactor(())

    def learn(self, headers: Mapping[str, str]) -> None:
        kind, _, value = headers.get("Authorization", "").partition(" ")
        if value and value not in self._known:
            self._known.add(value)
            if kind == "Basic":
                self._known.update(b64decode(value).decode().split(":", 1))
            self._redactor = Redactor(self._known)

    def text(self, value: str) -> str:
        return self._redactor.text(value)

    def data(self, body: bytes | bytearray) -> bytes:
        body = self._redactor.clean(body, len(body) * len(MASK))
        body = _SECRET_FIELD.sub(rb'\1"%b"' % MASK.encode(), body)
        return _URL_QUERY.sub(rb"\1%b" % _SIGNED.encode(), body)

    def key(self, request: Request, sent: bytes | bytearray) -> tuple[str, str, bytes]:
        """What makes a request the same as another, in a form that can be kept."""
        path, mark, query = request.url[request.url.index("/", 8) :].partition("?")
        if query and "Authorization" not in request.headers:
            query = _SIGNED
        return request.method, self.text(path + mark + query), self.data(sent)


def _is_login(request: Request) -> bool:
    return request.url.partition("?")[0].endswith(LOGIN.path)
