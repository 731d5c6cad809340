"""Lookup tables: the data of their revisions, entry by entry or as files, and the jobs that move it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ORG, REVISIONS
from m3ter_async.sandbox.exact_numbers import DECODER, ENCODER
from m3ter_async.sandbox.files.presigned_urls import file_url, upload_url
from m3ter_async.sandbox.handlers.entity_rows import touched
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.rules.versions import check_version

DATA: Final = REVISIONS + "/{lookupTableRevisionId}/data"
DATA_JOBS: Final = DATA + "/jobs"
TABLES: Final = ORG + "/lookuptables"
MOST_ITEMS: Final = 2000
# What stands between the values of a key that has several fields; the contract does not say.
BETWEEN: Final = ":"
ARCHIVED_URL_DAYS: Final = -1


def with_active(world: World, table: Row) -> Row:
    """A lookup table as it is answered: with the newest of its published revisions."""
    revisions = world.store.table(REVISIONS, {"lookupTableId": table["id"]}).walk()
    active = next((row for _, row in revisions if row["status"] == "PUBLISHED"), None)
    return {**table, "activeRevision": active}


def _revision(world: World, call: Call) -> Row:
    return world.store.row(REVISIONS, call.path, "lookupTableRevisionId")


def _stored(world: World, path: dict[str, str], revision_id: str) -> Row:
    """The data of a revision: one row with all items, version 0 before any were put."""
    row = world.store.table(DATA, {**path, "lookupTableRevisionId": revision_id}).get(revision_id)
    return row or {"id": revision_id, "items": [], "version": 0}


def _store(world: World, path: dict[str, str], revision: Row, items: list[Row]) -> Row:
    if len(items) > MOST_ITEMS:
        raise Refusal(400, f"items: more than {MOST_ITEMS} entries")
    before = _stored(world, path, revision["id"])
    change = touched(world, before)
    created = {"dtCreated": change["dtLastModified"], "createdBy": change["lastModifiedBy"]}
    row = {**created, **before, **change, "items": items}
    world.store.table(REVISIONS, path).put({**revision, "itemCount": len(items)})
    return world.store.table(DATA, {**path, "lookupTableRevisionId": revision["id"]}).put(row)


def _answer(row: Row, items: list[Row] | None = None) -> Row:
    answer = {name: value for name, value in row.items() if name != "id"}
    return answer if items is None else {**answer, "items": items}


def _key(revision: Row, item: Row) -> str:
    return BETWEEN.join(str(item.get(name)) for name in revision.get("keys") or ())


def _open(world: World, call: Call) -> tuple[Row, Row]:
    """The revision and its data, for a write: refused once archived, or for another version than the stored one."""
    revision = _revision(world, call)
    if revision["status"] == "ARCHIVED":
        raise Refusal(400, "status: the revision is ARCHIVED")
    before = _stored(world, call.path, revision["id"])
    check_version(world, call, before)
    return revision, before


def _checked(revision: Row, item: Row, place: str) -> Row:
    for name in revision.get("keys") or ():
        if item.get(name) is None:
            raise Refusal(400, f"{place}.{name}: missing, it is a key")
    return item


def get_data(world: World, call: Call) -> Row:
    """GET .../data: up to `limit` items, without a cursor."""
    row = _stored(world, call.path, _revision(world, call)["id"])
    return _answer(row, row["items"][: call.query.get("limit", MOST_ITEMS)])


def put_data(world: World, call: Call) -> Row:
    """PUT .../data: replaces all items."""
    revision, _ = _open(world, call)
    items = [_checked(revision, item, f"items[{number}]") for number, item in enumerate(call.body["items"])]
    row = _store(world, call.path, revision, items)
    world.wrote(call)
    return _answer(row)


def delete_data(world: World, call: Call) -> Row:
    """DELETE .../data: removes all items."""
    revision, _ = _open(world, call)
    _store(world, call.path, revision, [])
    world.wrote(call)
    return {"result": "deleted"}


def get_entry(world: World, call: Call) -> Row:
    """GET .../data/{lookupKey}."""
    revision = _revision(world, call)
    row = _stored(world, call.path, revision["id"])
    found = [item for item in row["items"] if _key(revision, item) == call.path["lookupKey"]]
    if not found:
        raise Refusal(404, "lookupKey: there is no entry with this key")
    return _answer(row, found)


def put_entry(world: World, call: Call) -> Row:
    """PUT .../data/{lookupKey}: adds the entry, or replaces the one with this key."""
    revision, before = _open(world, call)
    item = _checked(revision, call.body["item"], "item")
    if _key(revision, item) != call.path["lookupKey"]:
        raise Refusal(400, f"lookupKey: the item has the key {_key(revision, item)}")
    others = [one for one in before["items"] if _key(revision, one) != call.path["lookupKey"]]
    row = _store(world, call.path, revision, [*others, item])
    world.wrote(call)
    return _answer(row, [item])


def delete_entry(world: World, call: Call) -> Row:
    """DELETE .../data/{lookupKey}: the only DELETE with a body, and it answers what it removed."""
    revision, before = _open(world, call)
    found = [item for item in before["items"] if _key(revision, item) == call.path["lookupKey"]]
    if not found:
        raise Refusal(404, "lookupKey: there is no entry with this key")
    row = _store(world, call.path, revision, [item for item in before["items"] if item not in found])
    world.wrote(call)
    return _answer(row, found)


def _start_job(world: World, call: Call, kind: str, **more: Any) -> Row:
    organization = world.store.organization
    path = {name: call.path[name] for name in ("lookupTableId", "lookupTableRevisionId")}
    job = {"id": world.store.new_id(), "version": 1, **path, "jobDate": organization.day(0), "type": kind}
    return world.store.table(DATA_JOBS, path).put({**job, "status": "PENDING", **more})


def copy(world: World, call: Call) -> Row:
    """POST .../data/copy: into the revision that the body names, or else into a new draft."""
    source = _revision(world, call)
    revisions = world.store.table(REVISIONS, call.path)
    target_id = call.body.get("revisionId")
    target = revisions.get(target_id) if target_id else None
    if target_id and target is None:
        raise Refusal(404, "revisionId: there is no such revision")
    if target is None:
        target = revisions.put({**source, "id": world.store.new_id(), "version": 1, "status": "DRAFT", "itemCount": 0})
    job = _start_job(world, call, "COPY", destinationLookupTableRevisionId=target["id"])
    world.wrote(call)
    return {"jobId": job["id"], "revisionId": target["id"]}


def generate_upload_url(world: World, call: Call) -> Row:
    """POST .../data/generateuploadurl."""
    _open(world, call)
    job = _start_job(world, call, "UPLOAD", fileName=call.body["fileName"])
    name = f"lookups/{job['id']}"
    headers = {"Content-Type": call.body["contentType"]}
    return {"jobId": job["id"], "url": upload_url(world, name, call.body["contentType"]), "headers": headers}


def download(world: World, call: Call) -> Row:
    """POST .../data/jobs/download."""
    _revision(world, call)
    job = _start_job(world, call, "DOWNLOAD", fileName=_file_name(call, "data"))
    world.wrote(call)
    return {"jobId": job["id"]}


def archived_url(world: World, call: Call) -> Row:
    """POST .../data/archived: a download URL at once."""
    revision = _revision(world, call)
    items = _stored(world, call.path, revision["id"])["items"]
    url = _write(world, _file_name(call, f"archived-{revision['id']}"), revision, items)
    return {"url": url, "expiry": world.store.organization.day(ARCHIVED_URL_DAYS) + "T12:00:00Z"}


def _file_name(call: Call, stem: str) -> str:
    return f"{stem}.{'csv' if call.body['contentType'] == 'text/csv' else 'jsonl'}"


def _write(world: World, name: str, revision: Row, items: Iterable[Row]) -> str:
    if not name.endswith(".csv"):
        return file_url(world, name, "application/jsonl", b"".join(ENCODER.encode(item) + b"\n" for item in items))
    text = io.StringIO()
    writer = csv.DictWriter(text, [field["name"] for field in revision.get("fields") or ()], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(items)
    return file_url(world, name, "text/csv", text.getvalue().encode())


def _read(content_type: str, content: bytes) -> list[Row]:
    if content_type == "text/csv":
        return [dict(row) for row in csv.DictReader(io.StringIO(content.decode()))]
    rows: list[object] = [DECODER.decode(line) for line in content.splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("not every line is an object")
    return cast("list[Row]", rows)


def _advance(world: World, job: Row, path: dict[str, str]) -> Row:
    """What is asked for a second time is done; an upload waits for its file."""
    uploaded = world.store.files.get(f"lookups/{job['id']}")
    if job["status"] != "PENDING" or (job["type"] == "UPLOAD" and uploaded is None):
        return job
    revision = world.store.row(REVISIONS, path, "lookupTableRevisionId")
    change: Row = {"status": "SUCCEEDED", "version": job["version"] + 1}
    try:
        if world.store.end("SUCCEEDED", "FAILED", "FAILED") == "FAILED":
            raise Refusal(500, "the sandbox was told to fail")
        if job["type"] == "UPLOAD" and uploaded is not None:
            items = _read(*uploaded)
            _store(world, path, revision, [_checked(revision, item, "item") for item in items])
        elif job["type"] == "COPY":
            items = _stored(world, path, revision["id"])["items"]
            _store(
                world, path, world.store.row(REVISIONS, path | {"id": job["destinationLookupTableRevisionId"]}), items
            )
        else:
            items = _stored(world, path, revision["id"])["items"]
            change["downloadUrl"] = _write(world, f"lookups/{job['id']}-{job['fileName']}", revision, items)
            change["downloadUrlExpiry"] = world.store.organization.day(ARCHIVED_URL_DAYS)
    except (ValueError, msgspec.DecodeError, Refusal) as error:
        change.update(status="FAILED", failureReason=str(error))
    return world.store.table(DATA_JOBS, path).put({**job, **change})


def get_job(world: World, call: Call) -> Row:
    """GET .../data/jobs/{id}."""
    return _advance(world, world.store.row(DATA_JOBS, call.path), call.path)


def list_jobs(world: World, call: Call) -> Row:
    """GET .../data/jobs."""
    return page(world, call, world.store.table(DATA_JOBS, call.path).walk, dict)


HANDLERS: Final[dict[str, Handler]] = {
    "GetLookupTableRevisionData": get_data,
    "PutLookupTableRevisionData": put_data,
    "DeleteLookupTableRevisionData": delete_data,
    "GetLookupTableRevisionDataEntry": get_entry,
    "PutLookupTableRevisionDataEntry": put_entry,
    "DeleteLookupTableRevisionDataEntry": delete_entry,
    "CopyLookupTableRevisionData": copy,
    "GenerateLookupTableDataUploadUrl": generate_upload_url,
    "TriggerLookupTableRevisionDataDownloadJob": download,
    "GetLookupTableRevisionArchivedDataUrl": archived_url,
    "GetLookupTableRevisionDataJobResponse": get_job,
    "ListLookupTableRevisionDataJobs": list_jobs,
}
