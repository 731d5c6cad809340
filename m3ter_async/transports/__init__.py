"""How bytes get to the service and back: a protocol of two methods, and two backends that follow it.

Whoever writes a backend of their own takes `Request` and `Response` from here, and raises `TransportError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .protocol import Request, Response, Transport, TransportError

if TYPE_CHECKING:
    from .aiohttp import AiohttpTransport
    from .httpx import HttpxTransport

__all__ = ["AiohttpTransport", "HttpxTransport", "Request", "Response", "Transport", "TransportError"]

for _public in (Request, Response, Transport, TransportError):
    _public.__module__ = __name__

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
                raise ImportError('HttpxTransport needs httpx: pip install "m3ter-async[httpx]"') from None
            return HttpxTransport
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
