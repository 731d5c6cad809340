"""The results as tables: plain ones while running, and the Markdown file."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .columns import table
from .contest import Outcome
from .figure import Figure
from .stages import Stages

_PACKAGES = (
    "m3ter-async",
    "m3ter",
    "aiohttp",
    "httpx",
    "httpx-aiohttp",
    "msgspec",
    "anyio",
    "isal",
    "uvloop",
    "pyarrow",
)
_METHOD = """
Every contender runs in a fresh process of its own against one static HTTP/1.1 server in another process on the loopback
interface, in turn (A B C, C B A, …). Times are medians over all runs; a ratio is the median over the rounds of the
ratio within a round, as only figures taken side by side compare. Beside a figure about time stands the same in CPU
time, which other load on the machine disturbs less. Peak memory is the highest VmHWM of all runs,
interpreter included, in MB of 10⁶ bytes. The longest stall is the median of each run's longest time by which a task
that wakes every millisecond was late. CPU per call is process time divided by HTTP calls: pages, or single GETs.
The first call, a small GET that connects and loads what the client loads late, is timed by itself, and before the
small GETs as many more as open all connections; then the clock starts. Row counts and sums are
checked in every run: a client with `Decimal` amounts must arrive at the exact sum, one with doubles near it, and the
table says by how much it is off. Measurements are counted and added up by the server, after the clock has stopped.

"m3ter" is given a token, as its async client cannot log in, and otherwise keeps its defaults, as this client does but
for its rate limit. It decodes every bill in full: `.raw()` and `.as_type()` are compared with that. m3ter's package for
node counts in doubles, as JavaScript does; its peak memory is what node tells. "By hand" is the loop that a good
programmer writes with aiohttp and msgspec for just this one work.
"""
_OPENING, _CLOSING = "<!-- figures -->\n", "<!-- /figures -->"
_TEXTS = ("figure", "contender", "stage", "statement", "held by")  # columns of text; the others are of numbers
_HOLDS = """
The stages of a work, each timed alone in a process of its own, in turn with the others of its part: the least CPU time
of seven rounds. "All else" is what is left of the whole, and by noise it can be less than nothing. The column "held by"
above takes its numbers from here.
"""


def import_rows(imports: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of the table of imports."""
    base = imports["import msgspec"].get("seconds")
    rows = []
    for statement, result in imports.items():
        if "failure" in result:
            rows.append([f"`{statement}`", "failed", "", "", ""])
            continue
        ratio = f"{result['seconds'] / base:.2f}x" if base else ""
        heavy = ", ".join(result["heavy"])
        rows.append([f"`{statement}`", f"{result['seconds'] * 1e3:.0f} ms", ratio, str(result["modules"]), heavy])
    return ["statement", "time", "of `import msgspec`", "modules loaded", "among them"], rows


def import_failures(imports: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Why a statement could not be measured."""
    return {statement: result["failure"] for statement, result in imports.items() if "failure" in result}


def figure_rows(figures: Sequence[Figure]) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of what was promised and measured."""
    rows = [
        [each.what, each.asked_text, each.measured_text, each.by_cpu_text, each.verdict, each.held_by]
        for each in figures
    ]
    return ["figure", "asked", "measured", "by CPU time", "", "held by"], rows


def failures(reasons: Mapping[str, str], word: str = "failed") -> list[str]:
    """A line for each that failed."""
    return [f"{name} {word}: {reason}." for name, reason in reasons.items()]


def notes(outcome: Outcome) -> list[str]:
    """A line for each that did not take part in a work, or failed at it."""
    return [*failures(outcome.left_out, "is left out"), *failures(outcome.failures)]


def plain(table: tuple[list[str], list[list[str]]]) -> str:
    """A table for the terminal."""
    header, rows = table
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (header, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def markdown(
    outcomes: Mapping[str, Outcome],
    imports: Mapping[str, Mapping[str, Any]],
    stages: Stages,
    figures: Sequence[Figure],
    run: str,
) -> str:
    """The whole report; `run` tells how it came about."""
    parts = ["# Benchmarks", _METHOD.strip(), _environment(run), "## Asked and measured", _table(figure_rows(figures))]
    if stages.values:
        parts += ["## What holds the misses", _HOLDS.strip()]
        for title, lines in stages.parts():
            parts += [f"### {title}", _table(lines)]
    for outcome in outcomes.values():
        parts += [f"## {outcome.work.title.format(count=outcome.count)}", _table(table(outcome)), *notes(outcome)]
    if imports:
        parts += ["## Import", _table(import_rows(imports)), *failures(import_failures(imports))]
    return "\n\n".join(parts) + "\n"


def into_page(text: str, figures: Sequence[Figure]) -> str:
    """The page with its table of figures replaced; it stands between two comments."""
    before, after = around(text)
    return f"{before}{_OPENING}{_table(figure_rows(figures))}\n{_CLOSING}{after}"


def around(text: str) -> tuple[str, str]:
    """What a page has before its table of figures, and behind it.

    Raises:
        ValueError: It has no place for them.
    """
    before, opening, rest = text.partition(_OPENING)
    _, closing, after = rest.partition(_CLOSING)
    if not (opening and closing):
        raise ValueError("the page has no place for the figures")
    return before, after


def _table(table: tuple[list[str], list[list[str]]]) -> str:
    header, rows = table
    rule = ["---" if each in _TEXTS else "---:" for each in header]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def _environment(run: str) -> str:
    packages = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return "\n".join(
        (
            f"- {run}",
            f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"- Machine: {_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}",
            f"- Python {platform.python_version()}; {packages}",
        )
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed, from the source tree)"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
