"""The seeded organization: its ids, accounts, products and prices, from which all other rows are drawn."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from m3ter_async.sandbox.seed_data.seeded_random import Draw, draw

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

    Only ids stay in memory; a row such as a bill is rendered when asked for, each time the same. Positions
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
        """The ISO date `ago` days before the sandbox's today."""
        return self._days[ago + 400]
