"""Who takes part, by the names that the tables show."""

from __future__ import annotations

from dataclasses import dataclass

NODE = "node"  # that m3ter's package for it is there, see `benchmarks.typescript`


@dataclass(frozen=True)
class Contender:
    """One way to do a work.

    Attributes:
        module: The module in `benchmarks.workers`, or the file for node there.
        backend: What the module is told to use.
        task: What it is asked for, see `benchmarks.workers.measure`.
        passes: How often it runs in a round: those that take a second, more often than those that take ten.
        times: How many times the work's count is done by it.
        needs: The package without which it is left out.
    """

    name: str
    module: str
    backend: str
    task: str
    passes: int = 2
    times: int = 1
    needs: str = ""


OURS = "m3ter-async"
OURS_HTTPX = "m3ter-async (httpx)"
OURS_OWN_HTTPX = "m3ter-async (httpx, a client of yours)"
OURS_UVLOOP = "m3ter-async, uvloop"
OURS_RAW = "m3ter-async, .raw()"
OURS_TYPED = "m3ter-async, .as_type()"
OURS_SEND = "m3ter-async, send() for each"
BY_HAND = "by hand, aiohttp + msgspec"
BY_HAND_HTTPX = "by hand, httpx + msgspec"
BY_HAND_UVLOOP = "by hand, uvloop"
BY_HAND_RAW = "by hand, raw"
BY_HAND_TYPED = "by hand, three fields"
BY_HAND_CHECKING = "by hand, with a look at each value"
BY_HAND_RETRYING = "by hand, with retries"
PARQUET = "m3ter-async, Parquet"
NDJSON = "m3ter-async, NDJSON"
NDJSON_ZLIB = "m3ter-async, NDJSON, without isal"
EIGHT_SLICES = "m3ter-async, 8 slices"
ONE_CURSOR = "m3ter-async, one cursor"
ONE_PROCESS = "m3ter-async, one process"
TWO_PROCESSES = "m3ter-async, two processes"
SCRIPT = "m3ter 0.9.0 and pandas, Parquet"
PEER = "m3ter 0.9.0 (httpx)"
PEER_AIOHTTP = "m3ter 0.9.0 (aiohttp)"
TYPESCRIPT = "m3ter-sdk 0.3.1 (node)"
BEGIN, BEGIN_WARM = "aiohttp", "aiohttp, after warm_up()"
BEGIN_CERTIFICATES = "aiohttp, SSL_CERT_FILE set"
BEGIN_HTTPX, BEGIN_HTTPX_WARM = "httpx", "httpx, after warm_up()"
ONCE, TEN_TIMES, HUNDRED_TIMES = "at once", "ten times", "a hundred times"
ONE_ORGANIZATION, HUNDRED_ORGANIZATIONS = "1 organization", "100 organizations"
THOUSAND_ORGANIZATIONS = "1,000 organizations"
GETS_OF_NONE_REFUSED = "m3ter-async, nothing refused"


def all_clients(task: str) -> tuple[Contender, ...]:
    """Those who can do every work of reading."""
    return (
        Contender(OURS, "this_client", "aiohttp", task),
        Contender(BY_HAND, "by_hand", "aiohttp", task),
        Contender(OURS_HTTPX, "this_client", "httpx", task, passes=1),
        Contender(PEER, "m3ter_package", "httpx", task, passes=1),
        Contender(PEER_AIOHTTP, "m3ter_package", "aiohttp", task, passes=1),
        Contender(TYPESCRIPT, "m3ter_package.mjs", "fetch", task, passes=1, needs=NODE),
    )


def streaming(task: str) -> tuple[Contender, ...]:
    """The same, and by hand with what this client looks at besides."""
    clients = all_clients(task)
    return (*clients[:2], Contender(BY_HAND_CHECKING, "by_hand", "checking", task), *clients[2:])


def refused(task: str) -> tuple[Contender, ...]:
    """Those who send again what was refused."""
    return (
        Contender(OURS, "this_client", "aiohttp", f"{task}-faults"),
        Contender(BY_HAND_RETRYING, "by_hand", "retrying", f"{task}-faults"),
        Contender(PEER, "m3ter_package", "httpx", f"{task}-faults", passes=1),
        Contender(PEER_AIOHTTP, "m3ter_package", "aiohttp", f"{task}-faults", passes=1),
    )


