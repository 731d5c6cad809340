"""An asyncio-first client for the m3ter usage-billing API.

Importing it loads nothing: each name brings its module with it when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from ._jobs.fan_out import FanOut
    from ._measurements.failed_measurements import IngestFailure, IngestFailures
    from ._measurements.ingest import Ingest
    from ._measurements.ingest_outcomes import FailedBatch, IngestError, IngestReport, RefusedMeasurement
    from ._paging.iteration import Page
    from ._paging.paginator import Paginator
    from .client import AsyncM3ter
    from .errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ClientClosedError,
        ConfigurationError,
        ConflictError,
        ExportError,
        InternalServerError,
        JobCancelledError,
        JobError,
        JobFailedError,
        JobTimeoutError,
        M3terError,
        MeasurementError,
        NotFoundError,
        PayloadTooLargeError,
        PermissionDeniedError,
        RateLimitError,
        RecordError,
        UnprocessableEntityError,
    )
    from .stats import Stats
    from .transports import AiohttpTransport, HttpxTransport, Transport, TransportError

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
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ExportError",
    "FailedBatch",
    "FanOut",
    "HttpxTransport",
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
    "RecordError",
    "RefusedMeasurement",
    "Stats",
    "Transport",
    "TransportError",
    "UnprocessableEntityError",
    "__version__",
]

if not TYPE_CHECKING:
    from importlib.util import find_spec as _find_spec

    if _find_spec("httpx") is None and _find_spec("httpx2") is None:
        __all__.remove("HttpxTransport")  # what lists or imports all names must not fail on one without its library
    _HOME = {
        "AsyncM3ter": "client",
        "FailedBatch": "_measurements.ingest_outcomes",
        "FanOut": "_jobs.fan_out",
        "Ingest": "_measurements.ingest",
        "IngestError": "_measurements.ingest_outcomes",
        "IngestFailure": "_measurements.failed_measurements",
        "IngestFailures": "_measurements.failed_measurements",
        "IngestReport": "_measurements.ingest_outcomes",
        "Page": "_paging.iteration",
        "Paginator": "_paging.paginator",
        "RefusedMeasurement": "_measurements.ingest_outcomes",
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
        return sorted({*globals(), *__all__})
