"""What every contender is put through: the same loops over its records, the same clock, the same ticker."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

TOKEN = "benchmark-token"
BALANCE = "5ca1ab1e-0000-4000-8000-0000000ba1a0"
BILLS_PER_PAGE = 100
TRANSACTIONS_PER_PAGE = 200
IN_FLIGHT = 100
WARM_UP = 2 * IN_FLIGHT  # calls before the clock starts, so that connecting is not counted
TICK = 0.001  # seconds
PACKED = "-gzip"  # behind a task: its pages come compressed


@dataclass(frozen=True)
class Settings:
    """What one process is told: the organization's id is the length of its lists."""

    backend: str
    task: str
    url: str
    count: int

    @property
    def org_id(self) -> str:
        """The organization to read, see `benchmarks.server`."""
        return f"{self.count}z" if self.task.endswith(PACKED) else str(self.count)


class Contender(Protocol):
    """A client, wrapped so that all are driven alike. Not each can do everything.

    Attributes:
        exact: Whether the numbers that it sends are decimals.
    """

    exact: bool

    async def open(self) -> None:
        """Make the client, without connecting."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...

    def bills(self) -> AsyncIterator[Any]:
        """Every bill, fully decoded."""
        ...

    def raw(self) -> AsyncIterator[Any]:
        """Every bill's JSON."""
        ...

    def typed(self) -> AsyncIterator[Any]:
        """Every bill as its id, currency and total."""
        ...

    def transactions(self) -> AsyncIterator[Any]:
        """Every transaction of one balance, fully decoded."""
        ...

    async def get(self, identifier: str) -> Any:
        """One bill job, fully decoded."""
        ...

    def measurements(self, count: int) -> Iterator[dict[str, Any]]:
        """Rows to send, with numbers of the type that this client takes."""
        ...

    async def ingest(self, rows: Iterator[dict[str, Any]]) -> int:
        """Send all of them; returns the number of requests."""
        ...

    async def send(self, rows: Iterator[dict[str, Any]]) -> int:
        """Send each by a call of its own, as an application does that measures; returns the number of requests."""
        ...


@runtime_checkable
class Exporter(Protocol):
    """One who writes files; what is in them is counted by itself."""

    async def export(self, task: str) -> dict[str, Any]:
        """Write every bill."""
        ...


async def measure(client: Contender, settings: Settings) -> dict[str, Any]:
    """Run one task and report its time, memory, longest stall and what it saw."""
    await client.open()
    started = time.perf_counter()
    await _gets(client, 1)
    first_call = time.perf_counter() - started
    if settings.task == "gets":
        await _gets(client, WARM_UP)
    elif (listing := _LISTINGS.get(settings.task.removesuffix(PACKED))) is not None:
        async for _ in listing(client):  # imports are left out: ours come with the first use of a resource
            break
    ticker = asyncio.create_task(_longest_stall())
    await asyncio.sleep(10 * TICK)
    started, cpu = time.perf_counter(), time.process_time()
    if isinstance(client, Exporter):
        seen = await client.export(settings.task)
    else:
        seen = await _TASKS[settings.task.removesuffix(PACKED)](client, settings.count)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    await asyncio.sleep(2 * TICK)
    ticker.cancel()
    stall, stall_cpu = await ticker
    await client.close()
    return {
        "seconds": seconds,
        "cpu": cpu,
        "stall": stall,
        "stall_cpu": stall_cpu,
        "first_call": first_call,
        "peak_memory": peak_memory(),
        **seen,
    }


async def _bills(client: Contender, count: int) -> dict[str, Any]:
    rows = items = 0
    amounts: Any = 0
    async for bill in client.bills():
        rows += 1
        for item in bill.line_items:
            items += 1
            amounts += item.subtotal
    return {"calls": -(-count // BILLS_PER_PAGE), "rows": rows, "line_items": items, **_sum("amounts", amounts)}


async def _raw(client: Contender, count: int) -> dict[str, Any]:
    rows = size = 0
    async for record in client.raw():
        rows += 1
        size += memoryview(record).nbytes
    return {"calls": -(-count // BILLS_PER_PAGE), "rows": rows, "bytes": size}


async def _typed(client: Contender, count: int) -> dict[str, Any]:
    rows = 0
    totals: Any = 0
    async for bill in client.typed():
        rows += 1
        totals += bill.bill_total
    return {"calls": -(-count // BILLS_PER_PAGE), "rows": rows, **_sum("totals", totals)}


async def _transactions(client: Contender, count: int) -> dict[str, Any]:
    rows = 0
    amounts: Any = 0
    async for transaction in client.transactions():
        rows += 1
        amounts += transaction.amount
    return {"calls": -(-count // TRANSACTIONS_PER_PAGE), "rows": rows, **_sum("amounts", amounts)}


async def _gets(client: Contender, count: int) -> dict[str, Any]:
    waiting = iter(range(count))
    answered = 0

    async def caller() -> None:
        nonlocal answered
        for number in waiting:
            identifier = f"5ca1ab1e-0000-4000-8000-{number:012d}"
            answer = await client.get(identifier)
            answered += answer.id == identifier

    await asyncio.gather(*[caller() for _ in range(IN_FLIGHT)])
    return {"calls": count, "rows": answered}


async def _ingest(client: Contender, count: int) -> dict[str, Any]:
    return {"calls": await client.ingest(client.measurements(count)), "exact": client.exact}


async def _send(client: Contender, count: int) -> dict[str, Any]:
    return {"calls": await client.send(client.measurements(count)), "exact": client.exact}


_TASKS = {
    "bills": _bills,
    "raw": _raw,
    "typed": _typed,
    "transactions": _transactions,
    "gets": _gets,
    "ingest": _ingest,
    "send": _send,
}


_LISTINGS: dict[str, Callable[[Contender], AsyncIterator[Any]]] = {
    "bills": lambda client: client.bills(),
    "raw": lambda client: client.raw(),
    "typed": lambda client: client.typed(),
    "transactions": lambda client: client.transactions(),
}


def _sum(name: str, value: Any) -> dict[str, Any]:
    return {name: str(value), "exact": not isinstance(value, float)}


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
