"""Waiting for the service's jobs, fetching what they made, and waiting for a place for one more."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from m3ter_async import (
    APIConnectionError,
    APIResponseValidationError,
    AsyncM3ter,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobTimeoutError,
    M3terError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    TransportError,
)
from m3ter_async.models import BillJob
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeClock, FakeTransport, answer, client, grant
from ..wire import Pair, until

Wait = Callable[..., Any]
# How each kind is waited for, the field that says how far it is, what it says on the way, and at its end.
KINDS: dict[str, tuple[Callable[[AsyncM3ter], Wait], str, list[str], str, list[str]]] = {
    "bill": (lambda m3ter: m3ter.bill_jobs.wait, "status", ["PENDING", "INITIALIZING", "RUNNING"], "COMPLETE",
             ["CANCELLED"]),
    "statement": (lambda m3ter: m3ter.statements.statement_jobs.wait, "statementJobStatus", ["PENDING", "RUNNING"],
                  "COMPLETE", ["FAILED", "CANCELLED"]),
    "export": (lambda m3ter: m3ter.data_exports.jobs.wait, "status", ["PENDING", "RUNNING"], "SUCCEEDED", ["FAILED"]),
    "upload": (lambda m3ter: m3ter.usage.file_uploads.jobs.wait, "status", ["notUploaded", "running"], "succeeded",
               ["failed"]),
    "lookup": (lambda m3ter: lambda id, **more: lookups(m3ter).wait(
        id, lookup_table_id="t", lookup_table_revision_id="r", **more), "status", ["PENDING"], "SUCCEEDED", ["FAILED"]),
}  # fmt: skip


def lookups(m3ter: AsyncM3ter) -> Any:
    return m3ter.lookup_tables.lookup_table_revision_data.lookup_table_revision_data_jobs


def states(field: str, *values: str | None, **more: Any) -> list[Response]:
    return [answer({"id": "j1", field: value, **more}) for value in values]


def bill_job(m3ter: AsyncM3ter, **options: Any) -> Any:
    return m3ter.bill_jobs.wait("j1", **options)


# Waiting


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wait_ends_with_the_job_as_it_is_when_it_is_done(kind: str) -> None:
    pick, field, on_the_way, done, _ = KINDS[kind]
    transport = FakeTransport(states(field, *on_the_way, *on_the_way, done))
    async with client(transport, clock := FakeClock()) as m3ter:
        job = await pick(m3ter)("j1")
    assert done in (getattr(job, "status", None), getattr(job, "statement_job_status", None))
    assert len(transport.requests) == 2 * len(on_the_way) + 1
    assert len(clock.sleeps) == len(transport.requests) - 1  # done at the first look is done without a wait
    assert {request.method for request in transport.requests} == {"GET"}
    assert all(request.url.endswith("/j1") for request in transport.requests)


@pytest.mark.parametrize("state", ["EXPIRED", "PARTIALLY_COMPLETE", "", None])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_state_that_is_not_known_to_go_on_ends_the_wait_and_is_told(kind: str, state: str | None) -> None:
    pick, field, on_the_way, *_ = KINDS[kind]
    transport = FakeTransport(states(field, *on_the_way, state))
    async with client(transport) as m3ter:
        with pytest.raises(JobError, match=state or "in no state") as caught:
            await pick(m3ter)("j1")
    assert type(caught.value) is JobError
    assert caught.value.job.id == "j1"


async def test_an_outage_in_between_does_not_end_a_wait() -> None:
    clock = FakeClock()

    def look(_: Request) -> Response:
        return answer({}, 503) if clock.time < 1_300 else answer({"id": "j1", "status": "COMPLETE"})

    async with client(FakeTransport(look), clock) as m3ter:
        assert (await bill_job(m3ter, timeout=1800)).status == "COMPLETE"


async def test_a_failure_at_the_end_of_the_time_is_told_as_the_end_of_the_time() -> None:
    clock = FakeClock()
    looks: list[Response] = [answer({"id": "j1", "status": "RUNNING"})]
    transport = FakeTransport(lambda _: looks.pop() if looks else answer({"message": "down"}, 503))
    async with client(transport, clock) as m3ter:
        with pytest.raises(JobTimeoutError, match=r"is RUNNING after 60 s; the last look failed: .*503") as caught:
            await bill_job(m3ter, timeout=60)
    assert caught.value.job.status == "RUNNING"


@pytest.mark.parametrize(("kind", "end"), [(kind, end) for kind, found in KINDS.items() for end in found[4]])
async def test_a_bad_end_is_a_typed_error_with_the_job(kind: str, end: str) -> None:
    pick, field, on_the_way, _, _ = KINDS[kind]
    transport = FakeTransport(states(field, on_the_way[0], end, failureReason="row 7 is odd"))
    async with client(transport) as m3ter:
        with pytest.raises(JobCancelledError if end == "CANCELLED" else JobFailedError) as caught:
            await pick(m3ter)("j1")
    error = caught.value
    assert isinstance(error, M3terError)
    assert error.job.id == "j1"
    assert "j1 is " + end.upper() in str(error)
    assert ("row 7 is odd" in str(error)) == (kind == "lookup")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.job) == (type(error), str(error), error.job)


@pytest.mark.parametrize("state", ["NEW_TOMORROW", None])
async def test_a_state_that_is_not_known_to_go_on_ends_the_waiting_as_what_it_is(state: str | None) -> None:
    transport = FakeTransport(states("status", "RUNNING", state, "COMPLETE"))
    async with client(transport) as m3ter:
        with pytest.raises(JobError, match=f"is {state or 'in no state'}") as caught:
            await bill_job(m3ter)
    assert type(caught.value) is JobError
    assert len(transport.requests) == 2


async def test_looks_come_at_growing_intervals_and_the_last_at_the_end_of_the_time() -> None:
    transport = FakeTransport(lambda _: answer({"id": "j1", "status": "RUNNING"}))
    async with client(transport, clock := FakeClock(chance=0.0)) as m3ter:
        with pytest.raises(JobTimeoutError, match=r"bill job j1 is RUNNING after 100 s") as caught:
            await bill_job(m3ter, timeout=100)
    assert clock.sleeps == [1, 2, 4, 8, 16, 30, 30, 9]
    assert len(transport.requests) == 9
    assert isinstance(caught.value, JobError)
    assert isinstance(caught.value.job, BillJob)
    assert {request.method for request in transport.requests} == {"GET"}  # nobody cancels it


async def test_those_who_began_together_do_not_look_together() -> None:
    for chance, expected in ((0.0, [1, 2, 4]), (0.5, [0.9, 1.8, 3.6])):
        clock = FakeClock(chance=chance)
        async with client(FakeTransport(states("status", "RUNNING", "RUNNING", "RUNNING", "COMPLETE")), clock) as m3ter:
            await bill_job(m3ter)
        assert clock.sleeps == pytest.approx(expected)


async def test_a_job_that_is_done_at_the_last_look_is_done() -> None:
    async with client(FakeTransport(states("status", "RUNNING", "RUNNING", "COMPLETE"))) as m3ter:
        assert (await bill_job(m3ter, timeout=1.5)).status == "COMPLETE"


@pytest.mark.parametrize("bound", ["total_timeout", "max_retry_time"])
async def test_a_bound_of_single_calls_ends_a_look_and_not_the_wait(bound: str) -> None:
    clock = FakeClock()
    ends = clock.now() + 40
    transport = FakeTransport(
        lambda _: answer({}, 503) if clock.now() < ends else answer({"id": "j1", "status": "COMPLETE"})
    )
    async with client(transport, clock) as m3ter:
        bounds: dict[str, Any] = {bound: 3.0}
        view = m3ter.with_options(**bounds)
        assert (await bill_job(view, timeout=100)).status == "COMPLETE"
        ends = math.inf
        began = clock.now()
        with pytest.raises(JobTimeoutError, match=r"is not seen after 100 s; the last look failed: .* 503"):
            await bill_job(view, timeout=100)
        assert clock.now() - began >= 100


async def test_a_login_that_fails_for_a_while_does_not_end_a_wait() -> None:
    clock = FakeClock()
    ends = clock.now() + 40

    def login(_: Request) -> Response:
        return answer({}, 502) if clock.now() < ends else grant()

    transport = FakeTransport(lambda _: answer({"id": "j1", "status": "COMPLETE"}), login=login)
    async with client(transport, clock, max_retries=0) as m3ter:
        view = m3ter.with_options(max_retries=5, total_timeout=1.0)
        assert (await bill_job(view, timeout=100)).status == "COMPLETE"
    assert len(transport.logins) > 2


async def test_no_time_is_one_look_and_all_time_is_no_end() -> None:
    transport, clock = FakeTransport(states("status", "RUNNING", *["RUNNING"] * 50, "COMPLETE")), FakeClock()
    async with client(transport, clock) as m3ter:
        with pytest.raises(JobTimeoutError):
            await bill_job(m3ter, timeout=0)
        assert (len(transport.requests), clock.sleeps) == (1, [])
        assert (await bill_job(m3ter, timeout=math.inf)).status == "COMPLETE"


async def test_a_look_that_hangs_does_not_hold_up_the_end() -> None:
    async def hang(_: Request) -> Response:
        await anyio.sleep(60)
        return answer()

    async with client(FakeTransport(hang)) as m3ter:
        with pytest.raises(JobTimeoutError, match="not seen") as caught:
            await bill_job(m3ter, timeout=0.02)
    assert caught.value.job is None


@pytest.mark.parametrize("timeout", [-1, math.nan])
async def test_a_time_that_is_none_is_refused_before_anything_is_sent(timeout: float) -> None:
    transport = FakeTransport([])
    async with client(transport) as m3ter:
        for call in (m3ter.bill_jobs.wait, m3ter.statements.download_json, m3ter.statements.download_csv):
            with pytest.raises(ValueError, match="timeout"):
                await call("x", timeout=timeout)
        with pytest.raises(ValueError, match="id"):
            await m3ter.bill_jobs.wait("")
        with pytest.raises(ValueError, match="bill_id"):
            await m3ter.statements.download_csv("")
    assert transport.requests == []


async def test_progress_is_told_at_each_look() -> None:
    told: list[tuple[str, int | None]] = []

    def plain(job: BillJob) -> None:
        told.append((str(job.status), job.pending))

    async def later(job: BillJob) -> None:
        await anyio.lowlevel.checkpoint()
        plain(job)

    for told_to in (plain, later):
        told.clear()
        async with client(FakeTransport(states("status", "PENDING", "RUNNING", "COMPLETE", pending=2))) as m3ter:
            await bill_job(m3ter, on_progress=told_to)
        assert told == [("PENDING", 2), ("RUNNING", 2), ("COMPLETE", 2)]


async def test_an_error_of_the_callback_or_of_the_call_comes_out_as_it_is() -> None:
    def stop(_: BillJob) -> None:
        raise LookupError("enough")

    async with client(FakeTransport(states("status", "PENDING"))) as m3ter:
        with pytest.raises(LookupError, match="enough"):
            await bill_job(m3ter, on_progress=stop)
    async with client(FakeTransport([*states("status", "PENDING"), answer({}, 404)])) as m3ter:
        with pytest.raises(NotFoundError):
            await bill_job(m3ter)


# A place for one more


async def test_a_bill_job_waits_for_a_place_as_long_as_it_is_told() -> None:
    busy = [answer({"message": "10 jobs"}, 429) for _ in range(12)]
    transport, clock = FakeTransport([*busy, *states("status", "PENDING")]), FakeClock(chance=0.99)
    async with client(transport, clock) as m3ter:
        assert (await m3ter.bill_jobs.create(wait_for_slot=3600)).id == "j1"
        assert len(transport.requests) == 13
        assert max(clock.sleeps) == pytest.approx(30, rel=0.02)


async def test_a_place_that_does_not_come_ends_as_the_429_it_is() -> None:
    transport, clock = FakeTransport(lambda _: answer({}, 429)), FakeClock()
    async with client(transport, clock) as m3ter:
        for seconds, most in ((0, 0), (100, 100), (None, 120)):
            before = sum(clock.sleeps)
            with pytest.raises(RateLimitError):
                await m3ter.bill_jobs.create(wait_for_slot=seconds)
            assert sum(clock.sleeps) - before <= most
        assert transport.requests[0].content == b"{}"
        for bad in (-1, math.inf, math.nan):
            with pytest.raises(ValueError, match="wait_for_slot"):
                await m3ter.bill_jobs.create(wait_for_slot=bad)


async def test_waiting_for_a_place_never_starts_a_job_twice() -> None:
    transport = FakeTransport([answer({}, 429), TransportError("no answer in time", timeout=True)])
    async with client(transport) as m3ter:
        with pytest.raises(APIConnectionError) as caught:
            await m3ter.bill_jobs.create(wait_for_slot=3600)
    assert caught.value.outcome_unknown
    assert len(transport.requests) == 2


# Statements


class Service:
    """Statement jobs and the storage behind their URLs.

    Attributes:
        jobs: What the listing shows at first.
        made: The bodies of the jobs that were asked for.
    """

    def __init__(self, *jobs: dict[str, Any], document: bytes = b'{"total":1.10}', refused: int = 0) -> None:
        self.jobs = {job["id"]: {"billId": "b1", **job} for job in jobs}
        self.document = document
        self.refused = refused
        self.made: list[Any] = []
        self.fetched: list[str] = []
        self.looks = 0

    def __call__(self, request: Request) -> Response:
        if request.url.startswith("https://files"):
            assert "Authorization" not in request.headers
            self.fetched.append(request.url)
            if len(self.fetched) <= self.refused:
                return answer(b"<Error>Request has expired</Error>", 403)
            return answer(self.document)
        path = request.url.partition("?")[0]
        if request.method == "POST":
            self.made.append(msgspec.json.decode(request.content or b""))
            self.jobs["new"] = {"id": "new", "statementJobStatus": "PENDING", **self.made[-1]}
            return answer(self.jobs["new"])
        if path.endswith("/statementjobs"):
            return answer({"data": list(self.jobs.values()), "nextToken": None})
        self.looks += 1
        job = self.jobs[path.rpartition("/")[2]]
        if job["statementJobStatus"] == "RUNNING":
            job["statementJobStatus"] = "COMPLETE"
            job.setdefault("jsonStatementStatus", "LATEST")
            job.setdefault("csvStatementStatus", "LATEST")
        elif job["statementJobStatus"] == "PENDING":
            job["statementJobStatus"] = "RUNNING"
        if job["statementJobStatus"] == "COMPLETE":
            for form in ("Json", "Csv"):
                job[f"presigned{form}StatementUrl"] = f"https://files.example.com/{job['id']}.{form}?sig={self.looks}"
        return answer(job)


def done(id: str, **more: Any) -> dict[str, Any]:
    latest = {"jsonStatementStatus": "LATEST", "csvStatementStatus": "LATEST"}
    return {"id": id, "statementJobStatus": "COMPLETE", **latest, **more}


async def test_a_statement_is_made_waited_for_and_fetched() -> None:
    service = Service()
    seen: list[str | None] = []
    async with client(FakeTransport(service)) as m3ter:
        found = await m3ter.statements.download_json(
            "b1", on_progress=lambda job: seen.append(job.statement_job_status)
        )
        assert found == {"total": Decimal("1.10")}
        assert str(found["total"]) == "1.10"
    assert service.made == [{"billId": "b1"}]
    assert seen == ["RUNNING", "COMPLETE"]
    service = Service(document="Größe;1,10\r\n".encode("latin-1"))
    async with client(FakeTransport(service)) as m3ter:
        assert await m3ter.statements.download_csv("b1") == service.document
    assert service.made == [{"billId": "b1", "includeCsvFormat": True}]


TAKEN: dict[str, dict[str, Any]] = {
    "made already": done("j1"),
    "being made": {"id": "j1", "statementJobStatus": "RUNNING"},
    "unfiltered": done("j1", filters={"meterIds": []}),
}
NOT_TAKEN: dict[str, dict[str, Any]] = {
    "stale": done("j1", jsonStatementStatus="STALE", csvStatementStatus="STALE"),
    "turns out stale": {"id": "j1", "statementJobStatus": "RUNNING", "jsonStatementStatus": "STALE",
                        "csvStatementStatus": "INVALIDATED"},
    "failed": {"id": "j1", "statementJobStatus": "FAILED"},
    "cancelled": {"id": "j1", "statementJobStatus": "CANCELLED"},
    "of some meters only": done("j1", filters={"meterIds": ["m1"]}),
    "of another bill": done("j1", billId="b2"),
}  # fmt: skip


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("how", [*TAKEN, *NOT_TAKEN])
async def test_a_statement_that_is_there_is_taken_if_it_is_the_latest_of_the_whole_bill(how: str, form: str) -> None:
    service = Service({**{**TAKEN, **NOT_TAKEN}[how], "includeCsvFormat": True})
    async with client(FakeTransport(service)) as m3ter:
        await getattr(m3ter.statements, f"download_{form}")("b1")
    assert len(service.made) == (how in NOT_TAKEN)
    assert service.fetched[0].partition("?")[0].endswith(f"{'j1' if how in TAKEN else 'new'}.{form.title()}")


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "FAILED", "CANCELLED"])
async def test_a_finished_statement_is_taken_though_a_job_that_is_not_stands_before_it(state: str, form: str) -> None:
    newer = {"id": "j2", "statementJobStatus": state, "includeCsvFormat": True}
    service = Service(newer, done("j1", includeCsvFormat=True))
    async with client(FakeTransport(service)) as m3ter:
        await getattr(m3ter.statements, f"download_{form}")("b1")
    assert "/j1." in service.fetched[0]
    assert service.made == []


async def test_a_job_of_somebody_else_that_fails_is_replaced_by_one_of_our_own() -> None:
    service = Service({"id": "j2", "statementJobStatus": "RUNNING"})

    def handle(request: Request) -> Response:
        if request.url.endswith("/j2"):
            service.jobs["j2"]["statementJobStatus"] = "FAILED"
            return answer(service.jobs["j2"])
        return service(request)

    async with client(FakeTransport(handle)) as m3ter:
        await m3ter.statements.download_json("b1")
    assert "/new." in service.fetched[0]


async def test_a_job_that_made_no_csv_has_none_to_take() -> None:
    service = Service(done("j1"), done("j2", includeCsvFormat=True))
    async with client(FakeTransport(service)) as m3ter:
        await m3ter.statements.download_csv("b1")
    assert "j2" in service.fetched[0]
    assert service.made == []


async def test_a_url_that_has_ended_is_renewed_once() -> None:
    service = Service(done("j1"), refused=1)
    async with client(FakeTransport(service)) as m3ter:
        assert await m3ter.statements.download_json("b1")
        assert len(set(service.fetched)) == 2
        service.refused = 99
        with pytest.raises(PermissionDeniedError, match=r"https://files.example.com/j1.Json: 403"):
            await m3ter.statements.download_json("b1")
    assert len(service.fetched) == 4


async def test_the_time_is_for_all_jobs_together() -> None:
    service, clock = Service(), FakeClock()
    async with client(FakeTransport(service), clock) as m3ter:
        with pytest.raises(JobTimeoutError) as caught:
            await m3ter.statements.download_json("b1", timeout=0)
        assert caught.value.job.id == "new"
        assert clock.sleeps == []
        assert await m3ter.statements.download_json("b1")  # the same job goes on
    assert len(service.made) == 1


@pytest.mark.parametrize("document", [b"<html>", b'{"a":', b"\xff"])
async def test_a_statement_that_is_no_json_is_an_error_of_ours(document: bytes) -> None:
    async with client(FakeTransport(Service(done("j1"), document=document))) as m3ter:
        with pytest.raises(APIResponseValidationError, match="statement of bill b1"):
            await m3ter.statements.download_json("b1")


async def test_a_job_without_a_url_is_an_error_of_ours() -> None:
    def nothing(request: Request) -> Response:
        job = done("j1", billId="b1")
        return answer({"data": [job]} if "?" in request.url else job)

    async with client(FakeTransport(nothing)) as m3ter:
        with pytest.raises(APIResponseValidationError, match="no URL"):
            await m3ter.statements.download_json("b1")
        with pytest.raises(APIResponseValidationError, match="no URL"):
            await m3ter.data_exports.jobs.download("j1")


# Against the sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, bills=30) as sandbox:
        yield sandbox


def connect(sandbox: Sandbox, pair: Pair) -> AsyncM3ter:
    login = (sandbox.api_key, sandbox.api_secret, sandbox.org_id)
    return AsyncM3ter(*login, base_url=sandbox.url, transport=pair.transport(), _clock=FakeClock())


class TestAgainstTheSandbox:
    @pytest.fixture
    def anyio_backend(self, pair: Pair) -> str:
        return pair.backend

    @pytest.fixture
    async def m3ter(self, pair: Pair, sandbox: Sandbox) -> Any:
        async with connect(sandbox, pair) as m3ter:
            yield m3ter

    async def test_a_bill_job_makes_its_bills(self, m3ter: AsyncM3ter) -> None:
        account = (await m3ter.accounts.list(page_size=1)).data[0]
        progress: list[tuple[Any, ...]] = []
        started = await m3ter.bill_jobs.create(account_ids=[account.id], wait_for_slot=10)
        job = await m3ter.bill_jobs.wait(
            started.id, on_progress=lambda job: progress.append((job.status, job.pending, job.total))
        )
        assert progress == [("INITIALIZING", 1, 1), ("RUNNING", 0, 1), ("COMPLETE", 0, 1)]
        bill = await m3ter.bills.retrieve((job.bill_ids or [""])[0])
        assert bill.account_id == account.id

    async def test_a_job_that_comes_to_a_bad_end_is_told(self, m3ter: AsyncM3ter, sandbox: Sandbox) -> None:
        bill = (await m3ter.bills.list(page_size=1)).data[0]
        sandbox.fail_next_job()
        with pytest.raises(JobCancelledError):  # bill jobs know no other bad end
            await m3ter.bill_jobs.wait((await m3ter.bill_jobs.create()).id)
        for cancelled, error in ((True, JobCancelledError), (False, JobFailedError)):
            sandbox.fail_next_job(cancelled=cancelled)
            with pytest.raises(error):
                await m3ter.statements.download_csv(bill.id)
        sandbox.fail_next_job()
        export = await m3ter.data_exports.create_adhoc(source_type="OPERATIONAL", operational_data_types=["BILLS"])
        with pytest.raises(JobFailedError, match="export job"):
            await m3ter.data_exports.jobs.wait(export.job_id or "")
        with pytest.raises(JobTimeoutError):
            await m3ter.bill_jobs.wait((await m3ter.bill_jobs.create()).id, timeout=0)

    async def test_a_place_comes_free_when_another_job_ends(self, pair: Pair) -> None:
        with Sandbox(seed=11, bills=5) as sandbox:
            async with connect(sandbox, pair) as m3ter:
                started = [await m3ter.bill_jobs.create() for _ in range(10)]
                with pytest.raises(RateLimitError):
                    await m3ter.bill_jobs.create(wait_for_slot=0)
                async with anyio.create_task_group() as group:
                    group.start_soon(partial(m3ter.bill_jobs.create, wait_for_slot=1e9))
                    await until(lambda: sandbox.requests["CreateBillJob"] > 13)
                    await m3ter.bill_jobs.wait(started[0].id, timeout=math.inf)
            assert sandbox.applied["CreateBillJob"] == 11

    async def test_a_statement_is_the_bill_digit_for_digit(self, m3ter: AsyncM3ter, sandbox: Sandbox) -> None:
        bill = (await m3ter.bills.list(page_size=2)).data[1]
        sandbox.fail_next(1, 403, operation="downloads")
        statement = await m3ter.statements.download_json(bill.id)
        assert statement["id"] == bill.id
        assert [item["subtotal"] for item in statement["lineItems"]] == [
            item.subtotal for item in bill.line_items or ()
        ]
        rows = (await m3ter.statements.download_csv(bill.id)).decode().splitlines()
        assert len(rows) == 1 + len(bill.line_items or ())
        jobs = await m3ter.statements.statement_jobs.list(bill_id=bill.id).collect()
        await m3ter.statements.download_csv(bill.id)
        assert await m3ter.statements.statement_jobs.list(bill_id=bill.id).collect() == jobs  # none is made for nothing

    async def test_an_export_ends_as_a_file(self, m3ter: AsyncM3ter, tmp_path: Path) -> None:
        export = await m3ter.data_exports.create_adhoc(source_type="OPERATIONAL", operational_data_types=["BILLS"])
        job = await m3ter.data_exports.jobs.wait(export.job_id or "")
        await m3ter.data_exports.jobs.download_to(job.id, tmp_path / "bills.jsonl")
        data = await m3ter.data_exports.jobs.download(job.id)
        assert (tmp_path / "bills.jsonl").read_bytes() == data
        ids = {msgspec.json.decode(line)["id"] for line in data.splitlines()}
        assert ids >= {bill.id async for bill in m3ter.bills.list()}

    async def test_an_uploaded_file_is_put_and_waited_for(
        self, m3ter: AsyncM3ter, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "usage.json"
        path.write_bytes(b'[{"uid": "bad"}]')
        target = await m3ter.usage.file_uploads.generate_upload_url(
            file_name=path.name, content_type="application/json", content_length=path.stat().st_size
        )
        sandbox.fail_next(1, 503, operation="uploads")
        await m3ter.upload(target.url or "", path, headers=target.headers)
        job = await m3ter.usage.file_uploads.jobs.wait(target.job_id or "")
        assert (job.status, job.failed_rows) == ("succeeded", 1)
        original = await m3ter.usage.file_uploads.jobs.get_original_download_url(target.job_id or "")
        assert await m3ter.download(original.url) == path.read_bytes()

    async def test_the_data_of_a_lookup_table_goes_up_and_comes_down(self, m3ter: AsyncM3ter, pair: Pair) -> None:
        table = await m3ter.lookup_tables.create(name="Rates", code="-".join(pair))
        revision = await m3ter.lookup_tables.lookup_table_revisions.create(
            lookup_table_id=table.id,
            name="First",
            fields=[{"name": "region", "type": "STRING"}, {"name": "rate", "type": "NUMBER"}],
            keys=["region"],
        )
        where: dict[str, Any] = {"lookup_table_id": table.id}
        data = m3ter.lookup_tables.lookup_table_revision_data
        target = await data.generate_download_url(
            revision.id, **where, file_name="r.csv", content_type="text/csv", content_length=17
        )
        await m3ter.upload(target.url, iter([b"region,rate\n", b"eu,1\n"]), headers=target.headers, length=17)
        place = {**where, "lookup_table_revision_id": revision.id}
        await data.lookup_table_revision_data_jobs.wait(target.job_id or "", **place)
        started = await data.lookup_table_revision_data_jobs.download(revision.id, **where, content_type="text/csv")
        job = await data.lookup_table_revision_data_jobs.wait(started.job_id or "", **place)
        assert await m3ter.download(job.download_url) == b"region,rate\r\neu,1\r\n"
