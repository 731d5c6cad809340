"""What is measured, of whom, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from . import contenders as by
from .contenders import Contender

TIMES = ("time", "is", "CPU per call", "peak memory", "longest stall", "first call", "sum of amounts")
GROWTH = ("records", "time", "CPU per record", "peak memory", "longest stall")


@dataclass(frozen=True)
class Work:
    """One thing to do, by these contenders.

    Attributes:
        kind: Of what the server is to count what a complete reader sees, see `benchmarks.contest`.
        count: How many rows or calls it is, or `quick` for a quick look.
        once: Whether further rounds would tell nothing new.
        prepared: Whether the first contender does it once before all, uncounted: compressed pages are then made.
        columns: Those of its table, see `benchmarks.columns`.
    """

    title: str
    kind: str
    count: int
    quick: int
    contenders: tuple[Contender, ...]
    once: bool = False
    prepared: bool = False
    columns: tuple[str, ...] = TIMES


WORKS = {
    "bills": Work(
        "Stream {count:,} bills of 40 line items of 3 bands, amounts as `Decimal`",
        "bills",
        2_000,
        200,
        by.streaming("bills") + by.UNDECODED,
    ),
    "gzip": Work("Stream {count:,} bills in compressed pages", "bills", 1_000, 200, by.PACKED, prepared=True),
    "long": Work("Stream {count:,} bills: the memory", "bills", 20_000, 2_000, by.all_clients("bills")[:1], once=True),
    "transactions": Work(
        "Stream {count:,} balance transactions", "transactions", 20_000, 2_000, by.streaming("transactions")
    ),
    "ingest": Work(
        "Send {count:,} measurements of two quantities in batches of 1000", "measurements", 200_000, 20_000, by.INGEST
    ),
    "gets": Work("{count:,} small GETs, 100 in flight", "gets", 3_000, 500, by.all_clients("gets") + by.MORE_GETS),
    "gets-refused": Work(
        "{count:,} small GETs, of which 2 % are answered by a 429 at first, and 2 % by a 503",
        "gets",
        3_000,
        500,
        (*by.refused("gets"), Contender(by.GETS_OF_NONE_REFUSED, "this_client", "aiohttp", "gets")),
    ),
    "bills-refused": Work(
        "Stream {count:,} bills, of whose pages one in 10 is answered by a 429 at first, and one by a 503",
        "bills",
        2_000,
        400,
        by.refused("bills"),
    ),
    "beginning": Work(
        "Make a client and call once: how long the loop stands still",
        "gets",
        1,
        1,
        by.BEGINNINGS,
        columns=(
            "making",
            "its stall",
            "warm_up()",
            "stall of that",
            "first call",
            "stall of the first call",
            "CPU",
            "peak memory",
        ),
    ),
    "organizations": Work(
        "{count:,} small GETs, 100 in flight, by views of one client for so many organizations",
        "gets",
        5_000,
        1_000,
        by.ORGANIZATIONS,
        columns=("time", "is", "CPU per call", "peak memory", "longest stall"),
    ),
    "more-bills": Work(
        "Stream {count:,} bills of one line item, ten and a hundred times as many",
        "small",
        2_000,
        200,
        by.growing("this_client", "bills-small"),
        once=True,
        columns=GROWTH,
    ),
    "more-accounts": Work(
        "Stream {count:,} accounts, ten and a hundred times as many",
        "accounts",
        2_000,
        200,
        by.growing("this_client", "accounts"),
        once=True,
        columns=GROWTH,
    ),
    "more-known": Work(
        "Sync {count:,} accounts of which all are known, ten and a hundred times as many",
        "gets",
        10_000,
        1_000,
        by.growing("known", "accounts"),
        once=True,
        columns=GROWTH,
    ),
    "export": Work("Export {count:,} bills to files", "bills", 2_000, 200, by.FILES),
    "export-gzip": Work(
        "Export {count:,} bills of compressed pages to files", "bills", 1_000, 200, by.PACKED_FILES, prepared=True
    ),
    "export-long": Work("Export {count:,} bills to files: the memory", "bills", 20_000, 2_000, by.FILES[:2], once=True),
    "export-slow": Work(
        "Export {count:,} bills of a service that takes 100 ms for a page of 10", "bills", 2_000, 400, by.SLOW_FILES
    ),
    "export-processes": Work(
        "Export {count:,} bills to Parquet, by one process and by two", "bills", 8_000, 800, by.PROCESSES
    ),
}
IMPORT = "import"  # measured by its own means, see `benchmarks.imports`
STAGES = "stages"  # and so is this, see `benchmarks.stages`
NAMES = (*WORKS, IMPORT, STAGES)
