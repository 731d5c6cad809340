"""Faults on demand: error answers, dropped connections and cut bodies, at random or in the order asked for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from m3ter_async.sandbox.seed_data.seeded_random import draw

# The first number of the place that failures are drawn from.
FAULTS: Final = 300
TOO_MANY_REQUESTS: Final = 429

Kind = int | Literal["drop", "cut"]


class Fault(NamedTuple):
    """What is to happen to one request."""

    kind: Kind
    """An HTTP status, `drop` (the connection ends without an answer) or `cut` (it ends in mid-body)."""
    applied: bool
    """Whether the call takes effect all the same."""
    retry_after: int | None = None
    """Seconds to name in a `Retry-After` header."""


@dataclass(frozen=True)
class Faults:
    """How often a sandbox fails by chance, and how; the rates are shares of all requests.

    A failed call takes effect or does not, half and half, as with a real service whose answer gets lost; only a 429
    is always a refusal, and an answer that is cut was always preceded by its effect. `Sandbox.applied` tells the truth.

    Args:
        error_rate: The share that is answered with one of `status`, from 0 to 1.
        status: The statuses to choose from.
        drop_rate: The share whose connection is closed without an answer.
        cut_rate: The share whose connection is closed in the middle of the answer's body.
        retry_after: Seconds to name in the `Retry-After` of a 429; None sends no such header.
        login: Whether `POST /oauth/token` may fail too.
        seed: Decides which requests fail.

    Raises:
        ValueError: A rate is not within 0 and 1, the rates add up to more than 1, or a status is no error.
    """

    error_rate: float = 0.0
    status: tuple[int, ...] = (500, 502, 503, 504, 429)
    drop_rate: float = 0.0
    cut_rate: float = 0.0
    retry_after: int | None = None
    login: bool = False
    seed: int = 7

    def __post_init__(self) -> None:
        rates = (self.error_rate, self.drop_rate, self.cut_rate)
        if not all(0 <= rate <= 1 for rate in rates) or sum(rates) > 1:
            raise ValueError("error_rate, drop_rate and cut_rate must be within 0 and 1, and add up to at most 1")
        if not self.status or not all(400 <= status <= 599 for status in self.status):
            raise ValueError("status must name HTTP errors, 400 to 599")


class FaultInjector:
    """Decides for each request whether it fails: first the faults that were ordered, then at random."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._chance = draw(faults.seed, FAULTS)
        self._ordered: deque[tuple[Fault, str | None]] = deque()

    def order(self, count: int, fault: Fault, operation: str | None) -> None:
        """Let the next requests fail."""
        kind = fault.kind
        if count < 0:
            raise ValueError("count must not be negative")
        if isinstance(kind, int) and not 400 <= kind <= 599:
            raise ValueError(f"kind must be an HTTP error, 'drop' or 'cut', not {kind}")
        self._ordered.extend([(fault._replace(applied=fault.applied or kind == "cut"), operation)] * count)

    def next(self, operation: str, login: bool) -> Fault | None:
        """What is to happen to this request, or None where nothing is."""
        # A copy: orders come from other threads.
        for entry in list(self._ordered):
            fault, wanted = entry
            # The login fails only where it is named.
            if wanted == operation or (wanted is None and not login):
                self._ordered.remove(entry)
                return fault
        return None if login and not self._faults.login else self._drawn()

    def _drawn(self) -> Fault | None:
        faults, number, applied = self._faults, self._chance.random(), self._chance.random() < 0.5
        if number < faults.error_rate:
            status = self._chance.pick(faults.status)
            refused = status == TOO_MANY_REQUESTS
            return Fault(status, applied and not refused, faults.retry_after if refused else None)
        if number < faults.error_rate + faults.drop_rate:
            return Fault("drop", applied)
        if number < faults.error_rate + faults.drop_rate + faults.cut_rate:
            return Fault("cut", True)
        return None
