"""How bytes get to the service and back: a protocol of two methods, and what can go wrong on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..operation import Request, Response
    from .aiohttp import AiohttpTransport
    from .httpx import HttpxTransport

__all__ = ["AiohttpTransport", "HttpxTransport", "Transport", "TransportError"]


class Transport(Protocol):
    """What the pipeline asks of a backend. It follows no redirect and repeats nothing by itself.

    One that can tell how many connections it has open now has an attribute ``connections: int | None`` as well.
    """

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer to the end, or hand it to ``request.into`` if that is set.

        Without an ``Authorization`` header among those of the request, none may be sent.

        Raises:
            TransportError: No whole answer came.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened itself, and nothing that was handed to it."""
        ...


class TransportError(Exception):
    """No whole answer came.

    Attributes:
        sent: False where it is certain that the service never saw the request.
        timeout: True where the time ran out.
        too_large: True where the answer outgrew what the request allows.
    """

    def __init__(self, reason: str, *, sent: bool = True, timeout: bool = False, too_large: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.timeout = timeout
        self.too_large = too_large


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # aiohttp takes a third of a second to import: only the backend that is used is loaded
        if name == "AiohttpTransport":
            from .aiohttp import AiohttpTransport

            return AiohttpTransport
        if name == "HttpxTransport":
            try:
                from .httpx import HttpxTransport
            except ModuleNotFoundError as error:
                if error.name != "httpx":
                    raise
                raise ImportError("HttpxTransport needs httpx: pip install 'm3ter-async[httpx]'") from None
            return HttpxTransport
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
