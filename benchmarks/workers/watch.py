"""The clock, the ticker and the memory by which every contender is measured alike."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

TICK = 0.001  # seconds


@asynccontextmanager
async def watched() -> AsyncGenerator[dict[str, float]]:
    """What a block takes: the seconds, the CPU time, and how long the event loop stood still at the longest.

    Yields:
        What is filled in when the block has ended.
    """
    seen: dict[str, float] = {}
    ticker = asyncio.create_task(_longest_stall())
    await asyncio.sleep(10 * TICK)
    started, cpu = time.perf_counter(), time.process_time()
    yield seen
    seen["seconds"], seen["cpu"] = time.perf_counter() - started, time.process_time() - cpu
    await asyncio.sleep(2 * TICK)
    ticker.cancel()
    seen["stall"], seen["stall_cpu"] = await ticker


async def _longest_stall() -> tuple[float, float]:
    """How long, in seconds, a task that only wants to wake every millisecond was kept waiting at the longest.

    Once by the clock, once in CPU time of this process: the clock also counts when the machine ran something else.
    """
    longest = busiest = 0.0
    last, last_cpu = time.perf_counter(), time.process_time()
    try:
        while True:
            await asyncio.sleep(TICK)
            now, cpu = time.perf_counter(), time.process_time()
            longest, busiest = max(longest, now - last - TICK), max(busiest, cpu - last_cpu)
            last, last_cpu = now, cpu
    except asyncio.CancelledError:
        return longest, busiest


def peak_memory() -> int:
    """The most memory this process had resident, in bytes.

    Linux's VmHWM, because ru_maxrss outlives exec and so can show the peak of whoever started the process.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
