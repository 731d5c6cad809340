"""What becomes of measurements: accepted, refused one by one, or not sent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from ..errors import M3terError, MeasurementError
from ..models.usage import Measurement
from .measurement import joined, parted


@dataclass(frozen=True, slots=True)
class RefusedMeasurement:
    """A measurement that can never be accepted.

    Attributes:
        index: Its place, from 0, among the rows of its `send_all` or else among those that were given to `send`.
        row: The row as it was given; where the service refused it, the `Measurement` as it was sent.
        error: What is wrong with it; where the service refused it, its ``__cause__`` is the answer.
    """

    index: int
    row: Any
    error: MeasurementError


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """Measurements of one request that could not be sent, although nothing is known to be wrong with them.

    Attributes:
        cause: Why.
        contents: The JSON of each.
    """

    cause: Exception
    contents: tuple[bytes, ...] = field(repr=False)

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.contents)

    @property
    def measurements(self) -> list[Measurement]:
        """They themselves, each with its `uid`, made anew at each look; to send them again is harmless.

        Some may have arrived without anybody knowing, but the service counts a `uid` once in 35 days.
        """
        return parted(joined(self.contents))


OnRefused: TypeAlias = Callable[[RefusedMeasurement], object]
OnFailed: TypeAlias = Callable[[FailedBatch], object]


def check_callback(name: str, callback: object) -> None:
    """Refuse what would have to be awaited."""
    if iscoroutinefunction(callback):
        raise TypeError(f"{name} is async; it is called, not awaited, so make it a plain function")


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of all rows.

    Attributes:
        accepted: How many the service has. It validates them later; failures show up as events.
        refused: How many could never be accepted, and were told to `on_refused`.
        requests: How many requests were accepted.
    """

    accepted: int
    refused: int
    requests: int


class IngestError(M3terError):
    """Not all measurements were sent.

    Attributes:
        accepted: How many the service has.
        causes: Why the others were not sent, one exception for each request.
        refused: Rows that could never be accepted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.accepted: int = 0
        self.causes: list[Exception] = []
        self.refused: list[RefusedMeasurement] = []
        self._failed: list[FailedBatch] = []
        self._block = ""

    @property
    def unsent(self) -> list[Measurement]:
        """The measurements that were taken and not sent, each with its `uid`; made anew at each look.

        Some may have arrived without anybody knowing. To send them again is harmless all the same: the service
        counts a `uid` once in 35 days.
        """
        return [each for batch in self._failed for each in batch.measurements]

    def tell(self, block: str, accepted: int, failed: list[FailedBatch], refused: list[RefusedMeasurement]) -> None:
        """Set what it tells: how things stand in a block of this name."""
        self._block = block
        self.accepted = accepted
        self.causes = [each.cause for each in failed]
        self.refused = list(refused)
        self._failed = failed

    def of(self, block: str) -> bool:
        """Whether it tells of the block of this name."""
        return self._block == block

    def __str__(self) -> str:
        parts = [f"{self.accepted:,} measurements were accepted"]
        if self.causes:
            count = sum(each.count for each in self._failed)
            parts.append(f"{count:,} were not sent, the first because: {self.causes[0]}")
        if self.refused:
            first = self.refused[0]
            parts.append(f"{len(self.refused):,} were refused, the first as row {first.index}: {first.error}")
        return "; ".join(parts)


for _public in (RefusedMeasurement, IngestReport, IngestError, FailedBatch):
    _public.__module__ = "m3ter_async"  # where users import it from
