"""The reference: what a good programmer writes by hand for exactly these works, with aiohttp and msgspec.

It has no limits, no login, no errors of its own and knows these few paths only. Where the service refuses now and then
it has the few lines of retry that such a programmer adds, and else none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from random import random
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp
import msgspec

from ..data import measurements
from . import records
from .measure import BALANCE, BILLS_PER_PAGE, TOKEN, TRANSACTIONS_PER_PAGE, Settings

_T = TypeVar("_T")
BATCH = 1000
SENDERS = 16
REPEATS = 5


class Page(msgspec.Struct, rename="camel"):
    """A page whose records are not decoded yet: slices of its one body."""

    data: list[msgspec.Raw]
    next_token: str | None = None


class TransactionPage(msgspec.Struct, rename="camel"):
    """A page small enough (110 KB) to decode at once."""

    data: list[records.Transaction]
    next_token: str | None = None


_encoder = msgspec.json.Encoder(decimal_format="number")
_page = msgspec.json.Decoder(Page)
_transaction_page = msgspec.json.Decoder(TransactionPage)
_bill = msgspec.json.Decoder(records.Bill)
_bill_total = msgspec.json.Decoder(records.BillTotal)
_bill_job = msgspec.json.Decoder(records.BillJob)


class Contender:
    """Plain loops over one session."""

    exact = True

    def __init__(self, settings: Settings) -> None:
        self._base = f"{settings.url}/organizations/{settings.org_id}"

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"})

    async def close(self) -> None:
        await self._session.close()

    async def bills(self) -> AsyncIterator[records.Bill]:
        async for record in self.raw():
            yield _bill.decode(record)

    async def typed(self) -> AsyncIterator[records.BillTotal]:
        async for record in self.raw():
            yield _bill_total.decode(record)

    async def raw(self) -> AsyncIterator[msgspec.Raw]:
        url = f"{self._base}/bills?pageSize={BILLS_PER_PAGE}"
        upcoming = asyncio.create_task(self._get(url, _page))
        while True:
            page = await upcoming
            token = page.next_token
            if token:
                upcoming = asyncio.create_task(self._get(f"{url}&nextToken={token}", _page))
            waiting = page.data[::-1]
            del page  # every record left keeps the whole body in memory
            while waiting:
                yield waiting.pop()
                await asyncio.sleep(0)
            if not token:
                return

    async def transactions(self) -> AsyncIterator[records.Transaction]:
        url = f"{self._base}/balances/{BALANCE}/transactions?pageSize={TRANSACTIONS_PER_PAGE}"
        upcoming = asyncio.create_task(self._get(url, _transaction_page))
        while True:
            page = await upcoming
            if page.next_token:
                upcoming = asyncio.create_task(self._get(f"{url}&nextToken={page.next_token}", _transaction_page))
            for record in page.data:
                yield record
            if not page.next_token:
                return

    async def get(self, identifier: str) -> records.BillJob:
        return await self._get(f"{self._base}/billjobs/{identifier}", _bill_job)

    def measurements(self, count: int) -> Iterator[dict[str, Any]]:
        return measurements(count)

    async def ingest(self, rows: Iterator[dict[str, Any]]) -> int:
        requests = 0

        async def sender() -> None:
            nonlocal requests
            while batch := [{"uid": uuid4().hex, **row} for row in islice(rows, BATCH)]:
                requests += 1
                body = _encoder.encode({"measurements": batch})
                headers = {"Content-Type": "application/json"}
                async with self._session.post(f"{self._base}/measurements", data=body, headers=headers) as answer:
                    answer.raise_for_status()
                    await answer.read()

        await asyncio.gather(*[sender() for _ in range(SENDERS)])
        return requests

    async def send(self, rows: Iterator[dict[str, Any]]) -> int:
        raise NotImplementedError

    async def _get(self, url: str, decoder: msgspec.json.Decoder[_T]) -> _T:
        async with self._session.get(url) as answer:
            answer.raise_for_status()
            return decoder.decode(await answer.read())


class RetryingContender(Contender):
    """The same calls, sent again where the service asks for it or is not there."""

    async def _get(self, url: str, decoder: msgspec.json.Decoder[_T]) -> _T:
        for attempt in range(REPEATS):
            async with self._session.get(url) as answer:
                if answer.status != 429 and answer.status < 500:
                    answer.raise_for_status()
                    return decoder.decode(await answer.read())
                wait = answer.headers.get("Retry-After") or random() * 2**attempt / 2
            await asyncio.sleep(float(wait))
        return await super()._get(url, decoder)


class HttpxContender(Contender):
    """The same calls over one httpx client."""

    async def open(self) -> None:
        import httpx

        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self._client = httpx.AsyncClient(headers=headers, limits=limits, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def _get(self, url: str, decoder: msgspec.json.Decoder[_T]) -> _T:
        answer = await self._client.get(url)
        answer.raise_for_status()
        return decoder.decode(answer.content)
