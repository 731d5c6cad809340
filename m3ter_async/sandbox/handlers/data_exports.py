"""Data exports: jobs started by hand, and the files that they leave behind."""

from __future__ import annotations

from itertools import islice
from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ACCOUNTS, BALANCES, COMMITMENTS, ORG
from m3ter_async.sandbox.exact_numbers import ENCODER
from m3ter_async.sandbox.files.presigned_urls import file_url
from m3ter_async.sandbox.handlers.bills import with_lines
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.refusal import Refusal

EXPORT_JOBS: Final = ORG + "/dataexports/jobs"
DESTINATIONS: Final = ORG + "/dataexports/destinations"
NEXT_STAGE: Final = {"PENDING": "RUNNING", "RUNNING": "SUCCEEDED"}
# More than this many rows are not written to a file: a sandbox is for trying things out.
MOST_ROWS: Final = 1000
TABLES: Final = {"ACCOUNTS": ACCOUNTS, "BALANCES": BALANCES, "COMMITMENTS": COMMITMENTS, "PLANS": ORG + "/plans"}


def start(world: World, call: Call) -> Row:
    """POST /dataexports/adhoc."""
    for destination in call.body.get("destinationIds") or ():
        if world.store.table(DESTINATIONS, {}).get(destination) is None:
            raise Refusal(404, f"destinationIds: there is no destination {destination}")
    job_id, now = world.store.new_id(), world.store.now()
    kinds: list[str] = call.body.get("operationalDataTypes") or []
    job: Row = {"id": job_id, "version": 1, "sourceType": call.body["sourceType"], "status": "PENDING"}
    # What to export is kept with the job, though a job does not show it.
    world.store.table(EXPORT_JOBS, {}).put({**job, "dateCreated": now, "operationalDataTypes": kinds})
    world.wrote(call)
    return {"jobId": job_id}


def _advance(world: World, job: Row) -> Row:
    stage = NEXT_STAGE.get(job["status"])
    if stage is not None:
        stage = stage if stage == "RUNNING" else world.store.end(stage, "FAILED", "FAILED")
        change: Row = {"status": stage, "version": job["version"] + 1}
        if stage == "RUNNING":
            change["startedAt"] = world.store.now()
        job = world.store.table(EXPORT_JOBS, {}).put({**job, **change})
    return {name: value for name, value in job.items() if name != "operationalDataTypes"}


def get_job(world: World, call: Call) -> Row:
    """GET /dataexports/jobs/{id}: each look moves the job one stage on."""
    return _advance(world, world.store.row(EXPORT_JOBS, call.path))


def list_jobs(world: World, call: Call) -> Row:
    """GET /dataexports/jobs: moves the jobs on too, but not from page to page of one list."""
    table = world.store.table(EXPORT_JOBS, {})
    if "nextToken" not in call.query:
        for _, job in [*table.walk()]:
            _advance(world, job)
    return page(world, call, table.walk, dict)


def download_link(world: World, call: Call) -> Row:
    """GET /dataexports/jobs/{jobId}/getdownloadurl: refused until the job has succeeded."""
    job = world.store.row(EXPORT_JOBS, call.path, "jobId")
    if job["status"] != "SUCCEEDED":
        raise Refusal(400, f"status: the job is {job['status']}")
    content = b"".join(ENCODER.encode(row) + b"\n" for row in _rows(world, job)[:MOST_ROWS])
    url = file_url(world, f"exports/{job['id']}.jsonl", "application/jsonl", content)
    return {"url": url, "expirationTime": world.store.organization.day(-1) + "T12:00:00Z"}


def _rows(world: World, job: Row) -> list[Row]:
    if job["sourceType"] == "USAGE":
        return list(world.store.measurements.values())
    rows: list[Row] = []
    for kind in job.get("operationalDataTypes") or ["BILLS"]:
        if kind == "BILLS":
            rows += [with_lines(world, bill) for _, bill in islice(world.store.bills.walk(), MOST_ROWS)]
        else:
            rows += [row for _, row in world.store.table(TABLES.get(kind, ORG + "/" + kind.lower()), {}).walk()]
    return rows


HANDLERS: Final[dict[str, Handler]] = {
    "TriggerDataExport": start,
    "GetJob": get_job,
    "listJobStatuses": list_jobs,
    "GenerateDataExportFileDownloadUrl": download_link,
}
