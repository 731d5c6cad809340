"""Bill jobs and statement jobs: each look at a job moves it one stage on."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.bills import bill_fields, job_accounts, named_bill
from m3ter_async.sandbox.calls import Call, Handler, World
from m3ter_async.sandbox.crud import new_row, touched
from m3ter_async.sandbox.data import Row
from m3ter_async.sandbox.downloads import statement_url
from m3ter_async.sandbox.pages import FINISHED, page
from m3ter_async.sandbox.paths import BILL_JOBS, STATEMENT_JOBS
from m3ter_async.sandbox.problem import Problem
from m3ter_async.sandbox.table import Table

MOST_BILL_JOBS: Final = 10
NEXT_BILL_STAGE: Final = {"PENDING": "INITIALIZING", "INITIALIZING": "RUNNING", "RUNNING": "COMPLETE"}
NEXT_STATEMENT_STAGE: Final = {"PENDING": "RUNNING", "RUNNING": "COMPLETE"}


def _bill_jobs(world: World) -> Table:
    return world.store.table(BILL_JOBS, {})


def _start_bill_job(world: World, call: Call, kind: str, about: Row, count: int) -> Row:
    active = sum(row["status"] not in FINISHED for _, row in _bill_jobs(world).walk())
    if active >= MOST_BILL_JOBS:
        raise Problem(429, f"{MOST_BILL_JOBS} bill jobs are running already")
    row = new_row(world, call)
    world.wrote(call)
    return _bill_jobs(world).put({**row, **about, "type": kind, "status": "PENDING", "total": count, "pending": count})


def create_bill_job(world: World, call: Call) -> Row:
    """POST /billjobs: one new bill for each account."""
    ids = [account.id for account in job_accounts(world, call)]
    return _start_bill_job(world, call, "CREATE", {"accountIds": ids, "billIds": []}, len(ids))


def recalculate(world: World, call: Call) -> Row:
    """POST /billjobs/recalculate."""
    for bill_id in call.body["billIds"]:
        if named_bill(world, bill_id)["locked"]:
            raise Problem(400, f"billIds: {bill_id} is locked")
    ids: list[str] = call.body["billIds"]
    return _start_bill_job(world, call, "RECALCULATE", {"billIds": ids}, len(ids))


def _advance_bill_job(world: World, job: Row) -> Row:
    stage = NEXT_BILL_STAGE.get(job["status"])
    if stage is None:
        return job
    if stage == "COMPLETE":
        stage = world.store.end(stage, "CANCELLED", "CANCELLED")
    change = {**touched(world, job), "status": stage}
    if stage == "RUNNING":
        change["pending"] = job["total"] // 2
    elif stage == "COMPLETE":
        change["pending"] = 0
        change["billIds"] = _make_bills(world, job) if job["type"] == "CREATE" else _calculate_again(world, job)
    return _bill_jobs(world).put({**job, **change})


def _make_bills(world: World, job: Row) -> list[str]:
    organization, bills = world.store.organization, world.store.bills
    accounts = {account.id: account for account in organization.accounts}
    made: list[str] = []
    for account_id in job["accountIds"]:
        now = world.store.now()
        stamps = dict.fromkeys(("createdDate", "lastCalculatedDate", "dtCreated", "dtLastModified"), now)
        fields = bill_fields(world, job, accounts[account_id])
        bill = {**organization.bill(bills.next_position()), **fields, **stamps}
        made.append(bills.put({**bill, "id": world.store.new_id(), "billJobId": job["id"]})["id"])
    return made


def _calculate_again(world: World, job: Row) -> list[str]:
    bills = world.store.bills
    ids: list[str] = job["billIds"]
    for bill_id in ids:
        bill = bills.get(bill_id)
        # A bill that was deleted or locked while the job ran is left as it is.
        if bill is not None and not bill["locked"]:
            change = touched(world, bill)
            bills.put({**bill, **change, "lastCalculatedDate": change["dtLastModified"], "statementStale": True})
    return ids


def get_bill_job(world: World, call: Call) -> Row:
    """GET /billjobs/{id}."""
    return _advance_bill_job(world, world.store.row(BILL_JOBS, call.path))


def list_bill_jobs(world: World, call: Call) -> Row:
    """GET /billjobs: who waits by listing sees the jobs move too, but not from page to page of one list."""
    if "nextToken" not in call.query:
        for _, job in list(_bill_jobs(world).walk()):
            _advance_bill_job(world, job)
    return page(world, call, _bill_jobs(world).walk, dict)


def cancel_bill_job(world: World, call: Call) -> Row:
    """POST /billjobs/{id}/cancel."""
    job = world.store.row(BILL_JOBS, call.path)
    if job["status"] in FINISHED:
        raise Problem(400, f"status: the job is {job['status']} already")
    world.wrote(call)
    return _bill_jobs(world).put({**job, **touched(world, job), "status": "CANCELLED"})


def _with_urls(world: World, job: Row) -> Row:
    if job["statementJobStatus"] != "COMPLETE":
        return job
    bill = world.store.bills.get(job["billId"])
    status = "INVALIDATED" if bill is None else "STALE" if bill["statementStale"] else "LATEST"
    answer = {
        **job,
        "jsonStatementStatus": status,
        "presignedJsonStatementUrl": statement_url(world, job["billId"], "json"),
    }
    if job.get("includeCsvFormat"):
        answer.update(csvStatementStatus=status, presignedCsvStatementUrl=statement_url(world, job["billId"], "csv"))
    return answer


def _start_statement_job(world: World, call: Call, bill_id: str) -> Row:
    row = {**new_row(world, call), "billId": bill_id, "statementJobStatus": "PENDING"}
    return world.store.table(STATEMENT_JOBS, {}).put(row)


def create_statement_job(world: World, call: Call) -> Row:
    """POST /statementjobs."""
    bill = world.store.bills.get(call.body["billId"])
    if bill is None:
        raise Problem(404, "billId: there is no such bill")
    world.wrote(call)
    return _start_statement_job(world, call, bill["id"])


def create_statement_batch(world: World, call: Call) -> list[Row]:
    """POST /statementjobs/batch: a bare array, one job a bill."""
    bills = [named_bill(world, bill_id) for bill_id in call.body["billIds"]]
    world.wrote(call)
    return [_start_statement_job(world, call, bill["id"]) for bill in bills]


def _advance_statement_job(world: World, job: Row) -> Row:
    stage = NEXT_STATEMENT_STAGE.get(job["statementJobStatus"])
    if stage is None:
        return job
    if stage == "COMPLETE":
        stage = world.store.end(stage, "FAILED", "CANCELLED")
    if stage == "COMPLETE":
        bill = world.store.bills.get(job["billId"])
        if bill is not None:
            made = {"jsonStatementGenerated": True, "statementStale": False}
            made["csvStatementGenerated"] = bool(job.get("includeCsvFormat")) or bill["csvStatementGenerated"]
            world.store.bills.put({**bill, **made})
    change = {**touched(world, job), "statementJobStatus": stage}
    return world.store.table(STATEMENT_JOBS, {}).put({**job, **change})


def get_statement_job(world: World, call: Call) -> Row:
    """GET /statementjobs/{id}."""
    return _with_urls(world, _advance_statement_job(world, world.store.row(STATEMENT_JOBS, call.path)))


def list_statement_jobs(world: World, call: Call) -> Row:
    """GET /statementjobs: moves the jobs on as the list of bill jobs does."""
    table = world.store.table(STATEMENT_JOBS, {})
    if "nextToken" not in call.query:
        for _, job in list(table.walk()):
            _advance_statement_job(world, job)
    return page(world, call, table.walk, lambda job: _with_urls(world, job))


def cancel_statement_job(world: World, call: Call) -> Row:
    """POST /statementjobs/{id}/cancel."""
    job = world.store.row(STATEMENT_JOBS, call.path)
    if job["statementJobStatus"] in FINISHED:
        raise Problem(400, f"statementJobStatus: the job is {job['statementJobStatus']} already")
    world.wrote(call)
    change = {**touched(world, job), "statementJobStatus": "CANCELLED"}
    return world.store.table(STATEMENT_JOBS, {}).put({**job, **change})


HANDLERS: Final[dict[str, Handler]] = {
    "CreateBillJob": create_bill_job,
    "RecalculateBillJob": recalculate,
    "GetBillJob": get_bill_job,
    "ListBillJobs": list_bill_jobs,
    "CancelBillJob": cancel_bill_job,
    "CreateStatementJob": create_statement_job,
    "CreateStatementJobBatch": create_statement_batch,
    "GetStatementJob": get_statement_job,
    "ListStatementJobs": list_statement_jobs,
    "CancelStatementJob": cancel_statement_job,
}
