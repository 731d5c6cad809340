"""Files that the service makes: the statements of bills, and what exports have written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from os import PathLike
from typing import Any, Literal, TypeVar

from .._core.decoding import Unreadable, decode, decoder
from .._core.identity import secret
from .._core.operation import Operation
from .._core.pipeline import Pipeline
from .._core.redaction import Secret
from .._paging.paginator import paginate
from ..errors import APIResponseValidationError, JobCancelledError, JobFailedError, PermissionDeniedError
from ..models.statements import StatementJob
from .presigned_urls import download, download_to
from .waiting import check_timeout, wait

R = TypeVar("R")


async def file(pipeline: Pipeline, operation: Operation[Any], path: Mapping[str, str]) -> bytes:
    """The file that an operation answers the URL of."""
    return await _linked(pipeline, operation, path, lambda url: download(pipeline, url))


async def file_to(
    pipeline: Pipeline, operation: Operation[Any], path: Mapping[str, str], to: str | PathLike[str]
) -> None:
    """The same, put to a path."""
    await _linked(pipeline, operation, path, lambda url: download_to(pipeline, url, to))


async def _linked(
    pipeline: Pipeline,
    operation: Operation[Any],
    path: Mapping[str, str],
    get: Callable[[Secret | None], Awaitable[R]],
) -> R:
    async def url() -> Secret | None:
        return secret((await pipeline.call(operation, path, {})).url)

    return await _fetch(await url(), url, get)


async def _fetch(
    url: Secret | None, renew: Callable[[], Awaitable[Secret | None]], get: Callable[[Secret | None], Awaitable[R]]
) -> R:
    """Get what a presigned URL leads to; once more with a new URL, if the first has ended meanwhile."""
    try:
        return await get(url)
    except PermissionDeniedError:  # how storage says that a URL has ended
        return await get(await renew())


async def statement(
    pipeline: Pipeline,
    listing: Operation[StatementJob],
    create: Operation[StatementJob],
    retrieve: Operation[StatementJob],
    bill_id: str,
    form: Literal["json", "csv"],
    timeout: float,
    on_progress: Callable[[StatementJob], object] | None,
) -> bytes:
    """The statement of a bill as it is now: that of a job which has made it or is at it, or else of a new one.

    Args:
        timeout: Seconds for all jobs together; the download is not counted.
    """
    check_timeout(timeout)
    if not bill_id:
        raise ValueError("bill_id must not be empty")
    began = pipeline.clock.now()

    async def finished(id: str) -> StatementJob:
        left = max(0.0, timeout - (pipeline.clock.now() - began))
        name = f"statement job {id}"
        return await wait(pipeline, retrieve, {"id": id}, name, "statement_job_status", left, on_progress)

    job = running = None
    async for one in paginate(pipeline, listing, {}, {"billId": bill_id}):
        # one that is filtered by meters tells of a part of the bill
        whole = one.bill_id == bill_id and not (one.filters and one.filters.meter_ids)
        if not whole or (form == "csv" and not one.include_csv_format):
            continue
        if _latest(one, form):
            job = await finished(one.id)
            break
        running = running or (one if _active(one) else None)
    if job is None and running is not None:
        with suppress(JobFailedError, JobCancelledError):  # somebody else's; one of our own may still do
            job = await finished(running.id)
    if job is None or not _latest(job, form):
        body = {"billId": bill_id, "includeCsvFormat": True} if form == "csv" else {"billId": bill_id}
        job = await finished((await pipeline.call(create, {}, {}, body)).id)
    id = job.id

    async def renew() -> Secret | None:
        return _url(await pipeline.call(retrieve, {"id": id}, {}), form)

    return await _fetch(_url(job, form), renew, lambda url: download(pipeline, url))


async def statement_json(
    pipeline: Pipeline,
    listing: Operation[StatementJob],
    create: Operation[StatementJob],
    retrieve: Operation[StatementJob],
    bill_id: str,
    timeout: float,
    on_progress: Callable[[StatementJob], object] | None,
) -> Any:
    """The same as plain values, every number exact."""
    body = await statement(pipeline, listing, create, retrieve, bill_id, "json", timeout, on_progress)
    try:
        return decode(decoder(Any), body)
    except Unreadable as cause:
        reason = f"the statement of bill {bill_id} cannot be read: {cause.reason}"
    raise APIResponseValidationError(reason, method="GET", path=pipeline.prepare(listing, {}, {}).path)


def _url(job: StatementJob, form: Literal["json", "csv"]) -> Secret | None:
    return secret(job.presigned_json_statement_url if form == "json" else job.presigned_csv_statement_url)


def _latest(job: StatementJob, form: Literal["json", "csv"]) -> bool:
    return (job.json_statement_status if form == "json" else job.csv_statement_status) == "LATEST"


def _active(job: StatementJob) -> bool:
    return job.statement_job_status in ("PENDING", "RUNNING")