def growing(module: str, task: str) -> tuple[Contender, ...]:
    """One client, with ten and with a hundred times as much to do."""
    return tuple(
        Contender(name, module, "aiohttp", task, passes=1, times=times)
        for name, times in ((ONCE, 1), (TEN_TIMES, 10), (HUNDRED_TIMES, 100))
    )


UNDECODED = (
    Contender(OURS_RAW, "this_client", "aiohttp", "raw"),
    Contender(BY_HAND_RAW, "by_hand", "aiohttp", "raw"),
    Contender(OURS_TYPED, "this_client", "aiohttp", "typed"),
    Contender(BY_HAND_TYPED, "by_hand", "aiohttp", "typed"),
)
PACKED = (
    Contender(OURS, "this_client", "aiohttp", "bills-gzip"),
    Contender(BY_HAND, "by_hand", "aiohttp", "bills-gzip"),
    Contender(OURS_RAW, "this_client", "aiohttp", "raw-gzip"),
    Contender(BY_HAND_RAW, "by_hand", "aiohttp", "raw-gzip"),
    Contender(PEER, "m3ter_package", "httpx", "bills-gzip", passes=1),
)
MORE_GETS = (
    Contender(BY_HAND_HTTPX, "by_hand", "httpx", "gets", passes=1),
    Contender(OURS_OWN_HTTPX, "this_client", "own_httpx", "gets", passes=1),
    Contender(OURS_UVLOOP, "this_client", "uvloop", "gets", needs="uvloop"),
    Contender(BY_HAND_UVLOOP, "by_hand", "uvloop", "gets", needs="uvloop"),
)
INGEST = (
    Contender(OURS, "this_client", "aiohttp", "ingest"),
    Contender(OURS_SEND, "this_client", "aiohttp", "send"),
    Contender(BY_HAND, "by_hand", "aiohttp", "ingest"),
    Contender(PEER, "m3ter_package", "httpx", "ingest", passes=1),
    Contender(PEER_AIOHTTP, "m3ter_package", "aiohttp", "ingest", passes=1),
)
FILES = (
    Contender(PARQUET, "export_files", "aiohttp", "parquet"),
    Contender(NDJSON, "export_files", "aiohttp", "ndjson"),
    Contender(SCRIPT, "export_script", "httpx", "parquet", passes=1),
)
PACKED_FILES = (
    Contender(PARQUET, "export_files", "aiohttp", "parquet-gzip"),
    Contender(NDJSON, "export_files", "aiohttp", "ndjson-gzip"),
    Contender(NDJSON_ZLIB, "export_files", "zlib", "ndjson-gzip"),
)
SLOW_FILES = (
    Contender(EIGHT_SLICES, "export_files", "aiohttp", "slow-8"),
    Contender(ONE_CURSOR, "export_files", "aiohttp", "slow-1", passes=1),
)
PROCESSES = (
    Contender(ONE_PROCESS, "export_files", "aiohttp", "parquet-1", passes=1),
    Contender(TWO_PROCESSES, "export_files", "aiohttp", "parquet-2", passes=1),
)
ORGANIZATIONS = (
    Contender(ONE_ORGANIZATION, "organizations", "aiohttp", "organizations-1"),
    Contender(HUNDRED_ORGANIZATIONS, "organizations", "aiohttp", "organizations-100"),
    Contender(THOUSAND_ORGANIZATIONS, "organizations", "aiohttp", "organizations-1000"),
)
BEGINNINGS = (
    Contender(BEGIN, "beginning", "aiohttp", "cold"),
    Contender(BEGIN_WARM, "beginning", "aiohttp", "warm"),
    Contender(BEGIN_CERTIFICATES, "beginning", "aiohttp", "certificates", needs="certifi"),
    Contender(BEGIN_HTTPX, "beginning", "httpx", "cold"),
    Contender(BEGIN_HTTPX_WARM, "beginning", "httpx", "warm"),
)
