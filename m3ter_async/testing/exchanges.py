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
    """An exchange as a line of a file, from which each body comes back byte for byte.

    A body that is JSON on one line stands there as it is, another text as ``sent_text`` or ``received_text``, and
    what is not text in base64.
    """

    method: str
    target: str
    sent: Raw = Raw(b"null")
    sent_text: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = {}
    received: Raw = Raw(b"null")
    received_text: str | None = None
    failure: Failure | None = None


_lines = msgspec.json.Decoder(_Line)


def to_line(exchange: Exchange) -> bytes:
    """The line of a file, with its end."""
    sent, sent_text = _kept(exchange.sent)
    received, received_text = _kept(exchange.received)
    line = _Line(
        exchange.method,
        exchange.target,
        sent,
        sent_text,
        exchange.status,
        exchange.headers,
        received,
        received_text,
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
        sent, received = _body(kept.sent, kept.sent_text), _body(kept.received, kept.received_text)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ValueError(f"not a line of a recording: {error}") from None
    return Exchange(kept.method, kept.target, sent, kept.status, kept.headers, received, kept.failure)


def _kept(body: bytes) -> tuple[Raw, str | None]:
    """A body as JSON or as text."""
    nothing = Raw(b"null")
    if not body:
        return nothing, None
    if _is_plain_json(body):
        return Raw(body), None
    try:
        return nothing, body.decode()
    except UnicodeDecodeError:
        return Raw(msgspec.json.encode(b64encode(body).decode())), None


def _is_plain_json(body: bytes) -> bool:
    """Whether it comes back the same from within a line of JSON."""
    if body.strip() != body or b"\n" in body or b"\r" in body:
        return False
    try:
        value = msgspec.json.decode(body)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return False
    return value is not None and not isinstance(value, str)  # these stand for something else here


def _body(raw: Raw, text: str | None) -> bytes:
    if text is not None:
        return text.encode()
    found = bytes(raw)
    if found == b"null":
        return b""
    return b64decode(msgspec.json.decode(found, type=str), validate=True) if found.startswith(b'"') else found
