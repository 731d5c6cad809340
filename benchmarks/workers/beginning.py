"""How long the event loop stands still while a client is made, and while it is called for the first time."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from m3ter_async import AsyncM3ter

from .measure import Settings
from .watch import peak_memory, watched

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # with any of them, a file is read


async def run(settings: Settings) -> dict[str, Any]:
    """Make a client with a key, warm it up or not, and call."""
    for name in CERTIFICATES:
        os.environ.pop(name, None)
    if settings.task == "certificates":
        os.environ["SSL_CERT_FILE"] = import_module("certifi").where()
    transport = _httpx_transport() if settings.backend == "httpx" else None  # imported where an application begins
    async with watched() as making:
        client = AsyncM3ter("key", "secret", "1", base_url=settings.url, transport=transport and transport())
    async with client:
        async with watched() as warming:
            if settings.task == "warm":
                await client.warm_up()
        async with watched() as calling:
            job = await client.bill_jobs.retrieve("00")
    phases = (making, warming, calling)
    return {
        "seconds": sum(phase["seconds"] for phase in phases),
        "cpu": sum(phase["cpu"] for phase in phases),
        "stall": max(phase["stall"] for phase in phases),
        "making": making["seconds"],
        "making_stall": making["stall"],
        "warming": warming["seconds"],
        "warming_stall": warming["stall"],
        "first_call": calling["seconds"],
        "first_call_stall": calling["stall"],
        "calls": 1,
        "rows": int(job.id == "00"),
        "peak_memory": peak_memory(),
    }


def _httpx_transport() -> Any:
    from m3ter_async.transports import HttpxTransport

    return HttpxTransport
