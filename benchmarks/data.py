"""The organization every client reads: bills, balance transactions and bill jobs, made from a seed.

A page of 100 bills is about 8 MB of JSON, so pages are not kept. Kept are a few dozen finished bills without their ids;
a page is those joined around fresh ids. Any number of bills then costs the same memory, and no two bills are equal.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

SEED = 20240229
LINE_ITEMS = 40
BANDS = 3
DISTINCT_BILLS = 61  # prime, so that pages of 100 differ from one another
DISTINCT_TRANSACTIONS = 997
DISTINCT_ACCOUNTS = 499
DISTINCT_MEASUREMENTS = 991

FIRST_DAY = dt.date(2024, 1, 1)
DAYS = 366
_DATE = b'","billDate":"%b'

_json = msgspec.json.Encoder(decimal_format="number")


class Catalog:
    """Finished records without their ids, and the sums that a complete reader must arrive at."""

    def __init__(self, seed: int = SEED, line_items: int = LINE_ITEMS) -> None:
        self._random = random.Random(seed)
        self._line_items = line_items
        self._bills: list[bytes] = []
        self._subtotals: list[Decimal] = []
        self._totals: list[Decimal] = []
        for _ in range(DISTINCT_BILLS):
            bill, subtotal = self._bill()
            self._bills.append(_without_opening(bill))
            self._subtotals.append(subtotal)
            self._totals.append(bill["billTotal"])
        transactions = [self._transaction() for _ in range(DISTINCT_TRANSACTIONS)]
        self._transactions = [_without_opening(each) for each in transactions]
        self._amounts: list[Decimal] = [each["amount"] for each in transactions]
        self._accounts = [_without_opening(self._account()) for _ in range(DISTINCT_ACCOUNTS)]
        self.bill_job = _without_opening(_BILL_JOB)

    def bills(self, start: int, stop: int, length: int) -> list[bytes]:
        """The pieces of a JSON array of the bills numbered start to stop of so many, without its brackets."""
        return _array(self._bills, start, stop, [_DATE % day(number, length) for number in range(start, stop)])

    def transactions(self, start: int, stop: int) -> list[bytes]:
        """The pieces of a JSON array of balance transactions, without its brackets."""
        return _array(self._transactions, start, stop, [b""] * (stop - start))

    def accounts(self, start: int, stop: int) -> list[bytes]:
        """The pieces of a JSON array of accounts, without its brackets."""
        return _array(self._accounts, start, stop, [b""] * (stop - start))

    def expected(self, kind: str, count: int) -> dict[str, Any]:
        """What a client that saw every record of a list of `count` must report."""
        if kind == "measurements":
            amounts = [row["measure"]["bytes"] for row in measurements(DISTINCT_MEASUREMENTS)]
            return {"rows": count, "amounts": str(_cycle(amounts, count))}
        if kind == "transactions":
            return {
                "rows": count,
                "amounts": str(_cycle(self._amounts, count)),
                "bytes": _size(self._transactions, count),
            }
        if kind == "accounts":
            return {"rows": count, "bytes": _size(self._accounts, count)}
        return {
            "rows": count,
            "line_items": count * self._line_items,
            "amounts": str(_cycle(self._subtotals, count)),
            "totals": str(_cycle(self._totals, count)),
            "bytes": _size(self._bills, count) + count * len(_DATE % b"2024-03-01"),
        }

    def _bill(self) -> tuple[dict[str, Any], Decimal]:
        items = [self._line_item(number) for number in range(self._line_items)]
        subtotal = sum((item["subtotal"] for item in items), Decimal())
        converted = sum((item["convertedSubtotal"] for item in items), Decimal())
        account = self._uuid()
        return {
            "version": 3,
            "accountId": account,
            "accountCode": f"acct-{account[:8]}",
            "startDate": "2024-02-01",
            "endDate": "2024-03-01",
            "startDateTimeUTC": "2024-02-01T00:00:00Z",
            "endDateTimeUTC": "2024-03-01T00:00:00Z",
            "dueDate": "2024-03-31",
            "billingFrequency": "MONTHLY",
            "billFrequencyInterval": 1,
            "timezone": "Europe/London",
            "currency": "USD",
            "locked": False,
            "createdDate": "2024-03-01T02:11:09.123Z",
            "status": "APPROVED",
            "billJobId": self._uuid(),
            "currencyConversions": [
                {"from": "EUR", "to": "USD", "multiplier": Decimal("1.0837")},
                {"from": "GBP", "to": "USD", "multiplier": Decimal("1.2655")},
            ],
            "lastCalculatedDate": "2024-03-01T02:11:10.004512Z",
            "lineItems": items,
            "purchaseOrderNumber": f"PO-{self._random.randrange(10**6):06d}",
            "externalInvoiceReference": None,
            "externalInvoiceDate": "2024-03-01",
            "jsonStatementGenerated": True,
            "csvStatementGenerated": False,
            "statementStale": False,
            "billTotal": converted,
            "sequentialInvoiceNumber": f"INV-{self._random.randrange(10**6):06d}",
            **self._audit(),
            "dtApproved": "2024-03-02T09:30:00.5Z",
            "approvedBy": self._uuid(),
        }, subtotal

    def _line_item(self, number: int) -> dict[str, Any]:
        product = self._random.randrange(10, 99)
        return {
            "id": self._uuid(),
            "productId": self._uuid(),
            "productName": f"Object storage, region {product}",
            "productCode": f"object_storage_{product}",
            "accountingProductId": self._uuid(),
            "accountingProductName": "Storage",
            "accountingProductCode": "storage",
            "aggregationId": self._uuid(),
            "meterId": self._uuid(),
            "planId": self._uuid(),
            "planGroupId": None,
            "contractId": self._uuid(),
            "pricingId": self._uuid(),
            "segment": {"region": f"eu-west-{product}", "tier": "standard"},
            "group": {"project": f"project-{number}"},
            "description": f"Storage in region {product}, gigabyte-hours, February 2024",
            "quantity": self._amount(10**9, 6),
            "units": self._amount(10**9, 6),
            "unit": "GBh",
            "subtotal": self._amount(10**7),
            "currency": "EUR",
            "conversionRate": Decimal("1.0837"),
            "convertedSubtotal": self._amount(10**7),
            "averageUnitPrice": self._amount(10, 13),
            "creditTypeId": None,
            "lineItemType": self._random.choice(("USAGE", "USAGE", "USAGE", "STANDING_CHARGE", "MINIMUM_SPEND")),
            "usagePerPricingBand": [self._band(Decimal(lower)) for lower in (0, 1000, 100000)[:BANDS]],
            "servicePeriodStartDate": "2024-02-01T00:00:00Z",
            "servicePeriodEndDate": "2024-03-01T00:00:00.000Z",
            "sequenceNumber": number + 1,
            "additional": {},
        }

    def _band(self, lower: Decimal) -> dict[str, Any]:
        return {
            "pricingBandId": self._uuid(),
            "lowerLimit": lower,
            "fixedPrice": Decimal("0.00"),
            "unitPrice": self._amount(10, 13),
            "unitSubtotal": self._amount(10**7),
            "bandQuantity": self._amount(10**6, 3),
            "bandUnits": self._amount(10**6, 3),
            "bandSubtotal": self._amount(10**7),
            "creditTypeId": None,
            "convertedBandSubtotal": self._amount(10**7),
        }

    def _transaction(self) -> dict[str, Any]:
        return {
            "version": 1,
            "description": "Draw-down for February 2024",
            "amount": -self._amount(10**7),
            "paid": self._amount(10**4, 2),
            "currencyPaid": "EUR",
            "entityType": "BILL",
            "entityId": self._uuid(),
            "transactionTypeId": self._uuid(),
            "appliedDate": "2024-03-01T00:00:00Z",
            "transactionDate": "2024-03-01T02:11:09.123Z",
            **self._audit(),
        }

    def _account(self) -> dict[str, Any]:
        code = f"acct-{self._random.getrandbits(32):08x}"
        return {
            "version": 2,
            "name": f"Customer {code}",
            "code": code,
            "emailAddress": f"billing@{code}.example",
            "currency": "EUR",
            "daysBeforeBillDue": 30,
            "customFields": {"tier": "gold", "discount": self._amount(50, 2)},
            **self._audit(),
        }

    def _audit(self) -> dict[str, Any]:
        by = self._uuid()
        when = "2024-03-01T02:11:09.123Z"
        return {"dtCreated": when, "dtLastModified": when, "createdBy": by, "lastModifiedBy": by}

    def _amount(self, below: int, places: int | None = None) -> Decimal:
        """Between 1 and `below`, with 2 to 13 decimals; the long ones do not fit a double."""
        if places is None:
            places = self._random.choice((2, 2, 2, 4, 6, 9, 13))
        return Decimal(self._random.randrange(10**places, below * 10**places)).scaleb(-places)

    def _uuid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def measurements(count: int, number: Callable[[Decimal], Any] = Decimal) -> Iterator[dict[str, Any]]:
    """Rows to send, without uid; their quantities repeat, their moments do not."""
    chance = random.Random(SEED)
    quantities = [number(Decimal(chance.randrange(1, 10**18)).scaleb(-9)) for _ in range(DISTINCT_MEASUREMENTS)]
    accounts = [f"acct-{chance.getrandbits(32):08x}" for _ in range(DISTINCT_MEASUREMENTS)]
    moment, step = datetime(2024, 2, 1, tzinfo=dt.UTC), timedelta(milliseconds=137)
    for place in range(count):
        moment += step
        yield {
            "meter": "object_storage",
            "account": accounts[place % DISTINCT_MEASUREMENTS],
            "ts": moment,
            "measure": {"bytes": quantities[place % DISTINCT_MEASUREMENTS], "calls": place},
            "where": {"region": "eu-west-17"},
        }


_BILL_JOB = {
    "version": 1,
    "lastDateInBillingPeriod": "2024-02-29",
    "billingFrequency": "MONTHLY",
    "billFrequencyInterval": 1,
    "billDate": "2024-03-01",
    "dueDate": "2024-03-31",
    "accountIds": [f"0f9a1c52-8f10-4a41-9f1b-00000000000{number}" for number in range(3)],
    "billIds": [],
    "targetCurrency": "USD",
    "currencyConversions": [{"from": "EUR", "to": "USD", "multiplier": Decimal("1.0837")}],
    "timezone": "UTC",
    "yearEpoch": "2024-01-01",
    "status": "RUNNING",
    "total": 1200,
    "pending": 37,
    "type": "CREATE",
    "dtCreated": "2024-03-01T02:00:00.000Z",
    "dtLastModified": "2024-03-01T02:11:09.123Z",
}


def _without_opening(record: dict[str, Any]) -> bytes:
    """The record's JSON from behind its id on: `{"id":"` and the id are put before it when it is sent."""
    return b'",' + _json.encode(record)[1:]


