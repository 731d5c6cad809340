"""What the client does with measurements beyond single calls."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING

from ..resources._namespaces import Namespaces

if TYPE_CHECKING:
    from datetime import date, datetime

    from ..models.usage import UploadJob
    from .failed_measurements import IngestFailures
    from .ingest import Ingest
    from .ingest_outcomes import FailedBatch, IngestReport, RefusedMeasurement
    from .measurement import Row
    from .measurement_files import Measurements


class Measuring(Namespaces):
    """The namespaces of the API, and work with measurements that takes many calls."""

    def ingest(
        self,
        *,
        max_age: float = 1.0,
        concurrency: int = 16,
        on_failed: Callable[[FailedBatch], object] | None = None,
        on_refused: Callable[[RefusedMeasurement], object] | None = None,
    ) -> Ingest:
        """Send measurements in batches: ``async with m3ter.ingest() as ingest: await ingest.send(...)``.

        ``POST /organizations/{orgId}/measurements``

        Args:
            max_age: Seconds that a measurement waits at the most for others to go with it.
            concurrency: The most requests under way at once; 50 in a second go out at the most, as for all calls.
            on_failed: Told each request that could not be sent, as it happens: what is told is not kept, nor told
                again when the block is left, so put it where it is safe. Without, it is kept and tried again.
            on_refused: Told each measurement that the service refused, with its reason. Without, 1000 are kept.

        Raises:
            TypeError: A function is async: it is called, and not awaited.
        """
        from ..resources.usage import _SUBMIT_MEASUREMENTS
        from .ingest import Ingest

        return Ingest(
            self._pipeline,
            _SUBMIT_MEASUREMENTS,
            max_age=max_age,
            concurrency=concurrency,
            on_failed=on_failed,
            on_refused=on_refused,
        )

    async def ingest_all(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        on_refused: Callable[[RefusedMeasurement], object] | None = None,
        concurrency: int = 16,
    ) -> IngestReport:
        """Send all measurements of an iterable, plain or async, in batches; see `Ingest.send_all`.

        ``POST /organizations/{orgId}/measurements``; a generator is closed in the end.

        Raises:
            IngestError: Some were not sent or, without `on_refused`, could never be accepted. All others were sent.
        """
        from .ingest_outcomes import IngestReport
        from .row_sources import close

        try:
            async with self.ingest(concurrency=concurrency) as ingest:
                await ingest.send_all(rows, on_refused=on_refused)
        finally:
            await close(rows)  # also where it was never begun
        return IngestReport(ingest.accepted, ingest.refused, ingest.requests)

    async def upload_measurements(
        self,
        content: Measurements,
        *,
        file_name: str | None = None,
        timeout: float = 3600.0,
        on_progress: Callable[[UploadJob], object] | None = None,
    ) -> UploadJob:
        """Upload a file of measurements, of at most 1 GiB, and wait until the service has read it.

        ``POST /organizations/{orgId}/fileuploads/measurements/generateUploadUrl``, a ``PUT`` to the URL that it
        answers, without the access token, and ``GET .../jobs/{id}`` until the job has ended.

        Args:
            content: The path of a file with a JSON array of measurements; an iterable, plain or async, of measurements
                (`Measurement`, or mappings of its fields); or one of the pieces of such a file, as ``bytes``.
                Iterables are written to a temporary file first, and measurements without a `uid` are given one.
            file_name: How the service shall call it, in at most 100 characters; by default as the file is called.
            timeout: Seconds to wait for the job: the service reads some thousands of rows a second.
            on_progress: Gets the job at each look.

        Returns:
            The job. Look at its `failed_rows`, also when it succeeded; `ingest_failures` has what was wrong with them.

        Raises:
            MeasurementError: A row could never be accepted, so that nothing was sent; the error tells which.
            ValueError: The file is empty, no JSON array, or too large.
            JobFailedError: The job failed. `JobTimeoutError`: it did not end in time.
        """
        from .measurement_files import upload_measurements

        return await upload_measurements(
            self._pipeline, self.usage, content, file_name=file_name, timeout=timeout, on_progress=on_progress
        )

    def ingest_failures(
        self,
        *,
        since: datetime | date | str | None = None,
        until: datetime | date | str | None = None,
        include_actioned: bool = False,
    ) -> IngestFailures:
        """Stream the measurements that were accepted and failed validation: ``async for failure in ...``.

        ``GET /organizations/{orgId}/events``, and the file of each event, asked for and fetched when its turn comes.

        Args:
            since: The first moment of events to look at.
            until: The first moment after them.
            include_actioned: Whether events count that somebody has marked as dealt with.
        """
        from .failed_measurements import IngestFailures

        return IngestFailures(
            self._pipeline,
            self.events,
            self.usage,
            since=since,
            until=until,
            include_actioned=include_actioned,
        )
