"""The seeded balances and their transactions, each a function of the organization and a position."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.exact_numbers import EXACT, total
from m3ter_async.sandbox.seed_data.organization import BALANCE, CLOCKS, SPAN_DAYS, TRANSACTIONS, Organization
from m3ter_async.sandbox.seed_data.seeded_random import draw

ENTITIES: Final = ("BILL", "BILL", "COMMITMENT", "USER", "SERVICE_USER", "SCHEDULER")


def balance_row(organization: Organization, position: int) -> Row:
    """One balance; its amount is the sum of its transactions."""
    chance = draw(organization.seed, BALANCE, position)
    account = chance.pick(organization.accounts)
    ago = position * SPAN_DAYS // len(organization.balance_ids)
    created = organization.day(ago) + chance.pick(CLOCKS)
    row: Row = {
        "id": organization.balance_ids[position],
        "version": 1,
        "code": f"balance-{position}",
        "name": f"Prepayment {position}",
        "description": f"Prepaid by {account.code}" if chance.random() < 0.7 else None,
        "accountId": account.id,
        "amount": total(item["amount"] for item in transaction_rows(organization, position)),
        "currency": account.currency,
        "startDate": organization.day(ago) + "T00:00:00Z",
        "endDate": organization.day(ago - 365) + "T00:00:00Z",
        "balanceDrawDownDescription": "Drawn down",
        "lineItemTypes": ["USAGE", "STANDING_CHARGE"],
        "productIds": [],
        "allowOverdraft": chance.random() < 0.5,
        "customFields": {"tier": chance.pick(("gold", "silver")), "weight": chance.pick(organization.prices)},
        "dtCreated": created,
        "dtLastModified": created,
        "createdBy": organization.user_id,
        "lastModifiedBy": organization.user_id,
    }
    if chance.random() < 0.3:
        row["rolloverAmount"] = chance.pick(organization.amounts)
        row["rolloverEndDate"] = organization.day(ago - 395) + "T00:00:00Z"
    return row


def transaction_rows(organization: Organization, position: int) -> list[Row]:
    """The transactions of one balance, newest first: one credit at its start, then mostly drawdowns."""
    chance = draw(organization.seed, TRANSACTIONS, position)
    count = chance.below(61)
    ago = position * SPAN_DAYS // len(organization.balance_ids)
    rows: list[Row] = []
    for number in range(count):
        amount = chance.pick(organization.amounts)
        moment = organization.day(number * (ago + 1) // count) + chance.pick(CLOCKS)
        row: Row = {
            "id": chance.uuid(),
            "version": 1,
            "description": None if chance.random() < 0.1 else f"Movement {count - number}",
            "amount": amount if number == count - 1 or chance.random() < 0.2 else EXACT.minus(amount),
            "entityType": chance.pick(ENTITIES),
            "entityId": chance.pick(organization.known_ids["other"]),
            "transactionTypeId": chance.pick(organization.known_ids["plan"]),
            "appliedDate": moment,
            "transactionDate": moment,
            "dtCreated": moment,
            "dtLastModified": moment,
            "createdBy": organization.service_user_id,
            "lastModifiedBy": organization.service_user_id,
        }
        if number == count - 1:
            row["paid"], row["currencyPaid"] = amount, "USD"
        rows.append(row)
    return rows
