"""What OpenTelemetry is told, read back through its SDK: spans and metrics as the HTTP conventions want them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from m3ter_async import APIError, AsyncM3ter, TransportError
from m3ter_async.telemetry import OpenTelemetry
from m3ter_async.transports.protocol import Request, Response

from .fakes import ORG, FakeClock, FakeTransport, answer, client
from .wire import SHORT, Pair, Wire, faults, say, squeezed, until


class Collector:
    """An SDK that keeps everything in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider(metric_readers=[self._reader])
        self.hook = OpenTelemetry(self.tracers, self._meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def metric(self, name: str) -> Any:
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return found[0] if found else None

    def points(self, name: str) -> list[Any]:
        metric = self.metric(name)
        return [] if metric is None else list(metric.data.data_points)

    def close(self) -> None:
        self.tracers.shutdown()
        self._meters.shutdown()


@pytest.fixture
def seen() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


class SlowClock(FakeClock):
    """Each look at it is a quarter of a second after the one before: the end of a request after its begin."""

    def now(self) -> float:
        self.time += 0.25
        return self.time


def using(seen: Collector, *answers: Response | TransportError, **options: Any) -> AsyncM3ter:
    return client(FakeTransport(answers), **{"token": "t", "on_event": seen.hook, **options})


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def failed(call: Any) -> None:
    with pytest.raises(APIError):
        await call


# Spans


async def test_a_request_is_a_client_span_named_by_its_template(seen: Collector) -> None:
    await using(seen, answer(b'{"id": "b1"}')).bills.retrieve("b1")
    (span,) = seen.spans
    assert span.name == "GET /organizations/{orgId}/bills/{id}"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 12,
        "server.address": "api.m3ter.com",
        "server.port": 443,
        "url.full": f"https://api.m3ter.com/organizations/{ORG}/bills/b1",
        "url.template": "/organizations/{orgId}/bills/{id}",
    }
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "m3ter_async"


async def test_a_span_begins_and_ends_with_its_request(seen: Collector) -> None:
    before = time.time_ns()
    await using(seen, answer({}), clock=SlowClock()).bills.retrieve("b1")
    (span,) = seen.spans
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 250_000_000
    assert before <= span.end_time <= time.time_ns()


async def test_a_span_is_a_child_of_the_one_that_is_current_also_for_logins_and_pages_ahead(seen: Collector) -> None:
    pages = (answer({"data": [{"id": "b1"}], "nextToken": "t"}), answer({"data": [{"id": "b2"}]}))
    with seen.tracers.get_tracer("mine").start_as_current_span("mine") as mine:
        assert len(await using(seen, *pages, token=None).bills.list().collect()) == 2
    *made, _ = seen.spans
    assert [span.name.partition(" ")[2] for span in made] == ["/oauth/token"] + ["/organizations/{orgId}/bills"] * 2
    for span in made:
        assert span.parent is not None
        assert span.parent.span_id == mine.get_span_context().span_id


async def test_calls_side_by_side_keep_their_parents(seen: Collector) -> None:
    gate = anyio.Event()

    async def held(_: Request) -> Response:
        await gate.wait()
        return answer({})

    m3ter = client(FakeTransport(held), token="t", on_event=seen.hook)

    async def one(name: str) -> None:
        with seen.tracers.get_tracer("mine").start_as_current_span(name):
            await m3ter.bills.retrieve(name)

    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(one, name)
        await until(lambda: m3ter.stats().in_flight == 3)
        gate.set()
    names = {span.context.span_id: span.name for span in seen.spans if span.parent is None and span.context}
    children = {names[span.parent.span_id]: attributes(span)["url.full"][-1] for span in seen.spans if span.parent}
    assert children == {"a": "a", "b": "b", "c": "c"}


async def test_each_attempt_is_a_span_of_its_own_that_counts_the_ones_before(seen: Collector) -> None:
    await using(seen, answer(status=500), TransportError("gone"), answer({})).bills.retrieve("b1")
    assert [attributes(span).get("http.request.resend_count") for span in seen.spans] == [None, 1, 2]
    assert [attributes(span).get("http.response.status_code") for span in seen.spans] == [500, None, 200]
    assert [attributes(span).get("error.type") for span in seen.spans] == ["500", "connection", None]
    codes = [span.status.status_code for span in seen.spans]
    assert codes == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]


async def test_the_words_of_a_status_are_only_those_that_its_number_does_not_say(seen: Collector) -> None:
    await failed(using(seen, answer({"message": "no"}, 404)).bills.retrieve("b1"))
    await failed(using(seen, TransportError("gone"), max_retries=0).bills.retrieve("b1"))
    assert [span.status.description for span in seen.spans] == [None, "gone"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [(TransportError("slow", timeout=True), "timeout"), (TransportError("huge", too_large=True), "too_large")],
)
async def test_a_request_without_an_answer_is_a_span_too(seen: Collector, error: TransportError, kind: str) -> None:
    await failed(using(seen, error, max_retries=0).bills.retrieve("b1"))
    (span,) = seen.spans
    assert attributes(span)["error.type"] == kind
    assert "http.response.status_code" not in attributes(span)


async def test_a_cancelled_request_is_a_span_that_says_so(seen: Collector) -> None:
    async def never(_: Request) -> Response:
        await anyio.sleep_forever()
        return answer()

    m3ter = client(FakeTransport(never), token="t", on_event=seen.hook)
    async with anyio.create_task_group() as group:
        group.start_soon(m3ter.bills.retrieve, "b1")
        await until(lambda: m3ter.stats().in_flight == 1)
        group.cancel_scope.cancel()
    (span,) = seen.spans
    assert attributes(span)["error.type"] == "cancelled"


