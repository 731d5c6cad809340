# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnusedExpression=false
# ruff: noqa: B018, RUF100
"""What type checkers tell users: read by mypy and pyright, never run.

A wrong use carries an ignore; where the checker does not complain of it, it complains of the ignore.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import msgspec

import m3ter_async
from m3ter_async import (
    AiohttpTransport,
    APIError,
    APIResponseValidationError,
    AsyncM3ter,
    FailedBatch,
    FanOut,
    HttpxTransport,
    Ingest,
    IngestError,
    IngestFailure,
    IngestReport,
    Page,
    Paginator,
    RecordError,
    RefusedMeasurement,
    Stats,
)
from m3ter_async.events import Event, ResponseReceived
from m3ter_async.models import (
    Account,
    Balance,
    BalanceTransaction,
    Bill,
    BillJob,
    BillLineItem,
    Commitment,
    Currency,
    EndDateBillingEntities,
    ExportJob,
    IntegrationConfig,
    IntegrationM3terSignedCredentialsRequest,
    LineItem,
    Measurement,
    PermissionPolicy,
    ResourceGroupItem,
    StatementJob,
    System,
    UploadJob,
)
from m3ter_async.telemetry import OpenTelemetry


class BillTotal(msgspec.Struct, rename="camel"):
    bill_total: Decimal | None = None


async def listings(m3ter: AsyncM3ter) -> None:
    bills = m3ter.bills.list(status="APPROVED", bill_date_start=date(2024, 1, 1), bill_date_end="2025-01-01")
    assert_type(bills, Paginator[Bill])
    assert_type(await bills, Page[Bill])
    assert_type((await bills).data, list[Bill])
    assert_type((await bills).next_token, str | None)
    assert_type(bills.next_token, str | None)
    assert_type(bills.page_offset, int)
    assert_type(bills.finished, bool)
    assert_type(await bills.collect(limit=5), list[Bill])
    async for bill in bills:
        assert_type(bill, Bill)
    async for page in bills.pages():
        assert_type(page, Page[Bill])
    async for raw in bills.raw():
        assert_type(raw, bytes)
    async for page_of_raw in bills.raw().pages():
        assert_type(page_of_raw, Page[bytes])
    async for total in bills.as_type(BillTotal):
        assert_type(total, BillTotal)
    assert_type(await bills.as_type(BillTotal), Page[BillTotal])
    bad: list[RecordError] = []
    assert_type(bills.tolerant(bad.append), Paginator[Bill])
    assert_type(bills.as_type(BillTotal).tolerant(print), Paginator[BillTotal])
    assert_type(await bills.tolerant(bad.append).collect(), list[Bill])
    assert_type((bad[0].record, bad[0].index, bad[0].next_token), tuple[bytes, int, str | None])
    bills.tolerant(5)  # type: ignore[arg-type]
    m3ter.bills.list(next_token=bills.next_token)
    assert_type(m3ter.bills.search(from_document=10), Paginator[Bill])
    assert_type(m3ter.balances.list(), Paginator[Balance])
    assert_type(m3ter.balances.transactions.list("id"), Paginator[BalanceTransaction])
    assert_type(m3ter.bills.line_items.list("id"), Paginator[LineItem])


async def records(m3ter: AsyncM3ter) -> None:
    bill = await m3ter.bills.retrieve("id")
    assert_type(bill, Bill)
    assert_type(bill.id, str)
    assert_type(bill.bill_total, Decimal | None)
    assert_type(bill.bill_date, date | None)
    assert_type(bill.created_date, datetime | None)
    assert_type(bill.line_items, Sequence[BillLineItem] | None)
    for item in bill.line_items or ():
        assert_type(item.subtotal, Decimal)
    made = await m3ter.balances.transactions.create("id", amount=Decimal("1.50"), transaction_type_id="t")
    assert_type(made, BalanceTransaction)
    assert_type(await m3ter.bill_jobs.recalculate(bill_ids=["id"]), BillJob)


async def changes(m3ter: AsyncM3ter) -> None:
    assert_type(await m3ter.accounts.edit("id", lambda account: {"name": f"{account.name}!"}), Account)
    await m3ter.accounts.edit("id", lambda account: None if account.name else {"name": "New"}, attempts=2)
    await m3ter.accounts.edit("id", nothing)
    assert_type(await m3ter.accounts.edit("id", {"name": "New", "currency": None}), Account)
    assert_type(await m3ter.accounts.edit("id", name="New", bill_epoch="2024-01-01", attempts=2), Account)
    await m3ter.organization_config.edit(currency="NZD")
    await m3ter.balances.charge_schedules.edit("id", balance_id="b", name="New")
    await m3ter.accounts.edit("id", later)
    await m3ter.organization_config.edit(lambda config: {"currency": config.currency})
    await m3ter.balances.charge_schedules.edit("id", lambda schedule: {"name": schedule.code}, balance_id="b")
    assert_type(await m3ter.accounts.get_by_code("acme"), Account)
    assert_type(await m3ter.currencies.get_by_code("USD", archived=False), Currency)


async def jobs(m3ter: AsyncM3ter) -> None:
    job = await m3ter.bill_jobs.create(wait_for_slot=60)
    assert_type(await m3ter.bill_jobs.wait(job.id, timeout=60, on_progress=lambda job: print(job.pending)), BillJob)
    assert_type(await m3ter.statements.statement_jobs.wait("id", on_progress=seen), StatementJob)
    assert_type(await m3ter.data_exports.jobs.wait("id"), ExportJob)
    assert_type(await m3ter.usage.file_uploads.jobs.wait("id"), UploadJob)
    assert_type(await m3ter.statements.download_json("id", on_progress=seen), Any)
    assert_type(await m3ter.statements.download_csv("id"), bytes)
    assert_type(await m3ter.data_exports.jobs.download("id"), bytes)
    await m3ter.data_exports.jobs.download_to("id", "file.csv")
    url = await m3ter.usage.get_failed_ingest_download_url()
    assert_type(await m3ter.download(url.url), bytes)
    await m3ter.upload("https://a.example/x", iter([b"x"]), length=1)
    await m3ter.bill_jobs.wait("id", on_progress=seen)  # type: ignore[arg-type]
    await m3ter.bill_jobs.wait("id", timeout=None)  # type: ignore[arg-type]
    await m3ter.upload("https://a.example/x", ["x"], length=1)  # type: ignore[list-item]


async def seen(job: StatementJob) -> None: ...


async def many(m3ter: AsyncM3ter) -> None:
    results = m3ter.map(m3ter.accounts.list(), bills_of, concurrency=50)
    assert_type(results, FanOut[Account, list[Bill]])
    async for account, bills in results:
        assert_type(account, Account)
        assert_type(bills, list[Bill])
    async for id, bill in m3ter.map(["a", "b"], m3ter.bills.retrieve, ordered=False, errors="collect"):
        assert_type(id, str)
        assert_type(bill, Bill | Exception)
    m3ter.map([1], m3ter.bills.retrieve)  # type: ignore[arg-type]
    m3ter.map(["a"], m3ter.bills.retrieve, errors="ignore")  # type: ignore[call-overload]
    m3ter.map(["a"], lambda id: id)  # type: ignore[arg-type,return-value]


async def bills_of(account: Account) -> list[Bill]:
    return []


def nothing(account: Account) -> None: ...


async def later(account: Account) -> dict[str, str]:
    return {"name": account.id}


async def whole_api(m3ter: AsyncM3ter, signed: IntegrationM3terSignedCredentialsRequest) -> None:
    assert_type(m3ter.accounts.search(search_query="name~A", operator="AND"), Paginator[Account])
    assert_type(m3ter.commitments.search(from_document=20), Paginator[Commitment])
    assert_type(m3ter.users.get_permissions("id"), Paginator[PermissionPolicy])
    assert_type(m3ter.integration_configurations.get_by_entity("BILL"), Paginator[IntegrationConfig])
    assert_type(m3ter.integration_configurations.get_by_entity(entity_type="BILL"), Paginator[IntegrationConfig])
    assert_type(await m3ter.integration_configurations.list_available_systems(), list[System])
    assert_type(m3ter.resource_groups.list_contents("id", type="meter"), Paginator[ResourceGroupItem])
    assert_type(await m3ter.users.resend_password("id"), None)
    await m3ter.webhooks.create(name="n", description="d", code="c", url="https://a.example", credentials=signed)
    await m3ter.webhooks.create(
        name="n", description="d", code="c", url="https://a.example", credentials={"type": "M3TER_SIGNED_REQUEST"}
    )
    ended = await m3ter.accounts.end_date_billing_entities(
        "id", billing_entities=["CONTRACT", "of tomorrow"], end_date=datetime(2025, 1, 1)
    )
    assert_type(ended, EndDateBillingEntities)


async def measurements(m3ter: AsyncM3ter, moment: datetime, rows: list[Measurement], given: Sequence[bytes]) -> None:
    async with m3ter.ingest(max_age=0.5, concurrency=4) as ingest:
        assert_type(ingest, Ingest)
        assert_type(await ingest.send(meter="m", account="a", ts=moment, measure={"calls": 1}), str)
        await ingest.send(meter="m", account="a", ts="2025-01-01T00:00:00Z", measure={"gb": Decimal("0.1"), "calls": 2})
        await ingest.send(meter="m", account="a", ts=moment, cost={"eur": 1.5}, where={"region": "eu"}, uid=None)
        await ingest.send(meter="m", account="a")  # type: ignore[call-arg]
        await ingest.send("m", "a", moment)  # type: ignore[call-arg]
        await ingest.send(meter="m", account="a", ts=1)  # type: ignore[arg-type]
        await ingest.send(meter="m", account="a", ts=moment, data={})  # type: ignore[call-arg]
        await ingest.send(meter="m", account="a", ts=moment, measure={"calls": "1"})  # type: ignore[dict-item]
        assert_type(await ingest.send_all(rows), int)
    report = await m3ter.ingest_all(rows, on_refused=lambda refused: refused.error.field)
    assert_type(report, IngestReport)
    assert_type(report.accepted, int)
    await m3ter.ingest_all({"meter": "m", "account": "a", "ts": moment} for _ in range(5))
    await m3ter.ingest_all(row async for row in m3ter.events.list().as_type(Measurement))
    await m3ter.ingest_all([1])  # type: ignore[list-item]
    async for failure in m3ter.ingest_failures(since=moment, until=date(2025, 1, 1)):
        assert_type(failure, IngestFailure)
        assert_type(failure.event.event_time, datetime)
    assert_type(await m3ter.upload_measurements("usage.json", on_progress=print), UploadJob)
    assert_type((await m3ter.upload_measurements(Path("usage.json"))).failed_rows, int | None)
    await m3ter.upload_measurements(rows, file_name="june.json", timeout=60)
    await m3ter.upload_measurements(given)
    await m3ter.upload_measurements(5)  # type: ignore[arg-type]


async def long_lived(m3ter: AsyncM3ter, failed: list[FailedBatch], refused: list[RefusedMeasurement]) -> None:
    async with m3ter.ingest(on_failed=failed.append, on_refused=refused.append) as ingest:
        assert_type((ingest.accepted, ingest.failed, ingest.refused), tuple[int, int, int])
        assert_type(ingest.take_failed(), list[FailedBatch])
        assert_type(ingest.take_refused(), list[RefusedMeasurement])
    assert_type((failed[0].cause, failed[0].count), tuple[Exception, int])
    assert_type(failed[0].measurements, list[Measurement])


def unsent(error: IngestError) -> None:
    assert_type(error.unsent, list[Measurement])
    assert_type(error.causes, list[Exception])
    assert_type(error.refused[0].error.field, str)


async def any_path(m3ter: AsyncM3ter) -> None:
    assert_type(await m3ter.request("GET", "/x", type=BillTotal), BillTotal)
    assert_type(await m3ter.request("GET", "/x", type=list[BillTotal]), list[BillTotal])
    assert_type(await m3ter.request("POST", "/x", body={"a": 1}, query={"b": [1]}, repeatable=True), Any)


async def clients() -> None:
    async with AsyncM3ter() as m3ter:
        assert_type(m3ter, AsyncM3ter)
        assert_type(m3ter.with_options(org_id="x", timeout=5, max_retries=0), AsyncM3ter)
    AsyncM3ter("key", "secret", "org", rate_limit=None, transport=AiohttpTransport())
    AsyncM3ter(token="t", org_id="org", transport=HttpxTransport())
    AsyncM3ter("key", "secret", "org", "token")  # type: ignore[call-arg]
    AsyncM3ter(timeout="5")  # type: ignore[arg-type]
    AsyncM3ter(timeout=None)  # type: ignore[arg-type]
    AsyncM3ter(retries=5)  # type: ignore[call-arg]
    AsyncM3ter(transport=object())  # type: ignore[arg-type]


def numbers(m3ter: AsyncM3ter) -> None:
    stats = m3ter.stats()
    assert_type(stats, Stats)
    assert_type(stats.requests, int)
    assert_type(stats.paused_seconds, float)
    assert_type(stats.connections, int | None)
    stats.requests = 0  # type: ignore[misc]
    stats.request  # type: ignore[attr-defined]


def heard(event: Event) -> None:
    assert_type(event.call.template, str | None)
    assert_type(event.attempt, int)
    if isinstance(event, ResponseReceived):
        assert_type(event.status, int)
        assert_type(event.request_id, str | None)
    event.attempt = 2  # type: ignore[misc]
    event.status  # type: ignore[attr-defined]


def seen_partly(event: ResponseReceived) -> None: ...


async def listeners() -> None:
    AsyncM3ter(on_event=heard)
    AsyncM3ter(on_event=[heard, print, OpenTelemetry()])
    AsyncM3ter(on_event=seen_partly)  # type: ignore[arg-type]
    AsyncM3ter(on_event=5)  # type: ignore[arg-type]


def errors(error: APIError, other: APIResponseValidationError) -> None:
    assert_type(error.status, int | None)
    assert_type(error.body, bytes)
    assert_type(error.request_id, str | None)
    assert_type(error.outcome_unknown, bool)
    assert_type(error.next_token, str | None)
    assert_type(other.json_path, str | None)
    error.json_path  # type: ignore[attr-defined]


async def mistakes(m3ter: AsyncM3ter, bill: Bill) -> None:
    m3ter.bils  # type: ignore[attr-defined]
    m3ter_async.AsyncM3tr  # type: ignore[attr-defined]
    bill.bil_total  # type: ignore[attr-defined]
    bill.bill_total + 1  # type: ignore[operator]
    bill.bill_total = Decimal(1)  # type: ignore[misc]
    await m3ter.bills.retrieve(5)  # type: ignore[arg-type]
    await m3ter.bills.retrieve()  # type: ignore[call-arg]
    m3ter.bills.list(page_size="5")  # type: ignore[arg-type]
    m3ter.bills.list(pageSize=5)  # type: ignore[call-arg]
    m3ter.bills.list(5)  # type: ignore[call-arg]
    await m3ter.accounts.edit("id", lambda account: account.nme)  # type: ignore[attr-defined]
    await m3ter.accounts.edit("id", {"nme": "New"})  # type: ignore[arg-type]
    await m3ter.accounts.edit("id", {"name": 5})  # type: ignore[arg-type]
    await m3ter.accounts.edit("id", nme="New")  # type: ignore[call-arg]
    await m3ter.accounts.edit("id", name=None)  # type: ignore[arg-type]
    await m3ter.accounts.edit("id", lambda account: ["name"])  # type: ignore[arg-type,return-value]
    await m3ter.balances.charge_schedules.edit("id", lambda _: None)  # type: ignore[call-arg]
    await m3ter.accounts.get_by_code(5)  # type: ignore[arg-type]
    await m3ter.accounts.create(name="n", code="c")  # type: ignore[call-arg]
    m3ter.bills.list(account_id=None)  # type: ignore[arg-type]
    await m3ter.bills.list().collect(5)  # type: ignore[call-arg]
    await m3ter.balances.transactions.create("id")  # type: ignore[call-arg]
    await m3ter.balances.transactions.create("id", amount="1.50", transaction_type_id="t")  # type: ignore[arg-type]
    for _ in m3ter.bills.list():  # type: ignore[attr-defined]
        pass
    with m3ter:  # type: ignore[attr-defined]
        pass
