"""`python -m benchmarks`: run, print, and write the report and the chart."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import columns, contest, imports, stages
from .chart import chart
from .contest import Outcome
from .figures import figures
from .report import around, failures, figure_rows, import_failures, import_rows, into_page, markdown, notes, plain
from .works import IMPORT, NAMES, STAGES, WORKS

HERE = Path(__file__).parent
IMPORTS = 9  # fresh processes per statement


def main() -> int:
    """Run what the command line asks for.

    Returns:
        1 where a contender failed or saw the wrong rows, else 0: a figure not reached is a result, not an error.
    """
    arguments = _arguments()
    if arguments.page:
        around(arguments.page.read_text(encoding="utf-8"))  # known before it is measured for long
    started, load = time.monotonic(), os.getloadavg()[0]
    outcomes: dict[str, Outcome] = {}
    imported: dict[str, dict[str, Any]] = {}
    staged = stages.Stages()
    wanted = arguments.only or NAMES
    with contest.server() as port:
        for name in (name for name in WORKS if name in wanted):
            work = WORKS[name]
            outcome = contest.run(
                work, port, quick=arguments.quick, rounds=arguments.rounds, progress=_progress(name, started)
            )
            outcomes[name] = outcome
            _show(work.title.format(count=outcome.count), plain(columns.table(outcome)), notes(outcome))
        if STAGES in wanted:
            _progress(STAGES, started)("timing them")
            staged = stages.measure(port, quick=arguments.quick)
            for title, lines in staged.parts():
                _show(title, plain(lines))
    if IMPORT in wanted:
        imported = imports.measure(3 if arguments.quick else IMPORTS)
        _show("Import", plain(import_rows(imported)), failures(import_failures(imported)))
    promised = figures(outcomes, imported, staged)
    heading = "Asked and measured" + (", though so short a run is no measure" if arguments.quick else "")
    shown = [each for each in promised if each.measured is not None or not arguments.only]
    _show(heading, plain(figure_rows(shown)))
    print(f"\n{time.monotonic() - started:.0f} s")
    if arguments.out:
        command = " ".join(("python -m benchmarks", *sys.argv[1:]))
        run = f"`{command}`, rounds: {arguments.rounds}; load average of the machine when it began: {load:.1f}"
        arguments.out.write_text(markdown(outcomes, imported, staged, promised, run), encoding="utf-8")
    if arguments.page:
        text = arguments.page.read_text(encoding="utf-8")
        arguments.page.write_text(into_page(text, promised), encoding="utf-8")
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
    parser.add_argument("--page", type=Path, help="the page that shows the figures (docs/explanation/speed.md)")
    arguments = parser.parse_args()
    arguments.rounds = max(1, arguments.rounds or (1 if arguments.quick else 3))
    if not arguments.quick and not arguments.only:
        arguments.out = arguments.out or HERE / "results.md"
        arguments.chart = arguments.chart or HERE / "chart.svg"
        arguments.page = arguments.page or HERE.parent / "docs" / "explanation" / "speed.md"
    return arguments


def _progress(name: str, started: float) -> Callable[[str], None]:
    def show(message: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {name}, {message}", file=sys.stderr, flush=True)

    return show


def _show(title: str, table: str, below: Sequence[str] = ()) -> None:
    print("\n".join(("", title, table, *below)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
