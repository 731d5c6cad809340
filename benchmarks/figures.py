"""The figures that this client promises, and whether they were reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .contest import Outcome
from .works import (
    BY_HAND,
    BY_HAND_HTTPX,
    BY_HAND_RAW,
    EIGHT_SLICES,
    NDJSON,
    ONE_CURSOR,
    ONE_PROCESS,
    OURS,
    OURS_HTTPX,
    OURS_RAW,
    OURS_SEND,
    OURS_TYPED,
    PARQUET,
    PEER,
    PEER_AIOHTTP,
    SCRIPT,
    TWO_PROCESSES,
)

MB = 1e6


@dataclass(frozen=True)
class Figure:
    """A promise: `asked` is the least that keeps it, or the most where `at_most`."""

    what: str
    asked: float
    unit: str
    measured: float | None
    at_most: bool = False
    by_cpu: float | None = None  # the same in CPU time, which other load on the machine disturbs less

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


def figures(outcomes: Mapping[str, Outcome], imports: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """Every promise beside what was measured; what did not run has no figure."""
    bills, long, gets, packed = (outcomes.get(name) for name in ("bills", "long", "gets", "gzip"))
    return [
        _speed("bills as `Decimal`, times as fast as m3ter with httpx", 6, bills, PEER, OURS),
        _speed("bills as `Decimal`, of the speed by hand", 1.0, bills, BY_HAND, OURS),
        _speed("the same from compressed pages", 1.15, packed, BY_HAND, OURS),
        _speed("bills by `.raw()` from compressed pages, of the speed by hand", 1.35, packed, BY_HAND_RAW, OURS_RAW),
        _speed("transactions, of the speed by hand", 0.9, outcomes.get("transactions"), BY_HAND, OURS),
        _speed("bills by `.raw()`, times as fast as m3ter with httpx", 20, bills, PEER, OURS_RAW),
        _speed("bills by `.as_type()`, times as fast as m3ter with httpx", 15, bills, PEER, OURS_TYPED),
        Figure("bills, peak memory", 80, " MB", _peak(bills), at_most=True),
        Figure("the same at ten times the bills", 80, " MB", _peak(long), at_most=True),
        Figure("bills, longest event-loop stall", 30, " ms", _stall(bills, "stall"), True, _stall(bills, "stall_cpu")),
        _speed("small GETs, times as fast as m3ter with httpx", 12, gets, PEER, OURS),
        _speed("small GETs, times as fast as m3ter with aiohttp", 4, gets, PEER_AIOHTTP, OURS),
        _speed("small GETs, of the speed of bare aiohttp", 0.92, gets, BY_HAND, OURS),
        _speed("small GETs over httpx, of the speed of bare httpx", 0.9, gets, BY_HAND_HTTPX, OURS_HTTPX),
        *_export_figures(outcomes),
        _rate("measurements a second, a `send()` for each", 100_000, outcomes.get("ingest")),
        _speed(
            "measurements by `ingest_all()`, times as fast as m3ter with httpx",
            10,
            outcomes.get("ingest"),
            PEER,
            OURS,
        ),
        *_import_figures(imports),
    ]


def _export_figures(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    files, long, slow = (outcomes.get(name) for name in ("export", "export-long", "export-slow"))
    side_by_side = outcomes.get("export-processes")
    return [
        Figure("export to Parquet, JSON read", 50, " MB/s", _throughput(files, PARQUET)),
        Figure("export to NDJSON, JSON read", 200, " MB/s", _throughput(files, NDJSON)),
        _speed("export to Parquet, times as fast as m3ter and pandas", 1, files, SCRIPT, PARQUET),
        Figure("export to Parquet, peak memory at ten times the bills", 250, " MB", _peak(long, PARQUET), at_most=True),
        Figure("export to NDJSON, peak memory at ten times the bills", 250, " MB", _peak(long, NDJSON), at_most=True),
        Figure(
            "export in 8 slices, times as fast as by one cursor, at 100 ms a page",
            6,
            "x",
            slow.ratio(ONE_CURSOR, EIGHT_SLICES) if slow else None,
        ),
        Figure(
            "export to Parquet by two processes on two cores, times as fast as by one",
            1.6,
            "x",
            side_by_side.ratio(ONE_PROCESS, TWO_PROCESSES) if side_by_side else None,
        ),
    ]


def _throughput(outcome: Outcome | None, name: str) -> float | None:
    if outcome is None or not outcome.results(name):
        return None
    # what is read again, where a slice was shared out, is no more output
    size = min(each["json_bytes"] for each in outcome.results(name))
    return float(size) / MB / (outcome.median(name, "seconds") or 1)


def _speed(what: str, asked: float, outcome: Outcome | None, other: str, ours: str) -> Figure:
    """How many times as fast as `other`; slower than it is below 1."""
    if outcome is None:
        return Figure(what, asked, "x", None)
    return Figure(what, asked, "x", outcome.ratio(other, ours), by_cpu=outcome.ratio(other, ours, "cpu"))


def _rate(what: str, asked: float, outcome: Outcome | None) -> Figure:
    """How many rows in a second."""
    seconds = outcome.median(OURS_SEND, "seconds") if outcome else None
    cpu = outcome.median(OURS_SEND, "cpu") if outcome else None
    if outcome is None or not seconds or not cpu:
        return Figure(what, asked, "/s", None)
    return Figure(what, asked, "/s", outcome.count / seconds, by_cpu=outcome.count / cpu)


def _peak(outcome: Outcome | None, name: str = OURS) -> float | None:
    peak = outcome.highest(name, "peak_memory") if outcome else None
    return None if peak is None else peak / MB


def _stall(outcome: Outcome | None, clock: str) -> float | None:
    stall = outcome.median(OURS, clock) if outcome else None
    return None if stall is None else stall * 1e3


def _import_figures(imports: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    ours, base = imports.get("import m3ter_async", {}), imports.get("import msgspec", {})
    if "failure" in imports.get("from m3ter_async import AsyncM3ter", {}):
        ours = {}  # a package without its client imports fast
    ratio = ours["seconds"] / base["seconds"] if "seconds" in ours and "seconds" in base else None
    loaded = float("aiohttp" in ours["heavy"]) + len(ours["resources"]) if "heavy" in ours else None
    return [
        Figure("`import m3ter_async`, times as long as `import msgspec`", 1.5, "x", ratio, at_most=True),
        Figure("`import m3ter_async`, aiohttp and resource modules loaded", 0, "", loaded, at_most=True),
    ]


def _digits(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"
