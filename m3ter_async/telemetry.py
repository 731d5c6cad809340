"""OpenTelemetry: a span and a duration for every HTTP request, after the semantic conventions for HTTP clients.

Needs ``pip install "m3ter-async[otel]"``, and an SDK that is set up by the application. Nothing else imports it.
"""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

try:
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import SpanKind, StatusCode, TracerProvider, get_tracer, set_span_in_context
except ModuleNotFoundError as _missing:
    if _missing.name is None or _missing.name.partition(".")[0] != "opentelemetry":
        raise
    raise ImportError('m3ter_async.telemetry needs OpenTelemetry: pip install "m3ter-async[otel]"') from None

from .events import (
    CallInfo,
    Event,
    RateLimitPaused,
    RequestFailed,
    ResponseReceived,
    RetryScheduled,
)
from .version import __version__

__all__ = ["OpenTelemetry"]

_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
_METHODS = "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,QUERY,TRACE"
# Seconds; the conventions advise these, since the SDK's own are made for milliseconds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class OpenTelemetry:
    """Tells OpenTelemetry of every HTTP request: ``AsyncM3ter(on_event=OpenTelemetry())``.

    Each attempt is a client span of its own, a child of the span that is current where the call is made, named
    ``GET /organizations/{orgId}/bills/{id}``. Its ``url.full`` shows of a query only what `m3ter_async.events` shows.
    The span is made when the request is over, with the times at which it began and ended.

    Metrics: the histogram ``http.client.request.duration`` (seconds), and the counters ``m3ter.client.retries``,
    ``m3ter.client.pauses`` (429s that stopped all calls of an organization) and ``m3ter.client.pause.duration``
    (seconds of those).

    Args:
        tracer_provider: Where spans go, in place of the global provider.
        meter_provider: Where metrics go, in place of the global provider.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = get_tracer("m3ter_async", __version__, tracer_provider, _SCHEMA)
        meter = get_meter("m3ter_async", __version__, meter_provider, _SCHEMA)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._retries = meter.create_counter(
            "m3ter.client.retries", unit="{request}", description="HTTP requests that were sent again."
        )
        self._pauses = meter.create_counter(
            "m3ter.client.pauses", unit="{pause}", description="Pauses of all calls of an organization after a 429."
        )
        self._paused = meter.create_counter(
            "m3ter.client.pause.duration", unit="s", description="Seconds of those pauses, as they began."
        )
        known = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS") or _METHODS
        self._methods = {method.strip() for method in known.split(",")}

    def __call__(self, event: Event) -> None:
        """Take notice of an event."""
        if isinstance(event, (ResponseReceived, RequestFailed)):
            self._request(event)
        elif isinstance(event, RetryScheduled):
            attributes = self._common(event.call)
            if event.status is not None:
                attributes["http.response.status_code"] = event.status
            self._retries.add(1, attributes)
        elif isinstance(event, RateLimitPaused):
            scope = {"m3ter.rate_limit.scope": event.scope}
            self._pauses.add(1, scope)
            self._paused.add(event.seconds, scope)

    def _request(self, event: ResponseReceived | RequestFailed) -> None:
        ended = time.time_ns()
        call = event.call
        common = self._common(call)
        if isinstance(event, ResponseReceived):
            common["http.response.status_code"] = event.status
            error = str(event.status) if event.status >= 400 else None
        else:
            error = event.error
        if error is not None:
            common["error.type"] = error
        attributes = {**common, "url.full": call.url}
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        if common["http.request.method"] == "_OTHER":
            attributes["http.request.method_original"] = call.method
        if isinstance(event, ResponseReceived) and event.wire_bytes is not None:
            attributes["http.response.body.size"] = event.wire_bytes
        method = "HTTP" if common["http.request.method"] == "_OTHER" else call.method
        span = self._tracer.start_span(
            f"{method} {call.template}" if call.template else method,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended - round(event.seconds * 1e9),
        )
        if error is not None:
            # the conventions want no words where the status says it all
            span.set_status(StatusCode.ERROR, event.reason if isinstance(event, RequestFailed) else None)
        span.end(ended)
        self._duration.record(event.seconds, common, set_span_in_context(span))

    def _common(self, call: CallInfo) -> dict[str, str | int]:
        """The attributes that spans and metrics have in common: all of few values."""
        host = urlsplit(call.url)
        common: dict[str, str | int] = {
            "http.request.method": call.method if call.method in self._methods else "_OTHER",
            "server.address": host.hostname or "",
            "server.port": host.port or (443 if host.scheme == "https" else 80),
        }
        if call.template is not None:
            common["url.template"] = call.template
        return common
