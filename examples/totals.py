"""What was billed, by currency, exact to the last digit and in a few megabytes: python examples/totals.py."""

from collections import defaultdict
from decimal import Context, Decimal, localcontext

import anyio
import msgspec

from m3ter_async import AsyncM3ter


class Line(msgspec.Struct):
    subtotal: Decimal


class BillLines(msgspec.Struct, rename="camel"):
    """The few fields that are read; all others are skipped undecoded."""

    currency: str
    line_items: list[Line] = []


async def main() -> None:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    bills = 0
    with localcontext(Context(prec=60)):  # Python's own sums keep 28 digits
        async with AsyncM3ter() as m3ter:
            async for bill in m3ter.bills.list().as_type(BillLines):
                bills += 1
                for line in bill.line_items:
                    sums[bill.currency] += line.subtotal
    for currency in sorted(sums):
        print(f"{currency} {sums[currency]:f}")
    print(f"{bills} bills")


if __name__ == "__main__":
    anyio.run(main)
