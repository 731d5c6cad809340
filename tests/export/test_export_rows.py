"""Every row is exported once, with every digit, whatever it is written to."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from m3ter_async._tabular.pyarrow_import import pa
from m3ter_async.export import ExportReport, export
from m3ter_async.sandbox import Faults, Sandbox

from ..fakes import FakeClock
from ..wire import PAIRS, Pair
from .support import (
    FORMS,
    Form,
    Shelf,
    bill,
    content,
    csv_rows,
    exact,
    files,
    lines,
    parquet_rows,
    parquet_table,
    sandbox_client,
)

# what does not depend on the loop is tested on one
once = pytest.mark.parametrize("pair", [PAIRS[0]], indirect=True, ids=["asyncio"])

BOTH = ["bills", "balances.transactions"]


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


def sums(pairs: Any) -> dict[str, Decimal]:
    """Exact sums by currency."""
    with localcontext(Context(prec=100)):
        found: dict[str, Decimal] = {}
        for currency, amount in pairs:
            found[currency] = found.get(currency, Decimal()) + Decimal(amount)
        return found


async def listed(sandbox: Sandbox, pair: Pair, method: str) -> list[bytes]:
    """The records of a plain listing, sorted."""
    async with sandbox_client(sandbox, pair.transport()) as m3ter:
        if method == "bills":
            return sorted(await m3ter.bills.list(include_bill_total=True).raw().collect())
        found: list[bytes] = []
        for balance in await m3ter.balances.list().collect():
            rows = await m3ter.balances.transactions.list(balance.id).raw().collect()
            found += [b'{"balanceId":"%b",%b' % (balance.id.encode(), row[1:]) for row in rows]
        return sorted(found)


async def exported(sandbox: Sandbox, pair: Pair, out: Path, form: Form, **options: Any) -> ExportReport:
    async with sandbox_client(sandbox, pair.transport()) as m3ter:
        return await export(m3ter, options.pop("resources", BOTH), out, **form.options, **options)


@pytest.mark.parametrize("form", [FORMS["ndjson"], FORMS["zstd"]], ids=["ndjson", "zstd"])
async def test_ndjson_has_every_record_byte_for_byte(sandbox: Sandbox, pair: Pair, out: Path, form: Form) -> None:
    report = await exported(sandbox, pair, out, form, concurrency=3)
    truth = sandbox.truth()
    assert report.records == {"bills": truth.bills, "balances.transactions": truth.transactions}
    assert sorted(lines(report, "bills", "bills")) == await listed(sandbox, pair, "bills")
    transactions = lines(report, "balances.transactions", "transactions")
    assert sorted(transactions) == await listed(sandbox, pair, "balances.transactions")
    assert files(out) == sorted(file.path.relative_to(out).as_posix() for file in report.files)
    assert [file.bytes for file in report.files] == [file.path.stat().st_size for file in report.files]


@once
async def test_csv_has_every_row_with_its_digits_as_they_were_sent(sandbox: Sandbox, pair: Pair, out: Path) -> None:
    report = await exported(sandbox, pair, out, FORMS["csv"])
    truth = sandbox.truth()
    sent = {record["id"]: record for record in map(exact, await listed(sandbox, pair, "bills"))}
    bills = csv_rows(report, "bills", "bills")
    assert sorted(row["id"] for row in bills) == sorted(sent)
    items = csv_rows(report, "bills", "line_items")
    assert len(items) == truth.line_items
    for row in items:
        item = sent[row["bill_id"]]["lineItems"][int(row["position"])]
        assert (row["id"], row["subtotal"], row["units"]) == (item["id"], str(item["subtotal"]), str(item["units"]))
    bands = csv_rows(report, "bills", "pricing_bands")
    assert len(bands) == truth.pricing_bands
    for row in bands:
        item = sent[row["bill_id"]]["lineItems"][int(row["line_item_position"])]
        band = item["usagePerPricingBand"][int(row["position"])]
        assert item["id"] == row["line_item_id"]
        assert (row["band_subtotal"], row["lower_limit"]) == (str(band["bandSubtotal"]), str(band["lowerLimit"]))
    currency = {row["id"]: row["currency"] for row in bills}
    assert sums((currency[row["bill_id"]], row["subtotal"]) for row in items) == truth.line_item_subtotals
    transactions = csv_rows(report, "balances.transactions", "transactions")
    assert len({row["id"] for row in transactions}) == len(transactions) == truth.transactions


@once
async def test_parquet_has_three_tables_that_join_and_amounts_that_add_up(
    sandbox: Sandbox, pair: Pair, out: Path
) -> None:
    report = await exported(sandbox, pair, out, FORMS["parquet"])
    truth = sandbox.truth()
    assert report.rows["bills"] == {
        "bills": truth.bills,
        "line_items": truth.line_items,
        "pricing_bands": truth.pricing_bands,
    }
    bills = parquet_table(report, "bills", "bills")
    items = parquet_table(report, "bills", "line_items")
    bands = parquet_table(report, "bills", "pricing_bands")
    joined = items.join(bills.select(["id", "currency"]), "bill_id", "id", right_suffix="_of_bill", join_type="inner")
    rows = joined.select(["currency_of_bill", "subtotal"]).to_pylist()
    assert sums((row["currency_of_bill"], row["subtotal"]) for row in rows) == truth.line_item_subtotals
    keys = ["bill_id", "line_item_id"]
    joined = bands.join(items.select(["bill_id", "id"]), keys, ["bill_id", "id"], join_type="inner")
    assert joined.num_rows == truth.pricing_bands
    async with sandbox_client(sandbox, pair.transport()) as m3ter:
        balances = {balance.id: balance.currency or "" for balance in await m3ter.balances.list().collect()}
    transactions = parquet_rows(report, "balances.transactions", "transactions")
    amounts = sums((balances[row["balance_id"]], row["amount"]) for row in transactions)
    assert amounts == truth.transaction_amounts


@once
async def test_the_columns_of_parquet_are_of_types_that_keep_their_values(
    sandbox: Sandbox, pair: Pair, out: Path
) -> None:
    report = await exported(sandbox, pair, out, FORMS["parquet"], resources=["bills"])
    bills = parquet_table(report, "bills", "bills").schema
    items = parquet_table(report, "bills", "line_items").schema
    bands = parquet_table(report, "bills", "pricing_bands").schema
    assert bills.field("bill_date").type == pa.date32()
    assert bills.field("dt_created").type == pa.timestamp("us", tz="UTC")
    assert bills.field("bill_total").type == pa.decimal128(38, 18)
    assert bills.field("locked").type == pa.bool_()
    assert bills.field("version").type == pa.int64()
    assert items.field("subtotal").type == items.field("conversion_rate").type == pa.decimal128(38, 18)
    assert items.field("segment").type == pa.string()
    assert bands.field("band_subtotal").type == pa.decimal128(38, 18)
    assert items.names[:2] == ["bill_id", "position"]
    assert bands.names[:4] == ["bill_id", "line_item_id", "line_item_position", "position"]
    assert "line_items" not in bills.names


@once
async def test_the_nested_table_has_the_values_of_the_three(sandbox: Sandbox, pair: Pair, out: Path) -> None:
    nested = await exported(sandbox, pair, out / "nested", FORMS["nested"], resources=["bills"])
    flat = await exported(sandbox, pair, out / "flat", FORMS["parquet"], resources=["bills"])
    assert nested.rows["bills"] == {"bills": sandbox.truth().bills}
    bills = {row["id"]: row for row in parquet_rows(flat, "bills", "bills")}
    items = {(row["bill_id"], row["position"]): row for row in parquet_rows(flat, "bills", "line_items")}
    bands = {
        (row["bill_id"], row["line_item_position"], row["position"]): row
        for row in parquet_rows(flat, "bills", "pricing_bands")
    }
    for row in parquet_rows(nested, "bills", "bills"):
        own = bills.pop(row["id"])
        # of lists that are no tables the three-table form keeps the JSON
        assert row.pop("currency_conversions") == json.loads(own.pop("currency_conversions"))
        for place, item in enumerate(row.pop("line_items")):
            for number, band in enumerate(item.pop("usage_per_pricing_band")):
                where = {"bill_id": row["id"], "line_item_id": item["id"], "line_item_position": place}
                assert bands.pop((row["id"], place, number)) == {**where, "position": number, **band}
            assert items.pop((row["id"], place)) == {"bill_id": row["id"], "position": place, **item}
        assert row == own
    assert not bills
    assert not items
    assert not bands


@once
async def test_every_slicing_gives_the_same_rows(sandbox: Sandbox, pair: Pair, out: Path, form: Form) -> None:
    whole = await exported(sandbox, pair, out / "one", form, resources=["bills"], concurrency=1)
    days = {"since": "2020-01-01", "until": "2026-01-01"}
    sliced = await exported(sandbox, pair, out / "many", form, resources=["bills"], concurrency=5, **days)
    assert content(sliced) == content(whole)
    assert sliced.pages > whole.pages


@once
async def test_a_range_of_days_has_its_first_and_not_its_last(sandbox: Sandbox, pair: Pair, out: Path) -> None:
    sent = list(map(exact, await listed(sandbox, pair, "bills")))
    days = sorted({record["billDate"] for record in sent})
    since, until = days[20], days[90]
    report = await exported(sandbox, pair, out, FORMS["csv"], resources=["bills"], since=since, until=until)
    expected = sorted(record["id"] for record in sent if since <= record["billDate"] < until)
    assert sorted(row["id"] for row in csv_rows(report, "bills", "bills")) == expected
    assert {since, days[89]} <= {row["bill_date"] for row in csv_rows(report, "bills", "bills")}


@once
async def test_arguments_select_what_is_exported(sandbox: Sandbox, pair: Pair, out: Path) -> None:
    sent = map(exact, await listed(sandbox, pair, "bills"))
    options: dict[str, Any] = {"resources": ["bills"], "where": {"status": "PENDING"}}
    report = await exported(sandbox, pair, out, FORMS["csv"], **options)
    expected = sorted(record["id"] for record in sent if record["status"] == "PENDING")
    assert sorted(row["id"] for row in csv_rows(report, "bills", "bills")) == expected != []


@pytest.mark.parametrize("form", [FORMS["ndjson"], FORMS["parquet"]], ids=["ndjson", "parquet"])
async def test_a_service_that_fails_one_request_in_ten_loses_nothing(pair: Pair, out: Path, form: Form) -> None:
    faults = Faults(error_rate=0.06, drop_rate=0.02, cut_rate=0.02, login=True, retry_after=1)
    async with Sandbox(seed=5, bills=150, faults=faults, token_seconds=1) as sandbox:
        async with sandbox_client(sandbox, pair.transport(), FakeClock(), max_retries=20) as m3ter:
            days: dict[str, Any] = {"since": "2020-01-01", "until": "2026-01-01"}
            report = await export(m3ter, ["bills"], out / "bills", concurrency=4, **days | form.options)
            rest = await export(m3ter, ["balances.transactions"], out / "rest", concurrency=4, **form.options)
        truth = sandbox.truth()
    assert {**report.records, **rest.records} == {"bills": truth.bills, "balances.transactions": truth.transactions}
    assert report.retries > 0
    if form.format == "ndjson":
        bills = list(map(exact, lines(report, "bills", "bills")))
        items = [(one["currency"], item["subtotal"]) for one in bills for item in one["lineItems"]]
    else:
        currency = {row["id"]: row["currency"] for row in parquet_rows(report, "bills", "bills")}
        items = [(currency[row["bill_id"]], row["subtotal"]) for row in parquet_rows(report, "bills", "line_items")]
    assert len(items) == truth.line_items
    assert sums(items) == truth.line_item_subtotals


@once
async def test_a_listing_without_records_still_has_its_header(pair: Pair, out: Path, form: Form) -> None:
    async with Sandbox(bills=0) as sandbox:
        report = await exported(sandbox, pair, out, form, resources=["bills"])
    assert report.records == {"bills": 0}
    assert content(report) == {("bills", table): [] for table in report.rows["bills"]}
    assert len(report.files) == len(report.rows["bills"])


@once
async def test_a_record_that_is_laid_out_over_lines_becomes_one_line_with_its_numbers(pair: Pair, out: Path) -> None:
    wide = b'{\r\n\t"id": "b1",\n  "billDate": "2024-05-01",\n  "billTotal": 1.000000000000000000000001E-7\n}'
    shelf = Shelf({"bills": [wide, bill(2), b'{"id":"b3","billTotal":0.10}']})
    report = await export(shelf.client(), ["bills"], out)
    first, second, third = lines(report, "bills", "bills")
    assert exact(first) == exact(wide)
    assert b"1.000000000000000000000001E-7" in first
    assert exact(second)["id"] == "bill-2"
    assert b"0.10" in third


@once
async def test_every_table_of_every_resource_is_counted_in_the_report(
    sandbox: Sandbox, pair: Pair, out: Path, form: Form
) -> None:
    report = await exported(sandbox, pair, out, form, concurrency=2)
    counted: Counter[tuple[str, str]] = Counter()
    for file in report.files:
        counted[file.resource, file.table] += file.rows
    assert counted == {(name, table): n for name, tables in report.rows.items() for table, n in tables.items()}
    assert {resource: rows[resource.rpartition(".")[2]] for resource, rows in report.rows.items()} == report.records
    assert report.seconds > 0
    assert report.bytes >= sum(file.bytes for file in report.files if form == FORMS["ndjson"]) * 0.99
