"""One of the processes that share a limit: asks for so many seconds, and prints how often it was let through."""

from __future__ import annotations

import sys
import time

import anyio

from m3ter_async import AsyncM3ter
from m3ter_async.errors import RateLimitError
from m3ter_async.limits import HostLimiter, Limiter, RedisLimiter

from ..fakes import KEY, SECRET


def limiter(where: str) -> Limiter:
    return RedisLimiter(where) if where.startswith("redis:") else HostLimiter(where)


async def main(url: str, where: str, seconds: float, organizations: list[str]) -> None:
    """Calls with enough of them in flight that the limit alone holds them back."""
    passed = refused = 0
    end = time.monotonic() + seconds

    async def ask(client: AsyncM3ter) -> None:
        nonlocal passed, refused
        while time.monotonic() < end:
            try:
                await client.with_options(total_timeout=max(0.01, end - time.monotonic())).accounts.list(page_size=1)
                passed += 1
            except RateLimitError:
                refused += 1
            except Exception:  # noqa: BLE001  its time was over
                return

    async with AsyncM3ter(KEY, SECRET, organizations[0], base_url=url, limiter=limiter(where), max_retries=0) as m3ter:
        await m3ter.warm_up()
        async with anyio.create_task_group() as tasks:
            for organization in organizations:
                for _ in range(10):
                    tasks.start_soon(ask, m3ter.with_options(org_id=organization))
    print(passed, refused, flush=True)


if __name__ == "__main__":
    _, url, where, seconds, *organizations = sys.argv
    anyio.run(main, url, where, float(seconds), organizations)
