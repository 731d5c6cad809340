"""The service of a world: others change it while it is read, some of it can never be read, and it remembers it all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from anyio.lowlevel import checkpoint

from m3ter_async.transports.protocol import Request, Response

from ..fakes import Answer, answer
from ..sync.world import Row, World

REFUSALS = (400, 403, 409, 422, 500, 502, 504)
_WRONG = 0.02  # one in fifty goes wrong for good


@dataclass(frozen=True)
class Temper:
    """How a service is.

    Attributes:
        bills: How many there are at first.
        balances: The same.
        most: Transactions of a balance at first.
        page: Records in a page.
        during: How likely it is that something changes before a request is answered, again and again.
        faults: How likely it is that a request fails for now.
        doubles: How likely it is that a page has a record that has a place elsewhere.
        ages: Whether page tokens are good for one run only.
        refusal: What else they are answered with.
        wrongs: Whether days, parents and pages can go wrong for good.
        unlocked: Whether only what is not locked is asked for.
    """

    bills: int
    balances: int
    most: int
    page: int
    during: float
    faults: float
    doubles: float
    ages: bool
    refusal: int
    wrongs: bool
    unlocked: bool


@dataclass
class Life:
    """What there was of one record.

    Attributes:
        parent: Of a transaction.
        steady: Whether it was there from the beginning on, with one date, and always or never among what is selected.
        versions: What stood in it, by when that began; None is nothing that is selected.
        sent: When it was sent whole, and what.
    """

    parent: str | None
    steady: bool
    versions: list[tuple[int, Row | None]] = field(default_factory=lambda: [])
    sent: list[tuple[int, Row]] = field(default_factory=lambda: [])


class Restless(World):
    """Bills by their dates, and transactions of balances.

    Attributes:
        tick: Counts requests and changes.
        lives: Of all records that ever were, by their ids.
        odd: Ids of records that no column can hold.
        bad_days: Days that cannot be read.
        dark_days: Those of them whose heads cannot be read either.
        poison: Ids of records whose pages cannot be made.
        refused: Balances whose transactions cannot be had, and what is answered.
        closed: Balances that were there.
        looks: When a look at the heads began that was the first since something was read whole.
        age: The run that is on.
        asked: What was asked for, in order, with what was answered.
    """

    def __init__(self, seed: int, temper: Temper, *, days: tuple[str, str]) -> None:
        self.temper = temper
        self.days = days
        self.tick = 0
        self.lives: dict[str, Life] = {}
        self.odd: set[str] = set()
        self.bad_days: set[str] = set()
        self.dark_days: set[str] = set()
        self.poison: set[str] = set()
        self.refused: dict[str, int] = {}
        self.closed: set[str] = set()
        self.looks: list[int] = []
        self.age = 0
        self.asked: list[str] = []
        self.before_request: Callable[[], Awaitable[None]] = checkpoint
        self._looking = False
        self._seen: dict[str, tuple[Any, ...]] = {}
        super().__init__(seed, bills=temper.bills, page=temper.page)
        self.during, self.faults = temper.during, temper.faults
        for _ in range(temper.balances - len(self.balances)):
            self.open_balance()
        for balance in self.balances:
            for _ in range(self.random.randint(0, temper.most)):
                self._post(balance)
        if temper.wrongs:
            self._go_wrong()
        self._note()
        for life in self.lives.values():
            life.steady = True

    def _go_wrong(self) -> None:
        chance = self.random
        dated = sorted({bill["billDate"] for bill in self.bills.values()})
        # of a resource of which nothing can be read there is no export
        self.bad_days = {day for day in dated[1:] if chance.random() < _WRONG}
        self.dark_days = {day for day in sorted(self.bad_days) if chance.random() < 0.5}
        self.poison = {id for id in list(self.bills)[1:] if chance.random() < _WRONG}
        for balance in list(self.balances)[1:]:
            if chance.random() < _WRONG * 2:
                self.refused[balance] = chance.choice(REFUSALS)

    # What others do

    def change(self) -> None:
        """Let one thing happen that can."""
        bills = [self.create, self.alter, self.approve, self.lock, self.recalculate, self.re_date, self.re_date]
        bills += [self.delete, self.delete, self.credit, self.create_and_lock, self.touch_and_lock, self.create]
        balances = [self.post_transaction, self.post_transaction, self.open_balance, self.close_balance, self.withdraw]
        while True:
            self.now += timedelta(milliseconds=self.random.randrange(1, 2_000))
            action = self.random.choice(bills if self.temper.bills else balances)
            if len(self.bills) > self.temper.bills + 30:
                action = self.make_room  # or a slow export would make work for itself without end
            if action():
                self.changes[action.__name__] = self.changes.get(action.__name__, 0) + 1
                self._note()
                return

    def make_room(self) -> bool:
        """Delete some bill, which may be locked."""
        del self.bills[self.random.choice(list(self.bills))]
        return True

    def withdraw(self) -> bool:
        """Delete a transaction."""
        balance = self.random.choice([*self.balances, ""])
        rows = self.balances.get(balance)
        if rows:
            del rows[self.random.choice(list(rows))]
        return bool(rows)

    def close_balance(self) -> bool:
        before = set(self.balances)
        closed = super().close_balance()
        self.closed |= before - set(self.balances)
        return closed

    def _id(self) -> str:
        id = super()._id()
        if self.random.random() < _WRONG:
            self.odd.add(id)
        return id

    def whole(self, bill: Row) -> Row:
        made = super().whole(bill)
        return made | {"billTotal": "NaN"} if bill["id"] in self.odd else made

    def _post(self, balance: str) -> None:
        super()._post(balance)
        rows = self.balances[balance]
        if (last := next(reversed(rows))) in self.odd:
            rows[last]["amount"] = "NaN"

    def selects(self, bill: Row) -> bool:
        """Whether a bill is among what is asked for."""
        start, end = self.days
        return start <= bill["billDate"] < end and not (self.temper.unlocked and bill["locked"])

    def _note(self) -> None:
        """Write down what is not as it was."""
        self.tick += 1
        now: dict[str, tuple[Any, ...]] = {
            id: (self.selects(bill), bill["billDate"], bill["version"], len(bill["lineItems"]))
            for id, bill in self.bills.items()
        }
        parents = {id: balance for balance, rows in self.balances.items() for id in rows}
        now.update(dict.fromkeys(parents, (True, None)))
        for id in self._seen.keys() - now.keys():
            self.lives[id].steady = False
            self.lives[id].versions.append((self.tick, None))
        for id, stamp in now.items():
            before = self._seen.get(id)
            if stamp == before:
                continue
            parent = parents.get(id)
            life = self.lives.setdefault(id, Life(parent, steady=False))
            life.steady &= before is not None and before[:2] == stamp[:2]
            row = self.whole(self.bills[id]) if parent is None else dict(self.balances[parent][id])
            life.versions.append((self.tick, row if stamp[0] else None))
        self._seen = now

    # What it answers

    async def serve(self, request: Request) -> Answer:
        for _ in range(self.random.randrange(3)):
            await checkpoint()
        await self.before_request()
        found = self(request)
        said = found.status if isinstance(found, Response) else "broken"
        self.asked.append(f"{self.tick} {request.url.partition('/organizations/')[2]} {said}")
        return found

    def _answered(self, parts: list[str], query: dict[str, str]) -> Response:
        self.tick += 1
        if "nextToken" in query:
            age, _, place = query["nextToken"].partition(".")
            if self.temper.ages and int(age) != self.age:
                return answer({"message": "token expired"}, self.temper.refusal)
            query = query | {"nextToken": place}
        match parts:
            case ["bills"]:
                start, end = query.get("billDateStart", ""), query.get("billDateEnd", "~")
                heads = query.get("excludeLineItems") == "true"
                bad = self.dark_days if heads else self.bad_days
                if "ids" not in query and any(start <= day < end for day in bad):
                    return answer({"message": "no such day"}, 500)
                if not heads:
                    self._looking = False
                elif not self._looking:
                    self._looking = True
                    self.looks.append(self.tick)
            case ["balances", id, "transactions"] if id in self.refused:
                return answer({"message": "no"}, self.refused[id])
            case _:
                pass
        return super()._answered(parts, query)

    def _page(
        self, rows: list[Row], query: dict[str, str], shape: Callable[[Row], Row] = dict, *, newest_first: bool = False
    ) -> Response:
        size = min(int(query.get("pageSize", 100)), self.page)
        if (token := query.get("nextToken")) is not None:
            last = int(token)
            serial = self._serial
            rows = [row for row in rows if (serial[row["id"]] < last) is newest_first and serial[row["id"]] != last]
        data = rows[:size]
        if any(row["id"] in self.poison for row in data) and query.get("excludeLineItems") != "true":
            return answer({"message": "the page cannot be made"}, 502)
        body: Row = {}
        if len(rows) > size:
            body["nextToken"] = f"{self.age}.{self._serial[data[-1]['id']]}"
        if data and self.random.random() < self.temper.doubles:
            data = [*data, self.random.choice(rows)]
        shaped = [shape(row) for row in data]
        if query.get("excludeLineItems") != "true":
            for row in shaped:
                if (life := self.lives.get(row["id"])) is not None:
                    life.sent.append((self.tick, row))
        return self._json({"data": shaped, **body})
