"""Bill jobs: each look at a job moves it one stage on."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import BILL_JOBS
from m3ter_async.sandbox.handlers.bills import bill_fields, job_accounts, named_bill, set_status
from m3ter_async.sandbox.handlers.entity_rows import new_row, touched
from m3ter_async.sandbox.handlers.filters import FINISHED
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.bills import bill_row
from m3ter_async.sandbox.state.collection_rows import Table

MOST_BILL_JOBS: Final = 10
NEXT_STAGE: Final = {"PENDING": "INITIALIZING", "INITIALIZING": "RUNNING", "RUNNING": "COMPLETE"}


def _bill_jobs(world: World) -> Table:
    return world.store.table(BILL_JOBS, {})


def _start_bill_job(world: World, call: Call, kind: str, about: Row, count: int) -> Row:
    active = sum(row["status"] not in FINISHED for _, row in _bill_jobs(world).walk())
    if active >= MOST_BILL_JOBS:
        raise Refusal(429, f"{MOST_BILL_JOBS} bill jobs are running already")
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
            raise Refusal(400, f"billIds: {bill_id} is locked")
    ids: list[str] = call.body["billIds"]
    return _start_bill_job(world, call, "RECALCULATE", {"billIds": ids}, len(ids))


def _advance_bill_job(world: World, job: Row) -> Row:
    stage = NEXT_STAGE.get(job["status"])
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
        bill = {**bill_row(organization, bills.next_position()), **fields, **stamps}
        made.append(bills.put({**bill, "id": world.store.new_id(), "billJobId": job["id"]})["id"])
    return made


def _calculate_again(world: World, job: Row) -> list[str]:
    bills = world.store.bills
    ids: list[str] = job["billIds"]
    for bill_id in ids:
        bill = bills.get(bill_id)
        # A bill that was deleted or locked while the job ran is left as it is.
        if bill is not None and not bill["locked"]:
            world.store.calculations[bill_id] += 1
            set_status(world, bill, "PENDING", lastCalculatedDate=world.store.text, statementStale=True)
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
        raise Refusal(400, f"status: the job is {job['status']} already")
    world.wrote(call)
    return _bill_jobs(world).put({**job, **touched(world, job), "status": "CANCELLED"})


HANDLERS: Final[dict[str, Handler]] = {
    "CreateBillJob": create_bill_job,
    "RecalculateBillJob": recalculate,
    "GetBillJob": get_bill_job,
    "ListBillJobs": list_bill_jobs,
    "CancelBillJob": cancel_bill_job,
}
