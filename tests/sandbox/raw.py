"""Plain HTTP to a sandbox, without any code of the client, and the tour that calls every operation once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from m3ter_async.sandbox import Sandbox

DECODER = msgspec.json.Decoder(float_hook=Decimal)
Json = Any
PERIOD = {"servicePeriodStartDate": "2025-01-01T00:00:00Z", "servicePeriodEndDate": "2025-02-01T00:00:00Z"}


class Raw:
    """Logged in, and says what came back: numbers with a point as Decimal."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        # Loading certificates would take longer than most tests, and there is no TLS here.
        self.http = httpx.Client(base_url=sandbox.url, trust_env=False, verify=False, timeout=20)
        self.org = f"/organizations/{sandbox.org_id}"
        self.log_in()

    def log_in(self) -> None:
        answer = self.http.post(
            "/oauth/token",
            auth=(self.sandbox.api_key, self.sandbox.api_secret),
            json={"grant_type": "client_credentials"},
        )
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def ask(self, method: str, path: str, body: Json = None, /, **query: Json) -> httpx.Response:
        """Call a path below the organization."""
        content = None if body is None else msgspec.json.Encoder(decimal_format="number").encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self.http.request(method, self.org + path, content=content, headers=headers, params=query)

    def do(self, method: str, path: str, body: Json = None, /, **query: Json) -> Json:
        """Call a path, which must succeed, and decode the answer."""
        answer = self.ask(method, path, body, **query)
        assert answer.status_code == 200, answer.text
        return DECODER.decode(answer.content)

    def refused(self, status: int, method: str, path: str, body: Json = None, /, **query: Json) -> str:
        """Call a path, which must be refused with this status, and give the message."""
        answer = self.ask(method, path, body, **query)
        assert answer.status_code == status, (answer.status_code, answer.text)
        assert answer.headers["x-amzn-requestid"]
        message = answer.json()["message"]
        assert isinstance(message, str)
        return message

    def pages(self, path: str, /, **query: Json) -> Iterator[Json]:
        """All pages of a list, to the end."""
        while True:
            page = self.do("GET", path, **query)
            yield page
            token = page.get("nextToken")
            if not token:
                return
            query["nextToken"] = token

    def all(self, path: str, /, **query: Json) -> list[Json]:
        """All rows of a list."""
        return [row for page in self.pages(path, **query) for row in page["data"]]


def balance_body(**more: Json) -> Json:
    body = {"code": "b", "name": "Prepaid", "accountId": "a", "currency": "USD", "customFields": {"one": 1, "two": "2"}}
    return {**body, "startDate": "2025-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z", **more}


def charge_body(**more: Json) -> Json:
    body = {"name": "Fee", "code": "fee", "accountId": "a" * 36, "currency": "USD"}
    return {**body, "entityType": "AD_HOC", "lineItemType": "AD_HOC", **PERIOD, **more}


def memo_body(bill: Json, **more: Json) -> Json:
    body = {"productId": "p", "accountingProductId": "p", "description": "Sorry", "amount": Decimal("1.0000000000001")}
    return {**body, "referencedBillId": bill["id"], "referencedLineItemId": "l", **PERIOD, **more}


def charge_schedule_body(**more: Json) -> Json:
    body = {"name": "Fee", "code": "fee", "amount": Decimal("9.99"), "currency": "USD", "billFrequency": "MONTHLY"}
    return {**body, "billFrequencyInterval": 1, "billInAdvance": True, "chargeDescription": "A fee", **PERIOD, **more}


def transaction_schedule_body(**more: Json) -> Json:
    body = {"name": "Top up", "code": "top", "amount": 10, "transactionDescription": "Top", "transactionTypeId": "t"}
    run = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}
    return {**body, **run, "frequency": "MONTHLY", "frequencyInterval": 1, **more}


def adjustment_body(**more: Json) -> Json:
    return {"counterId": "c", "accountId": "a", "date": "2025-03-01", "value": 5, **more}


