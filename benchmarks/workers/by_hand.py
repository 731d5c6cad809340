"""The reference: what a good programmer writes by hand for exactly these works, with aiohttp and msgspec.

It has no limits, no login, no errors of its own and knows these few paths only. Where the service refuses now and then
it has the few lines of retry that such a programmer adds, and else none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from operator import attrgetter
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


class CheckingContender(Contender):
    """The same loops, with a look at each amount and each moment, as the client's is: is it what came?"""

    async def bills(self) -> AsyncIterator[records.Bill]:
        async for record in self.raw():
            bill = _bill.decode(record)
            _check_moments(bytes(record))
            _check([bill.bill_total, *[each.multiplier for each in bill.currency_conversions or ()]])
            for item in bill.line_items or ():
                _check(_amounts_of_item(item))
                for band in item.usage_per_pricing_band or ():
                    _check(_amounts_of_band(band))
            yield bill

    async def transactions(self) -> AsyncIterator[records.Transaction]:
        async for record in super().transactions():
            _check((record.amount, record.paid))
            yield record

    async def _get(self, url: str, decoder: msgspec.json.Decoder[_T]) -> _T:
        async with self._session.get(url) as answer:
            answer.raise_for_status()
            body = await answer.read()
            if decoder is _transaction_page:
                _check_moments(body)
            return decoder.decode(body)


_amounts_of_item = attrgetter(
    "quantity", "units", "subtotal", "conversion_rate", "converted_subtotal", "average_unit_price"
)
_amounts_of_band = attrgetter(
    *("lower_limit", "fixed_price", "unit_subtotal", "unit_price"),
    *("band_units", "band_quantity", "band_subtotal", "converted_band_subtotal"),
)
_too_fine = re.compile(rb":[0-9][0-9]\.[0-9]{7}").search


def _check(amounts: Iterable[Decimal | None]) -> None:
    for amount in amounts:
        if amount is not None and not amount.is_finite():
            raise ValueError("an amount that is no number")


def _check_moments(body: bytes) -> None:
    if _too_fine(body):
        raise ValueError("a moment that is finer than a microsecond")


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
