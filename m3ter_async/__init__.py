"""An asyncio-first client for the m3ter usage-billing API.

Importing it loads nothing: each name brings its module with it when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .client import AsyncM3ter
    from .errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        InternalServerError,
        JobCancelledError,
        JobError,
        JobFailedError,
        JobTimeoutError,
        M3terError,
        NotFoundError,
        PayloadTooLargeError,
        PermissionDeniedError,
        RateLimitError,
        UnprocessableEntityError,
    )
    from .fanout import FanOut
    from .ingest import Ingest
    from .measurements import IngestError, IngestReport, MeasurementError, RefusedMeasurement
    from .pagination import Page, Paginator
    from .stats import Stats
    from .transports import AiohttpTransport, Transport, TransportError
    from .transports import HttpxTransport as HttpxTransport
    from .validation import IngestFailure, IngestFailures

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AiohttpTransport",
    "AsyncM3ter",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "FanOut",
    "Ingest",
    "IngestError",
    "IngestFailure",
    "IngestFailures",
    "IngestReport",
    "InternalServerError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobTimeoutError",
    "M3terError",
    "MeasurementError",
    "NotFoundError",
    "Page",
    "Paginator",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitError",
    "RefusedMeasurement",
    "Stats",
    "Transport",
    "TransportError",
    "UnprocessableEntityError",
    "__version__",
]

if not TYPE_CHECKING:
    # HttpxTransport is not in __all__: without the extra, `import *` would fail on it
    _HOME = {
        "AsyncM3ter": "client",
        "FanOut": "fanout",
        "Ingest": "ingest",
        "IngestError": "measurements",
        "IngestFailure": "validation",
        "IngestFailures": "validation",
        "IngestReport": "measurements",
        "MeasurementError": "measurements",
        "Page": "pagination",
        "Paginator": "pagination",
        "RefusedMeasurement": "measurements",
        "Stats": "stats",
        "AiohttpTransport": "transports",
        "HttpxTransport": "transports",
        "Transport": "transports",
        "TransportError": "transports",
    }

    def __getattr__(name: str) -> object:
        if name not in __all__ and name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f".{_HOME.get(name, 'errors')}", __name__), name)
        globals()[name] = value  # asked for once
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_HOME})
