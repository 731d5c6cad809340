"""What every contender is put through: the same loops over its records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .watch import peak_memory, watched

TOKEN = "benchmark-token"
BALANCE = "5ca1ab1e-0000-4000-8000-0000000ba1a0"
BILLS_PER_PAGE = 100
TRANSACTIONS_PER_PAGE = 200
IN_FLIGHT = 100
WARM_UP = 2 * IN_FLIGHT  # calls before the clock starts, so that connecting is not counted
ACCOUNTS_PER_PAGE = 100
_WAYS = {"-gzip": "z", "-faults": "f", "-small": "s"}  # behind a task, and what the server is told, see `server.WAYS`


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
        return str(self.count) + "".join(letter for way, letter in _WAYS.items() if self.task.endswith(way))

    @property
    def loop(self) -> str:
        """The task itself, however the server goes about it."""
        task = self.task
        for way in _WAYS:
            task = task.removesuffix(way)
        return task


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

    def accounts(self) -> AsyncIterator[Any]:
        """Every account, fully decoded."""
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
    if settings.loop == "gets":
        await _gets(client, WARM_UP)
    elif (listing := _LISTINGS.get(settings.loop)) is not None:
        async for _ in listing(client):  # imports are left out: ours come with the first use of a resource
            break
    async with watched() as taken:
        if settings.loop in _TASKS:
            seen = await _TASKS[settings.loop](client, settings.count)
        else:
            assert isinstance(client, Exporter)
            seen = await client.export(settings.loop)
    await client.close()
    return {**taken, "first_call": first_call, "peak_memory": peak_memory(), **seen}


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


async def _accounts(client: Contender, count: int) -> dict[str, Any]:
    rows = 0
    async for _ in client.accounts():
        rows += 1
    return {"calls": -(-count // ACCOUNTS_PER_PAGE), "rows": rows}


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
    "accounts": _accounts,
    "gets": _gets,
    "ingest": _ingest,
    "send": _send,
}


_LISTINGS: dict[str, Callable[[Contender], AsyncIterator[Any]]] = {
    "bills": lambda client: client.bills(),
    "raw": lambda client: client.raw(),
    "typed": lambda client: client.typed(),
    "transactions": lambda client: client.transactions(),
    "accounts": lambda client: client.accounts(),
}


def _sum(name: str, value: Any) -> dict[str, Any]:
    return {name: str(value), "exact": not isinstance(value, float)}
