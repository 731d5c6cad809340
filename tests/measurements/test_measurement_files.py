"""Files of measurements: never whole in memory, sent once, and every row that failed is told of."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from m3ter_async import JobFailedError, MeasurementError, PermissionDeniedError
from m3ter_async._measurements import measurement_files
from m3ter_async.models import Measurement, UploadJob
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from ..wire import Pair
from .test_ingest_service import codes, open_client

TS = datetime(2025, 6, 1, 10, tzinfo=UTC)
ROW: dict[str, Any] = {"meter": "m", "account": "a", "ts": TS, "measure": {"value": Decimal("0.00000000000000000001")}}
URL = "https://files.example/f?X-Amz-Signature=secretsecret"


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


def rows(count: int, **fields: Any) -> Iterator[dict[str, Any]]:
    return ({**ROW, **fields, "uid": f"row-{number}"} for number in range(count))


async def later(rows: Iterator[Any]) -> AsyncIterator[Any]:
    for row in rows:
        yield row


def file(rows: Iterator[dict[str, Any]]) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(list(rows))


def pieces(content: bytes) -> Iterator[bytes]:
    return (content[place : place + 1000] for place in range(0, len(content), 1000))


@pytest.mark.parametrize("kind", ["path", "rows", "async rows", "structs", "pieces", "async pieces"])
async def test_whatever_it_comes_from_every_row_arrives(
    kind: str, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with Sandbox(seed=5, bills=5) as sandbox, open_client(sandbox, pair) as m3ter:
        named = await codes(m3ter)
        content = file(rows(3000, **named))
        path = tmp_path / "usage.json"
        path.write_bytes(content)
        given: Any = {
            "path": path,
            "rows": rows(3000, **named),
            "async rows": later(rows(3000, **named)),
            "structs": (Measurement(**row) for row in rows(3000, **named)),
            "pieces": pieces(content),
            "async pieces": later(pieces(content)),
        }[kind]
        seen: list[str | None] = []
        job = await m3ter.upload_measurements(given, on_progress=lambda job: seen.append(job.status))
        assert (job.status, job.total_rows, job.failed_rows) == ("succeeded", 3000, 0)
        assert job.file_name == ("usage.json" if kind == "path" else "measurements.json")
        assert seen[-1] == "succeeded"
        assert {uid: row["measure"] for uid, row in sandbox.measurements.items()} == {
            row["uid"]: ROW["measure"] for row in rows(3000)
        }
    assert os.listdir(tmp_path) == ["usage.json"]


async def test_rows_that_fail_are_counted_although_the_job_succeeds(pair: Pair) -> None:
    async with Sandbox(seed=5, bills=5) as sandbox, open_client(sandbox, pair) as m3ter:
        named = await codes(m3ter)
        given = [*rows(5, **named), {**ROW, "account": named["account"], "uid": "bad"}]
        job = await m3ter.upload_measurements(given, file_name="june.json")
        assert (job.status, job.total_rows, job.processed_rows, job.failed_rows) == ("succeeded", 6, 5, 1)
        assert job.file_name == "june.json"
        failures = [each.record async for each in m3ter.ingest_failures() if each.record is not None]
        assert len(sandbox.measurements) == 5
    assert [record["measurement"]["uid"] for record in failures] == ["bad"]


@pytest.mark.parametrize("applied", [True, False])
async def test_an_upload_that_broke_is_made_again_to_the_same_place(applied: bool, pair: Pair) -> None:
    async with Sandbox(seed=5, bills=5) as sandbox, open_client(sandbox, pair) as m3ter:
        named = await codes(m3ter)
        sandbox.fail_next(1, "drop", applied=applied, operation="uploads")
        job = await m3ter.upload_measurements(rows(500, **named))
        assert (job.total_rows, len(sandbox.measurements)) == (500, 500)
        assert sandbox.requests["GenerateUploadUrl"] == 1


async def test_a_file_that_cannot_be_read_fails_its_job(pair: Pair) -> None:
    async with Sandbox(seed=5, bills=5) as sandbox, open_client(sandbox, pair) as m3ter:
        with pytest.raises(JobFailedError):
            await m3ter.upload_measurements([b'[{"meter":', b" so it goes"])


async def test_a_url_that_ended_is_an_error_that_does_not_show_it(pair: Pair) -> None:
    async with Sandbox(seed=5, bills=5, upload_seconds=0) as sandbox, open_client(sandbox, pair) as m3ter:
        with pytest.raises(PermissionDeniedError, match="expired") as caught:
            await m3ter.upload_measurements([ROW])
    assert "X-Amz" not in repr(caught.value) + str(caught.value)


# Without a service


class Place(FakeTransport):
    """A service that takes files and forgets them.

    Attributes:
        got: How many bytes came, in how many pieces.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.got: list[int] = []

    async def _answer(self, request: Request) -> Response:
        if request.url.endswith("/generateUploadUrl"):
            return answer({"jobId": "j", "url": URL, "headers": {"Content-Type": "application/json", "x-more": "1"}})
        if request.url.endswith("/jobs/j"):
            return answer({"id": "j", "status": "succeeded", "failedRows": 0})
        assert (request.method, request.url) == ("PUT", URL)
        assert request.headers["x-more"] == "1"
        assert "Authorization" not in request.headers
        assert request.pieces is not None
        self.got = [len(piece) async for piece in request.pieces]
        assert sum(self.got) == int(request.headers["Content-Length"])
        return answer()

    def asked(self) -> dict[str, Any]:
        """What the URL was asked for."""
        asked: dict[str, Any] = msgspec.json.decode(self.requests[0].content or b"")
        return asked


