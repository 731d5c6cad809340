"""A promise beside what was measured, and how promises of the usual kinds are made of outcomes."""

from __future__ import annotations

from dataclasses import dataclass

from .columns import MB
from .contest import Outcome


@dataclass(frozen=True)
class Figure:
    """A promise: `asked` is the least that keeps it, or the most where `at_most`.

    Attributes:
        held_by: The limit that it runs into, in a few words; names of stages in braces stand for what those take.
        by_cpu: The same in CPU time, which other load on the machine disturbs less.
    """

    what: str
    asked: float
    unit: str
    measured: float | None
    held_by: str
    at_most: bool = False
    by_cpu: float | None = None

    @property
    def verdict(self) -> str:
        """One word for the table."""
        if self.measured is None:
            return "not measured"
        return "pass" if (self.measured <= self.asked if self.at_most else self.measured >= self.asked) else "MISS"

    @property
    def asked_text(self) -> str:
        """The promise with its direction."""
        return f"{'≤' if self.at_most else '≥'} {self.asked:g}{self.unit}"

    @property
    def measured_text(self) -> str:
        """What came out, with three digits."""
        if self.measured is None:
            return "-"
        return _digits(self.measured) + self.unit

    @property
    def by_cpu_text(self) -> str:
        """The same in CPU time, where the figure is about time."""
        return "" if self.by_cpu is None else _digits(self.by_cpu) + self.unit


def speed(
    what: str, asked: float, outcome: Outcome | None, other: str, ours: str, held_by: str, *, cpu: bool = True
) -> Figure:
    """How many times as fast as `other`; slower than it is below 1.

    Args:
        cpu: Whether the CPU time of the process tells the same; not so where it waits, or others work for it.
    """
    if outcome is None:
        return Figure(what, asked, "x", None, held_by)
    by_cpu = outcome.ratio(other, ours, "cpu") if cpu else None
    return Figure(what, asked, "x", outcome.ratio(other, ours), held_by, by_cpu=by_cpu)


def slowness(what: str, asked: float, outcome: Outcome | None, more: str, less: str, held_by: str) -> Figure:
    """How many times as long a record or a call takes where there is more to do; the same is 1."""
    measured = by_cpu = None
    if outcome and (many := outcome.results(more)) and (few := outcome.results(less)):
        share = few[0]["rows"] / many[0]["rows"]
        measured = (outcome.ratio(more, less) or 0) * share
        by_cpu = (outcome.ratio(more, less, "cpu") or 0) * share
    return Figure(what, asked, "x", measured, held_by, at_most=True, by_cpu=by_cpu)


def memory(what: str, asked: float, outcome: Outcome | None, name: str, held_by: str) -> Figure:
    """The most memory of a process, in MB."""
    return Figure(what, asked, " MB", peak(outcome, name), held_by, at_most=True)


def growth(what: str, asked: float, outcome: Outcome | None, more: str, less: str, held_by: str) -> Figure:
    """How many times as much memory it takes where there is more to do; the same is 1."""
    many, few = peak(outcome, more), peak(outcome, less)
    measured = None if many is None or few is None else many / few
    return Figure(what, asked, "x", measured, held_by, at_most=True)


def stall(what: str, outcome: Outcome | None, name: str, clock: str, held_by: str, cpu: str | None = None) -> Figure:
    """How long the event loop stood still at the longest, in ms: 30 are asked of all."""
    seconds = outcome.median(name, clock) if outcome else None
    busy = outcome.median(name, cpu) if outcome and cpu else None
    return Figure(what, 30, " ms", _milli(seconds), held_by, at_most=True, by_cpu=_milli(busy))


def rate(what: str, asked: float, outcome: Outcome | None, name: str, held_by: str) -> Figure:
    """How many rows in a second."""
    seconds = outcome.median(name, "seconds") if outcome else None
    cpu = outcome.median(name, "cpu") if outcome else None
    if outcome is None or not seconds or not cpu:
        return Figure(what, asked, "/s", None, held_by)
    return Figure(what, asked, "/s", outcome.count / seconds, held_by, by_cpu=outcome.count / cpu)


def throughput(what: str, asked: float, outcome: Outcome | None, name: str, held_by: str) -> Figure:
    """How many MB of JSON in a second."""
    measured = by_cpu = None
    if outcome and (results := outcome.results(name)):
        # what is read again, where a slice was shared out, is no more output
        size = min(each["json_bytes"] for each in results) / MB
        measured, by_cpu = size / (outcome.median(name, "seconds") or 1), size / (outcome.median(name, "cpu") or 1)
    return Figure(what, asked, " MB/s", measured, held_by, by_cpu=by_cpu)


def peak(outcome: Outcome | None, name: str) -> float | None:
    """The most memory of a process, in MB; None where it did not run."""
    highest = outcome.highest(name, "peak_memory") if outcome else None
    return None if highest is None else highest / MB


def _milli(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _digits(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"
