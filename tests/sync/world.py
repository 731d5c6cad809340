"""A small m3ter in memory, behind the fake transport: bills and balances that a second client changes all the time.

It is written for speed: thousands of changes in a second, in virtual time. What it answers is what the documentation
says, or what is worse: page tokens that count rows, and a search whose index lags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from itertools import count
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

import msgspec

from m3ter_async import TransportError
from m3ter_async.transports.protocol import Request, Response
from tests.fakes import ORG, Answer, answer

Row = dict[str, Any]
START = datetime(2025, 3, 1, 9, tzinfo=UTC)
LOOK_BACK = timedelta(hours=1)


class World:
    """What the service holds, and what others do to it.

    Args:
        seed: Decides everything.
        bills: How many there are at first.
        page: Records in a page.
        counting: Whether page tokens count rows, in place of naming one.
        lag: Seconds that the search is behind.
        during: How likely it is that something changes before a request is answered.
        faults: How likely it is that a request fails.
        lock_moves: How often the date moves up to which bills are locked, 1 being as often as anything else.

    Attributes:
        now: The time of the service.
        requests: How many there were, by what was asked.
        sent: Bytes of the answers.
        changes: How many changes took effect, by their names.
    """

    def __init__(
        self,
        seed: int,
        *,
        bills: int = 40,
        page: int = 7,
        counting: bool = False,
        lag: float = 0,
        during: float = 0.0,
        faults: float = 0.0,
        lock_moves: float = 1.0,
    ) -> None:
        self.random = Random(seed)
        self.now = START
        self.page, self.counting, self.lag = page, counting, timedelta(seconds=lag)
        self.during, self.faults, self.lock_moves = during, faults, lock_moves
        self.requests: dict[str, int] = {}
        self.sent = 0
        self.changes: dict[str, int] = {}
        self.bills: dict[str, Row] = {}  # the oldest first
        self.hidden: set[str] = set()  # ids that no listing shows
        self.sums = True  # whether line items add up
        self.balances: dict[str, dict[str, Row]] = {}
        self.lock_date = "2024-01-01"
        self.config = 1
        self._gone: list[tuple[datetime, Row]] = []
        self._serial: dict[str, int] = {}
        self._numbers = count(1)
        for _ in range(bills):
            self.create()
            if self.random.random() < 0.5:
                self.approve()
        for _ in range(bills // 4):
            self.lock()
        for _ in range(bills // 8):
            self.open_balance()
        self.changes.clear()

    # What the service holds

    def wholes(self) -> dict[str, bytes]:
        """Every bill as it is when it is asked for whole, by its id."""
        return {id: msgspec.json.encode(self.whole(bill)) for id, bill in self.bills.items()}

    def transactions(self) -> dict[str, Row]:
        """Every transaction by its id, with its balance."""
        return {
            id: {"balanceId": balance, **row} for balance, rows in self.balances.items() for id, row in rows.items()
        }

    def whole(self, bill: Row) -> Row:
        """A bill as it is asked for whole."""
        if not self.sums:
            return {**bill, "billTotal": None}
        amounts: list[Decimal] = [line["subtotal"] for line in bill["lineItems"]]
        return {**bill, "billTotal": sum(amounts, Decimal(0))}

    def _head(self, bill: Row) -> Row:
        return {name: value for name, value in self.whole(bill).items() if name != "lineItems"}

    def _id(self) -> str:
        id = str(UUID(int=self.random.getrandbits(128), version=4))
        self._serial[id] = len(self._serial)
        return id

    def _time(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def _line(self) -> Row:
        amount = Decimal(self.random.randrange(-(10**9), 10**9)).scaleb(-self.random.randrange(2, 12))
        return {"id": self._id(), "lineItemType": "MINIMUM_SPEND", "subtotal": amount, "description": f"{amount}"}

    # What others do

    def change(self) -> None:
        """Let one thing happen that can."""
        actions: list[Callable[[], bool]] = [
            *[self.create, self.alter, self.approve, self.back_to_pending, self.lock, self.recalculate, self.re_date],
            *[self.delete, self.credit, self.move_lock_date, self.create_and_lock, self.touch_and_lock],
            *[self.post_transaction, self.open_balance, self.close_balance],
        ]
        while True:
            action = self.random.choice(actions)
            if action == self.move_lock_date and self.random.random() >= self.lock_moves:
                continue
            self.now += timedelta(milliseconds=self.random.randrange(1, 2_000))
            if action():
                self.changes[action.__name__] = self.changes.get(action.__name__, 0) + 1
                return

    def _pick(self, test: Callable[[Row], bool]) -> Row | None:
        found = [bill for bill in self.bills.values() if test(bill)]
        return self.random.choice(found) if found else None

    def _touch(self, bill: Row, **fields: Any) -> None:
        bill.update(fields, version=bill["version"] + 1, dtLastModified=self._time())

    def _day(self) -> str:
        return (self.now - timedelta(days=self.random.randrange(0, 400))).date().isoformat()

    def create(self) -> bool:
        id = self._id()
        self.bills[id] = {
            "id": id,
            "version": 1,
            "status": "PENDING",
            "locked": False,
            "accountId": self.random.choice(["acc-1", "acc-2"]),
            "billDate": max(self._day(), self.lock_date),
            "dtCreated": self._time(),
            "dtLastModified": self._time(),
            "lineItems": [self._line() for _ in range(self.random.randrange(4))],
        }
        return True

    def alter(self) -> bool:
        if bill := self._pick(lambda bill: not bill["locked"]):
            self._touch(bill, purchaseOrderNumber=f"PO {next(self._numbers)}")
        return bill is not None

    def approve(self) -> bool:
        if bill := self._pick(lambda bill: bill["status"] == "PENDING"):
            self._touch(bill, status="APPROVED")
        return bill is not None

    def back_to_pending(self) -> bool:
        if bill := self._pick(lambda bill: bill["status"] == "APPROVED" and not bill["locked"]):
            self._touch(bill, status="PENDING")
        return bill is not None

    def lock(self) -> bool:
        if bill := self._pick(lambda bill: bill["status"] == "APPROVED" and not bill["locked"]):
            self._touch(bill, locked=True, lockedBy="hand")
        return bill is not None

    def recalculate(self) -> bool:
        if bill := self._pick(lambda bill: not bill["locked"]):
            lines = [self._line() for _ in range(self.random.randrange(5))]
            self._touch(bill, status="PENDING", lineItems=lines, lastCalculatedDate=self._time())
        return bill is not None

    def re_date(self) -> bool:
        if bill := self._pick(lambda bill: not bill["locked"]):
            self._touch(bill, billDate=max(self._day(), self.lock_date))
        return bill is not None

    def delete(self) -> bool:
        if bill := self._pick(lambda bill: not bill["locked"]):
            self._gone.append((self.now, self.bills.pop(bill["id"])))
        return bill is not None

    def credit(self) -> bool:
        """A credit moves the total; it is not known that it moves the version."""
        if bill := self._pick(lambda bill: not bill["locked"]):
            bill["lineItems"] = [*bill["lineItems"], {**self._line(), "lineItemType": "CREDIT_MEMO"}]
        return bill is not None

    def move_lock_date(self) -> bool:
        """Forward it locks what is approved, unless something pending is in the way; back it unlocks what it locked."""
        date = self._day()
        if date > self.lock_date:
            below = [bill for bill in self.bills.values() if bill["billDate"] <= date]
            if any(bill["status"] == "PENDING" for bill in below):
                return False
            for bill in below:
                if not bill["locked"]:
                    self._touch(bill, locked=True, lockedBy="date")
        else:
            for bill in self.bills.values():
                if bill["billDate"] > date and bill.get("lockedBy") == "date":
                    self._touch(bill, locked=False, lockedBy=None)
        self.lock_date = date
        self.config += 1
        return True

    def create_and_lock(self) -> bool:
        self.create()
        bill = next(reversed(self.bills.values()))
        self._touch(bill, status="APPROVED")
        self._touch(bill, locked=True, lockedBy="hand")
        return True

    def touch_and_lock(self) -> bool:
        if bill := self._pick(lambda bill: not bill["locked"]):
            self._touch(bill, status="APPROVED", lineItems=[self._line()])
            self._touch(bill, locked=True, lockedBy="hand")
        return bill is not None

    def open_balance(self) -> bool:
        id = self._id()
        self.balances[id] = {}
        for _ in range(self.random.randrange(4)):
            self._post(id)
        return True

    def post_transaction(self) -> bool:
        if self.balances:
            self._post(self.random.choice(list(self.balances)))
        return bool(self.balances)

    def _post(self, balance: str) -> None:
        id = self._id()
        self.balances[balance][id] = {"id": id, "version": 1, "amount": Decimal(next(self._numbers)).scaleb(-3)}

    def close_balance(self) -> bool:
        if len(self.balances) < 4:
            return False
        del self.balances[self.random.choice(list(self.balances))]
        return True

    # What it answers

    def __call__(self, request: Request) -> Answer:
        self.now += timedelta(milliseconds=self.random.randrange(20, 200))
        while self.random.random() < self.during:
            self.change()
        if self.random.random() < self.faults:
            return self._fault()
        url = urlsplit(request.url)
        query = dict(parse_qsl(url.query))
        parts = [unquote(part) for part in url.path.split("/")[1:]]
        assert parts[:2] == ["organizations", ORG]
        found = self._answered(parts[2:], query)
        self.sent += len(found.content)
        return found

    def _fault(self) -> Answer:
        kind = self.random.choice([429, 503, 502, "dropped", "refused"])
        if kind == 429:
            return answer({"message": "slow down"}, 429, retry_after="1")
        if isinstance(kind, int):
            return answer({"message": "try again"}, kind)
        return TransportError("the connection broke", sent=kind == "dropped")

    def _count(self, name: str) -> None:
        self.requests[name] = self.requests.get(name, 0) + 1

    def _answered(self, parts: list[str], query: dict[str, str]) -> Response:
        match parts:
            case ["billconfig"]:
                self._count("config")
                return self._json({"id": ORG, "version": self.config, "billLockDate": self.lock_date})
            case ["bills"]:
                return self._list(query)
            case ["bills", "search"]:
                self._count("search")
                return self._search(query)
            case ["bills", id]:
                self._count("bill")
                bill = self.bills.get(id)
                return self._json(self.whole(bill)) if bill else self._none()
            case ["balances"]:
                self._count("balances")
                return self._page([{"id": id} for id in self.balances], query)
            case ["balances", id]:
                self._count("balance")
                return self._json({"id": id}) if id in self.balances else self._none()
            case ["balances", id, "transactions"]:
                self._count("transactions")
                rows = self.balances.get(id)
                return self._none() if rows is None else self._page(list(rows.values()), query)
            case _:
                raise AssertionError(parts)

    def _list(self, query: dict[str, str]) -> Response:
        bills: Iterator[Row] = (bill for id, bill in reversed(self.bills.items()) if id not in self.hidden)
        if "ids" in query:
            self._count("ids")
            ids = set(query["ids"].split(","))
            assert len(ids) <= 50
            bills = (bill for bill in bills if bill["id"] in ids)
        if query.get("locked") == "false":
            bills = (bill for bill in bills if not bill["locked"])
        if "billDateStart" in query:
            bills = (bill for bill in bills if bill.get("billDate", "") >= query["billDateStart"])
        if "billDateEnd" in query:
            bills = (bill for bill in bills if bill.get("billDate", "9") < query["billDateEnd"])
        if "accountId" in query:
            bills = (bill for bill in bills if bill["accountId"] == query["accountId"])
        assert query.get("includeBillTotal") == "true" or query["pageSize"] == "1"  # which only asks what time it is
        if query.get("excludeLineItems") == "true":
            self._count("heads")
            return self._page(list(bills), query, self._head, newest_first=True)
        if "ids" not in query:
            self._count("list")
        return self._page(list(bills), query, self.whole, newest_first=True)

    def _search(self, query: dict[str, str]) -> Response:
        name, since = query["searchQuery"].split(">=")
        assert name == "dtCreated"
        assert query["sortBy"] == "dtCreated"
        indexed = self.now - self.lag
        here = [*self.bills.values(), *(bill for when, bill in self._gone if when > indexed)]
        moments = [(datetime.fromisoformat(bill["dtCreated"]), bill) for bill in here]
        after = datetime.fromisoformat(since)
        found = sorted((bill for when, bill in moments if after <= when <= indexed), key=lambda bill: bill["dtCreated"])
        first = int(query.get("fromDocument", 0))
        size = min(int(query.get("pageSize", 10)), self.page)
        return self._json({"data": [self.whole(bill) | {"billTotal": None} for bill in found[first : first + size]]})

    def _page(
        self, rows: list[Row], query: dict[str, str], shape: Callable[[Row], Row] = dict, *, newest_first: bool = False
    ) -> Response:
        token = query.get("nextToken")
        size = min(int(query.get("pageSize", 100)), self.page)
        first = 0
        if token is not None and self.counting:
            first = int(token)
        elif token is not None:
            last = int(token)  # that row may be gone; what stands behind its place may not
            places = [self._serial[row["id"]] for row in rows]
            behind = (place for place, at in enumerate(places) if (at < last if newest_first else at > last))
            first = next(behind, len(rows))
        data = rows[first : first + size]
        body: Row = {"data": [shape(row) for row in data]}
        if first + size < len(rows):
            body["nextToken"] = str(first + size if self.counting else self._serial[data[-1]["id"]])
        return self._json(body)

    def _json(self, body: Row) -> Response:
        made = answer(body)
        return Response(200, {"date": format_datetime(self.now, usegmt=True)}, made.content)

    def _none(self) -> Response:
        return answer({"message": "there is none"}, 404)