def record_id(number: int) -> bytes:
    """The id of the record at this position of a list."""
    return b"5ca1ab1e-0000-4000-8000-%012d" % number


def day(number: int, length: int) -> bytes:
    """The date of a bill in a list of so many, newest first, spread over the days of one year."""
    return (FIRST_DAY + timedelta(days=DAYS - 1 - number * DAYS // length)).isoformat().encode()


def from_day(date: bytes, length: int) -> int:
    """How many bills of a list of so many are of this date or of a later one."""
    days = (dt.date.fromisoformat(date.decode()) - FIRST_DAY).days
    return -(-max(0, min(DAYS, DAYS - days)) * length // DAYS)


def _array(finished: list[bytes], start: int, stop: int, dates: list[bytes]) -> list[bytes]:
    pieces: list[bytes] = []
    for number, date in zip(range(start, stop), dates, strict=True):
        opening = b'{"id":"' if number == start else b',{"id":"'
        pieces += (opening, record_id(number), date, finished[number % len(finished)])
    return pieces


def _cycle(amounts: list[Decimal], count: int) -> Decimal:
    rounds, rest = divmod(count, len(amounts))
    return sum(amounts, Decimal()) * rounds + sum(amounts[:rest], Decimal())


def _size(finished: list[bytes], count: int) -> int:
    opening = len(b'{"id":"') + len(record_id(0))
    sizes = [len(each) + opening for each in finished]
    rounds, rest = divmod(count, len(sizes))
    return sum(sizes) * rounds + sum(sizes[:rest])
