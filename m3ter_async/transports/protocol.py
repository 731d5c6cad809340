"""What the client asks of a backend: requests and responses as plain data, and what can go wrong on the wire."""

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Request:
    """What a transport sends: everything in it is encoded already.

    Attributes:
        timeout: Seconds for the whole exchange, from connecting to the last byte; where a body goes in pieces, seconds
            in which hardly any byte moves.
        max_bytes: The largest body that is accepted in answer, decompressed.
        pieces: The body piece by piece, in place of `content`; its ``Content-Length`` is among the headers.
        into: Takes the body of a 2xx answer piece by piece, in place of `Response.content`.
    """

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = field(default=None, repr=False)
    timeout: float = 60.0
    max_bytes: int = 2**30
    pieces: AsyncIterable[bytes] | None = field(default=None, repr=False)
    into: Callable[[bytes], Awaitable[None]] | None = field(default=None, repr=False)

    @property
    def streamed(self) -> bool:
        """Whether a body goes in pieces, either way."""
        return self.pieces is not None or self.into is not None


@dataclass(slots=True)
class Response:
    """What a transport brings back: `headers` are found by lower-case names, `content` is decompressed.

    Attributes:
        size: How many bytes the body had, where `content` only stands for it.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | bytearray = field(repr=False)
    size: int | None = None


class Transport(Protocol):
    """What the pipeline asks of a backend. It follows no redirect and repeats nothing by itself.

    One that can tell how many connections it has open now has an attribute ``connections: int | None`` as well. One
    that is sure to end within `Request.timeout` may say so by ``keeps_time = True``; around any other a call that has
    a deadline puts a cancel scope. One that loads something with its first request may have an
    ``async def load(self) -> None``, which ``warm_up()`` awaits.
    """

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it to ``request.into`` if that is set.

        Without an ``Authorization`` header among those of the request, none may be sent. Of an answer that is no
        success the first 64 KiB of the body are enough, and it may be cut.

        Raises:
            TransportError: No status was answered, or the body of a success is not whole.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened itself, and nothing that was handed to it."""
        ...


class TransportError(Exception):
    """No answer came that could be used.

    A status that is not a success is an answer, whatever becomes of its body: for that a `Response` is returned.

    Attributes:
        sent: False where it is certain that nothing of the request reached the service.
        timeout: True where the time ran out.
        too_large: True where the answer outgrew what the request allows.
        status: The status (200 to 299) that was answered before the answer broke, or None where none was.
        final: True where a repeat would end the same way, since something is wrong by configuration.
        closed: True where the transport, or the client it was handed, is closed or belongs to another event loop; it
            is final, and nothing was sent.
    """

    def __init__(
        self,
        reason: str,
        *,
        sent: bool = True,
        timeout: bool = False,
        too_large: bool = False,
        status: int | None = None,
        final: bool = False,
        closed: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent: bool = sent and not closed
        self.timeout = timeout
        self.too_large = too_large
        self.status = status
        self.final: bool = final or closed
        self.closed = closed
