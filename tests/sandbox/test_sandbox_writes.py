"""What writing does: versions, money, locks, jobs and files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal

import httpx
import pytest

from m3ter_async.sandbox.contract import ROUTES

from .raw import (
    DECODER,
    PERIOD,
    Json,
    Raw,
    adjustment_body,
    balance_body,
    charge_body,
    charge_schedule_body,
    first_bill,
    memo_body,
    tour,
    transaction_schedule_body,
)

COLLECTIONS = ["balances", "charges", "adjustments", "credits", "debits", "charge schedules", "transaction schedules"]


@pytest.fixture(params=COLLECTIONS)
def collection(request: pytest.FixtureRequest, raw: Raw) -> tuple[str, Json]:
    """The path of each collection that can be written to, and a body it takes."""
    bill = first_bill(raw, status="PENDING")
    balance = f"/balances/{raw.all('/balances')[0]['id']}"
    bodies: dict[str, tuple[str, Json]] = {
        "balances": ("/balances", balance_body()),
        "charges": ("/charges", charge_body(amount=Decimal("1.10"))),
        "adjustments": ("/counteradjustments", adjustment_body(purchaseOrderNumber="PO")),
        "credits": (f"/bills/{bill['id']}/creditlineitems", memo_body(bill)),
        "debits": (f"/bills/{bill['id']}/debitlineitems", memo_body(bill)),
        "charge schedules": (f"{balance}/balancechargeschedules", charge_schedule_body()),
        "transaction schedules": (f"{balance}/balancetransactionschedules", transaction_schedule_body()),
    }
    return bodies[request.param]


def test_versions_rule_every_collection(raw: Raw, collection: tuple[str, Json]) -> None:
    path, body = collection
    assert "version" in raw.refused(400, "POST", path, {**body, "version": 1})
    made = raw.do("POST", path, body)
    assert made["version"] == 1
    one = f"{path}/{made['id']}"
    assert "version" in raw.refused(400, "PUT", one, body)
    assert "version" in raw.refused(409, "PUT", one, {**body, "version": 2})
    assert raw.do("PUT", one, {**body, "version": 1})["version"] == 2
    assert "version" in raw.refused(409, "PUT", one, {**body, "version": 1})
    assert raw.do("GET", one)["version"] == 2


def test_every_collection_is_read_back_as_written_and_deletes_answer_the_entity(
    raw: Raw, collection: tuple[str, Json]
) -> None:
    path, body = collection
    made = raw.do("POST", path, body)
    # The contract takes this field of a credit or debit and does not answer it.
    assert {name: value for name, value in body.items() if name != "accountingProductId"}.items() <= made.items()
    one = f"{path}/{made['id']}"
    assert raw.do("GET", one) == made
    assert raw.all(path)[0] == made
    assert raw.do("DELETE", one) == made
    raw.refused(404, "GET", one)
    raw.refused(404, "DELETE", one)
    assert made not in raw.all(path)


def test_an_update_replaces_the_whole_entity(raw: Raw) -> None:
    made = raw.do("POST", "/balances", balance_body(description="Old"))
    raw.do("POST", f"/balances/{made['id']}/transactions", {"amount": 5})
    body = {name: value for name, value in balance_body().items() if name != "customFields"}
    changed = raw.do("PUT", f"/balances/{made['id']}", {**body, "version": 1})
    assert "customFields" not in changed
    assert "description" not in changed
    assert changed["amount"] == 5, "what only the service sets stays"
    assert changed["dtCreated"] == made["dtCreated"]


@pytest.mark.parametrize(
    ("path", "body", "change", "named"),
    [
        ("/charges", charge_body, {"amount": "1"}, "amount"),
        ("/charges", charge_body, {"amount": True}, "amount"),
        ("/charges", charge_body, {"amount": Decimal("1E+99")}, "amount"),
        ("/charges", charge_body, {"amount": 1, "name": None}, "name"),
        ("/charges", charge_body, {"amount": 1, "name": ""}, "name"),
        ("/charges", charge_body, {"amount": 1, "name": "n" * 201}, "name"),
        ("/charges", charge_body, {"amount": 1, "accountId": "short"}, "accountId"),
        ("/charges", charge_body, {"amount": 1, "entityType": "OTHER"}, "entityType"),
        ("/charges", charge_body, {"amount": 1, "nmae": "x"}, "nmae"),
        ("/charges", charge_body, {"amount": 1, "servicePeriodEndDate": "2025-02-01"}, "servicePeriodEndDate"),
        (
            "/charges",
            charge_body,
            {"amount": 1, "servicePeriodEndDate": "2024-02-01T00:00:00Z"},
            "servicePeriodEndDate",
        ),
        ("/charges", charge_body, {"amount": 1, "billDate": "soon"}, "billDate"),
        ("/charges", charge_body, {}, "amount"),
        ("/charges", charge_body, {"units": 1}, "amount"),
        ("/charges", charge_body, {"amount": 1, "units": 1, "unitPrice": 1}, "amount"),
        ("/charges", charge_body, {"amount": 1, "entityType": "BALANCE"}, "entityId"),
        ("/counteradjustments", adjustment_body, {"value": -1}, "value"),
        ("/counteradjustments", adjustment_body, {"value": Decimal("1.5")}, "value"),
        ("/counteradjustments", adjustment_body, {"value": 2**64}, "value"),
        ("/counteradjustments", adjustment_body, {"date": "x"}, "date"),
        ("/balances", balance_body, {"productIds": "p"}, "productIds"),
        ("/balances", balance_body, {"productIds": [1]}, "productIds[0]"),
        ("/balances", balance_body, {"lineItemTypes": ["CREDIT_MEMO"]}, "lineItemTypes[0]"),
        ("/balances", balance_body, {"allowOverdraft": 1}, "allowOverdraft"),
        ("/balances", balance_body, {"customFields": []}, "customFields"),
        ("/balances", balance_body, {"customFields": {"x": [1]}}, "customFields.x"),
        ("/balances", balance_body, {"customFields": {str(n): n for n in range(101)}}, "customFields"),
        ("/balances", balance_body, {"endDate": "2020-01-01T00:00:00Z"}, "endDate"),
        ("/billjobs", dict, {"accountIds": []}, "accountIds"),
        ("/billjobs", dict, {"currencyConversions": [{"from": "USD"}]}, "currencyConversions[0].to"),
        ("/billjobs", dict, {"timezone": 1}, "timezone"),
    ],
)
def test_a_bad_field_is_refused_by_name(
    raw: Raw, path: str, body: Callable[..., Json], change: Json, named: str
) -> None:
    assert raw.refused(400, "POST", path, body(**change)).startswith(named + ":")
    assert not raw.sandbox.applied


def test_credits_must_be_above_zero(raw: Raw) -> None:
    bill = first_bill(raw, status="PENDING")
    assert "amount" in raw.refused(400, "POST", f"/bills/{bill['id']}/creditlineitems", memo_body(bill, amount=0))


def test_a_charge_takes_units_with_a_price_or_a_balance(raw: Raw) -> None:
    made = raw.do("POST", "/charges", charge_body(units=2, unitPrice=Decimal("0.333333333333333333333")))
    assert made["unitPrice"] == Decimal("0.333333333333333333333")
    balance = raw.all("/balances")[0]
    raw.do("POST", "/charges", charge_body(amount=1, entityType="BALANCE", entityId=balance["id"]))
    assert "entityId" in raw.refused(
        404, "POST", "/charges", charge_body(amount=1, entityType="BALANCE", entityId="nobody")
    )


def test_schedules_demand_frequency_and_interval(raw: Raw) -> None:
    path = f"/balances/{raw.all('/balances')[0]['id']}/balancechargeschedules"
    for name, value in (("billFrequency", "HOURLY"), ("billFrequencyInterval", 0), ("billFrequencyInterval", 366)):
        assert name in raw.refused(400, "POST", path, charge_schedule_body(**{name: value}))
    assert "amount" in raw.refused(400, "POST", path, charge_schedule_body(units=1, unitPrice=1))


def test_a_preview_answers_one_entity_and_stores_nothing(raw: Raw) -> None:
    path = f"/balances/{raw.all('/balances')[0]['id']}/balancetransactionschedules"
    preview = raw.do("POST", path + "/preview", transaction_schedule_body(), pageSize=5)
    assert preview["nextRun"] == preview["startDate"]
    assert raw.all(path) == []
    before = raw.sandbox.truth()
    assert raw.do("POST", "/bills/preview", {})["lineItems"] is not None
    assert raw.sandbox.truth() == before
    assert not raw.sandbox.applied


def test_transactions_move_the_balance_exactly_and_are_never_changed(raw: Raw) -> None:
    path = f"/balances/{raw.do('POST', '/balances', balance_body())['id']}"
    amounts = [Decimal("100.0000000000001"), Decimal("-30.5"), Decimal("20")]
    made = [raw.do("POST", path + "/transactions", {"amount": amount}) for amount in amounts]
    assert [row["amount"] for row in made] == amounts
    assert raw.do("GET", path)["amount"] == Decimal("89.5000000000001")
    summary = raw.do("GET", path + "/transactions/summary")
    assert summary["totalCreditAmount"] == Decimal("120.0000000000001")
    assert summary["totalDebitAmount"] == Decimal("30.5")
    assert summary["initialCreditAmount"] == amounts[0]
    raw.refused(404, "PUT", f"{path}/transactions/{made[0]['id']}", {"amount": 1})


def test_a_credit_becomes_a_line_item_of_its_bill(raw: Raw) -> None:
    bill = first_bill(raw, status="PENDING")
    made = raw.do("POST", f"/bills/{bill['id']}/creditlineitems", memo_body(bill))
    after = raw.do("GET", f"/bills/{bill['id']}")
    (line,) = [line for line in after["lineItems"] if line["id"] == made["id"]]
    assert line["lineItemType"] == made["lineItemType"] == "CREDIT_MEMO"
    assert line["subtotal"] == Decimal("-1.0000000000001")
    assert after["billTotal"] == raw.do("GET", f"/bills/{bill['id']}")["billTotal"]
    raw.do("DELETE", f"/bills/{bill['id']}/creditlineitems/{made['id']}")
    assert raw.do("GET", f"/bills/{bill['id']}")["lineItems"] == bill["lineItems"]


def test_only_an_approved_bill_can_be_locked_and_it_stays_locked(raw: Raw) -> None:
    bill = first_bill(raw, status="PENDING")
    path = f"/bills/{bill['id']}"
    assert "status" in raw.refused(400, "PUT", path + "/lock")
    assert raw.do("POST", "/bills/approve", {"billIds": [bill["id"]]}).keys() == {"message"}
    assert raw.do("GET", path)["status"] == "APPROVED"
    assert raw.do("PUT", path + "/lock")["locked"] is True
    assert raw.do("PUT", path + "/lock")["locked"] is True
    assert raw.sandbox.applied["LockBill"] == 1
    for method, rest, body in [
        ("PUT", "/status", {"status": "PENDING"}),
        ("DELETE", "", None),
        ("POST", "/creditlineitems", memo_body(bill)),
        ("POST", "/debitlineitems", memo_body(bill)),
    ]:
        assert "locked" in raw.refused(400, method, path + rest, body)
    assert "locked" in raw.refused(400, "POST", "/billjobs/recalculate", {"billIds": [bill["id"]]})


def test_approving_takes_filters_and_periods(raw: Raw) -> None:
    bills = raw.all("/bills", status="PENDING")
    named = {"billIds": [bill["id"] for bill in bills]}
    raw.do("POST", "/bills/approve", named, accountIds=bills[0]["accountId"])
    left = [bill["id"] for bill in bills if bill["accountId"] != bills[0]["accountId"]]
    assert [bill["id"] for bill in raw.all("/bills", status="PENDING")] == left
    bill = raw.do("GET", f"/bills/{left[0]}")
    raw.do("POST", f"/bills/billingperiod/{bill['endDate']}/{bill['billingFrequency']}/approve")
    assert raw.do("GET", f"/bills/{left[0]}")["status"] == "APPROVED"
    raw.refused(404, "POST", "/bills/approve", {"billIds": ["nobody"]})
    assert "billIds" in raw.refused(400, "POST", "/bills/approve", {"billIds": []})


def test_the_lock_date_refuses_pending_bills_and_locks_the_rest(raw: Raw) -> None:
    pending = raw.all("/bills", status="PENDING")
    day = pending[0]["billDate"]
    config = raw.do("GET", "/billconfig")
    assert "PENDING" in raw.refused(400, "PUT", "/billconfig", {"version": config["version"], "billLockDate": day})
    raw.do("POST", "/bills/approve", {"billIds": [bill["id"] for bill in pending]})
    assert "version" in raw.refused(400, "PUT", "/billconfig", {"billLockDate": day})
    changed = raw.do("PUT", "/billconfig", {"version": config["version"], "billLockDate": day})
    assert changed["version"] == config["version"] + 1
    assert raw.do("GET", "/billconfig")["billLockDate"] == day
    assert all(bill["locked"] for bill in raw.all("/bills") if bill["billDate"] <= day)


def test_a_bill_job_moves_on_as_it_is_polled_and_makes_bills(raw: Raw) -> None:
    accounts = [bill["accountId"] for bill in raw.do("GET", "/bills/search", pageSize=1)["data"]]
    job = raw.do("POST", "/billjobs", {"accountIds": accounts, "lastDateInBillingPeriod": "2025-06-30"})
    seen = [job] + [raw.do("GET", f"/billjobs/{job['id']}") for _ in range(4)]
    assert [row["status"] for row in seen] == ["PENDING", "INITIALIZING", "RUNNING", "COMPLETE", "COMPLETE"]
    assert seen[0]["pending"] == seen[0]["total"] == 1
    assert seen[-1]["pending"] == 0
    (made,) = seen[-1]["billIds"]
    bill = raw.do("GET", f"/bills/{made}")
    assert (bill["status"], bill["locked"], bill["endDate"]) == ("PENDING", False, "2025-06-30")
    assert [row["id"] for row in raw.all("/bills", billJobId=job["id"])] == [made]
    assert raw.do("GET", f"/bills/latest/{accounts[0]}")["id"] == made
    assert "status" in raw.refused(400, "POST", f"/billjobs/{job['id']}/cancel")


def test_eleven_bill_jobs_are_one_too_many(raw: Raw) -> None:
    jobs = [raw.do("POST", "/billjobs", {}) for _ in range(10)]
    assert "10" in raw.refused(429, "POST", "/billjobs", {})
    assert raw.sandbox.applied["CreateBillJob"] == 10
    assert raw.do("POST", f"/billjobs/{jobs[0]['id']}/cancel")["status"] == "CANCELLED"
    raw.do("POST", "/billjobs", {})
    assert len(raw.all("/billjobs", active="true", pageSize=3)) == 10
    assert [row["id"] for row in raw.all("/billjobs", status="CANCELLED")] == [jobs[0]["id"]]


def test_a_statement_job_ends_with_urls_that_work_without_a_token(raw: Raw) -> None:
    bill = first_bill(raw)
    job = raw.do("POST", "/statementjobs", {"billId": bill["id"], "includeCsvFormat": True})
    seen = [job] + [raw.do("GET", f"/statementjobs/{job['id']}") for _ in range(2)]
    assert [row["statementJobStatus"] for row in seen] == ["PENDING", "RUNNING", "COMPLETE"]
    assert "presignedJsonStatementUrl" not in seen[1]
    statement = DECODER.decode(httpx.get(seen[2]["presignedJsonStatementUrl"], trust_env=False).content)
    assert statement["lineItems"] == bill["lineItems"]
    table = list(csv.DictReader(io.StringIO(httpx.get(seen[2]["presignedCsvStatementUrl"], trust_env=False).text)))
    assert [Decimal(row["subtotal"]) for row in table] == [line["subtotal"] for line in bill["lineItems"]]
    assert seen[2]["jsonStatementStatus"] == "LATEST"


def test_a_batch_of_statement_jobs_is_a_bare_array(raw: Raw) -> None:
    ids = [bill["id"] for bill in raw.all("/bills")[:3]]
    jobs = raw.do("POST", "/statementjobs/batch", {"billIds": ids})
    assert [job["billId"] for job in jobs] == ids
    assert raw.do("POST", f"/statementjobs/{jobs[0]['id']}/cancel")["statementJobStatus"] == "CANCELLED"
    assert len(raw.all("/statementjobs", billId=ids[1])) == 1
    assert "billIds" in raw.refused(400, "POST", "/statementjobs/batch", {"billIds": ids * 4})
    raw.refused(404, "POST", "/statementjobs", {"billId": "nobody"})


def test_presigned_urls_refuse_a_token_and_a_changed_signature(raw: Raw) -> None:
    bill = first_bill(raw)
    line = bill["lineItems"][0]["id"]
    urls = [
        raw.do("GET", f"/bills/{bill['id']}/statement/json"),
        raw.do("GET", f"/bills/{bill['id']}/statement/csv"),
        raw.do("POST", f"/bills/{bill['id']}/statement/csv"),
        raw.do("GET", f"/bills/{bill['id']}/lineitems/{line}/usage/json"),
        raw.do("POST", "/bills/download/csv/url", {"startDate": bill["billDate"] + "T00:00:00Z"}),
    ]
    for answer in urls:
        url = answer["downloadUrl"]
        assert url.startswith(raw.sandbox.url)
        assert httpx.get(url, trust_env=False).status_code == 200
        assert raw.http.get(url).status_code == 400, "with the Authorization header"
        assert httpx.get(url[:-4] + "0000", trust_env=False).status_code == 403
        assert httpx.get(url.partition("?")[0], trust_env=False).status_code == 403
    assert bill["id"] in httpx.get(urls[-1]["downloadUrl"], trust_env=False).text


def test_writes_that_took_effect_are_counted_and_reads_are_not(raw: Raw) -> None:
    tour(raw)
    applied = raw.sandbox.applied
    reads = {"PreviewBill", "PreviewScheduledCharge", "PreviewBalanceTransactionSchedule", "DownloadBillsCsvUrl"}
    writes = {route.operation for route in ROUTES if route.method != "GET"} & set(raw.sandbox.requests) - reads - {
        "GenerateToken"
    }
    # The period had no other bill left to approve, which is no write.
    assert set(applied) | {"ApproveAllBillsInBillingPeriod"} == writes
    assert applied["PostBalance"] == 2


def test_a_refused_write_is_not_counted_and_changes_nothing(raw: Raw) -> None:
    before = raw.sandbox.truth()
    balance = raw.all("/balances")[0]["id"]
    raw.refused(400, "POST", f"/balances/{balance}/transactions", {"amount": "1"})
    raw.refused(409, "PUT", f"/balances/{balance}", {**balance_body(), "version": 9})
    raw.refused(400, "POST", "/charges", {**PERIOD})
    raw.sandbox.expire_tokens()
    raw.refused(403, "POST", f"/balances/{balance}/transactions", {"amount": 1})
    assert raw.sandbox.truth() == before
    assert not raw.sandbox.applied
