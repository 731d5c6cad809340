"""The seeded organization: every bill, line item, balance and transaction as a function of seed and position."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from m3ter_async.sandbox.draw import EXACT, Draw, draw

Row = dict[str, Any]

LINE_ITEM_TYPES: Final = (
    "USAGE",
    "STANDING_CHARGE",
    "COUNTER_RUNNING_TOTAL_CHARGE",
    "COUNTER_ADJUSTMENT_DEBIT",
    "COUNTER_ADJUSTMENT_CREDIT",
    "USAGE_CREDIT",
    "MINIMUM_SPEND",
    "MINIMUM_SPEND_REFUND",
    "CREDIT_DEDUCTION",
    "MANUAL_ADJUSTMENT",
    "CREDIT_MEMO",
    "DEBIT_MEMO",
    "COMMITMENT_CONSUMED",
    "COMMITMENT_FEE",
    "OVERAGE_SURCHARGE",
    "OVERAGE_USAGE",
    "BALANCE_CONSUMED",
    "BALANCE_FEE",
    "AD_HOC",
)
METERED: Final = frozenset({"USAGE", "COUNTER_RUNNING_TOTAL_CHARGE", "OVERAGE_USAGE"})
REDUCING: Final = frozenset(
    {
        "COUNTER_ADJUSTMENT_CREDIT",
        "USAGE_CREDIT",
        "MINIMUM_SPEND_REFUND",
        "CREDIT_DEDUCTION",
        "CREDIT_MEMO",
        "COMMITMENT_CONSUMED",
        "BALANCE_CONSUMED",
    }
)
CURRENCIES: Final = ("USD", "USD", "USD", "EUR", "EUR", "GBP", "JPY", "CHF", "AUD")
FREQUENCIES: Final = ("MONTHLY", "MONTHLY", "MONTHLY", "ANNUALLY", "WEEKLY", "DAILY", "AD_HOC")
CLOCKS: Final = (
    "T00:00:00Z",
    "T08:30:00Z",
    "T23:59:59.999Z",
    "T12:00:00.250Z",
    "T06:15:42.000123Z",
    "T17:05:09.654321Z",
)

TODAY: Final = date(2025, 6, 30)
SPAN_DAYS: Final = 1095
ZERO: Final = Decimal("0.00")
SMALLEST: Final = Decimal("1e-13")
ONE: Final = Decimal(1)

# The first number of every place handed to `draw`: what the draw is for.
POOLS, IDS, BILL, LINES, BALANCE, TRANSACTIONS = range(6)


class Account(NamedTuple):
    """One of the accounts that bills and balances belong to."""

    id: str
    code: str
    currency: str
    frequency: str


class Organization:
    """What the sandbox holds before anybody writes to it.

    Only ids stay in memory; a bill with its line items is rendered when asked for, each time the same. Positions
    run from the newest (0) to the oldest; positions past the last seeded one serve bills that jobs make later.
    """

    def __init__(self, seed: int, bills: int) -> None:
        self.seed = seed
        self._days = [(TODAY - timedelta(days=day)).isoformat() for day in range(-400, SPAN_DAYS + 800)]
        pools = draw(seed, POOLS)
        self.id: str = pools.uuid()
        self.user_id: str = pools.uuid()
        self.service_user_id: str = pools.uuid()
        self.accounts: list[Account] = [self._account(number, pools) for number in range(36)]
        self.products: list[tuple[str, str, str]] = [
            (pools.uuid(), f"Product {number}", f"product_{number}") for number in range(12)
        ]
        self.known_ids: dict[str, list[str]] = {
            name: [pools.uuid() for _ in range(24)] for name in ("meter", "plan", "pricing", "band", "other")
        }
        self.prices: list[Decimal] = [pools.decimal(9, 2 + pools.below(7)) for _ in range(512)]
        self.units: list[Decimal] = [pools.decimal(5000, pools.below(6)) for _ in range(512)]
        # Up to seven digits before the point and 13 after: the longer ones are beyond what a double holds.
        self.amounts: list[Decimal] = [
            pools.decimal(10 ** (1 + pools.below(7)), 2 + pools.below(12)) for _ in range(1024)
        ]
        ids = draw(seed, IDS)
        self.bill_ids: list[str] = [ids.uuid() for _ in range(bills)]
        self.balance_ids: list[str] = [ids.uuid() for _ in range(max(1, bills // 20))]

    @staticmethod
    def _account(number: int, pools: Draw) -> Account:
        return Account(pools.uuid(), f"account-{number:03d}", pools.pick(CURRENCIES), pools.pick(FREQUENCIES))

    def day(self, ago: int) -> str:
        """The ISO date so many days before the sandbox's today."""
        return self._days[ago + 400]

    def bill(self, position: int) -> Row:
        """One bill without its line items."""
        chance = draw(self.seed, BILL, position)
        count = len(self.bill_ids)
        seeded = position < count
        account = chance.pick(self.accounts)
        ago = position * SPAN_DAYS // count if seeded else 0
        length = {"DAILY": 1, "WEEKLY": 7, "ANNUALLY": 365}.get(account.frequency, 30)
        start, end, bill_date = self.day(ago + length), self.day(ago), self.day(ago)
        # Young bills are still open; of the old ones nearly all are approved, and the oldest are locked.
        approved = seeded and chance.random() < (0.5 if ago < 60 else 0.97)
        locked = approved and ago > 365
        created = bill_date + chance.pick(CLOCKS)
        row: Row = {
            "id": self.bill_ids[position] if seeded else chance.uuid(),
            "version": 1 + approved + locked,
            "accountId": account.id,
            "accountCode": account.code,
            "startDate": start,
            "endDate": end,
            "startDateTimeUTC": start + "T00:00:00Z",
            "endDateTimeUTC": end + "T00:00:00Z",
            "billDate": bill_date,
            "dueDate": self.day(ago - 30),
            "billingFrequency": account.frequency,
            "billFrequencyInterval": 1,
            "timezone": "UTC",
            "currency": account.currency,
            "locked": locked,
            "createdDate": created,
            "status": "APPROVED" if approved else "PENDING",
            "currencyConversions": [],
            "lastCalculatedDate": created,
            "purchaseOrderNumber": f"PO-{chance.below(100000)}" if chance.random() < 0.6 else None,
            "externalInvoiceDate": self.day(ago - chance.below(5)) if chance.random() < 0.8 else None,
            "jsonStatementGenerated": approved,
            "csvStatementGenerated": False,
            "statementStale": False,
            "dtCreated": created,
            "dtLastModified": bill_date + "T23:59:59.999Z",
            "createdBy": self.service_user_id,
            "lastModifiedBy": self.user_id,
        }
        if chance.random() < 0.7:
            row["externalInvoiceReference"] = f"INV-{chance.below(10**6):06d}"
        if seeded:
            row["sequentialInvoiceNumber"] = f"{count - position:08d}"
        if approved:
            row.update(dtApproved=self.day(ago - 1) + chance.pick(CLOCKS), approvedBy=self.user_id)
        if locked:
            row.update(dtLocked=self.day(ago - 2) + chance.pick(CLOCKS), lockedBy=self.user_id)
        return row

    def lines(self, position: int, bill: Row) -> list[Row]:
        """The line items of one bill, in the shape they have inside a bill."""
        chance = draw(self.seed, LINES, position)
        count = 0 if chance.random() < 0.04 else 1 + chance.below(25)
        return [self._line(number, position, bill, chance) for number in range(count)]

    def _line(self, number: int, position: int, bill: Row, chance: Draw) -> Row:
        # Each bill's first line item takes the next type in turn, so that a small sandbox has all of them too.
        kind = LINE_ITEM_TYPES[position % 19] if number == 0 else chance.pick(LINE_ITEM_TYPES)
        if number % 2 and chance.random() < 0.7:
            kind = "USAGE"
        product_id, product_name, product_code = chance.pick(self.products)
        other, plan = self.known_ids["other"], chance.pick(self.known_ids["plan"])
        currency = bill["currency"]
        rate = ONE
        if chance.random() < 0.05:
            currency, rate = "NZD", chance.pick(self.prices)
        bands = self._bands(chance, rate) if kind in METERED else []
        if bands:
            units = total(band["bandUnits"] for band in bands)
            subtotal = total(band["bandSubtotal"] for band in bands)
        else:
            units = ONE
            subtotal = ZERO if chance.random() < 0.04 else chance.pick(self.amounts)
        if kind in REDUCING or (kind == "MANUAL_ADJUSTMENT" and chance.random() < 0.5):
            subtotal = EXACT.minus(subtotal) if subtotal else subtotal
        row: Row = {
            "id": chance.uuid(),
            "productId": product_id,
            "productName": product_name,
            "productCode": product_code,
            "accountingProductId": product_id,
            "accountingProductName": product_name,
            "accountingProductCode": product_code,
            "planId": plan,
            "description": f"{product_name} {kind.replace('_', ' ').lower()}",
            "quantity": units,
            "units": units,
            "unit": "GB" if bands else "",
            "subtotal": subtotal,
            "currency": currency,
            "conversionRate": rate,
            "convertedSubtotal": charge(subtotal, rate) if subtotal else ZERO,
            "lineItemType": kind,
            "usagePerPricingBand": bands,
            "servicePeriodStartDate": bill["startDateTimeUTC"],
            "servicePeriodEndDate": bill["endDate"] + chance.pick(CLOCKS),
            "averageUnitPrice": bands[0]["unitPrice"] if bands else ZERO,
            "sequenceNumber": number,
        }
        if kind in METERED:
            row["meterId"] = chance.pick(self.known_ids["meter"])
            row["pricingId"] = chance.pick(self.known_ids["pricing"])
            row["aggregationId"] = chance.pick(other)
            # Segments come as an object, as null, or not at all.
            if chance.random() < 0.8:
                row["segment"] = {"region": chance.pick(("eu", "us", "ap"))} if chance.random() < 0.7 else None
        elif kind.startswith("COUNTER"):
            row["counterId"] = chance.pick(other)
        elif kind.startswith("COMMITMENT"):
            row["commitmentId"] = chance.pick(other)
        elif kind.startswith("BALANCE"):
            row["balanceId"] = chance.pick(self.balance_ids)
        elif kind.endswith("MEMO"):
            row["reasonId"] = None
        if chance.random() < 0.1:
            child = chance.pick(self.accounts)
            row["childAccountId"], row["childAccountCode"] = child.id, child.code
        return row

    def _bands(self, chance: Draw, rate: Decimal) -> list[Row]:
        bands: list[Row] = []
        for number in range(chance.below(5)):
            units, price = chance.pick(self.units), chance.pick(self.prices)
            fixed = ZERO if chance.random() < 0.8 else chance.pick(self.amounts)
            unit_subtotal = charge(units, price)
            subtotal = EXACT.add(unit_subtotal, fixed)
            band: Row = {
                "pricingBandId": self.known_ids["band"][number],
                "lowerLimit": number * 1000,
                "fixedPrice": fixed,
                "unitSubtotal": unit_subtotal,
                "unitPrice": price,
                "bandUnits": units,
                "bandQuantity": units,
                "bandSubtotal": subtotal,
                "convertedBandSubtotal": charge(subtotal, rate),
            }
            bands.append(band)
        return bands


def charge(quantity: Decimal, price: Decimal) -> Decimal:
    """A product, which a service that charges for it rounds to 13 decimals."""
    exact = quantity if price is ONE else EXACT.multiply(quantity, price)
    places = exact.as_tuple().exponent
    return exact if isinstance(places, int) and places >= -13 else EXACT.quantize(exact, SMALLEST)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; zero is written with two decimals."""
    result = ZERO
    for amount in amounts:
        result = EXACT.add(result, amount)
    return result
