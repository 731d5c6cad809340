"""The figures of exports."""

from __future__ import annotations

from collections.abc import Mapping

from . import contenders as by
from .contest import Outcome
from .figure import Figure, memory, speed, throughput

# Twice what was measured on a machine of two cores before the work on speed: 60.7 MB/s.
PARQUET_ASKED = 121

_ARROW = "making Arrow tables and compressing them: {bill_arrow} and {bill_parquet} a bill of {bill_bytes} bytes"
_GROUPS = "pyarrow, its threads and row groups, and a few pages of 8 MB"


def file_figures(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    """What an export promises."""
    files, packed, long = (outcomes.get(name) for name in ("export", "export-gzip", "export-long"))
    slow, side_by_side = outcomes.get("export-slow"), outcomes.get("export-processes")
    return [
        throughput("export to Parquet, JSON read", PARQUET_ASKED, files, by.PARQUET, _ARROW),
        throughput(
            "export to NDJSON, JSON read",
            200,
            files,
            by.NDJSON,
            "reading and splitting, and writing to the disk: {bill_reading} and {bill_splitting} a bill",
        ),
        speed(
            "export of compressed pages to NDJSON, times as fast as without isal",
            1.3,
            packed,
            by.NDJSON_ZLIB,
            by.NDJSON,
            "what is not inflating: inflating takes {bill_isal} a bill by isal, {bill_zlib} by zlib",
        ),
        speed("export to Parquet, times as fast as m3ter and pandas", 1, files, by.SCRIPT, by.PARQUET, _ARROW),
        memory("export to Parquet, peak memory at ten times the bills", 250, long, by.PARQUET, _GROUPS),
        memory(
            "export to NDJSON, peak memory at ten times the bills",
            250,
            long,
            by.NDJSON,
            "the interpreter with its libraries, and a few pages of 8 MB",
        ),
        speed(
            "export in 8 slices, times as fast as by one cursor, at 100 ms a page",
            6,
            slow,
            by.ONE_CURSOR,
            by.EIGHT_SLICES,
            "the service: no more than 8 pages are under way, and slices end at different times",
            cpu=False,
        ),
        speed(
            "export to Parquet by two processes on two cores, times as fast as by one",
            1.6,
            side_by_side,
            by.ONE_PROCESS,
            by.TWO_PROCESSES,
            "two cores, which the server of this benchmark needs as well",
            cpu=False,
        ),
    ]
