"""Lists: truth, pages, tokens, filters and search."""

from __future__ import annotations

from collections import defaultdict
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from .raw import Json, Raw, RawFactory, balance_body, charge_body, memo_body


def added_up(rows: list[Json], name: str, by: str) -> dict[str, Decimal]:
    """Exact sums, by what the rows have in common."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    with localcontext(Context(prec=60)):
        for row in rows:
            sums[row[by]] += row[name]
    return dict(sums)


def check_truth(raw: Raw) -> None:
    """What is served, page by page, is what `truth()` says."""
    truth = raw.sandbox.truth()
    bills = raw.all("/bills", pageSize=7)
    lines = [{**line, "billCurrency": bill["currency"]} for bill in bills for line in bill["lineItems"]]
    balances = raw.all("/balances")
    moves = [
        {**move, "currency": balance["currency"], "balanceId": balance["id"]}
        for balance in balances
        for move in raw.all(f"/balances/{balance['id']}/transactions", pageSize=11)
    ]
    counts = (
        len(bills),
        len(lines),
        sum(len(line["usagePerPricingBand"]) for line in lines),
        len(balances),
        len(moves),
    )
    assert truth[:5] == counts
    assert {line["id"] for line in raw.all("/lineitems")} == {line["id"] for line in lines}
    subtotals = added_up(lines, "subtotal", "billCurrency")
    assert {name: amount for name, amount in truth.line_item_subtotals.items() if name in subtotals} == subtotals
    amounts = added_up(moves, "amount", "currency")
    assert {name: amount for name, amount in truth.transaction_amounts.items() if amount} == amounts
    assert {row["id"]: row["amount"] for row in balances if row["amount"]} == added_up(moves, "amount", "balanceId")


def test_truth_is_what_is_served(raw: Raw) -> None:
    check_truth(raw)


def test_truth_is_what_is_served_after_writes_too(raw: Raw) -> None:
    bill = next(bill for bill in raw.all("/bills") if not bill["locked"])
    raw.do("POST", f"/bills/{bill['id']}/creditlineitems", memo_body(bill))
    raw.do("POST", f"/bills/{bill['id']}/debitlineitems", memo_body(bill, amount=7))
    balance = raw.do("POST", "/balances", balance_body(currency="SEK"))
    raw.do("POST", f"/balances/{balance['id']}/transactions", {"amount": Decimal("123456789012345678.0000000000001")})
    raw.do("POST", f"/balances/{raw.all('/balances')[-1]['id']}/transactions", {"amount": -3})
    raw.do("DELETE", f"/bills/{next(row['id'] for row in raw.all('/bills', locked='false') if row != bill)}")
    job = raw.do("POST", "/billjobs", {"accountIds": [bill["accountId"]]})
    while raw.do("GET", f"/billjobs/{job['id']}")["status"] != "COMPLETE":
        pass
    check_truth(raw)
    assert raw.sandbox.truth().transaction_amounts["SEK"] == Decimal("123456789012345678.0000000000001")


def test_truth_does_not_depend_on_the_callers_decimal_context(raw: Raw) -> None:
    expected = raw.sandbox.truth()
    with localcontext(Context(prec=3)):
        assert raw.sandbox.truth() == expected


def test_bills_come_newest_first_and_each_once(shared: Raw) -> None:
    bills = shared.all("/bills", pageSize=13)
    dates = [bill["billDate"] for bill in bills]
    assert dates == sorted(dates, reverse=True)
    assert len({bill["id"] for bill in bills}) == len(bills) == 300


def test_pages_hold_what_was_asked_for_and_the_maximum_is_obeyed(shared: Raw) -> None:
    assert max(len(page["data"]) for page in shared.pages("/bills", pageSize=13)) == 13
    assert max(len(page["data"]) for page in shared.pages("/bills")) == 100
    for size in (0, 101, -1):
        assert "pageSize" in shared.refused(400, "GET", "/bills", pageSize=size)
    for text in ("ten", "1.5", ""):
        assert "pageSize" in shared.refused(400, "GET", "/bills", pageSize=text)


def test_a_list_may_show_an_empty_page_before_its_end(start: RawFactory) -> None:
    sizes = [len(page["data"]) for page in start().pages("/bills", pageSize=3)]
    assert 0 in sizes[:-1]
    sizes = [len(page["data"]) for page in start(empty_pages=False).pages("/bills", pageSize=3)]
    assert 0 not in sizes


def test_the_last_page_ends_in_all_three_ways(shared: Raw) -> None:
    ends: set[Any] = set()
    for bill in shared.all("/bills", pageSize=100)[:60]:
        *_, last = shared.pages(f"/bills/{bill['id']}/lineitems")
        ends.add(last.get("nextToken", "absent"))
    assert ends == {"absent", None, ""}


def test_a_token_belongs_to_its_list_and_filters(shared: Raw) -> None:
    token = next(page for page in shared.pages("/bills", status="APPROVED", pageSize=5))["nextToken"]
    shared.do("GET", "/bills", status="APPROVED", nextToken=token, pageSize=50)
    wrong: list[tuple[str, Json]] = [
        ("/bills", {}),
        ("/bills", {"status": "PENDING"}),
        ("/balances", {}),
        ("/lineitems", {}),
        ("/bills/accountid/x", {}),
    ]
    for path, query in wrong:
        assert "nextToken" in shared.refused(400, "GET", path, nextToken=token, **query)
    for forged in ("x", "1", token[:-4] + "AAAA", "é", "Mi4wLg=="):
        assert "nextToken" in shared.refused(400, "GET", "/bills", status="APPROVED", nextToken=forged)


def test_a_list_goes_on_rightly_while_rows_come_and_go(start: RawFactory) -> None:
    raw = start(empty_pages=False)
    before = [bill["id"] for bill in raw.all("/bills")]
    page = raw.do("GET", "/bills", pageSize=10)
    job = raw.do("POST", "/billjobs", {"accountIds": [page["data"][0]["accountId"]]})
    while raw.do("GET", f"/billjobs/{job['id']}")["status"] != "COMPLETE":
        pass
    last = next(row for row in reversed(page["data"]) if not row["locked"])
    raw.do("DELETE", f"/bills/{last['id']}")
    rest = raw.all("/bills", pageSize=10, nextToken=page["nextToken"])
    assert [row["id"] for row in rest] == before[10:]


def ids(rows: list[Json]) -> list[str]:
    return [row["id"] for row in rows]


def test_bill_filters_do_what_they_are_named_for(shared: Raw) -> None:
    bills = shared.all("/bills")
    one = bills[40]
    day, other = one["billDate"], bills[140]["billDate"]
    invoiced = [bill for bill in bills if (bill["externalInvoiceDate"] or "") >= day]
    expected: list[tuple[Json, list[Json]]] = [
        ({"accountId": one["accountId"]}, [bill for bill in bills if bill["accountId"] == one["accountId"]]),
        ({"locked": "true"}, [bill for bill in bills if bill["locked"]]),
        ({"status": "PENDING"}, [bill for bill in bills if bill["status"] == "PENDING"]),
        ({"billDate": day}, [bill for bill in bills if bill["billDate"] == day]),
        ({"billDateStart": other, "billDateEnd": day}, [bill for bill in bills if other <= bill["billDate"] < day]),
        ({"externalInvoiceDateStart": day}, invoiced),
        ({"ids": f"{one['id']},{bills[200]['id']},nobody"}, [one, bills[200]]),
        ({"billJobId": "none"}, []),
        (
            {"billDate": day, "billingFrequency": "MONTHLY"},
            [bill for bill in bills if bill["billDate"] == day and bill["billingFrequency"] == "MONTHLY"],
        ),
    ]
    for query, rows in expected:
        assert ids(shared.all("/bills", **query)) == ids(rows), query
    assert shared.all("/bills", billDateStart=day, billDateEnd=day) == []


def test_line_items_and_total_can_be_left_out_or_asked_for(shared: Raw) -> None:
    full = shared.all("/bills", includeBillTotal="true")
    lines = [{**line, "billId": bill["id"]} for bill in full for line in bill["lineItems"]]
    assert {row["id"]: row["billTotal"] for row in full if row["lineItems"]} == added_up(
        lines, "convertedSubtotal", "billId"
    )
    for bill in shared.all("/bills", excludeLineItems="true"):
        assert not {"lineItems", "billTotal"} & set(bill)
    both = shared.all("/bills", excludeLineItems="true", includeBillTotal="true")
    assert [bill["billTotal"] for bill in both] == [bill["billTotal"] for bill in full]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"acountId": "x"}, "acountId"),
        ({"locked": "yes"}, "locked"),
        ({"status": "OPEN"}, "status"),
        ({"billDate": "yesterday"}, "billDate"),
        ({"billDateStart": "2024-02-30"}, "billDateStart"),
        ({"billingFrequency": "MONTHLY"}, "billingFrequency"),
        ({"billDate": "2024-01-01", "billingFrequency": "SOMETIMES"}, "billingFrequency"),
        ({"locked": ["true", "true"]}, "locked"),
    ],
)
def test_a_bad_query_is_refused_by_name(shared: Raw, query: Json, named: str) -> None:
    assert named in shared.refused(400, "GET", "/bills", **query)


def test_line_items_are_filtered_across_all_bills(shared: Raw) -> None:
    lines = shared.all("/lineitems", pageSize=37)
    assert ids(shared.all("/lineitems", lineItemType="AD_HOC")) == [
        line["id"] for line in lines if line["lineItemType"] == "AD_HOC"
    ]
    one = lines[100]
    assert ids(shared.all("/lineitems", billId=one["billId"], pageSize=4)) == ids(
        [line for line in lines if line["billId"] == one["billId"]]
    )
    commitment = next(line["commitmentId"] for line in lines if "commitmentId" in line)
    assert {line["commitmentId"] for line in shared.all("/lineitems", commitmentId=commitment)} == {commitment}


def test_the_two_shapes_of_a_line_item_agree(shared: Raw) -> None:
    bill = max(shared.all("/bills"), key=lambda bill: len(bill["lineItems"]))
    for inside, own in zip(bill["lineItems"], shared.all(f"/bills/{bill['id']}/lineitems", pageSize=3), strict=True):
        assert own["bandUsage"] == inside["usagePerPricingBand"]
        assert own["billId"] == bill["id"]
        assert own["subtotal"] == inside["subtotal"]
        assert own["version"] == 1
        assert "usagePerPricingBand" not in own
        assert shared.do("GET", f"/bills/{bill['id']}/lineitems/{own['id']}") == own


def test_bills_by_account_and_by_period(shared: Raw) -> None:
    bills = shared.all("/bills")
    one = bills[77]
    mine = [bill for bill in bills if bill["accountId"] == one["accountId"]]
    assert ids(shared.all(f"/bills/accountid/{one['accountId']}", pageSize=2)) == ids(mine)
    assert shared.do("GET", f"/bills/latest/{one['accountId']}")["id"] == mine[0]["id"]
    period = (one["endDate"], one["billingFrequency"])
    assert ids(shared.all(f"/bills/billingperiod/{period[0]}/{period[1]}")) == ids(
        [bill for bill in bills if (bill["endDate"], bill["billingFrequency"]) == period]
    )
    shared.refused(404, "GET", "/bills/latest/nobody")
    assert "billingFrequency" in shared.refused(400, "GET", f"/bills/billingperiod/{period[0]}/X")
    assert "lastDateInBillingPeriod" in shared.refused(400, "GET", "/bills/billingperiod/x/MONTHLY")


def test_transactions_and_charges_are_filtered(raw: Raw) -> None:
    balance = next(row for row in raw.all("/balances") if row["amount"] != 0)
    path = f"/balances/{balance['id']}/transactions"
    moves = raw.all(path)
    assert ids(raw.all(path, entityType="BILL")) == ids([move for move in moves if move["entityType"] == "BILL"])
    kind = moves[0]["transactionTypeId"]
    assert {move["transactionTypeId"] for move in raw.all(path, transactionTypeId=kind)} == {kind}
    made = [raw.do("POST", "/charges", charge_body(amount=1, billDate=f"2025-01-0{day}")) for day in (1, 2, 3)]
    assert ids(raw.all("/charges", billDate="2025-01-02")) == [made[1]["id"]]
    assert ids(raw.all("/charges")) == ids(made[::-1])


def test_counter_adjustments_are_filtered_and_sorted_by_date(raw: Raw) -> None:
    for date in ("2025-02-01", "2025-01-01", "2025-03-01"):
        raw.do("POST", "/counteradjustments", {"counterId": "c", "accountId": "a", "date": date, "value": 1})

    def dates(**query: str) -> list[str]:
        return [row["date"] for row in raw.all("/counteradjustments", **query)]

    assert dates() == ["2025-03-01", "2025-01-01", "2025-02-01"]
    assert dates(sortOrder="ASC", pageSize="1") == ["2025-01-01", "2025-02-01", "2025-03-01"]
    assert dates(dateStart="2025-02-01", dateEnd="2025-03-01") == ["2025-02-01"]
    assert dates(date="2025-01-01") == ["2025-01-01"]
    assert dates(accountId="b") == []
    assert "sortOrder" in raw.refused(400, "GET", "/counteradjustments", sortOrder="UP")


def search(raw: Raw, query: str | None = None, **more: Json) -> list[Json]:
    given = {} if query is None else {"searchQuery": query}
    rows: list[Json] = []
    while True:
        page = raw.do("GET", "/bills/search", **given, fromDocument=len(rows), **{"pageSize": 100, **more})["data"]
        rows += page
        if not page:
            return rows


def test_search_speaks_its_whole_grammar(shared: Raw) -> None:
    bills = shared.all("/bills")
    day = bills[100]["billDate"]
    expected: list[tuple[str, list[Json]]] = [
        ("status:PENDING", [bill for bill in bills if bill["status"] == "PENDING"]),
        (f"billDate>{day}", [bill for bill in bills if bill["billDate"] > day]),
        (f"billDate>={day}", [bill for bill in bills if bill["billDate"] >= day]),
        (f"billDate<{day}", [bill for bill in bills if bill["billDate"] < day]),
        (f"billDate<={day}$locked:false", [bill for bill in bills if bill["billDate"] <= day and not bill["locked"]]),
        ("accountCode~account-00", [bill for bill in bills if bill["accountCode"].startswith("account-00")]),
    ]
    for query, rows in expected:
        assert ids(search(shared, query)) == ids(rows), query
    either = search(shared, "currency:JPY$currency:GBP", operator="OR")
    assert {bill["currency"] for bill in either} == {"JPY", "GBP"}
    assert search(shared, "currency:JPY$currency:GBP") == []
    assert ids(search(shared, sortBy="billDate", sortOrder="ASC"))[0] == min(bills, key=lambda b: b["billDate"])["id"]
    assert len(shared.do("GET", "/bills/search")["data"]) == 10


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"searchQuery": "status"}, "searchQuery"),
        ({"searchQuery": "status:PENDING$"}, "searchQuery"),
        ({"searchQuery": "nothing:1"}, "searchQuery"),
        ({"searchQuery": "lineItems:1"}, "searchQuery"),
        ({"searchQuery": "billDate>soon"}, "searchQuery"),
        ({"searchQuery": "version>x"}, "searchQuery"),
        ({"fromDocument": -1}, "fromDocument"),
        ({"operator": "XOR"}, "operator"),
        ({"sortBy": "mood"}, "sortBy"),
        ({"sortOrder": "UP"}, "sortOrder"),
        ({"nextToken": "x"}, "nextToken"),
    ],
)
def test_bad_search_grammar_is_refused_by_name(shared: Raw, query: Json, named: str) -> None:
    assert named in shared.refused(400, "GET", "/bills/search", **query)
