"""A sync of records that are all known: what each of them costs, whatever their number."""

from __future__ import annotations

from typing import Any

from m3ter_async import AsyncM3ter
from m3ter_async.sync import Known, changes

from .measure import ACCOUNTS_PER_PAGE, TOKEN, Settings
from .watch import peak_memory, watched


async def run(settings: Settings) -> dict[str, Any]:
    """A first sync, so that all are known, and then the one that is measured."""
    known = Known()
    async with AsyncM3ter(token=TOKEN, org_id=settings.org_id, base_url=settings.url, rate_limit=None) as client:
        async for _ in changes(client, settings.task, known, arrow=False):
            pass
        changed = 0
        async with watched() as taken:
            async for change in changes(client, settings.task, known, arrow=False):
                changed += len(change.ids) + len(change.deletes)
    return {
        **taken,
        "calls": -(-settings.count // ACCOUNTS_PER_PAGE),
        "rows": len(known) - changed,
        "peak_memory": peak_memory(),
    }
