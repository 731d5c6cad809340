"""The main job on an embedded sandbox: log in, stream every bill and transaction, and account for each digit.

``python -m m3ter_async.demo`` needs the extra ``demo`` (`rich`) and no account anywhere.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from typing import Literal

import anyio

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
except ModuleNotFoundError:
    raise SystemExit('the demo needs rich: pip install "m3ter-async[demo]"') from None

from . import AsyncM3ter, HttpxTransport
from .models import Balance, Bill
from .sandbox import Sandbox, Truth

# Sums grow past the 28 digits that Python's decimals keep by default; these amounts are never to be rounded.
__all__ = ["main"]

_EXACT = Context(prec=200)
_LINE_EVERY = 1.0  # seconds between plain lines, where there is no terminal
_SIDE_BY_SIDE = 8


@dataclass
class _Seen:
    """What came over the wire, counted and added up."""

    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    pages: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[str, float] = field(default_factory=lambda: {})
    subtotals: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    transactions: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def bill(self, bill: Bill) -> None:
        """Count a bill with its line items and their pricing bands."""
        self.rows["bills"] += 1
        for item in bill.line_items or ():
            self.rows["line items"] += 1
            self.rows["pricing bands"] += len(item.usage_per_pricing_band or ())
            self.subtotals[bill.currency or "?"] += item.subtotal


class _Display:
    """Live bars on a terminal, a line now and then elsewhere; a context manager, in which there can be jobs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not self._live)

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def job(self, name: str, total: int) -> Generator[_Job]:
        """Show one job while it lasts."""
        job = _Job(self._progress, self._console, name, total, live=self._live)
        yield job
        job.show(last=True)


class _Job:
    """How far one job is."""

    def __init__(self, progress: Progress, console: Console, name: str, total: int, *, live: bool) -> None:
        self._progress = progress
        self._console = console
        self._name = name
        self._total = total
        self._live = live
        self._task = progress.add_task(name, total=total)
        self._rows = 0
        self._began = self._shown = time.perf_counter()

    def advance(self, rows: int) -> None:
        """Note that so many rows more are done."""
        self._rows += rows
        self._progress.update(self._task, completed=self._rows)
        if time.perf_counter() - self._shown > _LINE_EVERY:
            self.show()

    def show(self, *, last: bool = False) -> None:
        """Print where it stands, where no bar does."""
        self._shown = time.perf_counter()
        if not self._live:
            rate = self._rows / max(self._shown - self._began, 1e-9)
            state = "done" if last else "so far"
            self._console.print(f"{self._name}: {self._rows:,} of {self._total:,} {state}, {rate:,.0f}/s")


async def _stream_bills(m3ter: AsyncM3ter, seen: _Seen, job: _Job) -> None:
    """Every bill of the organization, through one cursor."""
    async for page in m3ter.bills.list().pages():
        seen.pages["bills"] += 1
        for bill in page.data:
            seen.bill(bill)
        job.advance(len(page.data))


async def _stream_transactions(m3ter: AsyncM3ter, seen: _Seen, job: _Job) -> None:
    """The transactions of every balance, several balances side by side under the service's rate limit."""
    slots = anyio.Semaphore(_SIDE_BY_SIDE)

    async def one(balance: Balance) -> None:
        try:
            async for page in m3ter.balances.transactions.list(balance.id).pages():
                seen.pages["transactions"] += 1
                for transaction in page.data:
                    seen.transactions[balance.currency or "?"] += transaction.amount or 0
                seen.rows["transactions"] += len(page.data)
                job.advance(len(page.data))
        finally:
            slots.release()

    async with anyio.create_task_group() as tasks:
        async for page in m3ter.balances.list().pages():
            seen.pages["balances"] += 1
            for balance in page.data:
                seen.rows["balances"] += 1
                await slots.acquire()
                tasks.start_soon(one, balance)


@contextmanager
def _timed(seen: _Seen, name: str) -> Generator[None]:
    """Note how long something took."""
    began = time.perf_counter()
    yield
    seen.seconds[name] = time.perf_counter() - began


async def _run(seed: int, bills: int, transport: Literal["aiohttp", "httpx"], console: Console) -> bool:
    """Do the whole job; True if every row and every digit is there."""
    seen = _Seen()
    async with Sandbox(seed=seed, bills=bills) as sandbox:
        truth = sandbox.truth()
        console.print(f"A sandbox with {truth.bills:,} bills is up at {sandbox.url}; logging in.")
        backend = HttpxTransport() if transport == "httpx" else None
        client = AsyncM3ter(
            sandbox.api_key, sandbox.api_secret, sandbox.org_id, base_url=sandbox.url, transport=backend
        )
        with _Display(console) as display:
            async with client as m3ter:
                with display.job("bills", truth.bills) as job, _timed(seen, "bills"):
                    await _stream_bills(m3ter, seen, job)
                with display.job("transactions", truth.transactions) as job, _timed(seen, "transactions"):
                    await _stream_transactions(m3ter, seen, job)
    return _report(seen, truth, console)


def _report(seen: _Seen, truth: Truth, console: Console) -> bool:
    """Print what was streamed beside what the sandbox holds; True if they are the same."""
    held = {
        "bills": truth.bills,
        "line items": truth.line_items,
        "pricing bands": truth.pricing_bands,
        "balances": truth.balances,
        "transactions": truth.transactions,
    }
    good = True
    table = Table("rows of", "streamed", "held", "pages", "rows/s", "")
    for name, count in held.items():
        same = seen.rows[name] == count
        good = good and same
        seconds = seen.seconds.get(name)
        rate = f"{seen.rows[name] / seconds:,.0f}" if seconds else ""
        pages = f"{seen.pages[name]:,}" if name in seen.pages else ""
        table.add_row(name, f"{seen.rows[name]:,}", f"{count:,}", pages, rate, _mark(same))
    console.print(table)
    sums = (
        ("line item subtotals", seen.subtotals, truth.line_item_subtotals),
        ("transaction amounts", seen.transactions, truth.transaction_amounts),
    )
    for title, streamed, expected in sums:
        console.print(f"Totals of {title}, exact:")
        table = Table("currency", "streamed", "held", "")
        for currency in sorted({*streamed, *expected}):
            ours, theirs = streamed.get(currency, Decimal()), expected.get(currency, Decimal())
            good = good and ours == theirs
            table.add_row(currency, f"{ours:f}", f"{theirs:f}", _mark(ours == theirs))
        console.print(table)
    console.print("Every row and every digit is there." if good else "DIFFERENCE: see the rows marked above.")
    return good


def _mark(same: bool) -> str:
    return "equal" if same else "DIFFERENT"


def main() -> int:
    """The command line; 0 if all is there, 1 if something differs, 130 if it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m m3ter_async.demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bills", type=int, default=2000, help="how many bills the sandbox holds (2000)")
    parser.add_argument("--seed", type=int, default=7, help="what the sandbox's data is drawn from (7)")
    parser.add_argument("--transport", choices=("aiohttp", "httpx"), default="aiohttp")
    arguments = parser.parse_args()
    if arguments.bills < 0:
        parser.error(f"--bills must be 0 or more, not {arguments.bills}")
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)
    try:
        with localcontext(_EXACT):
            good = anyio.run(_run, arguments.seed, arguments.bills, arguments.transport, console)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
