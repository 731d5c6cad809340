"""Runs the contenders in turn, each in a fresh process, against one server, and refuses an incomplete result."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from . import typescript
from .contenders import NODE, Contender
from .works import Work

ROOT = Path(__file__).parents[1]
LONGEST = 300  # seconds that one process may take
DOUBLES = Decimal("1e-9")  # how far, relatively, a sum of doubles may be from the exact one

Result = dict[str, Any]


class WrongResultError(Exception):
    """A contender did not see every row, or not the right amounts, so that its time says nothing."""


class Outcome:
    """All results of one work: for each contender the rounds, for each round its passes."""

    def __init__(self, work: Work, count: int) -> None:
        self.work = work
        self.count = count
        self.rounds: dict[str, list[list[Result]]] = {each.name: [] for each in work.contenders}
        self.failures: dict[str, str] = {}
        self.left_out: dict[str, str] = {}

    def count_of(self, contender: str) -> int:
        """How many rows or calls a contender is asked for."""
        return self.count * next(each.times for each in self.work.contenders if each.name == contender)

    def results(self, contender: str) -> list[Result]:
        """Every result of a contender; empty where it failed or did not take part."""
        return [] if contender in self.failures else [each for one in self.rounds.get(contender, []) for each in one]

    def median(self, contender: str, what: str) -> float | None:
        """The median of a figure over all passes, None without any."""
        results = self.results(contender)
        return median(each[what] for each in results) if results else None

    def highest(self, contender: str, what: str) -> float | None:
        """The highest of a figure over all passes, None without any."""
        return max((each[what] for each in self.results(contender)), default=None)

    def ratio(self, slower: str, faster: str, what: str = "seconds") -> float | None:
        """How many times as long `slower` takes: the median over the rounds of the ratio within the round."""
        if not (self.results(slower) and self.results(faster)):
            return None
        return median(
            _median(a, what) / _median(b, what) for a, b in zip(self.rounds[slower], self.rounds[faster], strict=True)
        )


def _median(passes: list[Result], what: str) -> float:
    return float(median(each[what] for each in passes))


@contextmanager
def server() -> Iterator[int]:
    """The static server, in a process of its own; yields its port."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def run(work: Work, port: int, *, quick: bool, rounds: int, progress: Callable[[str], None]) -> Outcome:
    """Do one work: A B C, C B A, A B C, and so on, so that a slow minute of the machine falls on all alike."""
    outcome = Outcome(work, work.quick if quick else work.count)
    outcome.left_out = {each.name: why for each in work.contenders if (why := missing(each.needs))}
    taking_part = [each for each in work.contenders if each.name not in outcome.left_out]
    expected = {times: _expected(port, work.kind, outcome.count * times) for times in {c.times for c in taking_part}}
    if work.prepared:
        with suppress(subprocess.SubprocessError):  # it fails again when it counts
            worker(taking_part[0], port, outcome.count)
    for number in range(1 if work.once else rounds):
        for results in outcome.rounds.values():
            results.append([])
        for turn in range(1 if work.once or quick else max(each.passes for each in taking_part)):
            for contender in taking_part[:: -1 if turn % 2 else 1]:
                if turn < contender.passes and contender.name not in outcome.failures:
                    progress(f"round {number + 1}: {contender.name}")
                    count = outcome.count_of(contender.name)
                    try:
                        result = worker(contender, port, count)
                        if work.kind == "measurements":
                            result.update(_received(port, count))
                        check(result, expected[contender.times])
                    except (WrongResultError, subprocess.SubprocessError) as error:
                        outcome.failures[contender.name] = _reason(error)
                    else:
                        outcome.rounds[contender.name][-1].append(result)
    return outcome


def missing(needed: str) -> str:
    """Why something that is needed is not there; empty if it is."""
    if needed == NODE:
        found = typescript.installed()
        return "" if isinstance(found, Path) else found
    return f"{needed} is not installed" if needed and find_spec(needed) is None else ""


def worker(contender: Contender, port: int, count: int) -> Result:
    if contender.needs == NODE:
        program = typescript.program(contender.module)
    else:
        program = [sys.executable, "-m", "benchmarks.workers", contender.module]
    command = [*program, contender.backend, contender.task, str(port), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST, check=True)
    result: Result = json.loads(done.stdout)
    return result


def _expected(port: int, kind: str, count: int) -> Result:
    if kind == "gets":
        return {"rows": count}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/expected/{kind}/{count}") as answer:
        result: Result = json.load(answer)
        return result


def _received(port: int, count: int) -> Result:
    """What the server got of the rows that a contender says it sent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/received/{count}") as answer:
        got: Result = json.load(answer)
    if got["uids"] not in (0, count):
        raise WrongResultError(f"{got['uids']} uids for {count} rows")
    return got


def check(result: Result, expected: Result) -> None:
    """Compare whatever the contender counted with what the server sent; doubles may be off by their rounding."""
    for name in ("rows", "line_items", "bytes"):
        if name in result and result[name] != expected[name]:
            raise WrongResultError(f"{name}: {result[name]} instead of {expected[name]}")
    for name in ("amounts", "totals"):
        if name in result:
            seen, right = Decimal(result[name]), Decimal(expected[name])
            result["rounded_by"] = abs(seen - right)
            if result["rounded_by"] > (0 if result["exact"] else abs(right) * DOUBLES):
                raise WrongResultError(f"{name}: {seen} instead of {right}")


def _reason(error: Exception) -> str:
    """The last line of what a worker had to say, which names its exception."""
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
