"""Requests full of measurements, sent side by side; each ends as accepted or on the list of what was not sent."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import anyio

from .._core.background import Task
from .._core.decoding import decode
from .._core.operation import Operation
from .._core.pipeline import Pipeline
from ..errors import M3terError
from ..models.usage import SubmitMeasurements
from ..transports.protocol import Response
from .measurement import IngestError, joined

_MOST_FAILED = 64  # requests, of some 30 MB together: to take more would fill the memory
_LEFT = "the block was left, or the client closed, before this was sent"


class _Batch:
    """What one request sends."""

    __slots__ = ("body", "count")

    def __init__(self, contents: list[bytes]) -> None:
        self.body = joined(contents)
        self.count = len(contents)


class Delivery:
    """Sends batches as they are put in, a limited number of them at once.

    Attributes:
        error: What was not sent so far, and how much was.
        requests: How many batches were accepted.
        halted: Whether no further batch begins: so many failed that more would fill the memory, or the end has come.
    """

    def __init__(self, pipeline: Pipeline, operation: Operation[SubmitMeasurements], concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {concurrency!r}")
        # every measurement has a uid, so that a repeat counts nothing twice
        self._operation = replace(operation, repeat="safe")
        self._call = pipeline.prepare(self._operation, {}, {})
        self._pipeline = pipeline
        self._concurrency = concurrency
        self._waiting: deque[_Batch] = deque()
        self._in_flight: set[_Batch] = set()
        self._tasks: list[Task[None]] = []
        self._freed = anyio.Event()
        self.error: IngestError = IngestError()
        self.requests: int = 0
        self.halted: bool = False

    def put(self, contents: list[bytes]) -> None:
        """Queue the measurements of one request."""
        self._waiting.append(_Batch(contents))
        self._begin()

    async def room(self) -> None:
        """Wait while as many batches wait as may be under way; not if nothing moves any more."""
        while len(self._waiting) >= self._concurrency and not self.halted:
            await self._freed.wait()

    async def finish(self) -> None:
        """Wait until everything was sent or has failed."""
        while under_way := self._under_way():
            await under_way[0].ended.wait()

    async def stop(self) -> None:
        """Cancel what is under way; it ends on the list of what was not sent, as does what is queued."""
        self._halt()
        for task in self._tasks:
            task.cancel()
        await self.finish()
        for batch in (*self._in_flight, *self._waiting):  # of the former, those cancelled before they began
            self.error.add(batch.body, batch.count, M3terError(_LEFT))

    def _under_way(self) -> list[Task[None]]:
        return [task for task in self._tasks if not task.ended.is_set()]

    def _begin(self) -> None:
        while self._waiting and len(self._in_flight) < self._concurrency and not self.halted:
            self._send(self._waiting.popleft())

    def _send(self, batch: _Batch) -> None:
        self._in_flight.add(batch)
        task = self._pipeline.background.start(lambda: self._deliver(batch))
        self._tasks = [*self._under_way(), task]

    async def _deliver(self, batch: _Batch) -> None:
        try:
            await self._pipeline.run(replace(self._call, content=batch.body), self._read)
        except M3terError as error:
            self.error.add(batch.body, batch.count, error)
            if len(self.error.causes) >= _MOST_FAILED:
                self._halt()
        except BaseException as error:  # cancelled, or a transport that breaks its promise
            self.error.add(batch.body, batch.count, error if isinstance(error, Exception) else M3terError(_LEFT))
            self._halt()
            raise
        else:
            self.error.accepted += batch.count
            self.requests += 1
        finally:
            self._in_flight.discard(batch)
            self._begin()
            self._free()

    def _read(self, response: Response) -> SubmitMeasurements:
        return decode(self._operation.decoder, response.content)

    def _halt(self) -> None:
        self.halted = True
        self._free()

    def _free(self) -> None:
        self._freed.set()
        self._freed = anyio.Event()
