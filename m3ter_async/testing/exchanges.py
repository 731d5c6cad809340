"""A request and what became of it, and its form as a line of a file."""

from base64 import b64decode, b64encode
from collections.abc import Mapping

import msgspec
from msgspec import Raw


class Failure(msgspec.Struct, frozen=True):
    """The attributes of a `TransportError`."""

    reason: str
    sent: bool = True
    timeout: bool = False
    too_large: bool = False


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


def to_line(exchange: Exchange) -> bytes:
    """The line of a file, with its end."""
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


def from_line(line: bytes) -> Exchange:
    """What `to_line` made a line of.

    Raises:
        ValueError: It is no such line.
    """
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
