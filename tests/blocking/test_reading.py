"""What is planned in one place is read in others: every row once, every digit kept, errors as they are."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, localcontext
from typing import Any

import pytest
from msgspec.structs import replace

from m3ter_async import BadRequestError, ConfigurationError, RecordError, blocking
from m3ter_async.blocking import Connection, plan, read, reader
from m3ter_async.blocking.home import AHEAD, home
from m3ter_async.export import Slice
from m3ter_async.sandbox import Sandbox
from tests.fakes import KEY, ORG, SECRET
from tests.wire import Wire, listing, pages, say

from .conftest import BILLS

pa = pytest.importorskip("pyarrow")
pc = pytest.importorskip("pyarrow.compute")

HERE = Connection()
YEARS: dict[str, Any] = {"since": "2000-01-01", "until": "2030-01-01"}


def total(values: Any) -> Decimal:
    with localcontext(prec=60):
        return sum((each for each in values.to_pylist() if each is not None), Decimal(0))


def subtotals(lines: Any, bills: Any) -> dict[str, Decimal]:
    """Sums by the currency of the bill."""
    currency = dict(zip(bills["id"].to_pylist(), bills["currency"].to_pylist(), strict=True))
    found: dict[str, Decimal] = {}
    with localcontext(prec=60):
        for bill, amount in zip(lines["bill_id"].to_pylist(), lines["subtotal"].to_pylist(), strict=True):
            found[currency[bill]] = found.get(currency[bill], Decimal(0)) + amount
    return found


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    with Wire(listing(pages(2, 2, 2, 2, 2, 2, 2, 2))) as wire:
        surround(monkeypatch, wire)
        yield wire


def surround(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    for name, value in {"API_KEY": KEY, "API_SECRET": SECRET, "ORG_ID": ORG, "BASE_URL": wire.url}.items():
        monkeypatch.setenv(f"M3TER_{name}", value)


# Every row, every digit


def test_the_slices_of_a_plan_hold_every_bill_once(sandbox: Sandbox) -> None:
    slices = pickle.loads(pickle.dumps(plan(HERE, "bills", count=8, **YEARS)))
    ids = [id for each in slices for batch in read(HERE, each) for id in batch["id"].to_pylist()]
    assert len(slices) >= 8
    assert len(ids) == len(set(ids)) == sandbox.truth().bills == BILLS


def test_tables_and_whole_records_hold_the_same_amounts_to_the_last_digit(sandbox: Sandbox) -> None:
    whole = reader(HERE, "bills", **YEARS).read_all()
    bills = reader(HERE, "bills", table="bills", **YEARS).read_all()
    lines = reader(HERE, "bills", table="line_items", **YEARS).read_all()
    nested = pc.list_flatten(whole["line_items"])
    assert subtotals(lines, bills) == sandbox.truth().line_item_subtotals
    assert total(pc.struct_field(nested, "subtotal")) == total(lines["subtotal"])
    assert lines.num_rows == len(nested) == sandbox.truth().line_items


def test_a_listing_below_another_names_the_parent_of_each_row(sandbox: Sandbox) -> None:
    truth = sandbox.truth()
    found = reader(HERE, "balances.transactions").read_all()
    assert (found.num_rows, len(set(found["balance_id"].to_pylist()))) == (truth.transactions, truth.balances)
    assert total(found["amount"]) == sum(truth.transaction_amounts.values())


def test_a_slice_without_records_gives_one_empty_batch_of_the_same_schema(sandbox: Sandbox) -> None:
    (empty,) = plan(HERE, "bills", since="1999-01-01", until="1999-01-02")
    (full,) = plan(HERE, "bills")
    for table in (None, "bills", "line_items", "pricing_bands"):
        (batch,) = read(HERE, empty, table=table)
        assert batch.num_rows == 0
        assert batch.schema.equals(next(read(HERE, full, table=table)).schema)


def test_a_listing_whose_parents_are_none_still_has_a_slice_and_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire([say({"data": [], "nextToken": None})]) as wire:
        surround(monkeypatch, wire)
        (only,) = plan(HERE, "balances.transactions")
        assert [batch.num_rows for batch in read(HERE, only)] == [0]
        assert "balance_id" in reader(HERE, "balances.transactions").schema.names
    assert {each.path.rpartition("/")[2] for each in wire.requests} == {"balances"}


# One thread, one client


def test_all_slices_and_all_threads_of_a_process_share_one_login(sandbox: Sandbox) -> None:
    slices = plan(HERE, "bills", count=24, **YEARS)
    with ThreadPoolExecutor(8) as threads:
        rows = sum(threads.map(lambda each: sum(batch.num_rows for batch in read(HERE, each)), slices))
    assert rows == BILLS
    assert sandbox.requests["GenerateToken"] == 1
    assert [each.name for each in threading.enumerate()].count("m3ter-async") == 1


def test_organizations_reached_with_the_same_credentials_share_one_login(wire: Wire) -> None:
    for name in ("one", "another", "third"):
        connection = Connection(org_id=name)
        assert sum(batch.num_rows for batch in read(connection, plan(connection, "bills")[0])) == 16
    assert len(wire.logins) == 1
    assert {each.path.split("/")[2] for each in wire.requests} == {"one", "another", "third"}


def test_credentials_that_are_changed_while_the_process_lives_are_used(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    slice = plan(HERE, "bills")[0]
    next(read(HERE, slice))
    with Sandbox(seed=8, bills=5) as other:
        for name, value in other.environ.items():
            monkeypatch.setenv(name, value)
        assert sum(batch.num_rows for batch in read(HERE, plan(HERE, "bills")[0])) == 5
        with pytest.raises(ValueError, match="slice is of the organization"):
            next(read(HERE, slice))


def test_slices_of_ids_hold_every_bill_once_and_name_what_is_gone(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    slices = plan(HERE, "bills", by="ids")
    assert len(slices) == BILLS / 50
    ids = [id for each in slices for batch in read(HERE, each) for id in batch["id"].to_pylist()]
    assert len(ids) == len(set(ids)) == BILLS
    with_one_gone = replace(slices[0], ids=[*slices[0].ids[1:], "gone"])
    assert sum(batch.num_rows for batch in read(HERE, with_one_gone)) == 49
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
        "1 records of bills.list are not there any more: gone"
    ]


def test_only_a_few_pages_are_read_before_somebody_takes_them(wire: Wire) -> None:
    batches = read(HERE, plan(HERE, "bills")[0])
    assert len(wire.requests) == 0
    next(batches)
    time.sleep(0.3)
    asked = len(wire.requests)
    assert asked <= AHEAD + 4  # taken, waiting, being put down, and the one that is fetched ahead
    batches.close()  # type: ignore[attr-defined]
    time.sleep(0.2)
    assert len(wire.requests) == asked


# Errors


def test_an_error_arrives_as_itself(sandbox: Sandbox) -> None:
    slice = plan(HERE, "bills")[0]
    sandbox.fail_next(1, 400, operation="ListBills")
    with pytest.raises(BadRequestError) as caught:
        list(read(HERE, slice))
    assert (caught.value.status, caught.value.next_token) == (400, None)
    assert pickle.loads(pickle.dumps(caught.value)).request_id == caught.value.request_id
    assert sum(batch.num_rows for batch in read(HERE, slice)) == BILLS  # and the next reading is not harmed


def test_an_error_of_one_slice_ends_a_reader_that_reads_several(sandbox: Sandbox) -> None:
    slices = plan(HERE, "bills", count=8, **YEARS)
    sandbox.fail_next(1, 400, operation="ListBills")
    with pytest.raises(BadRequestError):
        reader(HERE, slices).read_all()


def test_missing_credentials_are_named_before_anything_is_sent() -> None:
    with pytest.raises(ConfigurationError, match="M3TER_API_KEY"):
        plan(HERE, "bills")
    with pytest.raises(ConfigurationError, match="M3TER_API_KEY"):
        next(read(HERE, Slice("0", "bills.list")))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: plan(HERE, "bils"), "near to it: bills"),
        (lambda: plan(HERE, "bills", where={"acount_id": "a"}), "did you mean account_id"),
        (lambda: plan(HERE, "bills", since="soon"), "since must be a day"),
        (lambda: plan(HERE, "bills", count=0), "count must be 1 or more"),
        (lambda: read(HERE, Slice("0", "bills.list"), table="lines"), "bills, line_items, pricing_bands"),
        (lambda: read(HERE, Slice("0", "bils.list")), "no listing"),
        (lambda: read(HERE, Slice("0", "bills.list"), table="line_items", keep_bad=True), "the table bills"),
        (lambda: reader(HERE, []), "no slices"),
        (lambda: reader(HERE, [Slice("0", "bills.list"), Slice("1", "accounts.list")]), "several listings"),
        (lambda: reader(HERE, [Slice("0", "bills.list")], since="2025-01-01"), r"belong to plan\(\)"),
        (lambda: reader(HERE, "bills", side_by_side=0), "side_by_side must be 1 or more"),
    ],
)
def test_bad_arguments_are_refused_by_name_before_anything_is_sent(sandbox: Sandbox, call: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()
    assert sandbox.requests.total() == 0


BAD = [
    (b'{"id": "b2", "billTotal": 1e-19}', "does not fit"),
    (b'{"id": "b2", "billTotal": "much"}', "much"),
    (b'{"id": 7}', "id"),
    (b'{"id": "\xff"}', "(?i)utf"),
]


@pytest.mark.parametrize(("bad", "why"), BAD)
def test_a_record_that_does_not_fit_ends_the_reading_or_keeps_a_row_of_its_own(
    bad: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = b'{"data": [{"id": "b1", "billTotal": 1.5}, %b, {"id": "b3"}], "nextToken": null}' % bad
    with Wire([say(page)]) as wire:
        surround(monkeypatch, wire)
        slice = plan(HERE, "bills")[0]
        with pytest.raises(RecordError, match=why) as caught:
            list(read(HERE, slice))
        assert (caught.value.record, caught.value.index) == (bad, 1)
        for table in (None, "bills"):
            rows = [row for batch in read(HERE, slice, table=table, keep_bad=True) for row in batch.to_pylist()]
            assert sorted(str(row["id"]) for row in rows) == ["None", "b1", "b3"]
            (kept,) = [row for row in rows if row["id"] is None]
            assert kept.pop("_bad_record") == bad.decode(errors="backslashreplace")
            assert set(kept.values()) == {None}


# Beside an event loop, and without


def test_it_can_be_called_where_an_event_loop_runs_such_as_in_a_notebook(sandbox: Sandbox) -> None:
    async def cell() -> int:
        rows: int = reader(HERE, "bills").read_all().num_rows
        return rows

    assert asyncio.run(cell()) == BILLS


def test_in_its_own_thread_it_refuses_to_wait_for_itself(sandbox: Sandbox) -> None:
    async def inside() -> None:
        plan(HERE, "bills")

    async def reading() -> None:
        next(read(HERE, Slice("0", "bills.list")))

    for work in (inside, reading):
        with pytest.raises(RuntimeError, match="await the client's methods"):
            home().run(work)


def test_closing_ends_what_is_being_read_and_the_next_call_opens_anew(wire: Wire) -> None:
    batches = read(HERE, plan(HERE, "bills")[0])
    next(batches)
    blocking.close()
    with pytest.raises(RuntimeError, match="was closed"):
        list(batches)
    blocking.close()
    assert "m3ter-async" not in [each.name for each in threading.enumerate()]
    assert sum(batch.num_rows for batch in read(HERE, plan(HERE, "bills")[0])) == 16
    assert len(wire.logins) == 2
