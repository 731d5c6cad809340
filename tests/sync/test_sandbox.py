"""Over the wire, beside a second client: a lake and a whole m3ter hold the same, whatever its page tokens are."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest

from m3ter_async import AsyncM3ter
from m3ter_async.sandbox import Sandbox
from m3ter_async.sync import lake_files, sync_lake

pytest.importorskip("pyarrow")

from m3ter_async._tabular.batches import RecordBatches
from m3ter_async._tabular.pyarrow_import import pq
from m3ter_async.models import BalanceTransaction, Bill

pytestmark = pytest.mark.anyio


def rows(lake: Path, resource: str, table: str) -> list[dict[str, Any]]:
    return [row for file in lake_files(lake, resource, table) for row in pq.ParquetFile(str(file)).read().to_pylist()]


def order(row: dict[str, Any]) -> list[str]:
    return [str(row.get(name)) for name in ("bill_id", "line_item_position", "position", "id")]


async def there(m3ter: AsyncM3ter) -> dict[str, list[dict[str, Any]]]:
    """The tables of all bills, read whole."""
    records = await m3ter.bills.list(include_bill_total=True).raw().collect()
    made = RecordBatches(Bill, "bills")(records)
    return {
        name: sorted((row for batch in batches for row in batch.to_pylist()), key=order)
        for name, batches in made.tables.items()
    }


async def changed(m3ter: AsyncM3ter, random: Random) -> None:
    """One thing that a second client does."""
    bills = await m3ter.bills.list(locked=False, exclude_line_items=True).collect()
    bill = random.choice(bills)
    assert bill.id is not None
    match random.randrange(5):
        case 0:
            await m3ter.bills.delete(bill.id)
        case 1 if bill.status == "APPROVED":
            await m3ter.bills.lock(bill.id)
        case 2:
            await m3ter.bills.update_status(bill.id, status="PENDING")
        case 3:
            await m3ter.bills.update_status(bill.id, status="APPROVED")
        case _:
            await m3ter.bills.credit_line_items.create(
                bill.id,
                accounting_product_id="p",
                amount=Decimal(random.randrange(1, 10**9)).scaleb(-6),
                description="credit",
                product_id="p",
                referenced_bill_id=bill.id,
                referenced_line_item_id="l",
                service_period_start_date="2025-01-01T00:00:00Z",
                service_period_end_date="2025-02-01T00:00:00Z",
            )


@pytest.mark.parametrize("cursors", ["place", "offset"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # a server has a thread and a loop of its own
async def test_a_lake_holds_what_the_sandbox_holds(cursors: Literal["place", "offset"], tmp_path: Path) -> None:
    random = Random(5)
    with Sandbox(bills=110, cursors=cursors) as box:
        async with AsyncM3ter(box.api_key, box.api_secret, box.org_id, base_url=box.url, rate_limit=None) as m3ter:
            for _ in range(3):
                await sync_lake(m3ter, "bills", tmp_path)
                truth = await there(m3ter)
                for table in truth:
                    assert sorted(rows(tmp_path, "bills", table), key=order) == truth[table]
                for _ in range(6):
                    await changed(m3ter, random)
            await sync_lake(m3ter, "balances.transactions", tmp_path)
            records: list[bytes] = []
            async for balance in m3ter.balances.list():
                assert balance.id is not None
                records += await m3ter.balances.transactions.list(balance.id).raw().collect()
            found = {row["id"]: row["amount"] for row in rows(tmp_path, "balances.transactions", "transactions")}
            (batch,) = RecordBatches(BalanceTransaction, "transactions")(records).tables["transactions"]
            assert found == {row["id"]: row["amount"] for row in batch.to_pylist()}
