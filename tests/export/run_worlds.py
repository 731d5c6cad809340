"""Worlds of an export: ``python -m tests.export --worlds 1000``; one that breaks is had again by its seed."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence

from ..simulation.run import begin
from .worlds import BACKENDS, Verdict, judge

_BATCH = 20


def _some(work: tuple[range, str]) -> list[Verdict]:
    seeds, backend = work
    verdicts = [judge(seed, backend) for seed in seeds]
    gc.collect()
    return verdicts


def _many(seeds: range, backends: Sequence[str], processes: int) -> Iterator[Verdict]:
    work = [(seeds[start : start + _BATCH], backend) for start in range(0, len(seeds), _BATCH) for backend in backends]
    with multiprocessing.get_context("spawn").Pool(processes, initializer=begin) as pool:
        for verdicts in pool.imap_unordered(_some, work):
            yield from verdicts


def _told(verdict: Verdict, *, whole: bool = False) -> str:
    lines = [verdict.command, f"    {verdict.plan}"]
    lines += verdict.happened if whole else verdict.ends
    lines += [f"BROKEN: {each}" for each in verdict.broken[:10]] or ["everything held"]
    return "\n    ".join([*lines, f"digest {verdict.digest}"])


def main() -> int:
    """Run worlds, and return whether any broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.export", description=__doc__)
    parser.add_argument("--worlds", type=int, default=1_000, help="how many, on each backend")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone, with all that happened")
    parser.add_argument("--backend", choices=BACKENDS, help="by default both")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    backends = [options.backend] if options.backend else list(BACKENDS)
    if options.seed is not None:
        begin()
        found = [judge(options.seed, backend) for backend in backends]
        print(*[_told(each, whole=True) for each in found], sep="\n\n")
        return int(any(each.broken for each in found))
    worlds = runs = rows = aside = units = unexplained = broken = 0
    explained: Counter[str] = Counter()
    for verdict in _many(range(options.start, options.start + options.worlds), backends, options.processes):
        accounts = verdict.accounts
        worlds, runs, rows = worlds + 1, runs + verdict.runs, rows + accounts.rows
        aside, units = aside + accounts.aside, units + accounts.units
        explained.update(accounts.explained)
        unexplained += accounts.unexplained
        if verdict.broken:
            broken += 1
            print(_told(verdict), flush=True)
    print(f"{worlds:,} worlds, {broken} broken; {runs:,} runs, {rows:,} rows; set aside or gone: {units:,} units")
    print(f"{aside:,} records set aside; {explained.total():,} differences explained, {unexplained} not explained")
    print("\n".join(f"{count:8,} {why}" for why, count in explained.most_common()))
    return int(bool(broken))
