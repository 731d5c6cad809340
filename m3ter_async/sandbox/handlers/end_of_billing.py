"""The end date of all that an account or a contract is billed for."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ACCOUNT_PLANS, ACCOUNTS, CONTRACTS, ORG
from m3ter_async.sandbox.contract.validation import moment
from m3ter_async.sandbox.handlers.entity_rows import touched
from m3ter_async.sandbox.refusal import Refusal

# What `billingEntities` names -> the collection, the field that holds the account, and the one that holds the contract.
BILLING: Final = {
    "CONTRACT": (CONTRACTS, "accountId", "id"),
    "ACCOUNTPLAN": (ACCOUNT_PLANS, "accountId", "contractId"),
    "PREPAYMENT": (ORG + "/commitments", "accountId", "contractId"),
    # Prices belong to plans and not to an account, so that none is found and none ended here.
    "PRICINGS": (ORG + "/pricings", "", ""),
    "COUNTER_PRICINGS": (ORG + "/counterpricings", "", ""),
}


def end_billing(world: World, call: Call) -> Row:
    """PUT .../enddatebillingentities: end what is still open then, of an account (with its children) or a contract."""
    of_account = call.route.path.startswith(ACCOUNTS)
    owner = world.store.row(ACCOUNTS if of_account else CONTRACTS, call.path)
    owners = {owner["id"]}
    if of_account and call.body.get("applyToChildren"):
        owners |= {
            row["id"] for _, row in world.store.table(ACCOUNTS, {}).walk() if row.get("parentAccountId") in owners
        }
    end = moment(call.body["endDate"])
    if end is None:
        raise Refusal(400, "endDate: not a date-time")
    updated: Row = {}
    for name in call.body["billingEntities"]:
        pattern, account_field, contract_field = BILLING[name]
        field = account_field if of_account else contract_field
        changed = [_end(world, pattern, row, end) for row in _open(world, pattern, field, owners, end)]
        updated[name] = {"empty": not changed}
    world.wrote(call)
    failed = {name: {"empty": True} for name in updated}
    return {"statusMessage": "SUCCESS", "updatedEntities": updated, "failedEntities": failed}


def _open(world: World, pattern: str, field: str, owners: set[str], end: datetime) -> list[Row]:
    rows = [row for _, row in world.store.table(pattern, {}).walk() if row.get(field) in owners]
    return [row for row in rows if row.get("endDate") is None or (moment(row["endDate"]) or end) > end]


def _end(world: World, pattern: str, row: Row, end: datetime) -> Row:
    # Contracts and commitments end on a day, the others at a moment.
    text = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    is_day = len(row.get("startDate") or text) == len("2025-01-01")
    change = {**touched(world, row), "endDate": text[:10] if is_day else text}
    return world.store.table(pattern, {}).put({**row, **change})


HANDLERS: Final[dict[str, Handler]] = {
    "EndDateBillingEntitiesForAccount": end_billing,
    "EndDateBillingEntitiesForContract": end_billing,
}
