"""What each account was billed last, many accounts at once, as CSV: python examples/fan_out.py > latest.csv."""

import csv
import sys

import anyio

from m3ter_async import AsyncM3ter, NotFoundError
from m3ter_async.models import Account, Bill


async def main() -> None:
    async with AsyncM3ter() as m3ter:

        async def latest(account: Account) -> Bill | None:
            try:
                return await m3ter.bills.latest_by_account(account.id)
            except NotFoundError:
                return None  # never billed

        table = csv.writer(sys.stdout)
        table.writerow(["account", "bill", "date", "currency", "total"])
        # the accounts are drawn from their listing as they are needed, and the results come in its order
        async for account, bill in m3ter.map(m3ter.accounts.list(), latest, concurrency=50):
            if bill is not None:
                table.writerow([account.code, bill.id, bill.bill_date, bill.currency, bill.bill_total])


if __name__ == "__main__":
    anyio.run(main)
