"""Where the time goes: the stages of one bill, of one page and of one small GET, each by itself, in CPU time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import msgspec

from m3ter_async import AsyncM3ter
from m3ter_async._core.decoding import decoder
from m3ter_async._paging.page_splitting import split
from m3ter_async.models.balances import BalanceTransaction
from m3ter_async.models.bills import Bill
from m3ter_async.transports import AiohttpTransport, Request

from . import small_gets
from .measure import BALANCE, Settings
from .stage import HEADERS, Canned, Stage, client_of, least

BILLS, TRANSACTIONS = 100, 200  # of one page
PAGES = 10  # of transactions: from the second one on, they are decoded at once


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


async def run(settings: Settings) -> dict[str, Any]:
    """Every stage, in seconds; `count` is the number of small GETs."""
    transport = AiohttpTransport()
    try:
        values = await _bills(settings, transport)
        values |= await _transactions(settings, transport)
        values |= await small_gets.stages(settings, transport)
    finally:
        await transport.aclose()
    return {"values": values}


async def _bills(settings: Settings, transport: AiohttpTransport) -> dict[str, float]:
    """Of one bill."""
    url = f"{settings.url}/organizations/{BILLS}/bills?pageSize={BILLS}"
    body = (await transport.send(Request("GET", url, HEADERS))).content
    records = [bytes(record) for record in msgspec.json.decode(body, type=_Page).data]
    plain, exact = msgspec.json.Decoder(Bill, float_hook=Decimal), decoder(Bill)
    texts = _amounts(plain.decode(records[0]))
    client, canned = client_of(settings, transport, BILLS), client_of(settings, Canned(body), BILLS)
    packed = zlib.compress(body, 6, wbits=31)
    stages: dict[str, Stage] = {
        "reading": _reading(transport, url),
        "splitting": _each(split, [body]),
        "decoding": _each(plain.decode, records),
        "decimals": _each(lambda record: list(map(Decimal, texts)), records),
        "exact": _each(exact.decode, records),
        "whole": _drained(lambda: client.bills.list()),
        "zlib": _each(lambda data: zlib.decompress(data, 31), [packed]),
    }
    if find_spec("isal"):
        isal = import_module("isal.isal_zlib")
        stages["isal"] = _each(lambda data: isal.decompress(data, 31), [packed])
    if find_spec("pyarrow"):
        stages["arrow"] = _drained(lambda: canned.bills.list().arrow())
        stages["parquet"] = await _writing(canned)
    found = {f"bill_{name}": value / BILLS for name, value in (await least(settings, stages)).items()}
    return {
        **found,
        "bill_exactness": found["bill_exact"] - found["bill_decoding"],
        "bill_rest": found["bill_whole"] - sum(found[f"bill_{name}"] for name in ("reading", "splitting", "exact")),
        "bill_bytes": float(len(records[0])),
        "bill_amounts": float(len(texts)),
    }


async def _transactions(settings: Settings, transport: AiohttpTransport) -> dict[str, float]:
    """Of one page of transactions, which is decoded at once."""
    url = f"{settings.url}/organizations/{TRANSACTIONS}/balances/{BALANCE}/transactions?pageSize={TRANSACTIONS}"
    body = (await transport.send(Request("GET", url, HEADERS))).content
    page: Any = msgspec.defstruct("page", [("data", list[BalanceTransaction])])
    plain, exact = msgspec.json.Decoder(page, float_hook=Decimal), decoder(page)
    texts = _amounts(plain.decode(body))
    client = client_of(settings, transport, PAGES * TRANSACTIONS)
    found = await least(
        settings,
        {
            "reading": _reading(transport, url, PAGES),
            "decoding": _each(plain.decode, [body] * PAGES),
            "decimals": _each(lambda record: list(map(Decimal, texts)), [body] * PAGES),
            "exact": _each(exact.decode, [body] * PAGES),
            "whole": _drained(lambda: client.balances.transactions.list(BALANCE)),
        },
    )
    found = {name: value / PAGES for name, value in found.items()}
    return {
        **{f"page_{name}": value for name, value in found.items()},
        "page_exactness": found["exact"] - found["decoding"],
        "page_rest": found["whole"] - found["reading"] - found["exact"],
        "page_bytes": float(len(body)),
        "page_amounts": float(len(texts)),
    }


def _reading(transport: AiohttpTransport, url: str, times: int = 1) -> Stage:
    """What the transport costs."""

    async def stage() -> None:
        for _ in range(times):
            await transport.send(Request("GET", url, HEADERS))

    return stage


def _each(function: Callable[[Any], Any], values: list[Any]) -> Stage:
    """A function, called with each value."""

    async def stage() -> None:
        for value in values:
            function(value)

    return stage


def _drained(listing: Callable[[], Any]) -> Stage:
    """A listing of one page, read to its end."""

    async def stage() -> None:
        async for _ in listing():
            pass

    return stage


async def _writing(client: AsyncM3ter) -> Stage:
    """The tables of one page, written as Parquet."""
    pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    tables = [pa.table(batch) async for page in client.bills.list().arrow() for batch in page.tables.values()]

    async def stage() -> None:
        for table in tables:
            pq.write_table(table, pa.BufferOutputStream(), compression="zstd")

    return stage


def _amounts(value: Any) -> list[str]:
    """The amounts in a record, as the texts that they are made of."""
    if isinstance(value, Decimal):
        return [str(value)]
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for part in value for text in _amounts(part)] if isinstance(value, list | tuple) else []
