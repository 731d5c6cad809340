"""The operations of balances that are more than create, retrieve, update and delete."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import BALANCES, TRANSACTIONS
from m3ter_async.sandbox.exact_numbers import EXACT, total
from m3ter_async.sandbox.handlers.entity_rows import new_row
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.rules.entity_rules import CHARGE_SCHEDULES, RULES, TRANSACTION_SCHEDULES


def summary(world: World, call: Call) -> Row:
    """GET /balances/{balanceId}/transactions/summary: what went in and out, both as positive amounts."""
    rows = [row for _, row in world.store.table(TRANSACTIONS, call.path).walk()]
    credits = [EXACT.create_decimal(row["amount"]) for row in rows if row["amount"] > 0]
    debits = [(row["entityType"], EXACT.minus(row["amount"])) for row in rows if row["amount"] < 0]
    return {
        "totalCreditAmount": total(credits),
        "totalDebitAmount": total(amount for _, amount in debits),
        "initialCreditAmount": credits[-1] if credits else Decimal(0),
        "expiredBalanceAmount": Decimal(0),
        "rolloverConsumed": Decimal(0),
        "balanceConsumed": total(amount for kind, amount in debits if kind == "BILL"),
    }


def _preview(pattern: str) -> Handler:
    def handler(world: World, call: Call) -> Row:
        if "nextToken" in call.query:
            raise Refusal(400, "nextToken: a preview has no further page")
        world.store.row(BALANCES, call.path, "balanceId")
        row = new_row(world, call)
        RULES[pattern](world, call, None, row)
        return row

    return handler


HANDLERS: Final[dict[str, Handler]] = {
    "GetBalanceTransactionsSummary": summary,
    "PreviewScheduledCharge": _preview(CHARGE_SCHEDULES),
    "PreviewBalanceTransactionSchedule": _preview(TRANSACTION_SCHEDULES),
}
