"""A second client that changes what a sandbox holds, at random, and what the sandbox holds then."""

from __future__ import annotations

from decimal import Context, Decimal
from random import Random
from typing import Any

from m3ter_async.sandbox import Sandbox
from tests.sandbox.raw import DECODER, Raw, memo_body

Row = tuple[Any, ...]
_WIDE = Context(prec=80)
TABLES = {
    "bills": "id, version, status, locked, CAST(bill_date AS VARCHAR), account_id, bill_total",
    "line_items": "bill_id, position, id, line_item_type, quantity, units, subtotal, converted_subtotal",
    "pricing_bands": "bill_id, line_item_position, position, pricing_band_id, band_units, unit_price, band_subtotal, "
    "lower_limit",
    "accounts": "id, version, name, code",
    "transactions": "balance_id, id, amount",
}


class SecondClient:
    """Changes bills, accounts and balances; a failed call is left as it is.

    Args:
        sandbox: What it changes.
        seed: Decides what.
    """

    def __init__(self, sandbox: Sandbox, seed: int) -> None:
        self.changes = 0
        self._sandbox = sandbox
        self._raw = Raw(sandbox)
        self._random = Random(seed)
        self._bills: dict[str, Any] = {}
        self._accounts = [row["id"] for row in self.all("/accounts")]
        self._balances = [row["id"] for row in self.all("/balances")]
        self._number = 0

    def close(self) -> None:
        """Hang up."""
        self._raw.http.close()

    def change(self, count: int) -> None:
        """Change something, so many times."""
        kinds = (
            *(self._create, self._alter, self._approve, self._back_to_pending, self._lock, self._delete, self._credit),
            *(self._recalculate, self._re_date, self._create_and_lock, self._post, self._account),
        )
        end = self.changes + count
        while self.changes < end:
            act = self._move_lock_date if self._random.random() < 0.005 else self._random.choice(kinds)
            if len(self._bills) < 20:
                self._bills = {row["id"]: row for row in self.all("/bills", excludeLineItems="true")}
            self.changes += bool(act())

    def _do(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """What was answered, or None where the call was refused."""
        for _ in range(20):
            answer = self._raw.ask(method, path, body, **query)
            if answer.status_code == 401:
                self._raw.log_in()
            elif answer.status_code != 429 and answer.status_code < 500:
                return answer.json() if answer.status_code == 200 else None
        return None

    def all(self, path: str, **query: Any) -> list[Any]:
        """All rows of a listing, by way of any fault."""
        rows: list[Any] = []
        while True:
            answer = self._raw.ask("GET", path, None, **query)
            if answer.status_code != 200:
                continue
            page = DECODER.decode(answer.content)
            rows += page["data"]
            if not page.get("nextToken"):
                return rows
            query["nextToken"] = page["nextToken"]

    def _bill(self) -> str:
        return self._random.choice(list(self._bills))

    def _wait(self, job: Any) -> list[str]:
        for _ in range(6):
            found = self._do("GET", f"/billjobs/{job['id']}")
            if found and found["status"] == "COMPLETE":
                ids: list[str] = found["billIds"]
                return ids
        return []

    def _create(self) -> list[str]:
        account = self._random.choice(self._accounts)
        day = f"2025-0{self._random.randint(1, 6)}-{self._random.randint(1, 28):02d}"
        job = self._do("POST", "/billjobs", {"accountIds": [account], "lastDateInBillingPeriod": day})
        made = self._wait(job) if job else []
        self._bills.update(dict.fromkeys(made))
        return made

    def _create_and_lock(self) -> bool:
        made = self._create()
        return bool(made) and self._approved(made[0]) and self._do("PUT", f"/bills/{made[0]}/lock") is not None

    def _alter(self) -> bool:
        self._number += 1
        return self._changed(self._bill(), purchaseOrderNumber=f"PO {self._number}")

    def _re_date(self) -> bool:
        return self._changed(self._bill(), billDate=f"2024-{self._random.randint(1, 12):02d}-15")

    def _changed(self, bill: str, **fields: object) -> bool:
        try:
            self._sandbox.change_bill(bill, **fields)
        except ValueError:  # it is locked, or gone
            return False
        return True

    def _approved(self, bill: str) -> bool:
        return self._do("PUT", f"/bills/{bill}/status", {"status": "APPROVED"}) is not None

    def _approve(self) -> bool:
        return self._approved(self._bill())

    def _back_to_pending(self) -> bool:
        return self._do("PUT", f"/bills/{self._bill()}/status", {"status": "PENDING"}) is not None

    def _lock(self) -> bool:
        bill = self._bill()
        return self._approved(bill) and self._do("PUT", f"/bills/{bill}/lock") is not None

    def _delete(self) -> bool:
        bill = self._bill()
        if self._do("DELETE", f"/bills/{bill}") is None:
            return False
        del self._bills[bill]
        return True

    def _credit(self) -> bool:
        bill = self._bill()
        amount = Decimal(self._random.randint(1, 10**15)).scaleb(-13)
        body = memo_body({"id": bill}, amount=amount)
        return self._do("POST", f"/bills/{bill}/creditlineitems", body) is not None

    def _recalculate(self) -> bool:
        job = self._do("POST", "/billjobs/recalculate", {"billIds": [self._bill()]})
        return bool(job and self._wait(job))

    def _move_lock_date(self) -> bool:
        date = f"202{self._random.randint(2, 4)}-{self._random.randint(1, 12):02d}-01"
        for row in self.all("/bills", excludeLineItems="true", status="PENDING"):
            if row["billDate"] <= date:
                self._approved(row["id"])
        config = self._do("GET", "/billconfig")
        body = {"version": config["version"], "billLockDate": date} if config else {}
        return self._do("PUT", "/billconfig", body) is not None

    def _post(self) -> bool:
        balance = self._random.choice(self._balances)
        amount = Decimal(self._random.randint(-(10**15), 10**15)).scaleb(-12)
        body = {"amount": amount, "transactionTypeId": "t", "description": "d"}
        return self._do("POST", f"/balances/{balance}/transactions", body) is not None

    def _account(self) -> bool:
        self._number += 1
        body = {"name": f"Account {self._number}", "code": f"made-{self._number}", "emailAddress": "a@example.com"}
        return self._do("POST", "/accounts", body) is not None


def held(client: SecondClient) -> dict[str, list[Row]]:
    """What the service holds, as rows of tables."""
    bills = client.all("/bills", includeBillTotal="true")
    found: dict[str, list[Row]] = {name: [] for name in TABLES}
    for bill in bills:
        date = bill["billDate"]
        found["bills"].append(
            (
                bill["id"],
                bill["version"],
                bill["status"],
                bill["locked"],
                date,
                bill["accountId"],
                exact(bill["billTotal"]),
            )
        )
        for place, line in enumerate(bill["lineItems"]):
            amounts = (exact(line[name]) for name in ("quantity", "units", "subtotal", "convertedSubtotal"))
            found["line_items"].append((bill["id"], place, line["id"], line["lineItemType"], *amounts))
            for number, band in enumerate(line["usagePerPricingBand"]):
                amounts = (exact(band[name]) for name in ("bandUnits", "unitPrice", "bandSubtotal", "lowerLimit"))
                found["pricing_bands"].append((bill["id"], place, number, band["pricingBandId"], *amounts))
    found["accounts"] = [(row["id"], row["version"], row["name"], row["code"]) for row in client.all("/accounts")]
    for balance in client.all("/balances"):
        rows = client.all(f"/balances/{balance['id']}/transactions")
        found["transactions"] += [(balance["id"], row["id"], exact(row["amount"])) for row in rows]
    return {name: sorted(rows) for name, rows in found.items()}


def exact(amount: Any) -> Decimal | None:
    """An amount with 18 decimals, as columns have it."""
    return None if amount is None else Decimal(amount).quantize(Decimal("1e-18"), context=_WIDE)


def in_sql(name: str, dataset: str = "m3ter") -> str:
    """What asks a database for the same rows."""
    return f"SELECT {TABLES[name]} FROM {dataset}.{name}"
