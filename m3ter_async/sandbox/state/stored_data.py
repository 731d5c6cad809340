"""What the sandbox holds: all tables of the organization, files, measurements, and the counts that writing needs."""

from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import BALANCES, BILLS, CREDITS, DEBITS, FREE, TRANSACTIONS
from m3ter_async.sandbox.exact_numbers import EXACT, total
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.balances import balance_row, transaction_rows
from m3ter_async.sandbox.seed_data.bills import bill_row, line_rows
from m3ter_async.sandbox.seed_data.collections import SeededCollections
from m3ter_async.sandbox.seed_data.organization import IDS, TODAY, Organization
from m3ter_async.sandbox.seed_data.seeded_random import draw
from m3ter_async.sandbox.state.collection_rows import Table

START: Final = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)


class Change(NamedTuple):
    """A row that was written: which, when, and what it was before and is now."""

    pattern: str
    elapsed: float
    before: Row | None
    after: Row | None


class Truth(NamedTuple):
    """What the sandbox holds: row counts and exact amounts, read from the data and not through HTTP."""

    bills: int
    line_items: int
    pricing_bands: int
    balances: int
    transactions: int
    line_item_subtotals: dict[str, Decimal]
    """The sum of `subtotal` over the line items of all bills, by the currency of the bill."""
    transaction_amounts: dict[str, Decimal]
    """The sum of `amount` over the transactions of all balances, by the currency of the balance."""


