"""``python -m tests.soak --seconds 600``: the long form of the run; 1 if anything was lost, doubled or left over."""

from __future__ import annotations

import argparse
import sys
import time

import anyio

from m3ter_async import AiohttpTransport, HttpxTransport, Transport

from .run import Outcome, soak


def main() -> int:
    """Run it, with a line after each round."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to begin new rounds (600)")
    parser.add_argument("--bills", type=int, default=1500, help="bills of the service (1500)")
    parser.add_argument("--tasks", type=int, default=500, help="tasks beside each export (500)")
    parser.add_argument("--transport", choices=("aiohttp", "httpx"), default="aiohttp")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    began = time.monotonic()

    def more(outcome: Outcome) -> bool:
        if outcome.rounds:
            print(
                f"{time.monotonic() - began:6.0f} s  round {outcome.rounds}: {outcome.requests:,} requests, "
                f"{outcome.interruptions} interruptions, {outcome.cancelled:,} of {outcome.tasks:,} tasks cancelled, "
                f"{outcome.rows:,} rows, {outcome.writes:,} writes, {outcome.memory[-1] / 1e6:.0f} MB",
                flush=True,
            )
        return time.monotonic() - began < float(options.seconds)

    def transport() -> Transport:
        return AiohttpTransport() if options.transport == "aiohttp" else HttpxTransport()

    outcome = anyio.run(lambda: soak(transport, bills=options.bills, tasks=options.tasks, more=more, seed=options.seed))
    growth = (outcome.memory[-1] - outcome.memory[min(1, len(outcome.memory) - 1)]) / 1e6
    print(
        f"requests {outcome.requests:,}; rows {outcome.rows:,}, wrong {len(outcome.rows_wrong)} {outcome.rows_wrong}; "
        f"writes {outcome.writes:,}, doubled {outcome.writes_doubled}, mistold {outcome.writes_mistold}; "
        f"handles left {outcome.handles_left}; memory grew by {growth:.0f} MB since the second round"
    )
    return 0 if outcome.held else 1


if __name__ == "__main__":
    sys.exit(main())
