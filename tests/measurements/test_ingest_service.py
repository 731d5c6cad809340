"""Measurements over a real wire: stored once each whatever happens, and what fails later is found again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest

from m3ter_async import APIResponseValidationError, APIStatusError, AsyncM3ter, IngestReport
from m3ter_async.sandbox import Faults, Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeClock, FakeTransport, answer, client
from ..wire import Pair

TS = datetime(2025, 6, 1, 10, tzinfo=UTC)


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


def open_client(sandbox: Sandbox, pair: Pair, **options: Any) -> AsyncM3ter:
    options = {"max_retries": 50, "max_retry_time": 10_000.0, **options}
    return AsyncM3ter(
        sandbox.api_key,
        sandbox.api_secret,
        sandbox.org_id,
        base_url=sandbox.url,
        transport=pair.transport(),
        _clock=FakeClock(),
        **options,
    )


async def codes(m3ter: AsyncM3ter) -> dict[str, str]:
    (meter,) = await m3ter.meters.list().collect(limit=1)
    (account,) = await m3ter.accounts.list().collect(limit=1)
    return {"meter": meter.code or "", "account": account.code or ""}


def rows(count: int, **fields: Any) -> Iterator[dict[str, Any]]:
    for number in range(count):
        measure = {"value": Decimal(f"{number}.0000000000000000001")}
        yield {**fields, "ts": TS + timedelta(seconds=number), "measure": measure}


async def test_a_failing_service_stores_every_measurement_once(pair: Pair) -> None:
    """Half of the failed requests took effect: their repeats carry the same uids."""
    faults = Faults(error_rate=0.15, drop_rate=0.15, cut_rate=0.1)
    async with Sandbox(seed=5, bills=5, faults=faults) as sandbox, open_client(sandbox, pair) as m3ter:
        named = await codes(m3ter)
        sent: dict[str, Decimal] = {}
        async with m3ter.ingest(concurrency=3) as ingest:
            for row in rows(1200, **named):
                sent[await ingest.send(**row)] = row["measure"]["value"]
                if len(sent) % 100 == 0:
                    await anyio.sleep(0.001)  # so that there are more and smaller batches
        stored = {uid: row["measure"]["value"] for uid, row in sandbox.measurements.items()}
        assert ingest.accepted == 1200
    assert stored == sent
    assert sandbox.applied["SubmitMeasurements"] > ingest.requests  # some arrived twice


@pytest.mark.parametrize("applied", [True, False])
async def test_a_request_that_was_dropped_after_it_took_effect_counts_once(pair: Pair, applied: bool) -> None:
    async with Sandbox(seed=5, bills=5) as sandbox, open_client(sandbox, pair) as m3ter:
        named = await codes(m3ter)
        sandbox.fail_next(1, "drop", applied=applied, operation="SubmitMeasurements")
        report = await m3ter.ingest_all(rows(10, **named))
        assert len(sandbox.measurements) == 10
        assert sandbox.requests["SubmitMeasurements"] == 2
    assert report == IngestReport(accepted=10, refused=0, requests=1)


async def test_a_full_request_is_under_the_limit_of_the_service(pair: Pair) -> None:
    async with Sandbox(seed=5, bills=5) as sandbox, open_client(sandbox, pair) as m3ter:
        named = await codes(m3ter)
        wide = ({**row, "metadata": {"pad": "p" * 5000}} for row in rows(300, **named))
        report = await m3ter.ingest_all(wide)
        assert len(sandbox.measurements) == 300
    assert (report.accepted, sandbox.requests["SubmitMeasurements"]) == (300, report.requests)


# What fails later


async def test_what_failed_validation_is_found_with_its_reason(pair: Pair) -> None:
    async with Sandbox(seed=5, bills=5) as sandbox, open_client(sandbox, pair) as m3ter:
        named = await codes(m3ter)
        given = [{**row, "uid": f"{number}"} for number, row in enumerate(rows(6, **named))]
        given[2]["meter"] = given[4]["account"] = "nobody"
        assert (await m3ter.ingest_all(given)).accepted == 6
        await m3ter.ingest_all([{**given[0], "uid": "late", "meter": "nothing"}])
        # some events are older than what this sandbox has files of
        failures = [failure async for failure in m3ter.ingest_failures() if failure.record is not None]
        assert sorted(sandbox.measurements) == ["0", "1", "3", "5"]
        again = m3ter.ingest_failures()
        first = await anext(again)
        await again.aclose()
    assert Counter(each.record["measurement"]["uid"] for each in failures) == Counter(["2", "4", "late"])
    by_uid = {each.record["measurement"]["uid"]: each for each in failures}
    assert by_uid["2"].record["error"].startswith("meter:")
    assert by_uid["4"].record["measurement"]["measure"] == {"value": Decimal("4.0000000000000000001")}
    assert by_uid["2"].event == by_uid["4"].event != by_uid["late"].event
    assert first == failures[0]


LINK = "https://api.m3ter.com/organizations/org-1/measurements/failedIngest/getDownloadUrl?file=a%2Fb.json"


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "eventName": "ingest.validation.failure",
        "eventTime": f"2025-06-0{number}T00:00:00Z",
        "m3terEvent": {"new": {"getDownloadUrl": LINK}},
        **fields,
    }


class Service:
    """A service with these events, and one file for all."""

    def __init__(self, *events: dict[str, Any], file: Any = (), status: int = 200) -> None:
        self.events = events
        self.file = file
        self.status = status

    def __call__(self, request: Request) -> Response:
        if "/events?" in request.url:
            assert "eventName=ingest.validation.failure" in request.url
            return answer({"data": self.events})
        if "getDownloadUrl" in request.url:
            assert request.url.endswith("?file=a%2Fb.json")
            return answer({"url": "https://files.example/f?X-Amz-Signature=secretsecret"})
        assert "Authorization" not in request.headers
        return answer(self.file, self.status)

    async def read(self, **options: Any) -> list[tuple[str, Any]]:
        async with client(FakeTransport(self)) as m3ter:
            return [(each.event.id, each.record) async for each in m3ter.ingest_failures(**options)]


async def test_failures_are_those_of_the_time_that_was_asked_for() -> None:
    service = Service(*(event(number) for number in range(1, 6)), event(6, eventTime=None), file=[1])
    assert [name for name, _ in await service.read()] == ["e1", "e2", "e3", "e4", "e5", "e6"]
    found = await service.read(since=datetime(2025, 6, 2, tzinfo=UTC), until="2025-06-04T00:00:00Z")
    assert [name for name, _ in found] == ["e2", "e3", "e6"]
    for since in (datetime(2025, 6, 2), "soon"):
        with pytest.raises(ValueError, match=r"since"):
            await service.read(since=since)


async def test_no_failure_is_passed_over_whatever_its_event_and_file_are_like() -> None:
    assert await Service(event(1), event(2), file=[]).read() == []
    assert await Service(event(1), file={"error": "x"}).read() == [("e1", {"error": "x"})]
    assert await Service(event(1), event(2), status=404).read() == [("e1", None), ("e2", None)]
    assert await Service(event(1, m3terEvent={"new": {}}), event(2, m3terEvent=None), file=[1]).read() == [
        ("e1", None),
        ("e2", None),
    ]
    assert await Service(event(1, m3terEvent={"a": {"b": {"getDownloadUrl": "a/b.json"}}}), file=[1.5]).read() == [
        ("e1", Decimal("1.5"))
    ]
    assert await Service(event(1, eventName="bill.created"), file=[1]).read() == []
    with pytest.raises(APIResponseValidationError, match="e1 cannot be read") as caught:
        await Service(event(1), file=b"<html>").read()
    assert "secretsecret" not in repr(caught.value)


@pytest.mark.parametrize("status", [500, 403])
async def test_an_event_whose_file_fails_is_tried_again_and_not_passed_over(status: int) -> None:
    service = Service(event(1), event(2), event(3), file=[1, 2])
    transport = FakeTransport(service)
    async with client(transport, max_retries=0) as m3ter:
        failures = m3ter.ingest_failures()
        seen = [(await anext(failures)).event.id, (await anext(failures)).event.id]
        service.status = status
        for _ in range(2):
            with pytest.raises(APIStatusError):
                await anext(failures)
        service.status = 200
        seen += [each.event.id async for each in failures]
    assert seen == ["e1", "e1", "e2", "e2", "e3", "e3"]


async def test_a_listing_of_events_that_fails_is_gone_on_with() -> None:
    service = Service(event(1), event(2), file=[1])
    down = True

    def serve(request: Request) -> Response:
        return answer(status=500) if down and "/events?" in request.url else service(request)

    async with client(FakeTransport(serve), max_retries=0) as m3ter:
        failures = m3ter.ingest_failures()
        with pytest.raises(APIStatusError):
            await anext(failures)
        down = False
        assert [each.event.id async for each in failures] == ["e1", "e2"]
