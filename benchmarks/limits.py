"""What a pass of a rate limit costs: ``python -m benchmarks.limits``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from m3ter_async.limits import HostLimiter, LocalLimiter, RateLimit

PASSES = 4_000
ROUNDS = 5


def microseconds(pass_once: Callable[[float], float], step: float) -> float:
    """The best of some rounds, in µs of the processor a pass; time goes on by so much from one to the next."""
    best, now = float("inf"), time.monotonic()
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(PASSES):
            now += step
            pass_once(now)
        best = min(best, time.process_time() - began)
    return best / PASSES * 1e6


def main() -> None:
    """Print a line for each limiter: passes that are given, those of bulk requests, and refusals."""
    print(f"{'µs a pass':<14}{'given':>8}{'bulk':>8}{'refused':>9}")
    with tempfile.TemporaryDirectory() as folder, HostLimiter(Path(folder) / "limit") as host:
        for name, limiter in (("LocalLimiter", LocalLimiter()), ("HostLimiter", host)):

            def limit(organization: str, limiter: HostLimiter | LocalLimiter = limiter) -> RateLimit:
                return limiter.limit("configuration", organization, f"https://{organization}")

            first, second, third = limit("a"), limit("b"), limit("c")
            given = microseconds(first.take, 0.03)  # slower than the rate, and than the window of an address
            bulk = microseconds(partial(second.take, bulk=True), 0.03)
            refused = microseconds(third.take, 0.0)
            print(f"{name:<14}{given:>8.1f}{bulk:>8.1f}{refused:>9.1f}")


if __name__ == "__main__":
    main()
