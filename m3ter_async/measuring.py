"""What the client does with measurements beyond single calls."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING

from .resources._namespaces import Namespaces

if TYPE_CHECKING:
    from .ingest import Ingest
    from .measurements import IngestReport, RefusedMeasurement, Row


class Measuring(Namespaces):
    """The namespaces of the API, and work with measurements that takes many calls."""

    def ingest(self, *, max_age: float = 1.0, concurrency: int = 16) -> Ingest:
        """Send measurements in batches: ``async with m3ter.ingest() as ingest: await ingest.send(...)``.

        ``POST /organizations/{orgId}/measurements``

        Args:
            max_age: Seconds that a measurement waits at the most for others to go with it.
            concurrency: The most requests under way at once; 50 in a second go out at the most, as for all calls.
        """
        from .ingest import Ingest
        from .resources.usage import _SUBMIT_MEASUREMENTS

        return Ingest(self._pipeline, _SUBMIT_MEASUREMENTS, max_age=max_age, concurrency=concurrency)

    async def ingest_all(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        on_refused: Callable[[RefusedMeasurement], object] | None = None,
        concurrency: int = 16,
    ) -> IngestReport:
        """Send all measurements of an iterable, plain or async, in batches; see `Ingest.send_all`.

        ``POST /organizations/{orgId}/measurements``

        Raises:
            IngestError: Some were not sent or, without `on_refused`, could never be accepted. All others were sent.
        """
        from .measurements import IngestReport

        async with self.ingest(concurrency=concurrency) as ingest:
            refused = await ingest.send_all(rows, on_refused=on_refused)
        return IngestReport(ingest.accepted, refused, ingest.requests)
