"""Ten thousand changes and more: ``python -m tests.sync --changes 10000``; a world that ends badly names its seed."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import anyio

from tests.sync.test_simulation import lived_through


async def worlds(first: int, changes: int) -> int:
    """Live through worlds, from a seed on, until there were so many changes; returns how many ended badly."""
    done: Counter[str] = Counter()
    bad = seed = 0
    while done.total() < changes:
        for counting in (False, True):
            try:
                done.update((await lived_through(first + seed, counting=counting)).changes)
            except AssertionError as error:
                bad += 1
                sys.stderr.write(f"seed {first + seed}, counting={counting}: {str(error)[:400]}\n")
        seed += 1
        if bad > 10:
            break
    kinds = ", ".join(f"{name} {count}" for name, count in done.most_common())
    sys.stdout.write(f"{done.total()} changes in {2 * seed} worlds ({kinds}): {bad} worlds ended badly\n")
    return bad


def main() -> int:
    """Run worlds, and return how many ended badly."""
    parser = argparse.ArgumentParser(prog="python -m tests.sync", description=__doc__)
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1_000, help="the first seed")
    arguments = parser.parse_args()
    return anyio.run(worlds, arguments.first, arguments.changes)


if __name__ == "__main__":
    sys.exit(main())
