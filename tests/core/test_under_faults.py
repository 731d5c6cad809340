"""The client against a sandbox that fails every fifth request: nothing is lost, and nothing is posted twice."""

from __future__ import annotations

from collections import Counter
from decimal import Context, Decimal, localcontext

import pytest

from m3ter_async import APIError, AsyncM3ter
from m3ter_async.sandbox import Faults, Sandbox

from ..fakes import FakeClock
from ..wire import Pair

FAULTS = Faults(error_rate=0.1, drop_rate=0.05, cut_rate=0.05, login=True, retry_after=1)


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


def open_client(sandbox: Sandbox, pair: Pair) -> AsyncM3ter:
    return AsyncM3ter(
        sandbox.api_key,
        sandbox.api_secret,
        sandbox.org_id,
        base_url=sandbox.url,
        transport=pair.transport(),
        max_retries=20,
        _clock=FakeClock(),
    )


async def test_every_row_and_digit_arrives_through_a_failing_service(pair: Pair) -> None:
    sums: Counter[str] = Counter()
    ids: list[str] = []
    with localcontext(Context(prec=100)):
        totals: dict[str, Decimal] = {}
        async with Sandbox(seed=5, bills=300, faults=FAULTS) as sandbox:
            async with open_client(sandbox, pair) as m3ter:
                async for bill in m3ter.bills.list(page_size=10):
                    ids.append(bill.id)
                    for item in bill.line_items or ():
                        sums["line items"] += 1
                        currency = bill.currency or ""
                        totals[currency] = totals.get(currency, Decimal()) + item.subtotal
            truth = sandbox.truth()
            assert sandbox.requests["ListBills"] > 30
        assert len(ids) == len(set(ids)) == truth.bills
        assert sums["line items"] == truth.line_items
        assert totals == truth.line_item_subtotals


async def test_no_transaction_is_applied_twice_and_every_doubt_is_told(pair: Pair) -> None:
    async with Sandbox(seed=5, bills=20, faults=FAULTS) as sandbox, open_client(sandbox, pair) as m3ter:
        balance = (await m3ter.balances.list()).data[0]
        before = {row.id for row in await m3ter.balances.transactions.list(balance.id).collect()}
        done: list[str] = []
        doubted: list[str] = []
        told: list[bool] = []
        for number in range(60):
            text = f"posted by test {number}"
            try:
                made = await m3ter.balances.transactions.create(balance.id, amount=Decimal("0.01"), description=text)
            except APIError as error:
                doubted.append(text)
                told.append(error.outcome_unknown)
            else:
                assert made.description == text
                done.append(text)
        rows = await m3ter.balances.transactions.list(balance.id).collect()
        posted = Counter(row.description for row in rows if row.id not in before)
    assert done
    assert doubted
    assert all(told)
    assert set(done) <= set(posted) <= {*done, *doubted}
    assert set(posted.values()) == {1}
    assert sandbox.applied["PostBalanceTransaction"] == len(posted)
