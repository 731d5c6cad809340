"""Statement jobs: each look at a job moves it one stage on."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import STATEMENT_JOBS
from m3ter_async.sandbox.handlers.bills import named_bill
from m3ter_async.sandbox.handlers.downloads import statement_url
from m3ter_async.sandbox.handlers.entity_rows import new_row, touched
from m3ter_async.sandbox.handlers.filters import FINISHED
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.refusal import Refusal

NEXT_STAGE: Final = {"PENDING": "RUNNING", "RUNNING": "COMPLETE"}


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
        raise Refusal(404, "billId: there is no such bill")
    world.wrote(call)
    return _start_statement_job(world, call, bill["id"])


def create_statement_batch(world: World, call: Call) -> list[Row]:
    """POST /statementjobs/batch: a bare array, one job a bill."""
    bills = [named_bill(world, bill_id) for bill_id in call.body["billIds"]]
    world.wrote(call)
    return [_start_statement_job(world, call, bill["id"]) for bill in bills]


def _advance_statement_job(world: World, job: Row) -> Row:
    stage = NEXT_STAGE.get(job["statementJobStatus"])
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
        raise Refusal(400, f"statementJobStatus: the job is {job['statementJobStatus']} already")
    world.wrote(call)
    change = {**touched(world, job), "statementJobStatus": "CANCELLED"}
    return world.store.table(STATEMENT_JOBS, {}).put({**job, **change})


HANDLERS: Final[dict[str, Handler]] = {
    "CreateStatementJob": create_statement_job,
    "CreateStatementJobBatch": create_statement_batch,
    "GetStatementJob": get_statement_job,
    "ListStatementJobs": list_statement_jobs,
    "CancelStatementJob": cancel_statement_job,
}
