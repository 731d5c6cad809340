"""m3ter_async's export, in a folder that is removed when the clock has stopped."""

from __future__ import annotations

import sys
import zlib
from tempfile import TemporaryDirectory
from typing import Any

from m3ter_async.export import export

from . import this_client
from .measure import Settings

LATENCY = 100  # milliseconds a page, where that is what is measured
SLICES = 8


class Contender(this_client.Contender):
    """The task says which format, how many cursors against a slow service, or how many processes."""

    def __init__(self, settings: Settings) -> None:
        slow = settings.task.startswith("slow")
        super().__init__(settings, org_id=f"{settings.count}-{LATENCY}" if slow else settings.org_id)

    async def open(self) -> None:
        self._folder = TemporaryDirectory(prefix="export-")
        await super().open()
        if self._settings.task.startswith("parquet"):
            # loading pyarrow, and pandas behind its first array where that is there, is not what is measured
            from m3ter_async._tabular.pyarrow_import import pa

            pa.array([""])

    async def close(self) -> None:
        await super().close()
        self._folder.cleanup()  # not while the clock runs: removing a gigabyte takes a third of a second

    async def export(self, task: str) -> dict[str, Any]:
        """Every bill of the year."""
        concurrency = 1 if task == "slow-1" else SLICES
        processes = int(task.removeprefix("parquet-")) if task.startswith("parquet-") else 1
        report = await export(
            self._client,
            ["bills"],
            self._folder.name,
            format="parquet" if task.startswith("parquet") else "ndjson",
            since="2024-01-01",
            until="2025-01-01",
            concurrency=concurrency,
            processes=processes,
        )
        seen = {"calls": report.pages, "rows": report.records["bills"], "json_bytes": report.bytes}
        items = report.rows["bills"].get("line_items")
        return seen if items is None else {**seen, "line_items": items}


class ZlibContender(Contender):
    """The same as if isal were not installed."""

    async def open(self) -> None:
        sys.modules["isal"] = None  # type: ignore[assignment]  # as Python has it for what cannot be imported
        from m3ter_async.transports import decompression

        assert decompression.library is zlib, "isal was there before"
        await super().open()
