"""What the service demands of an entity beyond the contract's types, by collection."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from m3ter_async.sandbox.call_context import Call, Rule, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import BALANCES, BILLS, CREDITS, DEBITS, ORG, TRANSACTIONS
from m3ter_async.sandbox.contract.validation import moment
from m3ter_async.sandbox.exact_numbers import EXACT
from m3ter_async.sandbox.refusal import Refusal


def in_order(row: Row, start: str, end: str) -> None:
    """Refuse an entity that ends before it starts."""
    if row.get(start) is None or row.get(end) is None:
        return
    first, last = moment(row[start]), moment(row[end])
    if first is not None and last is not None and last < first:
        raise Refusal(400, f"{end}: before {start}")


def _priced_once(row: Row) -> None:
    """An amount, or units with a price of each: one of the two and not both."""
    by_units = row.get("units") is not None or row.get("unitPrice") is not None
    if row.get("amount") is not None:
        if by_units:
            raise Refusal(400, "amount: not together with units and unitPrice")
    elif row.get("units") is None or row.get("unitPrice") is None:
        raise Refusal(400, "amount: missing, and so are units with unitPrice")


def _bill(_world: World, _call: Call, before: Row | None, _after: Row | None) -> None:
    if before is not None and before["locked"]:
        raise Refusal(400, "locked: a locked bill cannot be changed or deleted")


def _memo(world: World, call: Call, _before: Row | None, after: Row | None) -> None:
    bill = world.store.row(BILLS, call.path, "billId")
    _bill(world, call, bill, None)
    if after is not None:
        in_order(after, "servicePeriodStartDate", "servicePeriodEndDate")
        kind = "CREDIT_MEMO" if call.route.path.startswith(CREDITS) else "DEBIT_MEMO"
        after["lineItemType"] = after.get("lineItemType") or kind
    # A statement made before the line items changed no longer says what the bill says.
    world.store.bills.put({**bill, "statementStale": True})


def _balance(_world: World, _call: Call, before: Row | None, after: Row | None) -> None:
    if after is not None:
        in_order(after, "startDate", "endDate")
        if before is None:
            after["amount"] = Decimal(0)


def _transaction(world: World, call: Call, _before: Row | None, after: Row | None) -> None:
    balance = world.store.row(BALANCES, call.path, "balanceId")
    if after is not None:
        after["entityType"] = "SERVICE_USER"
        after["entityId"] = world.store.organization.service_user_id
        for name in ("appliedDate", "transactionDate"):
            after[name] = after.get(name) or after["dtCreated"]
        amount = EXACT.add(balance["amount"], EXACT.create_decimal(after["amount"]))
        world.store.table(BALANCES, call.path).put({**balance, "amount": amount})


def _charge(world: World, _call: Call, _before: Row | None, after: Row | None) -> None:
    if after is None:
        return
    _priced_once(after)
    in_order(after, "servicePeriodStartDate", "servicePeriodEndDate")
    if after["entityType"] == "BALANCE":
        if after.get("entityId") is None:
            raise Refusal(400, "entityId: missing, entityType BALANCE needs it")
        if world.store.table(BALANCES, {}).get(after["entityId"]) is None:
            raise Refusal(404, "entityId: there is no balance with this id")


def _charge_schedule(_world: World, _call: Call, _before: Row | None, after: Row | None) -> None:
    if after is not None:
        _priced_once(after)
        in_order(after, "servicePeriodStartDate", "servicePeriodEndDate")
        after["nextRun"] = after["servicePeriodStartDate" if after["billInAdvance"] else "servicePeriodEndDate"]


def _transaction_schedule(_world: World, _call: Call, _before: Row | None, after: Row | None) -> None:
    if after is not None:
        in_order(after, "startDate", "endDate")
        after["nextRun"] = after["startDate"]


CHARGE_SCHEDULES: Final = ORG + "/balances/{balanceId}/balancechargeschedules"
TRANSACTION_SCHEDULES: Final = ORG + "/balances/{balanceId}/balancetransactionschedules"

RULES: Final[dict[str, Rule]] = {
    BILLS: _bill,
    CREDITS: _memo,
    DEBITS: _memo,
    BALANCES: _balance,
    TRANSACTIONS: _transaction,
    ORG + "/charges": _charge,
    CHARGE_SCHEDULES: _charge_schedule,
    TRANSACTION_SCHEDULES: _transaction_schedule,
}
