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

Request.__module__ = Response.__module__ = __name__
Transport.__module__ = TransportError.__module__ = "m3ter_async"  # where most users import them from

if not TYPE_CHECKING:
    from importlib.util import find_spec as _find_spec

    if _find_spec("httpx") is None and _find_spec("httpx2") is None:
        __all__.remove("HttpxTransport")  # what lists or imports all names must not fail on one without its library

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    def __getattr__(name: str) -> object:
        # aiohttp takes a third of a second to import: only the backend that is used is loaded
        if name == "AiohttpTransport":
            from .aiohttp import AiohttpTransport

            return AiohttpTransport
        if name == "HttpxTransport":
            if name not in __all__:
                mend = 'pip install "m3ter-async[httpx]" (or "m3ter-async[httpx2]")'
                raise ImportError(f"HttpxTransport needs httpx or httpx2: {mend}")
            from .httpx import HttpxTransport

            return HttpxTransport
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
