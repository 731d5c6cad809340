"""Files of measurements, on their way from a path or from an iterable to the job that reads them."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterable, Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import anyio

from .._core.identity import secret
from .._core.pipeline import Pipeline
from .._jobs.presigned_urls import upload
from .._jobs.waiting import check_timeout
from ..errors import APIResponseValidationError, MeasurementError
from ..models.usage import UploadJob
from ..resources.usage import Usage
from .measurement import Row, encode, measurement
from .row_sources import close, drawn, drawn_async

Measurements: TypeAlias = (
    "str | os.PathLike[str] | Iterable[Row] | AsyncIterable[Row] | Iterable[bytes] | AsyncIterable[bytes]"
)
"""What can be uploaded: the path of a file, measurements, or the pieces of a file."""

_MOST = 2**30  # bytes
_PIECE = 262_144  # bytes
_LONGEST_NAME = 100


async def upload_measurements(
    pipeline: Pipeline,
    usage: Usage,
    content: Measurements,
    *,
    file_name: str | None,
    timeout: float,
    on_progress: Callable[[UploadJob], object] | None,
) -> UploadJob:
    """Upload a file of measurements and wait until it was read; see `AsyncM3ter.upload_measurements`."""
    try:
        check_timeout(timeout)
        if isinstance(content, (str, os.PathLike)):
            job_id = await _put(pipeline, usage, Path(content), file_name)
        else:
            # the service wants to know the length before it gives a URL, and the URL lives for a minute
            async with anyio.TemporaryDirectory() as folder:
                path = Path(folder, "measurements.json")
                async with await anyio.open_file(path, "xb") as file:
                    await _spool(content, file)
                job_id = await _put(pipeline, usage, path, file_name)
    finally:
        await close(content)  # also where it was never begun
    return await usage.file_uploads.jobs.wait(job_id, timeout=timeout, on_progress=on_progress)


async def _put(pipeline: Pipeline, usage: Usage, path: Path, file_name: str | None) -> str:
    """Upload a file; returns the id of the job that reads it."""
    name = path.name if file_name is None else file_name
    if not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"file_name must have 1 to {_LONGEST_NAME} characters, not {len(name)}: {name!r}")
    size = (await anyio.Path(path).stat()).st_size
    if not size:
        raise ValueError(f"{name} holds nothing to upload")
    _check_size(size)
    async with await anyio.open_file(path, "rb") as file:
        if not (await file.read(_PIECE)).lstrip().startswith(b"["):
            raise ValueError(f"{name} does not begin as a JSON array of measurements")
    place = await usage.file_uploads.generate_upload_url(
        file_name=name, content_type="application/json", content_length=size
    )
    if place.job_id is None:
        raise APIResponseValidationError("the service gave no job", method="POST", path="generateUploadUrl")
    await upload(pipeline, secret(place.url), path, headers=place.headers)
    return place.job_id


def _check_size(size: int) -> None:
    if size > _MOST:
        raise ValueError(f"the service takes files of at most {_MOST:,} bytes: upload it in parts")


async def _spool(
    content: Iterable[Row] | AsyncIterable[Row] | Iterable[bytes] | AsyncIterable[bytes], file: anyio.AsyncFile[bytes]
) -> None:
    """Write a file piece by piece, or as a JSON array of measurements."""
    buffer = _Buffer()
    if isinstance(content, AsyncIterable):
        async with drawn_async(content) as later:
            async for item in later:
                if buffer.add(item):
                    await file.write(buffer.take())
    else:
        with drawn(content) as now:
            for item in now:
                if buffer.add(item):
                    await file.write(buffer.take())
    buffer.end()
    await file.write(buffer.take())


class _Buffer:
    """The next part of a file that is being written."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._written = 0
        self._prefix = secrets.token_hex(16)
        self._pieces: bool | None = None
        self._count = 0

    def add(self, item: Row | bytes) -> bool:
        """Add a measurement or a piece; True when it is time to write.

        Raises:
            MeasurementError: The service could never accept it.
            TypeError: Pieces and measurements are mixed.
            ValueError: The file grows too large.
        """
        if self._pieces is None:
            self._pieces = isinstance(item, bytes)
        if self._pieces is not isinstance(item, bytes):
            raise TypeError("measurements and pieces of a file cannot be mixed")
        if not isinstance(item, bytes):
            try:
                item = encode(measurement(item, f"{self._prefix}-{self._count}"))
            except MeasurementError as error:
                raise MeasurementError(error.field, f"{error.reason} (row {self._count})") from None
            self._content += b",\n" if self._count else b"[\n"
        self._content += item
        self._count += 1
        _check_size(self._written + len(self._content))
        return len(self._content) >= _PIECE

    def take(self) -> bytes:
        """What is to be written now."""
        content = bytes(self._content)
        self._content.clear()
        self._written += len(content)
        return content

    def end(self) -> None:
        """After the last one, close the array that was begun."""
        if self._pieces is False:
            self._content += b"\n]"