async def test_a_query_is_shown_without_what_it_is_about(seen: Collector) -> None:
    m3ter = using(seen, answer(b'{"data": []}'))
    await m3ter.bills.list(account_id="acme", status="PENDING", page_size=5)
    url = attributes(seen.spans[0])["url.full"]
    assert url.partition("?")[0] == f"https://api.m3ter.com/organizations/{ORG}/bills"
    assert set(url.partition("?")[2].split("&")) == {"accountId=REDACTED", "status=PENDING", "pageSize=5"}


async def test_a_path_by_hand_gives_no_name_of_a_thousand_values(seen: Collector) -> None:
    await using(seen, answer({})).request("GET", "/organizations/{orgId}/x/5")
    (span,) = seen.spans
    assert span.name == "GET"
    assert "url.template" not in attributes(span)
    assert "url.template" not in dict(seen.points("http.client.request.duration")[0].attributes)


async def test_a_method_that_nobody_knows_is_other_unless_the_environment_names_it(
    seen: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await using(seen, answer({})).request("FROB", "/x")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, FROB")
    await using(seen, answer({}), on_event=OpenTelemetry(seen.tracers)).request("FROB", "/x")
    assert [span.name for span in seen.spans] == ["HTTP", "FROB"]
    assert [attributes(span)["http.request.method"] for span in seen.spans] == ["_OTHER", "FROB"]
    assert [attributes(span).get("http.request.method_original") for span in seen.spans] == ["FROB", None]


# Metrics


async def test_durations_are_a_histogram_of_seconds_with_the_advised_buckets(seen: Collector) -> None:
    m3ter = using(seen, answer({}), answer({}), answer(status=404), clock=SlowClock())
    await m3ter.bills.retrieve("b1")
    await m3ter.bills.retrieve("b2")
    await failed(m3ter.bills.retrieve("b3"))
    assert seen.metric("http.client.request.duration").unit == "s"
    good, bad = seen.points("http.client.request.duration")
    assert isinstance(good, HistogramDataPoint)
    assert (good.count, good.sum) == (2, 0.5)
    assert good.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    common = {
        "http.request.method": "GET",
        "server.address": "api.m3ter.com",
        "server.port": 443,
        "url.template": "/organizations/{orgId}/bills/{id}",
    }
    assert dict(good.attributes or {}) == {**common, "http.response.status_code": 200}
    assert dict(bad.attributes or {}) == {**common, "http.response.status_code": 404, "error.type": "404"}


async def test_repeats_and_pauses_are_counted(seen: Collector) -> None:
    answers = (answer(status=503), answer(status=429, retry_after="3"), answer({}))
    await using(seen, *answers).bills.retrieve("b1")
    retries = {
        dict(point.attributes)["http.response.status_code"]: point for point in seen.points("m3ter.client.retries")
    }
    assert {status: point.value for status, point in retries.items()} == {503: 1, 429: 1}
    (pauses,) = seen.points("m3ter.client.pauses")
    (seconds,) = seen.points("m3ter.client.pause.duration")
    assert isinstance(pauses, NumberDataPoint)
    assert (pauses.value, seconds.value) == (1, 3.0)
    assert dict(pauses.attributes or {}) == {"m3ter.rate_limit.scope": "configuration"}


# Over a wire


class TestOverAWire:
    @pytest.fixture
    def anyio_backend(self, pair: Pair) -> str:
        return pair.backend

    async def test_a_span_has_the_port_and_what_was_transferred(self, pair: Pair, seen: Collector) -> None:
        with Wire([squeezed(b'{"id": "%b"}' % (b"b" * 5_000), "gzip")]) as wire:
            async with wire.client(pair, on_event=seen.hook) as m3ter:
                await m3ter.bills.retrieve("b1")
        login, span = seen.spans
        assert login.name == "POST /oauth/token"
        for one in (login, span):
            assert attributes(one)["server.address"] == "127.0.0.1"
            assert attributes(one)["server.port"] == wire.port
        assert attributes(span)["http.response.body.size"] < 200

    async def test_a_request_that_runs_out_of_time_is_as_long_as_it_took(self, pair: Pair, seen: Collector) -> None:
        stalls = faults({})["stalls before the answer"]
        with Wire([stalls, say({"id": "b1"})]) as wire:
            clock = _NoWaits()
            async with wire.client(pair, token="t", timeout=SHORT, on_event=seen.hook, clock=clock) as m3ter:
                await m3ter.bills.retrieve("b1")
        lost, _ = seen.spans
        assert attributes(lost)["error.type"] == "timeout"
        assert (lost.end_time or 0) - (lost.start_time or 0) >= SHORT * 0.9e9


class _NoWaits(FakeClock):
    """Real time, without the waits between attempts."""

    def now(self) -> float:
        return time.monotonic()


# Without it


def test_without_opentelemetry_the_error_names_the_extra() -> None:
    script = "import sys; sys.modules['opentelemetry'] = None; import m3ter_async.telemetry"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert 'ImportError: m3ter_async.telemetry needs OpenTelemetry: pip install "m3ter-async[otel]"' in result.stderr
    assert "During handling" not in result.stderr


async def test_without_an_sdk_it_does_nothing_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    m3ter = client(FakeTransport([answer(status=429), answer({})]), token="t", on_event=OpenTelemetry())
    await m3ter.bills.retrieve("b1")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