class Store:
    """All tables of the organization, with the clock, the ids and the counts that writing needs.

    Args:
        seed: Decides what the organization holds.
        bills: How many there are at first.
        remember: For how many seconds of its clock it keeps what rows were before they changed.
    """

    def __init__(self, seed: int, bills: int, remember: float = 0) -> None:
        self.organization: Organization = Organization(seed, bills)
        self.applied: Counter[str] = Counter()
        # Files behind presigned URLs, by name: the content type and the bytes.
        self.files: dict[str, tuple[str, bytes]] = {}
        # Names of files that may be uploaded: the content type each must have, and when its URL ends.
        self.uploads: dict[str, tuple[str, float]] = {}
        # How the next jobs end: True is cancelled, False is failed.
        self.bad_ends: deque[bool] = deque()
        self.measurements: dict[str, Row] = {}
        self._seeded_collections: SeededCollections = SeededCollections(self.organization)
        self._ids = draw(seed, IDS, 1)
        self._event_ids = draw(seed, IDS, 2)
        self._elapsed = 0.0
        self._remember = remember
        self._remembered: deque[Change] = deque()
        self._untold: list[Change] = []
        # Bills that the global lock date locked: moved back, it unlocks them.
        self.locked_by_date: set[str] = set()
        # How often each bill was calculated again: each time it gets new line items.
        self.calculations: Counter[str] = Counter()
        organization = self.organization
        self._tables: dict[tuple[str, tuple[str, ...]], Table] = {
            (BILLS, ()): Table(organization.bill_ids, partial(bill_row, organization), partial(self._changed, BILLS)),
            (BALANCES, ()): Table(
                organization.balance_ids, partial(balance_row, organization), partial(self._changed, BALANCES)
            ),
        }

    @property
    def bills(self) -> Table:
        """The table of bills."""
        return self._tables[BILLS, ()]

    def new_id(self) -> str:
        """The next id: the same calls in the same order get the same ids."""
        return self._ids.uuid()

    def end(self, good: str, failed: str, cancelled: str) -> str:
        """The state in which a job ends: a good one, unless another was ordered."""
        if not self.bad_ends:
            return good
        return cancelled if self.bad_ends.popleft() else failed

    def now(self) -> str:
        """The sandbox's own time: it starts on a fixed day and moves a second with every write."""
        self._elapsed += 1
        return self.text

    @property
    def time(self) -> datetime:
        """What the clock shows."""
        return START + timedelta(seconds=self._elapsed)

    @property
    def text(self) -> str:
        """What the clock shows, as answers have it."""
        return self.time.strftime("%Y-%m-%dT%H:%M:%SZ")

    def pass_time(self, seconds: float) -> None:
        """Move the clock on."""
        self._elapsed += seconds

    def new_event_id(self) -> str:
        """The next id of an event; what is created gets the same ids with and without events."""
        return self._event_ids.uuid()

    def _changed(self, pattern: str, before: Row | None, after: Row | None) -> None:
        change = Change(pattern, self._elapsed, before, after)
        self._untold.append(change)
        if self._remember:
            self._remembered.append(change)

    def take_changes(self) -> list[Change]:
        """What was written since the last time this was asked."""
        found, self._untold = self._untold, []
        return found

    def a_while_ago(self, pattern: str) -> dict[str, Row | None]:
        """By id, what the rows that were written lately were before that; None for those that were not there."""
        while self._remembered and self._remembered[0].elapsed <= self._elapsed - self._remember:
            self._remembered.popleft()
        found: dict[str, Row | None] = {}
        for change in self._remembered:
            row = change.before or change.after
            if change.pattern == pattern and row is not None:
                found.setdefault(row["id"], change.before)
        return found

    def table(self, pattern: str, path: dict[str, str]) -> Table:
        """The table behind a path pattern; 404 where an entity the path leads through does not exist."""
        names = [part[1:-1] for part in pattern.split("/") if part.startswith("{") and part != "{orgId}"]
        for name in names:
            if name not in FREE:
                self.row(pattern[: pattern.index("/{" + name + "}")], path, name)
        values = tuple(path[name] for name in names)
        if (pattern, values) not in self._tables:
            if pattern == TRANSACTIONS:
                table = self._transactions(path["balanceId"])
            else:
                table = Table(*self._seeded_collections.rows(pattern, values), partial(self._changed, pattern))
            self._tables[pattern, values] = table
        return self._tables[pattern, values]

    def row(self, pattern: str, path: dict[str, str], name: str = "id") -> Row:
        """The row that the path parameter names; 404 where there is none."""
        row = self.table(pattern, path).get(path[name])
        if row is None:
            raise Refusal(404, f"{name}: there is no {pattern.rsplit('/', 1)[1]} entry with this id")
        return row

    def _transactions(self, balance_id: str) -> Table:
        place = self._tables[BALANCES, ()].place(balance_id)
        rows = transaction_rows(self.organization, place) if place >= 0 else []
        return Table([row["id"] for row in rows], rows.__getitem__, partial(self._changed, TRANSACTIONS))

    def lines(self, bill: Row) -> list[Row]:
        """All line items of a bill, as they stand inside it: the calculated ones, then its credits and debits."""
        place = self.bills.place(bill["id"])
        # Bills that jobs made have places below zero; their line items come from beyond the seeded positions.
        position = place if place >= 0 else len(self.organization.bill_ids) - place
        rows = line_rows(self.organization, position, bill, self.calculations[bill["id"]])
        for pattern, kind in ((CREDITS, "CREDIT_MEMO"), (DEBITS, "DEBIT_MEMO")):
            table = self._tables.get((pattern, (bill["id"],)))
            rows.extend(memo_line(row, kind, bill) for _, row in (table.walk() if table else ()))
        return rows

    def truth(self) -> Truth:
        """Count and add up everything, without a detour over HTTP."""
        bills = items = bands = balances = transactions = 0
        subtotals: dict[str, Decimal] = {}
        amounts: dict[str, Decimal] = {}
        for _, bill in self.bills.walk():
            bills += 1
            rows = self.lines(bill)
            items += len(rows)
            bands += sum(len(row["usagePerPricingBand"]) for row in rows)
            subtotal = total(row["subtotal"] for row in rows)
            subtotals[bill["currency"]] = EXACT.add(subtotals.get(bill["currency"], Decimal(0)), subtotal)
        for place, balance in self._tables[BALANCES, ()].walk():
            balances += 1
            table = self._tables.get((TRANSACTIONS, (balance["id"],)))
            seeded = transaction_rows(self.organization, place) if place >= 0 else []
            rows = [row for _, row in table.walk()] if table else seeded
            transactions += len(rows)
            amount = total(row["amount"] for row in rows)
            amounts[balance["currency"]] = EXACT.add(amounts.get(balance["currency"], Decimal(0)), amount)
        return Truth(bills, items, bands, balances, transactions, subtotals, amounts)


def memo_line(memo: Row, kind: str, bill: Row) -> Row:
    """A credit or debit line item as a line item of its bill."""
    amount: Decimal = EXACT.create_decimal(memo["amount"])
    subtotal = EXACT.minus(amount) if kind == "CREDIT_MEMO" else amount
    same = ("id", "productId", "description", "servicePeriodStartDate", "servicePeriodEndDate")
    also = ("referencedBillId", "referencedLineItemId")
    return {
        **{name: memo[name] for name in same + also if name in memo},
        "lineItemType": memo.get("lineItemType") or kind,
        "quantity": Decimal(1),
        "units": Decimal(1),
        "unit": "",
        "subtotal": subtotal,
        "currency": bill["currency"],
        "conversionRate": Decimal(1),
        "convertedSubtotal": subtotal,
        "averageUnitPrice": amount,
        "usagePerPricingBand": [],
    }
