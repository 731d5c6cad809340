"""m3ter's own package, 0.9.0, as its documentation shows it, with httpx or with aiohttp below.

Its async client cannot log in, so it is given a token. It has no way to leave a bill undecoded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from m3ter import AsyncM3ter, DefaultAioHttpClient

from ..data import measurements
from .measure import BALANCE, BILLS_PER_PAGE, TOKEN, TRANSACTIONS_PER_PAGE, Settings


class Contender:
    """The client with its own defaults for timeouts, retries and connections."""

    exact = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def open(self) -> None:
        self._client: Any = AsyncM3ter(
            api_key="unused",
            api_secret="unused",
            token=TOKEN,
            org_id=self._settings.org_id,
            base_url=self._settings.url,
            http_client=DefaultAioHttpClient() if self._settings.backend == "aiohttp" else None,
        )

    async def close(self) -> None:
        await self._client.close()

    def bills(self) -> AsyncIterator[Any]:
        return aiter(self._client.bills.list(page_size=BILLS_PER_PAGE))

    def raw(self) -> AsyncIterator[Any]:
        raise NotImplementedError

    def typed(self) -> AsyncIterator[Any]:
        raise NotImplementedError

    def transactions(self) -> AsyncIterator[Any]:
        return aiter(self._client.balances.transactions.list(BALANCE, page_size=TRANSACTIONS_PER_PAGE))

    async def get(self, identifier: str) -> Any:
        return await self._client.bill_jobs.retrieve(identifier)

    def measurements(self, count: int) -> Iterator[dict[str, Any]]:
        return measurements(count, float)

    async def ingest(self, rows: Iterator[dict[str, Any]]) -> int:
        requests = 0
        async for _ in self._client.usage.submit_all(measurements=rows):
            requests += 1
        return requests

    async def send(self, rows: Iterator[dict[str, Any]]) -> int:
        raise NotImplementedError
