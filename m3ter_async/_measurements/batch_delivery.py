"""Requests full of measurements, sent side by side; each ends as accepted, or is told or kept as not sent."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import anyio

from .._core.background import Task
from .._core.decoding import decode
from .._core.operation import Operation
from .._core.pipeline import Pipeline
from ..errors import APIStatusError, M3terError, MeasurementError
from ..models.usage import SubmitMeasurements
from ..transports.protocol import Response
from .ingest_outcomes import FailedBatch, IngestError, OnFailed, OnRefused, RefusedMeasurement
from .measurement import joined, parted
from .refusals import Halving, Item, of_content

T = TypeVar("T")

_MOST_KEPT = 64  # requests, of some 30 MB together: to keep more would fill the memory
_MOST_REFUSED = 1000  # rows: it is all of them, then
_MOST_TRIES = 3  # how often a request that failed is sent anew, when others are accepted again
_PAUSE = 5.0  # seconds from one look at whether the service is well again to the next
_LEFT = "the block was left, or the client closed, before this was sent"
_log = logging.getLogger("m3ter_async")


class _Batch:
    """What one request sends; `failed` tells why it failed last."""

    __slots__ = ("failed", "items", "tries")

    def __init__(self, items: list[Item], tries: int = 0) -> None:
        self.items = items
        self.tries = tries
        self.failed: FailedBatch | None = None


class Delivery:
    """Sends batches as they are put in, a limited number of them at once.

    A batch that the service refuses for its content is halved until what is bad stands alone. One that fails for
    another reason is told to `on_failed`, or kept: it is sent again once others are accepted. When `_MOST_KEPT` are
    kept no further one begins; now and then the oldest is tried, and if it is accepted all goes on.

    Attributes:
        accepted: How many measurements were accepted.
        requests: In how many requests.
        refused: How many can never be accepted.
        ended: Whether the end has come, and no further batch begins.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        operation: Operation[SubmitMeasurements],
        concurrency: int,
        on_failed: OnFailed | None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {concurrency!r}")
        # every measurement has a uid, so that a repeat counts nothing twice
        self._operation = replace(operation, repeat="safe")
        self._call = pipeline.prepare(self._operation, {}, {})
        self._pipeline = pipeline
        self._concurrency = concurrency
        self._block = secrets.token_hex(8)  # tells its errors from those of others, pickled or not
        self._on_failed = on_failed
        self._waiting: deque[_Batch] = deque()
        self._in_flight: dict[_Batch, None] = {}  # in the order in which they began
        self._kept: deque[_Batch] = deque()
        self._refused: list[RefusedMeasurement] = []
        self._told = 0  # measurements that failed and are kept no longer
        self._trial: Task[None] | None = None
        self._tried: _Batch | None = None
        self._next_trial = 0.0
        self._tasks: list[Task[None]] = []
        self._freed = anyio.Event()
        self.accepted: int = 0
        self.requests: int = 0
        self.refused: int = 0
        self.ended: bool = False

    @property
    def failed(self) -> int:
        """How many measurements could not be sent so far."""
        return self._told + sum(len(batch.items) for batch in self._kept)

    def put(self, items: list[Item]) -> None:
        """Queue the measurements of one request."""
        self._waiting.append(_Batch(items))
        self._begin()

    async def room(self) -> None:
        """Wait while as many batches wait as may be under way; not if nothing moves any more.

        Raises:
            IngestError: So many batches failed, or rows were refused, that to keep more would fill the memory.
        """
        while not self.ended:
            if self._full():
                await self._try_again()
            if self._full() or len(self._refused) >= _MOST_REFUSED:
                raise self.failure() or IngestError()
            if len(self._waiting) < self._concurrency:
                return
            await self._freed.wait()

    async def finish(self) -> None:
        """Wait until everything was sent or has failed."""
        while True:
            while under_way := self._under_way():
                await under_way[0].ended.wait()
            if self.ended or not self._waiting:
                return
            if self._full():
                await self._try_again()
                if self._full():
                    return
            self._begin()

    async def stop(self) -> None:
        """Cancel what is under way; it counts as not sent, as does what is queued."""
        self._end()
        for task in self._tasks:
            task.cancel()
        while under_way := self._under_way():
            await under_way[0].ended.wait()
        for batch in (*self._in_flight, *self._waiting):  # of the former, those cancelled before they began
            self._fail(batch, M3terError(_LEFT))
        self._in_flight.clear()
        self._waiting.clear()

    def refuse(self, row: RefusedMeasurement, on_refused: OnRefused | None) -> None:
        """Tell a row that can never be accepted, or keep it where nobody wants to be told.

        Raises:
            IngestError: So many are kept that it is all of them.
        """
        self.refused += 1
        if on_refused is not None:
            on_refused(row)
            return
        self._refused.append(row)
        if len(self._refused) >= _MOST_REFUSED:
            raise self.failure() or IngestError()

    def take_failed(self) -> list[FailedBatch]:
        """Hand over what is kept of batches that failed."""
        taken = self._all_kept()
        self._told += sum(each.count for each in taken)
        self._kept.clear()
        self._begin()
        self._free()
        return taken

    def take_refused(self) -> list[RefusedMeasurement]:
        """Hand over what is kept of rows that were refused."""
        taken, self._refused = self._refused, []
        self._free()
        return taken

    def failure(self, raised: BaseException | None = None) -> IngestError | None:
        """What there is to tell of all that is kept, None if that is nothing.

        Args:
            raised: If it is one that `room` raised before, it is brought up to date, and returned.
        """
        error = raised if isinstance(raised, IngestError) and raised.of(self._block) else None
        if error is None and not self._kept and not self._refused:
            return None
        error = error or IngestError()
        error.tell(self._block, self.accepted, self._all_kept(), self._refused)
        return error

    def _all_kept(self) -> list[FailedBatch]:
        return [batch.failed for batch in self._kept if batch.failed is not None]

    def _full(self) -> bool:
        return len(self._kept) >= _MOST_KEPT or self._trial is not None

    def _under_way(self) -> list[Task[None]]:
        return [task for task in self._tasks if not task.ended.is_set()]

    def _begin(self) -> None:
        while self._waiting and len(self._in_flight) < self._concurrency and not self.ended and not self._full():
            self._send(self._waiting.popleft())

    def _send(self, batch: _Batch) -> Task[None]:
        self._in_flight[batch] = None
        batch.tries += 1
        task = self._pipeline.background.start(lambda: self._deliver(batch))
        self._tasks = [*self._under_way(), task]
        return task

    async def _try_again(self) -> None:
        """See whether the service is well again: send the oldest batch that is kept."""
        if self._trial is None and not self.ended and self._pipeline.clock.now() >= self._next_trial:
            self._tried = self._kept.popleft()
            self._trial = self._send(self._tried)
        if self._trial is not None:
            await self._trial.ended.wait()

    async def _deliver(self, batch: _Batch) -> None:
        sending = Halving(batch.items)
        try:
            await self._send_parts(sending)
        except Exception as error:  # noqa: BLE001  a transport may be anybody's, and raise whatever it likes
            self._fail(_Batch(sending.left(), batch.tries), error)
        except BaseException:
            self._fail(_Batch(sending.left(), batch.tries), M3terError(_LEFT))
            self._end()
            raise
        finally:
            self._in_flight.pop(batch, None)
            if batch is self._tried:
                self._trial = self._tried = None
                self._next_trial = self._pipeline.clock.now() + _PAUSE
            self._begin()
            self._free()

    async def _send_parts(self, sending: Halving) -> None:
        while (items := sending.next()) is not None:
            body = joined(content for content, _, _ in items)
            try:
                await self._pipeline.run(replace(self._call, content=body), self._read)
            except APIStatusError as error:
                others_accepted = self.accepted > 0
                # (what a login was answered says nothing of this body)
                if error.path != self._call.path or not of_content(error, body, others_accepted=others_accepted):
                    raise
                if not sending.refused(error):
                    raise
            else:
                self.accepted += len(items)
                self.requests += 1
                sending.accepted()
                self._send_kept()
            for item, answer in sending.take_bad():
                self._refuse_late(item, answer)
        if (cause := sending.doubt) is not None:
            raise cause

    def _refuse_late(self, item: Item, error: APIStatusError) -> None:
        """The service refused a measurement that was taken before."""
        content, index, on_refused = item
        reason = MeasurementError("", error.reason)
        reason.__cause__ = error
        row = RefusedMeasurement(index, parted(joined([content]))[0], reason)
        self.refused += 1
        if on_refused is None or not _told(on_refused, row):
            self._refused.append(row)

    def _send_kept(self) -> None:
        """The service accepts again: one by one, what failed before has another try."""
        for batch in self._kept:
            if batch.tries < _MOST_TRIES:
                self._kept.remove(batch)
                self._waiting.append(batch)
                return

    def _fail(self, batch: _Batch, cause: Exception) -> None:
        if not batch.items:
            return
        batch.failed = FailedBatch(cause, tuple(content for content, _, _ in batch.items))
        if self._on_failed is not None and _told(self._on_failed, batch.failed):
            self._told += len(batch.items)
        else:
            self._kept.append(batch)
            # of what a transport of the user's raises only the kind: its text was not looked through for secrets
            why = cause if isinstance(cause, M3terError) else type(cause).__name__
            _log.warning("%d measurements could not be sent, and are kept: %s", len(batch.items), why)

    def _read(self, response: Response) -> SubmitMeasurements:
        return decode(self._operation.decoder, response.content)

    def _end(self) -> None:
        self.ended = True
        self._free()

    def _free(self) -> None:
        self._freed.set()
        self._freed = anyio.Event()


def _told(callback: Callable[[T], object], what: T) -> bool:
    """Whether a function of the user's took what it was told."""
    try:
        callback(what)
    except Exception:  # noqa: BLE001  this is anybody's code; what it did not take is kept, and told in the end
        _log.exception("a function that is told what was not sent failed on %s", type(what).__name__)
        return False
    return True
