"""One of the processes that share a limit: asks for so many seconds, and prints how often it was let through."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

import anyio
import anyio.to_thread

from m3ter_async import APIError, AsyncM3ter, HttpxTransport
from m3ter_async.limits import limiter_at

from ..fakes import KEY, SECRET

AT_ONCE = 10  # calls of each organization: so many that the limit alone holds them back


async def main(url: str, where: str, seconds: float, organizations: list[str]) -> None:
    """Says that it is ready, begins when it is told to, and prints its passes and what else calls ended in."""
    passed = 0
    ends: set[str] = set()

    async def ask(client: AsyncM3ter, end: float) -> None:
        nonlocal passed
        while (left := end - time.monotonic()) > 0:
            try:
                await client.with_options(total_timeout=left).accounts.list(page_size=1)
                passed += 1
            except APIError as error:
                if time.monotonic() < end - 0.05:
                    ends.add(type(error).__name__)

    transport = HttpxTransport() if backend == "trio" else None
    options: dict[str, Any] = {"base_url": url, "limiter": limiter_at(where), "max_retries": 0, "transport": transport}
    async with AsyncM3ter(KEY, SECRET, f"warm-{os.getpid()}", **options) as m3ter:
        async with anyio.create_task_group() as tasks:  # connections are opened before it counts
            for _ in range(AT_ONCE * len(organizations)):
                tasks.start_soon(m3ter.request, "GET", "/organizations/{orgId}/accounts")
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        end = time.monotonic() + seconds
        async with anyio.create_task_group() as tasks:
            for organization in organizations:
                for _ in range(AT_ONCE):
                    tasks.start_soon(ask, m3ter.with_options(org_id=organization, bulk=bulk), end)
    print(passed, *sorted(ends), flush=True)


if __name__ == "__main__":
    _, backend, lane, url, where, seconds, *organizations = sys.argv
    bulk = lane == "bulk"
    logging.basicConfig(level=logging.WARNING)
    anyio.run(main, url, where, float(seconds), organizations, backend=backend)
