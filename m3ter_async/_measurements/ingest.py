"""Measurements in batches, side by side and under the service's limits; nothing that was taken is lost in silence."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import anyio.lowlevel

from .._core.operation import Operation
from .._core.pipeline import Pipeline
from ..errors import MeasurementError
from ..models.usage import Measurement, SubmitMeasurements
from .batch_delivery import Delivery
from .ingest_outcomes import FailedBatch, IngestError, OnFailed, OnRefused, RefusedMeasurement, check_callback
from .measurement import Row, encode, measurement
from .open_batch import OpenBatch
from .refusals import Item
from .row_sources import drawn, drawn_async

if TYPE_CHECKING:
    from typing import Self

Texts: TypeAlias = Mapping[str, str]
Numbers: TypeAlias = Mapping[str, Decimal | float]

_measurement: Any = Measurement  # of values that are still to be checked


class Ingest:
    """Takes measurements and sends them in batches; made by `AsyncM3ter.ingest`.

    A batch goes out with 1000 measurements, before it would reach 512,000 bytes, or when its first measurement has
    waited for `max_age`. At most `concurrency` of them are on their way and as many more wait, which takes up to a
    megabyte for each two; then `send` waits.

    A request that the service refuses for its content is halved until what is bad stands alone; the rest is sent. One
    that fails for another reason is kept, and sent again when others are accepted. `failed` counts what could not be
    sent, `take_failed` hands it over, or `on_failed` is told of it as it happens. Where nobody takes it, 64 requests
    are kept; then `send` raises, and takes nothing more, until the service is seen to be well again.

    Left in the usual way or by an exception, the block sends all that was taken before it ends, and raises
    `IngestError` where that failed. Left by a cancellation, it stops at once, and raises `IngestError` in place of
    the cancellation where something was taken and not sent.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        operation: Operation[SubmitMeasurements],
        *,
        max_age: float,
        concurrency: int,
        on_failed: OnFailed | None = None,
        on_refused: OnRefused | None = None,
    ) -> None:
        if not 0 < max_age < math.inf:
            raise ValueError(f"max_age must be a number of seconds above 0, not {max_age!r}")
        check_callback("on_failed", on_failed)
        check_callback("on_refused", on_refused)
        self._delivery = Delivery(pipeline, operation, concurrency, on_failed)
        self._on_refused = on_refused
        self._batch = OpenBatch(self._hand_over, max_age=max_age, clock=pipeline.clock, background=pipeline.background)
        self._state: Literal["new", "entered", "left"] = "new"
        self._hold = True  # who comes next has to see whether it may go on
        self._sent = 0

    def __repr__(self) -> str:
        how = {
            "new": "'async with' begins it",
            "entered": "'await send(...)' takes a measurement",
            "left": "it has ended",
        }[self._state]
        return f"<Ingest: {self.accepted} accepted, {self.refused} refused, {self.failed} failed; {how}>"

    @property
    def accepted(self) -> int:
        """How many measurements the service has accepted so far."""
        return self._delivery.accepted

    @property
    def requests(self) -> int:
        """In how many requests, repeats not counted."""
        return self._delivery.requests

    @property
    def refused(self) -> int:
        """How many measurements can never be accepted, of those that `send_all` was given or the service looked at."""
        return self._delivery.refused

    @property
    def failed(self) -> int:
        """How many measurements could not be sent so far; it goes down where a later try sends them after all."""
        return self._delivery.failed

    def take_failed(self) -> list[FailedBatch]:
        """Take over what is kept of measurements that could not be sent: the block forgets them, and has room again."""
        return self._delivery.take_failed()

    def take_refused(self) -> list[RefusedMeasurement]:
        """Take over what is kept of measurements that can never be accepted; the block forgets them."""
        return self._delivery.take_refused()

    async def send(
        self,
        *,
        meter: str,
        account: str,
        ts: datetime | str,
        uid: str | None = None,
        ets: datetime | str | None = None,
        measure: Numbers | None = None,
        cost: Numbers | None = None,
        income: Numbers | None = None,
        who: Texts | None = None,
        where: Texts | None = None,
        what: Texts | None = None,
        other: Texts | None = None,
        metadata: Texts | None = None,
    ) -> str:
        """Take a measurement, to be sent with others by ``POST /organizations/{orgId}/measurements``.

        It waits only while the queue is full. Who is cancelled meanwhile has not handed the measurement in.

        Args:
            meter: The code of the meter, at most 80 characters.
            account: The code of the account, at most 80 characters.
            ts: When it was measured, with a time zone.
            uid: What tells it from all others, at most 50 characters; by default one is made.
            ets: When what was measured ended, with a time zone.
            measure: Quantities by name.
            cost: Costs by name.
            income: Income by name.
            who: Text by name, as are `where`, `what`, `other` and `metadata`.

        Returns:
            Its `uid`.

        Raises:
            MeasurementError: The service could never accept it; the error names the field. The others go on.
            IngestError: This one was not taken: 64 requests are kept that could not be sent, and the service is not
                well yet; or 1000 measurements were refused. All that were taken before are still there.
            RuntimeError: Outside of the ``async with`` block.
        """
        if self._hold:
            await self._ready()
        if uid is None:
            uid = self._batch.uid()
        self._batch.put(
            self._sent,
            self._on_refused,
            encode(
                _measurement(
                    uid=uid,
                    meter=meter,
                    account=account,
                    ts=ts,
                    ets=ets,
                    who=who,
                    where=where,
                    what=what,
                    other=other,
                    metadata=metadata,
                    measure=measure,
                    cost=cost,
                    income=income,
                )
            ),
        )
        self._sent += 1
        return uid

    async def send_all(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        on_refused: OnRefused | None = None,
    ) -> int:
        """Take measurements from an iterable, plain or async, as fast as they can be sent.

        Args:
            rows: `Measurement`, or mappings of the arguments of `send`. They are read one by one, and none is kept. A
                generator is closed in the end.
            on_refused: Told each row that can never be accepted, now or when the service has refused it; by default
                as the block is told. Where nobody is, these are gathered and raised in an `IngestError` when the block
                is left; after 1000 of them it is raised at once.

        Returns:
            How many rows were refused so far, without being sent; `refused` counts all.

        Raises:
            IngestError: Too many requests failed, or too many rows were refused.
            TypeError: `on_refused` is async: it is called, and not awaited.
            RuntimeError: Outside of the ``async with`` block.
        """
        check_callback("on_refused", on_refused)
        on_refused = on_refused or self._on_refused
        refused = index = 0

        def take(row: Row) -> None:
            nonlocal refused, index
            try:
                self._batch.put(index, on_refused, encode(measurement(row, self._batch.uid())))
            except MeasurementError as error:
                self._hold = True  # a turn for other tasks, also where nothing is ever sent
                refused += 1
                self._delivery.refuse(RefusedMeasurement(index, row, error), on_refused)
            index += 1

        if isinstance(rows, AsyncIterable):
            async with drawn_async(rows) as later:
                async for row in later:
                    if self._hold:
                        await self._ready()
                    take(row)
        else:
            with drawn(rows) as now:
                for row in now:
                    if self._hold:
                        await self._ready()
                    take(row)
        return refused

    async def _ready(self) -> None:
        """Wait until there is room; a batch that was queued just now gets its turn to be sent."""
        await anyio.lowlevel.checkpoint()
        await self._delivery.room()
        if self._state != "entered":
            raise RuntimeError("measurements are taken within `async with m3ter.ingest() as ingest:` only")
        if self._delivery.ended:  # a request was cancelled: by the closing client, that is
            raise self._delivery.failure() or IngestError()
        self._hold = False

    def _hand_over(self, items: list[Item]) -> None:
        self._hold = True
        self._delivery.put(items)

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("each block takes an ingest of its own: call m3ter.ingest() again")
        self._state = "entered"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state = "left"
        self._hold = True
        self._batch.close()
        cut_short = True
        try:
            if error is None or isinstance(error, Exception):
                await self._delivery.finish()
            cut_short = False
        finally:
            with anyio.CancelScope(shield=True):
                await self._batch.stop()
                await self._delivery.stop()
            failure = self._delivery.failure(error)
            # what the block was left by goes on by itself, but not where a cancellation takes its place
            if failure is not None and (cut_short or failure is not error):
                raise failure


Ingest.__module__ = "m3ter_async"  # where users import it from
