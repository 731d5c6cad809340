"""What went over the wire, without secrets: to look at in a test, to keep as a file, and to play again."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from ..auth import LOGIN
from ..errors import REQUEST_ID_HEADERS
from ..operation import Request, Response
from ..redaction import MASK, Redactor
from ..transports import TransportError

if TYPE_CHECKING:
    from ..transports import Transport

_KEPT = {"content-type", "location", "retry-after", *REQUEST_ID_HEADERS}
_SECRET_FIELD = re.compile(rb'("(?:apiKey|secret|access_token)"\s*:\s*)"(?:[^"\\]|\\.)*"')
_URL_QUERY = re.compile(rb'(https?:[^"\s?]+\?)[^"\s]+')  # a presigned URL is good for whoever holds it
_SIGNED = "redacted"
_GRANT = b'{"access_token":"replayed","token_type":"Bearer","expires_in":18000}'


class Exchange(msgspec.Struct, frozen=True):
    """One request and what became of it.

    Attributes:
        method: The HTTP method.
        target: Path and query. Of a presigned URL the query is masked.
        sent: The body of the request, empty where there was none.
        status: The HTTP status; None where no whole answer came.
        headers: Those of the answer that mean something to the client, by lower-case names.
        received: The body of the answer, decompressed.
        failure: What went wrong on the wire, None where an answer came.
    """

    method: str
    target: str
    sent: bytes = b""
    status: int | None = None
    headers: Mapping[str, str] = {}
    received: bytes = b""
    failure: Failure | None = None


class Failure(msgspec.Struct, frozen=True):
    """The attributes of a `TransportError`."""

    reason: str
    sent: bool = True
    timeout: bool = False
    too_large: bool = False


class _Line(msgspec.Struct, omit_defaults=True):
    """An exchange as a line of a file. A body that is JSON stands there as it is, any other one as text in base64."""

    method: str
    target: str
    sent: Raw = Raw(b"null")
    status: int | None = None
    headers: Mapping[str, str] = {}
    received: Raw = Raw(b"null")
    failure: Failure | None = None


_lines = msgspec.json.Decoder(_Line)


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
        try:
            response = await self._transport.send(request)
        except TransportError as error:
            failure = Failure(self._masks.text(error.reason), error.sent, error.timeout, error.too_large)
            self._keep(request, None, failure)
            raise
        self._keep(request, response, None)
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

    def _keep(self, request: Request, response: Response | None, failure: Failure | None) -> None:
        masks = self._masks
        masks.learn(request.headers)
        if _is_login(request):
            return
        exchange = Exchange(*masks.key(request), failure=failure)
        if response is not None:
            headers = {name.lower(): masks.text(value) for name, value in response.headers.items()}
            exchange = msgspec.structs.replace(
                exchange,
                status=response.status,
                headers={name: value for name, value in headers.items() if name in _KEPT},
                received=masks.data(response.content),
            )
        self.exchanges.append(exchange)
        if self._file is not None:
            self._file.write(_to_line(exchange))
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
            recording = [_from_line(line) for line in Path(recording).read_bytes().splitlines()]
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
        key = self._masks.key(request)
        if not (queue := self._left.get(key)):
            known = any(key[:2] == other[:2] for other, queue in self._left.items() if queue)
            hint = ", but with another body" if known else ""
            raise AssertionError(f"{key[0]} {key[1]} is not in what is left of the recording{hint}")
        exchange = queue.popleft()
        if (failure := exchange.failure) is not None:
            raise TransportError(
                failure.reason, sent=failure.sent, timeout=failure.timeout, too_large=failure.too_large
            )
        return Response(exchange.status or 0, exchange.headers, exchange.received)

    async def aclose(self) -> None:
        """Nothing is open."""


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

    def data(self, body: bytes | bytearray | None) -> bytes:
        body = self._redactor.clean(body or b"", len(body or b"") * len(MASK))
        body = _SECRET_FIELD.sub(rb'\1"%b"' % MASK.encode(), body)
        return _URL_QUERY.sub(rb"\1%b" % _SIGNED.encode(), body)

    def key(self, request: Request) -> tuple[str, str, bytes]:
        """What makes a request the same as another, in a form that can be kept."""
        path, mark, query = request.url[request.url.index("/", 8) :].partition("?")
        if query and "Authorization" not in request.headers:
            query = _SIGNED
        return request.method, self.text(path + mark + query), self.data(request.content)


def _is_login(request: Request) -> bool:
    return request.url.partition("?")[0].endswith(LOGIN.path)


def _to_line(exchange: Exchange) -> bytes:
    line = _Line(
        exchange.method,
        exchange.target,
        _to_json(exchange.sent),
        exchange.status,
        exchange.headers,
        _to_json(exchange.received),
        exchange.failure,
    )
    return msgspec.json.encode(line) + b"\n"


def _from_line(line: bytes) -> Exchange:
    try:
        kept = _lines.decode(line)
        sent, received = _from_json(kept.sent), _from_json(kept.received)
    except ValueError as error:
        raise ValueError(f"not a line of a recording: {error}") from None
    return Exchange(kept.method, kept.target, sent, kept.status, kept.headers, received, kept.failure)


def _to_json(body: bytes) -> Raw:
    if not body:
        return Raw(b"null")
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        value = ""
    if value is None or isinstance(value, str):  # what stands for something else here
        return Raw(msgspec.json.encode(b64encode(body).decode()))
    return Raw(body.replace(b"\n", b" ").replace(b"\r", b" ").strip())  # within a JSON text, line ends are only blanks


def _from_json(raw: Raw) -> bytes:
    text = bytes(raw)
    if text == b"null":
        return b""
    return b64decode(msgspec.json.decode(text, type=str), validate=True) if text.startswith(b'"') else text
