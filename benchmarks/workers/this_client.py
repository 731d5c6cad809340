"""m3ter_async, through its public interface and with its own defaults but for the client-side rate limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from m3ter_async import AsyncM3ter

from ..data import measurements
from .measure import ACCOUNTS_PER_PAGE, BALANCE, BILLS_PER_PAGE, IN_FLIGHT, TOKEN, TRANSACTIONS_PER_PAGE, Settings
from .records import BillTotal


class Contender:
    """The client over aiohttp, its default, over httpx, or over an httpx client of the caller's."""

    exact = True

    def __init__(self, settings: Settings, org_id: str | None = None) -> None:
        self._settings = settings
        self._org_id = org_id or settings.org_id

    async def open(self) -> None:
        self._own: Any = _httpx_client() if self._settings.backend == "own_httpx" else None
        self._client = AsyncM3ter(
            token=TOKEN,
            org_id=self._org_id,
            base_url=self._settings.url,
            rate_limit=None,  # 50 requests a second are the service's limit, not what is measured
            transport=_httpx_transport(self._own) if self._settings.backend.endswith("httpx") else None,
        )

    async def close(self) -> None:
        await self._client.aclose()
        if self._own is not None:
            await self._own.aclose()

    def bills(self) -> AsyncIterator[Any]:
        return aiter(self._client.bills.list(page_size=BILLS_PER_PAGE))

    def raw(self) -> AsyncIterator[Any]:
        return aiter(self._client.bills.list(page_size=BILLS_PER_PAGE).raw())

    def typed(self) -> AsyncIterator[BillTotal]:
        return aiter(self._client.bills.list(page_size=BILLS_PER_PAGE).as_type(BillTotal))

    def transactions(self) -> AsyncIterator[Any]:
        return aiter(self._client.balances.transactions.list(BALANCE, page_size=TRANSACTIONS_PER_PAGE))

    def accounts(self) -> AsyncIterator[Any]:
        return aiter(self._client.accounts.list(page_size=ACCOUNTS_PER_PAGE))

    async def get(self, identifier: str) -> Any:
        return await self._client.bill_jobs.retrieve(identifier)

    def measurements(self, count: int) -> Iterator[dict[str, Any]]:
        return measurements(count)

    async def ingest(self, rows: Iterator[dict[str, Any]]) -> int:
        return (await self._client.ingest_all(rows)).requests

    async def send(self, rows: Iterator[dict[str, Any]]) -> int:
        async with self._client.ingest() as ingest:
            for row in rows:
                await ingest.send(**row)
        return ingest.requests


def _httpx_transport(client: Any) -> Any:
    from m3ter_async.transports import HttpxTransport

    return HttpxTransport(client)


def _httpx_client() -> Any:
    import httpx

    # as the loop by hand makes its own
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    return httpx.AsyncClient(limits=limits, trust_env=False)
