"""The columns of a work's table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .contest import Outcome, Result

MB = 1e6
FIRST = "contender"
_Cell = Callable[[Outcome, str, list[Result]], str]


def table(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of one work's table."""
    columns = outcome.work.columns
    header = [FIRST, *(f"{ours(outcome)} is" if each == "is" else each for each in columns)]
    return header, [_row(outcome, each.name) for each in outcome.work.contenders]


def ours(outcome: Outcome) -> str:
    """Whom the others are compared with: the first of this client's ways to do the work."""
    return outcome.work.contenders[0].name


def _row(outcome: Outcome, name: str) -> list[str]:
    results = outcome.results(name)
    columns = outcome.work.columns
    if not results:
        return [name, "left out" if name in outcome.left_out else "failed", *[""] * (len(columns) - 1)]
    return [name, *(_CELLS[column](outcome, name, results) for column in columns)]


def _seconds(what: str) -> _Cell:
    return lambda outcome, name, results: f"{outcome.median(name, what) or 0:.2f} s"


def _milliseconds(what: str) -> _Cell:
    return lambda outcome, name, results: f"{(outcome.median(name, what) or 0) * 1e3:.0f} ms"


def _ratio(outcome: Outcome, name: str, results: list[Result]) -> str:
    ratio = None if name == ours(outcome) else outcome.ratio(name, ours(outcome))
    return "" if ratio is None else f"{ratio:.2f}x"


def _cpu_per(what: str) -> _Cell:
    return lambda outcome, name, results: _duration((outcome.median(name, "cpu") or 0) / results[0][what])


def _peak(outcome: Outcome, name: str, results: list[Result]) -> str:
    return f"{(outcome.highest(name, 'peak_memory') or 0) / MB:.0f} MB"


def _sum(outcome: Outcome, name: str, results: list[Result]) -> str:
    first: Any = results[0]
    if "exact" not in first:
        return ""
    return "exact" if first["exact"] else f"rounded, off by {float(first['rounded_by']):.1g}"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


_CELLS: dict[str, _Cell] = {
    "records": lambda outcome, name, results: f"{outcome.count_of(name):,}",
    "time": _seconds("seconds"),
    "is": _ratio,
    "CPU": _milliseconds("cpu"),
    "CPU per call": _cpu_per("calls"),
    "CPU per record": _cpu_per("rows"),
    "peak memory": _peak,
    "longest stall": _milliseconds("stall"),
    "first call": _milliseconds("first_call"),
    "making": _milliseconds("making"),
    "its stall": _milliseconds("making_stall"),
    "warm_up()": _milliseconds("warming"),
    "stall of that": _milliseconds("warming_stall"),
    "stall of the first call": _milliseconds("first_call_stall"),
    "sum of amounts": _sum,
}
NAMES = frozenset(_CELLS)
