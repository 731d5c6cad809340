"""One client, and a view of it for each of so many organizations, each of which has a rate limit of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from m3ter_async import AsyncM3ter

from .measure import IN_FLIGHT, TOKEN, WARM_UP, Settings
from .watch import peak_memory, watched

RATE = 1e6  # requests a second, so that the limits are there and hold nothing back


async def run(settings: Settings) -> dict[str, Any]:
    """As many GETs whatever the number of organizations; making the views counts."""
    organizations = int(settings.task.removeprefix("organizations-"))
    async with AsyncM3ter(token=TOKEN, org_id="0", base_url=settings.url, rate_limit=RATE) as client:
        await _gets([client], WARM_UP)
        async with watched() as taken:
            views = [client.with_options(org_id=f"o{number}_{settings.count}") for number in range(organizations)]
            answered = await _gets(views, settings.count)
        return {**taken, "calls": settings.count, "rows": answered, "peak_memory": peak_memory()}


async def _gets(views: list[AsyncM3ter], count: int) -> int:
    waiting = iter(range(count))
    answered = 0

    async def caller() -> None:
        nonlocal answered
        for number in waiting:
            identifier = f"5ca1ab1e-0000-4000-8000-{number:012d}"
            answer = await views[number % len(views)].bill_jobs.retrieve(identifier)
            answered += answer.id == identifier

    await asyncio.gather(*[caller() for _ in range(IN_FLIGHT)])
    return answered
