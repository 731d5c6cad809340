"""Measurements: accepted first and validated afterwards, one by one or as uploaded files."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ACCOUNTS, METERS, ORG
from m3ter_async.sandbox.contract.validation import check_body
from m3ter_async.sandbox.exact_numbers import DECODER, ENCODER
from m3ter_async.sandbox.files.presigned_urls import MOST_UPLOAD_BYTES, download_url, file_url, upload_url
from m3ter_async.sandbox.handlers.events import raise_event
from m3ter_async.sandbox.refusal import Refusal

UPLOAD_JOBS: Final = ORG + "/fileuploads/measurements/jobs"
MOST_MEASUREMENTS: Final = 1000
FAILURE: Final = "ingest.validation.failure"


def _codes(world: World, pattern: str) -> frozenset[str]:
    return frozenset(str(row.get("code")) for _, row in world.store.table(pattern, {}).walk())


def _keep(world: World, rows: list[object]) -> list[Row]:
    """Store the measurements that are right, once for every `uid`, and give back the others with what is wrong."""
    known = {"meter": _codes(world, METERS), "account": _codes(world, ACCOUNTS)}
    declared = world.schemas["SubmitMeasurementsRequest"]["measurements"].item
    failed: list[Row] = []
    for row in rows:
        try:
            if declared is None:
                raise Refusal(400, "measurements: not declared")
            measurement = check_body(row, declared, world.schemas)
            for name, codes in known.items():
                if measurement[name] not in codes:
                    raise Refusal(400, f"{name}: there is none with the code {measurement[name]}")
        except Refusal as problem:
            failed.append({"error": problem.message, "measurement": row})
        else:
            uid = measurement.get("uid") or world.store.new_id()
            world.store.measurements.setdefault(uid, {**measurement, "uid": uid})
    return failed


def _report(world: World, failed: list[Row]) -> None:
    """Let an event tell of measurements that failed, and where they can be downloaded."""
    if failed:
        name = f"failed-ingest-{len(world.store.files)}.json"
        file_url(world, name, "application/json", ENCODER.encode(failed))
        path = f"/organizations/{world.store.organization.id}/measurements/failedIngest/getDownloadUrl?file={name}"
        raise_event(world, FAILURE, {"file": name, "getDownloadUrl": world.url + path, "failures": len(failed)})


def submit(world: World, call: Call) -> Row:
    """POST /measurements: the answer says accepted whatever is in the measurements; failures become an event."""
    _report(world, _keep(world, call.body["measurements"]))
    world.wrote(call)
    return {"result": "accepted"}


def failed_url(world: World, call: Call) -> Row:
    """GET /measurements/failedIngest/getDownloadUrl: the file that a failure event names, or else the newest one."""
    names = [name for name in world.store.files if name.startswith("failed-ingest-")]
    name = call.query.get("file") or (names[-1] if names else None)
    if name is None:
        return {"url": file_url(world, "failed-ingest-none.json", "application/json", b"[]")}
    if name not in names:
        raise Refusal(404, "file: there is no such file")
    return {"url": download_url(world, "files/" + name)}


def generate_upload_url(world: World, call: Call) -> Row:
    """POST /fileuploads/measurements/generateUploadUrl: a job that waits for its file, and where to put that."""
    if call.body["contentLength"] > MOST_UPLOAD_BYTES:
        raise Refusal(400, f"contentLength: above {MOST_UPLOAD_BYTES}")
    job_id = world.store.new_id()
    sizes = {"contentLength": call.body["contentLength"], "totalRows": 0, "processedRows": 0, "failedRows": 0}
    job = {"id": job_id, "version": 1, "fileName": call.body["fileName"], "uploadDate": world.store.now(), **sizes}
    world.store.table(UPLOAD_JOBS, {}).put({**job, "status": "notUploaded"})
    headers = {"Content-Type": call.body["contentType"]}
    name = f"measurements/{job_id}"
    return {"jobId": job_id, "url": upload_url(world, name, headers["Content-Type"]), "headers": headers}


def _advance(world: World, job: Row) -> Row:
    """Each look at a job whose file has come moves it one stage on."""
    uploaded = world.store.files.get(f"measurements/{job['id']}")
    if job["status"] == "notUploaded" and uploaded is not None:
        return _put(world, job, {"status": "running"})
    if job["status"] != "running" or uploaded is None:
        return job
    try:
        rows: Any = DECODER.decode(uploaded[1])
    except (msgspec.DecodeError, UnicodeDecodeError):
        rows = None
    if not isinstance(rows, list) or world.store.end("succeeded", "failed", "failed") == "failed":
        return _put(world, job, {"status": "failed"})
    found = cast("list[object]", rows)
    failed = _keep(world, found)
    _report(world, failed)
    counts = {"totalRows": len(found), "processedRows": len(found) - len(failed), "failedRows": len(failed)}
    return _put(world, job, {"status": "succeeded", **counts})


def _put(world: World, job: Row, change: Row) -> Row:
    return world.store.table(UPLOAD_JOBS, {}).put({**job, **change, "version": job["version"] + 1})


def get_upload_job(world: World, call: Call) -> Row:
    """GET /fileuploads/measurements/jobs/{id}."""
    return _advance(world, world.store.row(UPLOAD_JOBS, call.path))


def original_url(world: World, call: Call) -> Row:
    """GET /fileuploads/measurements/jobs/{id}/original: where the file that was uploaded can be fetched."""
    job = world.store.row(UPLOAD_JOBS, call.path)
    name = f"measurements/{job['id']}"
    if name not in world.store.files:
        if job["status"] == "notUploaded":
            raise Refusal(404, "id: no file was uploaded for this job yet")
        # The seeded jobs are done; what they were given is kept no longer.
        file_url(world, name, "application/json", b"[]")
    return {"jobId": job["id"], "url": download_url(world, "files/" + name), "headers": {}}


HANDLERS: Final[dict[str, Handler]] = {
    "SubmitMeasurements": submit,
    "GetValidationErrorDownloadUrl": failed_url,
    "GenerateUploadUrl": generate_upload_url,
    "GetUploadJobResponse": get_upload_job,
    "GetJobOriginalFileDownloadUrl": original_url,
}
