"""A program for either package: in the test that runs it, only the import below is another."""

from __future__ import annotations

from typing import Any

from m3ter_async import APIStatusError, AsyncM3ter, BadRequestError, ConflictError, NotFoundError


async def main() -> list[Any]:
    """Everything that it learnt of the service, as plain values."""
    seen: list[Any] = []
    async with AsyncM3ter() as m3ter:
        account = await m3ter.accounts.create(
            name="Acme", code="acme", email_address="billing@acme.example", address={"country": "GB"}
        )
        changed = await m3ter.accounts.update(
            account.id, name="Acme Ltd", code="acme", email_address="billing@acme.example", version=account.version
        )
        found = await m3ter.accounts.retrieve(account.id)
        seen.append((account.id, account.version, changed.version, found.name, found.code, found.dt_created))

        patient = m3ter.with_options(timeout=30, max_retries=0)
        for call in (
            lambda: m3ter.accounts.retrieve("nonesuch"),
            lambda: m3ter.bills.list(billing_frequency="MONTHLY"),
            lambda: patient.accounts.update(
                account.id, name="Late", code="acme", email_address="a@b.example", version=1
            ),
        ):
            try:
                await call()
            except NotFoundError:
                seen.append("not found")
            except ConflictError:
                seen.append("conflict")
            except BadRequestError:
                seen.append("bad request")
            except APIStatusError as error:
                seen.append(type(error).__name__)

        page = await m3ter.bills.list(page_size=7)
        seen.append(([bill.id for bill in page.data], page.next_token))
        if page.next_token:
            second = await m3ter.bills.list(page_size=7, next_token=page.next_token)
            seen.append([bill.id for bill in second.data])
        async for bill in m3ter.bills.list(page_size=20, bill_date_start="2025-01-01"):
            seen.append((bill.id, bill.status, bill.currency, bill.bill_date, bill.start_date_time_utc, bill.locked))
            for item in bill.line_items or ():
                seen.append((item.line_item_type, item.description, item.quantity, item.subtotal))
        async for line in m3ter.bills.line_items.list(page.data[0].id):
            seen.append((line.id, line.line_item_type, line.subtotal))

        balance = (await m3ter.balances.list(page_size=1)).data[0]
        made = await m3ter.balances.transactions.create(balance.id, amount=12.5, description="top-up")
        seen.append((made.amount, made.description, made.applied_date))
        async for transaction in m3ter.balances.transactions.list(balance.id):
            seen.append((transaction.id, transaction.amount, transaction.entity_type))

        charge = await m3ter.charges.create(
            name="Setup",
            code="setup",
            account_id=account.id,
            currency="USD",
            entity_type="AD_HOC",
            line_item_type="AD_HOC",
            amount=-0.25,
            service_period_start_date="2025-01-01T00:00:00Z",
            service_period_end_date="2025-02-01T00:00:00Z",
        )
        gone = await m3ter.charges.delete(charge.id)
        seen.append((charge.amount, charge.bill_date, gone.id == charge.id))

        result = await m3ter.usage.submit(
            measurements=[
                {"uid": "u1", "meter": "m", "account": "acme", "ts": "2025-01-01T00:00:00Z", "measure": {"x": 1.5}}
            ]
        )
        seen.append(result.result)
        other = m3ter.with_options(org_id="another")
        try:
            await other.accounts.list(codes=["acme"])
        except APIStatusError as error:
            seen.append(type(error).__name__)
    return seen
