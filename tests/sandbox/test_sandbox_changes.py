"""What a second client changes, as the others see it: events, the clock, offsets, an index that is late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from fractions import Fraction
from typing import Any

import httpx
import pytest

from m3ter_async.sandbox import Sandbox
from tests.sandbox.raw import Raw, first_bill, memo_body


@contextmanager
def serving(**arguments: Any) -> Iterator[Raw]:
    with Sandbox(**arguments) as sandbox:
        raw = Raw(sandbox)
        with closing(raw.http):
            yield raw


@pytest.fixture
def raw() -> Iterator[Raw]:
    with serving(bills=300, empty_pages=False) as raw:
        yield raw


def newest(raw: Raw) -> dict[str, Any]:
    event: dict[str, Any] = raw.all("/events")[0]
    return event


def recalculate(raw: Raw, bill: str) -> dict[str, Any]:
    job = raw.do("POST", "/billjobs/recalculate", {"billIds": [bill]})
    for _ in range(3):
        raw.do("GET", f"/billjobs/{job['id']}")
    found: dict[str, Any] = raw.do("GET", f"/bills/{bill}")
    return found


def test_each_change_of_a_bill_is_an_event_with_the_whole_bill(raw: Raw) -> None:
    bill = first_bill(raw, status="PENDING")["id"]
    raw.do("PUT", f"/bills/{bill}/status", {"status": "APPROVED"})
    event = newest(raw)
    assert event["eventName"] == "billing.bill.updated"
    assert event["m3terEvent"]["eventData"]["newDto"] == raw.do("GET", f"/bills/{bill}")
    gone = raw.do("DELETE", f"/bills/{bill}")
    event = newest(raw)
    assert (event["eventName"], event["m3terEvent"]["eventData"]["newDto"]) == ("billing.bill.deleted", gone)


def test_an_account_that_is_made_is_an_event(raw: Raw) -> None:
    made = raw.do("POST", "/accounts", {"name": "New", "code": "new", "emailAddress": "a@example.com"})
    event = newest(raw)
    assert (event["eventName"], event["m3terEvent"]["eventData"]["newDto"]) == ("configuration.account.created", made)


def test_a_credit_raises_no_event_and_no_version(raw: Raw) -> None:
    bill = first_bill(raw, status="PENDING")
    before = newest(raw)["id"]
    raw.do("POST", f"/bills/{bill['id']}/creditlineitems", memo_body(bill))
    after = raw.do("GET", f"/bills/{bill['id']}")
    assert newest(raw)["id"] == before
    assert after["version"] == bill["version"]
    assert len(after["lineItems"]) == len(bill["lineItems"]) + 1  # it is another bill all the same


def test_an_event_ends_after_28_days(raw: Raw) -> None:
    bill = first_bill(raw, status="PENDING")["id"]
    raw.do("PUT", f"/bills/{bill}/status", {"status": "APPROVED"})
    event = newest(raw)["id"]
    raw.sandbox.pass_time(timedelta(days=27, hours=23).total_seconds())
    assert [row["id"] for row in raw.all("/events")] == [event]
    raw.sandbox.pass_time(timedelta(hours=2).total_seconds())
    assert raw.all("/events") == []


def test_the_date_of_an_answer_is_that_of_its_clock() -> None:
    with Sandbox(bills=1) as sandbox:
        before = parsedate_to_datetime(httpx.get(sandbox.url, trust_env=False).headers["Date"])
        sandbox.pass_time(3600)
        after = parsedate_to_datetime(httpx.get(sandbox.url, trust_env=False).headers["Date"])
        assert (before.year, after - before, after) == (2025, timedelta(hours=1), sandbox.now)
        with pytest.raises(ValueError, match="negative"):
            sandbox.pass_time(-1)


def test_moving_the_lock_date_back_unlocks_what_it_locked_and_nothing_else(raw: Raw) -> None:
    for row in raw.all("/bills", status="PENDING"):
        raw.do("PUT", f"/bills/{row['id']}/status", {"status": "APPROVED"})
    by_hand = first_bill(raw, locked=False)["id"]
    raw.do("PUT", f"/bills/{by_hand}/lock")
    locked_before = {row["id"] for row in raw.all("/bills") if row["locked"]}
    version = raw.do("GET", "/billconfig")["version"]
    raw.do("PUT", "/billconfig", {"version": version, "billLockDate": "2025-06-30"})
    assert all(row["locked"] for row in raw.all("/bills"))
    raw.do("PUT", "/billconfig", {"version": version + 1, "billLockDate": "2025-01-31"})
    after = raw.all("/bills")
    assert {row["id"] for row in after if row["locked"]} == locked_before | {
        row["id"] for row in after if row["billDate"] <= "2025-01-31"
    }
    assert any(not row["locked"] for row in after)


def test_a_bill_that_is_calculated_again_is_pending_and_has_other_line_items(raw: Raw) -> None:
    bill = raw.do("GET", f"/bills/{first_bill(raw, status='APPROVED', locked=False)['id']}")
    once, twice = recalculate(raw, bill["id"]), recalculate(raw, bill["id"])
    assert (once["status"], once["version"], twice["version"]) == ("PENDING", bill["version"] + 1, bill["version"] + 2)
    assert once["dtApproved"] is None
    assert len({repr(row["lineItems"]) for row in (bill, once, twice)}) == 3
    subtotals = [Fraction(line["subtotal"]) for row in raw.all("/bills") for line in row["lineItems"]]
    assert sum(subtotals) == sum(map(Fraction, raw.sandbox.truth().line_item_subtotals.values()))


def test_a_bill_is_moved_to_another_date(raw: Raw) -> None:
    bill = first_bill(raw, status="PENDING")
    raw.sandbox.change_bill(bill["id"], billDate="2024-02-29")
    after = raw.do("GET", f"/bills/{bill['id']}")
    assert (after["billDate"], after["version"]) == ("2024-02-29", bill["version"] + 1)
    assert newest(raw)["eventName"] == "billing.bill.updated"
    with pytest.raises(ValueError, match="not locked"):
        raw.sandbox.change_bill(first_bill(raw, locked=True)["id"], billDate="2024-02-29")
    with pytest.raises(ValueError, match="no bill"):
        raw.sandbox.change_bill("none")


@pytest.mark.parametrize(("cursors", "doubled"), [("place", 0), ("offset", 1)])
def test_by_offsets_a_listing_has_a_row_twice_when_another_is_made_meanwhile(cursors: Any, doubled: int) -> None:
    with serving(bills=20, empty_pages=False, cursors=cursors) as raw:
        first = raw.do("GET", "/accounts", pageSize=10)
        raw.do("POST", "/accounts", {"name": "New", "code": "new", "emailAddress": "a@example.com"})
        second = raw.do("GET", "/accounts", pageSize=10, nextToken=first["nextToken"])
        ids = [row["id"] for row in first["data"] + second["data"]]
        assert len(ids) - len(set(ids)) == doubled


@pytest.mark.parametrize("cursors", ["place", "offset"])
def test_at_rest_both_kinds_of_tokens_list_everything_once(cursors: Any) -> None:
    with serving(bills=250, cursors=cursors) as raw:
        ids = [row["id"] for row in raw.all("/bills", pageSize=40)]
        assert len(ids) == len(set(ids)) == 250


def test_an_index_that_is_late_shows_what_was() -> None:
    with serving(bills=20, search_lag=60) as raw:
        bill = first_bill(raw, status="PENDING")["id"]
        raw.do("DELETE", f"/bills/{bill}")
        made = raw.do("POST", "/accounts", {"name": "New", "code": "new", "emailAddress": "a@example.com"})["id"]
        bills = {row["id"] for row in raw.do("GET", "/bills/search", pageSize=100)["data"]}
        accounts = {row["id"] for row in raw.do("GET", "/accounts/search", pageSize=100)["data"]}
        assert (bill in bills, made in accounts) == (True, False)
        raw.sandbox.pass_time(61)
        bills = {row["id"] for row in raw.do("GET", "/bills/search", pageSize=100)["data"]}
        accounts = {row["id"] for row in raw.do("GET", "/accounts/search", pageSize=100)["data"]}
        assert (bill in bills, made in accounts) == (False, True)


@pytest.mark.parametrize("argument", [{"cursors": "page"}, {"search_lag": -1}])
def test_a_sandbox_that_cannot_be_is_refused(argument: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(argument))):
        Sandbox(**argument)
