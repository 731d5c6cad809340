"""`python -m benchmarks`: run, print, and write the report and the chart."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import contest, imports
from .chart import chart
from .contest import Outcome
from .figures import figures
from .report import failures, figure_rows, import_failures, import_rows, into_readme, markdown, outcome_rows, plain
from .works import IMPORT, NAMES, WORKS

HERE = Path(__file__).parent
IMPORTS = 9  # fresh processes per statement


def main() -> int:
    """Run what the command line asks for.

    Returns:
        1 where a contender failed or saw the wrong rows, else 0: a figure not reached is a result, not an error.
    """
    arguments = _arguments()
    started, load = time.monotonic(), os.getloadavg()[0]
    outcomes: dict[str, Outcome] = {}
    imported: dict[str, dict[str, Any]] = {}
    wanted = arguments.only or NAMES
    with contest.server() as port:
        for name in (name for name in WORKS if name in wanted):
            work = WORKS[name]
            outcome = contest.run(
                work, port, quick=arguments.quick, rounds=arguments.rounds, progress=_progress(name, started)
            )
            outcomes[name] = outcome
            _show(work.title.format(count=outcome.count), plain(outcome_rows(outcome)), outcome.failures)
    if IMPORT in wanted:
        imported = imports.measure(3 if arguments.quick else IMPORTS)
        _show("Import", plain(import_rows(imported)), import_failures(imported))
    promised = figures(outcomes, imported)
    heading = "Asked and measured" + (", though so short a run is no measure" if arguments.quick else "")
    _show(heading, plain(figure_rows(promised)))
    print(f"\n{time.monotonic() - started:.0f} s")
    if arguments.out:
        command = " ".join(("python -m benchmarks", *sys.argv[1:]))
        run = f"`{command}`, {arguments.rounds} rounds; load average of the machine when it began: {load:.1f}"
        arguments.out.write_text(markdown(outcomes, imported, promised, run), encoding="utf-8")
    if arguments.readme:
        text = arguments.readme.read_text(encoding="utf-8")
        arguments.readme.write_text(into_readme(text, promised), encoding="utf-8")
    if arguments.chart:
        arguments.chart.write_text(chart(outcomes), encoding="utf-8")
    return int(any(each.failures for each in outcomes.values()) or bool(import_failures(imported)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure m3ter_async beside its peers.")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the work, one round; writes no file unless told"
    )
    parser.add_argument("--rounds", type=int, help="how often every contender takes its turn (3; quick: 1)")
    parser.add_argument(
        "--only", action="append", choices=NAMES, help="one work; may be repeated; writes no file unless told"
    )
    parser.add_argument("--out", type=Path, help="the report (benchmarks/results.md)")
    parser.add_argument("--chart", type=Path, help="the chart (benchmarks/chart.svg)")
    parser.add_argument("--readme", type=Path, help="the page that shows the figures (docs/explanation/speed.md)")
    arguments = parser.parse_args()
    arguments.rounds = max(1, arguments.rounds or (1 if arguments.quick else 3))
    if not arguments.quick and not arguments.only:
        arguments.out = arguments.out or HERE / "results.md"
        arguments.chart = arguments.chart or HERE / "chart.svg"
        arguments.readme = arguments.readme or HERE.parent / "docs" / "explanation" / "speed.md"
    return arguments


def _progress(name: str, started: float) -> Callable[[str], None]:
    def show(message: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {name}, {message}", file=sys.stderr, flush=True)

    return show


def _show(title: str, table: str, failed: Mapping[str, str] | None = None) -> None:
    print("\n".join(("", title, table, *failures(failed or {}))), flush=True)


if __name__ == "__main__":
    sys.exit(main())