async def upload(content: Any, **options: Any) -> tuple[Place, UploadJob]:
    place = Place()
    async with client(place) as m3ter:
        return place, await m3ter.upload_measurements(content, **options)


async def test_a_large_file_is_never_in_memory() -> None:
    tracemalloc.start()
    place, _ = await upload({**row, "metadata": {"pad": "p" * 2000}} for row in rows(10_000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(place.got) == place.asked()["contentLength"] > 20_000_000
    assert most < 5_000_000


async def test_rows_without_a_uid_are_given_one_and_the_file_is_an_array() -> None:
    place = Place()
    content = b""

    async def keep(request: Request) -> Response:
        nonlocal content
        if request.pieces is not None:
            content = b"".join([piece async for piece in request.pieces])
            return answer()
        return await place._answer(request)

    async with client(FakeTransport(keep)) as m3ter:
        await m3ter.upload_measurements([ROW, {**ROW, "uid": None}, {**ROW, "uid": "mine"}])
    found = msgspec.json.decode(content, type=list[Measurement])
    assert len({each.uid for each in found}) == 3
    assert found[2] == Measurement(**ROW, uid="mine")


async def refused(content: Any, m3ter_error: type[Exception], **options: Any) -> str:
    """Upload what cannot be; nothing may have been sent."""
    place = Place()
    async with client(place) as m3ter:
        with pytest.raises(m3ter_error) as caught:
            await m3ter.upload_measurements(content, **options)
    assert place.requests == []
    return str(caught.value)


async def test_what_cannot_be_uploaded_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "usage.json"
    path.write_bytes(b'{"measurements":[]}')
    assert "usage.json does not begin as a JSON array" in await refused(path, ValueError)
    path.write_bytes(b"")
    assert "usage.json holds nothing" in await refused(str(path), ValueError)
    assert "nope" in await refused(tmp_path / "nope", OSError)
    assert "holds nothing" in await refused([], ValueError)
    assert "1 to 100" in await refused([ROW], ValueError, file_name="n" * 101)
    assert "1 to 100" in await refused([ROW], ValueError, file_name="")
    assert "timeout" in await refused([ROW], ValueError, timeout=-1)
    assert "mixed" in await refused([ROW, b"[]"], TypeError)
    assert "mixed" in await refused([b"[]", ROW], TypeError)
    assert await refused([ROW, {**ROW, "ts": "x"}], MeasurementError) == "ts: Invalid RFC3339 encoded datetime (row 1)"
    assert "row 0" in await refused([5], MeasurementError)


async def test_a_gibibyte_may_be_uploaded_and_not_one_byte_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "usage.json"
    with path.open("wb") as file:
        file.write(b"[")
        file.truncate(2**30 + 1)
    assert "1,073,741,824 bytes" in await refused(path, ValueError)
    os.truncate(path, 2**30)
    place = FakeTransport(lambda _: answer({}, 400))
    async with client(place) as m3ter:
        with pytest.raises(Exception, match="400"):
            await m3ter.upload_measurements(path)
    assert msgspec.json.decode(place.requests[0].content or b"")["contentLength"] == 2**30
    monkeypatch.setattr(measurement_files, "_MOST", 1000)
    drawn = 0

    def endless() -> Iterator[bytes]:
        nonlocal drawn
        while True:
            drawn += 1
            yield b"[" * 100

    assert "1,000 bytes" in await refused(endless(), ValueError)
    assert drawn == 11
