"""The seeded bills and their line items, each a function of the organization and a position."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.exact_numbers import EXACT, ONE, ZERO, charge, total
from m3ter_async.sandbox.seed_data.organization import BILL, CLOCKS, LINES, SPAN_DAYS, Organization
from m3ter_async.sandbox.seed_data.seeded_random import Draw, draw

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


def bill_row(organization: Organization, position: int) -> Row:
    """One bill without its line items."""
    chance = draw(organization.seed, BILL, position)
    count = len(organization.bill_ids)
    seeded = position < count
    account = chance.pick(organization.accounts)
    ago = position * SPAN_DAYS // count if seeded else 0
    length = {"DAILY": 1, "WEEKLY": 7, "ANNUALLY": 365}.get(account.frequency, 30)
    start, end, bill_date = organization.day(ago + length), organization.day(ago), organization.day(ago)
    # Young bills are still open; of the old ones nearly all are approved, and the oldest are locked.
    approved = seeded and chance.random() < (0.5 if ago < 60 else 0.97)
    locked = approved and ago > 365
    created = bill_date + chance.pick(CLOCKS)
    row: Row = {
        "id": organization.bill_ids[position] if seeded else chance.uuid(),
        "version": 1 + approved + locked,
        "accountId": account.id,
        "accountCode": account.code,
        "startDate": start,
        "endDate": end,
        "startDateTimeUTC": start + "T00:00:00Z",
        "endDateTimeUTC": end + "T00:00:00Z",
        "billDate": bill_date,
        "dueDate": organization.day(ago - 30),
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
        "externalInvoiceDate": organization.day(ago - chance.below(5)) if chance.random() < 0.8 else None,
        "jsonStatementGenerated": approved,
        "csvStatementGenerated": False,
        "statementStale": False,
        "dtCreated": created,
        "dtLastModified": bill_date + "T23:59:59.999Z",
        "createdBy": organization.service_user_id,
        "lastModifiedBy": organization.user_id,
    }
    if chance.random() < 0.7:
        row["externalInvoiceReference"] = f"INV-{chance.below(10**6):06d}"
    if seeded:
        row["sequentialInvoiceNumber"] = f"{count - position:08d}"
    if approved:
        row.update(dtApproved=organization.day(ago - 1) + chance.pick(CLOCKS), approvedBy=organization.user_id)
    if locked:
        row.update(dtLocked=organization.day(ago - 2) + chance.pick(CLOCKS), lockedBy=organization.user_id)
    return row


def line_rows(organization: Organization, position: int, bill: Row, calculation: int = 0) -> list[Row]:
    """The line items of one bill, in the shape they have inside a bill; each calculation of it makes others."""
    chance = draw(organization.seed, LINES, position, *([calculation] if calculation else []))
    count = 0 if chance.random() < 0.04 else 1 + chance.below(25)
    return [_line(organization, number, position, bill, chance) for number in range(count)]


def _line(organization: Organization, number: int, position: int, bill: Row, chance: Draw) -> Row:
    # Each bill's first line item takes the next type in turn, so that a small sandbox has all of them too.
    kind = LINE_ITEM_TYPES[position % 19] if number == 0 else chance.pick(LINE_ITEM_TYPES)
    if number % 2 and chance.random() < 0.7:
        kind = "USAGE"
    product_id, product_name, product_code = chance.pick(organization.products)
    other, plan = organization.known_ids["other"], chance.pick(organization.known_ids["plan"])
    currency = bill["currency"]
    rate = ONE
    if chance.random() < 0.05:
        currency, rate = "NZD", chance.pick(organization.prices)
    bands = _bands(organization, chance, rate) if kind in METERED else []
    if bands:
        units = total(band["bandUnits"] for band in bands)
        subtotal = total(band["bandSubtotal"] for band in bands)
    else:
        units = ONE
        subtotal = ZERO if chance.random() < 0.04 else chance.pick(organization.amounts)
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
        row["meterId"] = chance.pick(organization.known_ids["meter"])
        row["pricingId"] = chance.pick(organization.known_ids["pricing"])
        row["aggregationId"] = chance.pick(other)
        # Segments come as an object, as null, or not at all.
        if chance.random() < 0.8:
            row["segment"] = {"region": chance.pick(("eu", "us", "ap"))} if chance.random() < 0.7 else None
    elif kind.startswith("COUNTER"):
        row["counterId"] = chance.pick(other)
    elif kind.startswith("COMMITMENT"):
        row["commitmentId"] = chance.pick(other)
    elif kind.startswith("BALANCE"):
        row["balanceId"] = chance.pick(organization.balance_ids)
    elif kind.endswith("MEMO"):
        row["reasonId"] = None
    if chance.random() < 0.1:
        child = chance.pick(organization.accounts)
        row["childAccountId"], row["childAccountCode"] = child.id, child.code
    return row


def _bands(organization: Organization, chance: Draw, rate: Decimal) -> list[Row]:
    bands: list[Row] = []
    for number in range(chance.below(5)):
        units, price = chance.pick(organization.units), chance.pick(organization.prices)
        fixed = ZERO if chance.random() < 0.8 else chance.pick(organization.amounts)
        unit_subtotal = charge(units, price)
        subtotal = EXACT.add(unit_subtotal, fixed)
        band: Row = {
            "pricingBandId": organization.known_ids["band"][number],
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