def first_bill(raw: Raw, **query: Json) -> Json:
    """The newest bill that passes the filters and has line items."""
    return next(bill for bill in raw.all("/bills", **query) if bill["lineItems"])


def tour(raw: Raw) -> None:
    """Call every operation so that it succeeds; a listener on `raw.http` sees the answers."""
    do = raw.do
    raw.log_in()
    bill = first_bill(raw, status="PENDING")
    path, account = f"/bills/{bill['id']}", bill["accountId"]
    for part in ("", "/lineitems", "/creditlineitems", "/debitlineitems", "/statement/json", "/statement/csv"):
        do("GET", path + part)
    line = do("GET", path + "/lineitems", pageSize=1) and bill["lineItems"][0]["id"]
    do("GET", f"{path}/lineitems/{line}")
    do("GET", f"{path}/lineitems/{line}/usage/json")
    do("GET", f"/bills/latest/{account}")
    do("GET", f"/bills/accountid/{account}")
    period = f"/bills/billingperiod/{bill['endDate']}/{bill['billingFrequency']}"
    do("GET", period)
    do("GET", "/bills/search", searchQuery="status:PENDING")
    do("GET", "/lineitems", lineItemType="USAGE")
    do("POST", path + "/statement/csv")
    do("POST", "/bills/download/csv/url", {"startDate": "2025-06-01T00:00:00Z"})
    do("POST", "/bills/preview", {"billingFrequency": "MONTHLY"})
    for kind in ("creditlineitems", "debitlineitems"):
        round_trip(raw, f"{path}/{kind}", memo_body(bill))
    do("POST", "/bills/approve", {"billIds": [bill["id"]]})
    do("POST", period + "/approve")
    do("PUT", path + "/status", {"status": "PENDING"})
    do("PUT", path + "/status", {"status": "APPROVED"})
    do("PUT", path + "/lock")
    do("DELETE", f"/bills/{first_bill(raw, status='PENDING')['id']}")
    config = do("GET", "/billconfig")
    do("PUT", "/billconfig", {"version": config["version"], "billLockDate": "2000-01-01"})
    job = do("POST", "/billjobs", {"accountIds": [account]})
    for _ in range(4):
        do("GET", f"/billjobs/{job['id']}")
    do("GET", "/billjobs")
    job = do("POST", "/billjobs/recalculate", {"billIds": [first_bill(raw, status="PENDING")["id"]]})
    do("POST", f"/billjobs/{job['id']}/cancel")
    job = do("POST", "/statementjobs", {"billId": bill["id"], "includeCsvFormat": True})
    for _ in range(3):
        do("GET", f"/statementjobs/{job['id']}")
    do("GET", "/statementjobs", status="COMPLETE")
    (job,) = do("POST", "/statementjobs/batch", {"billIds": [bill["id"]]})
    do("POST", f"/statementjobs/{job['id']}/cancel")
    balance = do("POST", "/balances", balance_body())
    here = f"/balances/{balance['id']}"
    do("POST", here + "/transactions", {"amount": Decimal("-1.5")})
    do("GET", here + "/transactions")
    do("GET", here + "/transactions/summary")
    do("POST", here + "/balancechargeschedules/preview", charge_schedule_body())
    do("POST", here + "/balancetransactionschedules/preview", transaction_schedule_body())
    round_trip(raw, here + "/balancechargeschedules", charge_schedule_body())
    round_trip(raw, here + "/balancetransactionschedules", transaction_schedule_body())
    round_trip(raw, "/balances", balance_body())
    round_trip(raw, "/charges", charge_body(amount=5))
    round_trip(raw, "/counteradjustments", adjustment_body())


def round_trip(raw: Raw, path: str, body: Json) -> None:
    """Create, retrieve, list, update and delete."""
    made = raw.do("POST", path, body)
    raw.do("GET", f"{path}/{made['id']}")
    assert made["id"] in [row["id"] for row in raw.all(path)]
    raw.do("PUT", f"{path}/{made['id']}", {**body, "version": 1})
    raw.do("DELETE", f"{path}/{made['id']}")


RawFactory = Callable[..., Raw]
