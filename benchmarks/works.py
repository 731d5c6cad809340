"""What is measured, of whom, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contender:
    """One way to do a work.

    Attributes:
        module: The module in `benchmarks.workers`, and the backend it is told to use.
        task: What it is asked for, see `benchmarks.workers.measure`.
        passes: How often it runs in a round: those that take a second, more often than those that take ten.
    """

    name: str
    module: str
    backend: str
    task: str
    passes: int = 2


@dataclass(frozen=True)
class Work:
    """One thing to do, by these contenders: `count` rows or calls of it, or `quick` for a quick look."""

    title: str
    kind: str
    count: int
    quick: int
    contenders: tuple[Contender, ...]
    once: bool = False  # further rounds would tell nothing new


OURS = "m3ter-async"
OURS_HTTPX = "m3ter-async (httpx)"
OURS_RAW = "m3ter-async, .raw()"
OURS_TYPED = "m3ter-async, .as_type()"
OURS_SEND = "m3ter-async, send() for each"
BY_HAND = "by hand, aiohttp + msgspec"
BY_HAND_HTTPX = "by hand, httpx + msgspec"
BY_HAND_RAW = "by hand, raw"
BY_HAND_TYPED = "by hand, three fields"
PARQUET = "m3ter-async, Parquet"
NDJSON = "m3ter-async, NDJSON"
EIGHT_SLICES = "m3ter-async, 8 slices"
ONE_CURSOR = "m3ter-async, one cursor"
ONE_PROCESS = "m3ter-async, one process"
TWO_PROCESSES = "m3ter-async, two processes"
SCRIPT = "m3ter 0.9.0 and pandas, Parquet"
PEER = "m3ter 0.9.0 (httpx)"
PEER_AIOHTTP = "m3ter 0.9.0 (aiohttp)"


def _all(task: str) -> tuple[Contender, ...]:
    return (
        Contender(OURS, "this_client", "aiohttp", task),
        Contender(BY_HAND, "by_hand", "aiohttp", task),
        Contender(OURS_HTTPX, "this_client", "httpx", task, passes=1),
        Contender(PEER, "m3ter_package", "httpx", task, passes=1),
        Contender(PEER_AIOHTTP, "m3ter_package", "aiohttp", task, passes=1),
    )


_UNDECODED = (
    Contender(OURS_RAW, "this_client", "aiohttp", "raw"),
    Contender(BY_HAND_RAW, "by_hand", "aiohttp", "raw"),
    Contender(OURS_TYPED, "this_client", "aiohttp", "typed"),
    Contender(BY_HAND_TYPED, "by_hand", "aiohttp", "typed"),
)

_PACKED = (
    Contender(OURS, "this_client", "aiohttp", "bills-gzip"),
    Contender(BY_HAND, "by_hand", "aiohttp", "bills-gzip"),
    Contender(OURS_RAW, "this_client", "aiohttp", "raw-gzip"),
    Contender(BY_HAND_RAW, "by_hand", "aiohttp", "raw-gzip"),
    Contender(PEER, "m3ter_package", "httpx", "bills-gzip", passes=1),
)

_BARE_HTTPX = Contender(BY_HAND_HTTPX, "by_hand", "httpx", "gets", passes=1)

_INGEST = (
    Contender(OURS, "this_client", "aiohttp", "ingest"),
    Contender(OURS_SEND, "this_client", "aiohttp", "send"),
    Contender(BY_HAND, "by_hand", "aiohttp", "ingest"),
    Contender(PEER, "m3ter_package", "httpx", "ingest", passes=1),
    Contender(PEER_AIOHTTP, "m3ter_package", "aiohttp", "ingest", passes=1),
)

WORKS = {
    "bills": Work(
        "Stream {count:,} bills of 40 line items of 3 bands, amounts as `Decimal`",
        "bills",
        2_000,
        200,
        _all("bills") + _UNDECODED,
    ),
    "gzip": Work("Stream {count:,} bills in compressed pages", "bills", 1_000, 200, _PACKED),
    "long": Work("Stream {count:,} bills: the memory", "bills", 20_000, 2_000, _all("bills")[:1], once=True),
    "transactions": Work("Stream {count:,} balance transactions", "transactions", 20_000, 2_000, _all("transactions")),
    "ingest": Work(
        "Send {count:,} measurements of two quantities in batches of 1000", "measurements", 200_000, 20_000, _INGEST
    ),
    "gets": Work("{count:,} small GETs, 100 in flight", "gets", 3_000, 500, (*_all("gets"), _BARE_HTTPX)),
}
WORKS["export"] = Work(
    "Export {count:,} bills to files",
    "bills",
    2_000,
    200,
    (
        Contender(PARQUET, "export_files", "aiohttp", "parquet"),
        Contender(NDJSON, "export_files", "aiohttp", "ndjson"),
        Contender(SCRIPT, "export_script", "httpx", "parquet", passes=1),
    ),
)
WORKS["export-gzip"] = Work(
    "Export {count:,} bills of compressed pages to files",
    "bills",
    1_000,
    200,
    (
        Contender(PARQUET, "export_files", "aiohttp", "parquet-gzip"),
        Contender(NDJSON, "export_files", "aiohttp", "ndjson-gzip"),
    ),
)
WORKS["export-long"] = Work(
    "Export {count:,} bills to files: the memory", "bills", 20_000, 2_000, WORKS["export"].contenders[:2], once=True
)
WORKS["export-slow"] = Work(
    "Export {count:,} bills of a service that takes 100 ms for a page of 10",
    "bills",
    2_000,
    400,
    (
        Contender(EIGHT_SLICES, "export_files", "aiohttp", "slow-8"),
        Contender(ONE_CURSOR, "export_files", "aiohttp", "slow-1", passes=1),
    ),
)
WORKS["export-processes"] = Work(
    "Export {count:,} bills to Parquet, by one process and by two",
    "bills",
    8_000,
    800,
    (
        Contender(ONE_PROCESS, "export_files", "aiohttp", "parquet-1", passes=1),
        Contender(TWO_PROCESSES, "export_files", "aiohttp", "parquet-2", passes=1),
    ),
)
IMPORT = "import"  # measured by its own means, see `benchmarks.imports`
NAMES = (*WORKS, IMPORT)
