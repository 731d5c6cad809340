"""Many worlds, on all cores: what broke in them, and how to see it again."""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .world import World

BACKENDS = ("asyncio", "trio")
_TAIL = 40  # events that are shown of a world that failed
_BATCH = 25


@dataclass(slots=True)
class Verdict:
    """What came of one world.

    Attributes:
        failures: The rules that did not hold, and what broke them.
        seconds: Virtual seconds that passed.
    """

    seed: int
    backend: str
    digest: str
    seconds: float
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def command(self) -> str:
        return f"nox -s simulate -- --backend {self.backend} --seed {self.seed} --trace"


def judge(seed: int, backend: str) -> Verdict:
    """Run one world and keep what it came to."""
    world = World(seed, backend).run()
    return Verdict(seed, backend, world.digest, world.now, world.failures)


def explain(seed: int, backend: str, *, whole: bool = False) -> str:
    """One world told: its rules, its last events or all of them, and what broke."""
    world = World(seed, backend).run()
    lines = [f"seed {seed} on {backend}: {world.setup}"]
    lines += world.lines if whole else world.lines[-_TAIL:]
    lines += [f"BROKEN: {rule}: {text}" for rule, text in world.failures] or ["everything held"]
    lines.append(f"digest {world.digest}")
    return "\n".join(lines)


def _some(work: tuple[int, int, str]) -> list[Verdict]:
    first, count, backend = work
    return [judge(seed, backend) for seed in range(first, first + count)]


def begin() -> None:
    """Make a process ready for worlds: nothing is logged, and what is loaded is not collected with each world."""
    logging.getLogger("m3ter_async").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    gc.freeze()


def many(first: int, count: int, backends: Sequence[str], processes: int) -> Iterator[Verdict]:
    """The verdicts of many worlds, as they come."""
    work = [
        (seed, min(_BATCH, first + count - seed), backend)
        for seed in range(first, first + count, _BATCH)
        for backend in backends
    ]
    if processes == 1:
        for each in work:
            yield from _some(each)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=begin) as pool:
        for verdicts in pool.imap_unordered(_some, work):
            yield from verdicts


def main(arguments: Sequence[str]) -> int:
    """What `nox -s simulate` runs."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000, help="how many worlds, on each backend")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--backend", choices=BACKENDS, help="by default both")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: show every event")
    options = parser.parse_args(arguments)
    backends = [options.backend] if options.backend else list(BACKENDS)
    begin()
    if options.seed is not None:
        texts = [explain(options.seed, backend, whole=options.trace) for backend in backends]
        print("\n\n".join(texts))
        return int(any("BROKEN: " in text for text in texts))
    began, worlds, virtual = time.perf_counter(), 0, 0.0
    found: dict[str, list[Verdict]] = {}
    for verdict in many(options.start, options.seeds, backends, options.processes):
        worlds += 1
        virtual += verdict.seconds
        for rule in dict(verdict.failures):
            found.setdefault(rule, []).append(verdict)
    seconds = time.perf_counter() - began
    for rule, verdicts in sorted(found.items(), key=lambda each: -len(each[1])):
        least = min(verdicts, key=lambda verdict: (verdict.seed, verdict.backend))
        text = dict(least.failures)[rule][:300]
        print(f"{len(verdicts):6} worlds break: {rule}\n        {text}\n        {least.command}")
    if found:
        everything = [verdict for verdicts in found.values() for verdict in verdicts]
        least = min(everything, key=lambda verdict: (verdict.seed, verdict.backend))
        print(f"\n{explain(least.seed, least.backend)}\n{least.command}")
    broken = len({(verdict.seed, verdict.backend) for verdicts in found.values() for verdict in verdicts})
    hours, pace = virtual / 3600, worlds / seconds
    print(f"{worlds} worlds, {broken} broken; {hours:,.0f} hours in {seconds:.0f} s, {pace:.0f} worlds a second")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
