"""The stages of one small GET with a hundred in flight, beside what the libraries below take for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import aiohttp
import msgspec

from m3ter_async.models.bill_jobs import BillJob
from m3ter_async.transports import AiohttpTransport, Request

from .measure import IN_FLIGHT, Settings
from .stage import HEADERS, Canned, Stage, client_of, least

ORGANIZATION = 1
JOB = "5ca1ab1e-0000-4000-8000-000000000000"


async def stages(settings: Settings, transport: AiohttpTransport) -> dict[str, float]:
    """Of one GET; `count` is how many are made."""
    url, count = f"{settings.url}/organizations/{ORGANIZATION}/billjobs/{JOB}", settings.count
    body = (await transport.send(Request("GET", url, HEADERS))).content
    decode = msgspec.json.Decoder(BillJob, float_hook=Decimal).decode
    client, canned = client_of(settings, transport, ORGANIZATION), client_of(settings, Canned(body), ORGANIZATION)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:

        async def bare() -> None:
            async with session.get(url) as answer:
                await answer.read()

        async def decoding() -> None:
            decode(body)

        found = await least(
            settings,
            {
                "bare": _in_flight(bare, count),
                "transport": _in_flight(lambda: transport.send(Request("GET", url, HEADERS)), count),
                "core": _in_flight(lambda: canned.bill_jobs.retrieve(JOB), count),
                "decoding": _in_flight(decoding, count),
                "whole": _in_flight(lambda: client.bill_jobs.retrieve(JOB), count),
            },
        )
    found = {name: value / count for name, value in found.items()}
    return {
        **{f"get_{name}": value for name, value in found.items()},
        "get_core": found["core"] - found["decoding"],
        "get_rest": found["whole"] - found["transport"] - found["core"],
        **(await _httpx(settings, url, count // 2) if find_spec("httpx") else {}),
    }


async def _httpx(settings: Settings, url: str, count: int) -> dict[str, float]:
    """One GET of a bare httpx client, with a hundred in flight and with one."""
    httpx = import_module("httpx")
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    # one of its own for a single caller: a pool looks through all of its idle connections for each request
    async with (
        httpx.AsyncClient(headers=HEADERS, limits=limits, trust_env=False) as many,
        httpx.AsyncClient(headers=HEADERS, limits=limits, trust_env=False) as one,
    ):
        found = await least(
            settings,
            {
                "many": _in_flight(lambda: many.get(url), count),
                "few": _in_flight(lambda: one.get(url), count, callers=1),
            },
        )
    return {"httpx_many": found["many"] / count, "httpx_few": found["few"] / count}


def _in_flight(call: Callable[[], Awaitable[Any]], count: int, callers: int = IN_FLIGHT) -> Stage:
    """So many calls by so many callers, as the benchmark of small GETs has them."""

    async def stage() -> None:
        waiting = iter(range(count))

        async def caller() -> None:
            for _ in waiting:
                await call()

        await asyncio.gather(*[caller() for _ in range(callers)])

    return stage
