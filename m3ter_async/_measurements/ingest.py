"""Measurements in batches, side by side and under the service's limits; nothing that was taken is lost in silence."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import anyio.lowlevel

from .._core.background import Task
from .._core.operation import Operation
from .._core.pipeline import Pipeline
from ..models.usage import Measurement, SubmitMeasurements
from .batch_delivery import Delivery
from .measurement import (
    ENVELOPE,
    MOST_BYTES,
    MOST_ROWS,
    MeasurementError,
    RefusedMeasurement,
    Row,
    encode,
    measurement,
)

if TYPE_CHECKING:
    from typing import Self

Texts: TypeAlias = Mapping[str, str]
Numbers: TypeAlias = Mapping[str, Decimal | float]

_MOST_REFUSED = 1000  # rows: it is all of them, then
_measurement: Any = Measurement  # of values that are still to be checked


class Ingest:
    """Takes measurements and sends them in batches; made by `AsyncM3ter.ingest`.

    A batch goes out with 1000 measurements, before it would reach 512,000 bytes, or when its first measurement has
    waited for `max_age`. At most `concurrency` of them are on their way and as many more wait, which takes up to a
    megabyte for each two; then `send` waits.

    Left in the usual way or by an exception, the block sends all that was taken before it ends, and raises
    `IngestError` where that failed. Left by a cancellation, it stops at once, and raises `IngestError` in place of
    the cancellation where something was taken and not sent.
    """

    def __init__(
        self, pipeline: Pipeline, operation: Operation[SubmitMeasurements], *, max_age: float, concurrency: int
    ) -> None:
        if not 0 < max_age < math.inf:
            raise ValueError(f"max_age must be a number of seconds above 0, not {max_age!r}")
        self._delivery = Delivery(pipeline, operation, concurrency)
        self._background = pipeline.background
        self._clock = pipeline.clock
        self._max_age = max_age
        self._state: Literal["new", "entered", "left"] = "new"
        self._hold = True  # who comes next has to see whether it may go on
        self._timer: Task[None] | None = None
        self._watching = False
        self._open()

    @property
    def accepted(self) -> int:
        """How many measurements the service has accepted so far."""
        return self._delivery.error.accepted

    @property
    def requests(self) -> int:
        """In how many requests, repeats not counted."""
        return self._delivery.requests

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
            IngestError: Too many requests failed for good, so that no more is taken.
            RuntimeError: Outside of the ``async with`` block.
        """
        if self._hold:
            await self._ready()
        if uid is None:
            uid = self._uid()
        self._put(
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
            )
        )
        return uid

    async def send_all(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        on_refused: Callable[[RefusedMeasurement], object] | None = None,
    ) -> int:
        """Take measurements from an iterable, plain or async, as fast as they can be sent.

        Args:
            rows: `Measurement`, or mappings of the arguments of `send`. They are read one by one, and none is kept.
            on_refused: Told each row that the service could never accept. By default these are gathered and raised
                in an `IngestError` when the block is left; after 1000 of them it is raised at once.

        Returns:
            How many rows were told to `on_refused`.

        Raises:
            IngestError: Too many requests failed for good, or too many rows were refused.
            RuntimeError: Outside of the ``async with`` block.
        """
        refused = index = 0

        def take(row: Row) -> int:
            try:
                self._put(encode(measurement(row, self._uid())))
            except MeasurementError as error:
                self._hold = True  # a turn for other tasks, also where nothing is ever sent
                self._refuse(RefusedMeasurement(index, row, error), on_refused)
                return 1
            return 0

        if isinstance(rows, AsyncIterable):
            async for row in rows:
                if self._hold:
                    await self._ready()
                refused += take(row)
                index += 1
        else:
            for row in rows:
                if self._hold:
                    await self._ready()
                refused += take(row)
                index += 1
        return refused

    def _refuse(self, row: RefusedMeasurement, on_refused: Callable[[RefusedMeasurement], object] | None) -> None:
        if on_refused is not None:
            on_refused(row)
            return
        error = self._delivery.error
        error.refused.append(row)
        if len(error.refused) >= _MOST_REFUSED:
            raise error

    async def _ready(self) -> None:
        """Wait until there is room; a batch that was queued just now gets its turn to be sent."""
        await anyio.lowlevel.checkpoint()
        await self._delivery.room()
        if self._state != "entered":
            raise RuntimeError("measurements are taken within `async with m3ter.ingest() as ingest:` only")
        if self._delivery.halted:
            raise self._delivery.error
        self._hold = False

    def _uid(self) -> str:
        # as unique as a UUID, at a tenth of its time: 128 random bits for each batch, and the place within
        return f"{self._prefix}-{len(self._contents)}"

    def _open(self) -> None:
        self._contents: list[bytes] = []
        self._size = ENVELOPE
        self._born = 0.0
        self._prefix = secrets.token_hex(16)

    def _put(self, content: bytes) -> None:
        """Take one more; nothing in here waits, so a measurement is either in or not."""
        size = len(content) + 1
        if self._size + size > MOST_BYTES:
            self._close()
        if not self._contents:
            self._born = self._clock.now()
            if not self._watching:
                self._watching = True
                self._timer = self._background.start(self._watch)
        self._contents.append(content)
        self._size += size
        if len(self._contents) == MOST_ROWS:
            self._close()

    def _close(self) -> None:
        """Hand over what was gathered, and open the next batch."""
        self._hold = True
        if self._contents:
            self._delivery.put(self._contents)
            self._open()

    async def _watch(self) -> None:
        """Close each batch at its age, as long as there are any."""
        while self._contents:
            wait = self._born + self._max_age - self._clock.now()
            if wait > 0:
                await self._clock.sleep(wait)
            else:
                self._close()
        self._watching = False

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("each block takes an ingest of its own: call m3ter.ingest() again")
        self._state = "entered"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state = "left"
        self._close()
        try:
            if error is None or isinstance(error, Exception):
                await self._delivery.finish()
        finally:
            with anyio.CancelScope(shield=True):
                if self._timer is not None:
                    self._timer.cancel()
                    await self._timer.ended.wait()
                await self._delivery.stop()
            failure = self._delivery.error
            if (failure.causes or failure.refused) and error is not failure:
                raise failure


Ingest.__module__ = "m3ter_async"  # where users import it from
