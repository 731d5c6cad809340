"""What is not in the files although somebody could expect it there is counted and named."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from m3ter_async._tabular.pyarrow_import import pa
from m3ter_async.export import ExportError, export
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .job import small_parts
from .support import (
    FORMS,
    MANIFEST,
    Form,
    Shelf,
    bill,
    csv_rows,
    exact,
    files,
    lines,
    noted,
    parquet_rows,
    parquet_table,
    rows_of,
    written,
)

TABLES = {name: form for name, form in FORMS.items() if form.format != "ndjson"}


@pytest.fixture(params=list(TABLES.values()), ids=list(TABLES))
def table(request: pytest.FixtureRequest) -> Form:
    found: Form = request.param
    return found


async def test_unknown_fields_are_kept_in_one_column_and_counted_by_name(out: Path, table: Form) -> None:
    made: list[Any] = [bill(number, lineItems=[{"id": f"i{number}-{n}"} for n in range(2)]) for number in range(30)]
    for number in range(0, 30, 3):
        made[number]["taxTotal"] = 1.5
    made[7]["new field"] = {"a": [1, "\u00e9"]}
    made[8]["lineItems"][1]["region"] = "eu"
    made[8]["lineItems"][1]["usagePerPricingBand"] = [{"bandUnits": 1, "tier": None}]
    made[9] = b'{"id":"exact","taxTotal":1.000000000000000000000000010}'
    report = await export(Shelf({"bills": made}).client(), ["bills"], out, **table.options)
    assert report.complete
    rows = {row["id"]: row for row in rows_of(report, table, "bills", "bills")}
    assert rows["bill-3"]["_extra"] == '{"taxTotal":1.5}'
    assert json.loads(rows["bill-7"]["_extra"]) == {"new field": {"a": [1, "\u00e9"]}}
    assert rows["exact"]["_extra"] == '{"taxTotal":1.000000000000000000000000010}'
    assert rows["bill-1"]["_extra"] is None
    if table.nested:
        item = rows["bill-8"]["line_items"][1]
        assert item["_extra"] == '{"region":"eu"}'
        assert item["usage_per_pricing_band"][0]["_extra"] == '{"tier":null}'
        prefix = "bills.line_items", "bills.line_items.usage_per_pricing_band"
    else:
        (item,) = [row for row in rows_of(report, table, "bills", "line_items") if row["_extra"]]
        assert (item["id"], item["_extra"]) == ("i8-1", '{"region":"eu"}')
        assert [row["_extra"] for row in rows_of(report, table, "bills", "pricing_bands")] == ['{"tier":null}']
        prefix = "line_items", "pricing_bands"
    expected = {"bills.taxTotal": 10, "bills.new field": 1, f"{prefix[0]}.region": 1, f"{prefix[1]}.tier": 1}
    assert noted(report, "unknown_field") == expected
    again = await export(Shelf({}).client(), ["bills"], out, resume=True)
    assert again.notes == report.notes


async def test_the_column_is_always_there_so_that_schemas_do_not_change(out: Path) -> None:
    report = await export(Shelf({"bills": [bill(1)]}).client(), ["bills"], out, format="parquet")
    for name in ("bills", "line_items", "pricing_bands"):
        assert parquet_table(report, "bills", name).schema.names[-1] == "_extra"
        assert parquet_table(report, "bills", name).schema.field("_extra").type == pa.string()
    assert not report.notes


async def test_ndjson_has_unknown_fields_where_they_were(out: Path) -> None:
    report = await export(Shelf({"bills": [bill(1, taxTotal=1.5)]}).client(), ["bills"], out)
    assert exact(lines(report, "bills", "bills")[0])["taxTotal"] == Decimal("1.5")
    assert not report.notes


@pytest.mark.parametrize("name", TABLES)
def test_names_of_fields_without_end_are_no_end_of_columns(name: str) -> None:
    records = [b'{"id":"b%d","key%d":%d}' % (n, n, n) for n in range(300)]
    with written(records, FORMS[name]) as report:
        read = csv_rows if name == "csv" else parquet_rows
        rows = read(report, "bills", "bills")
        assert len(rows) == 200
        assert rows[5]["_extra"] == '{"key5":5}'
        assert len(report.notes) == 100
        assert all("unknown field" in note.text for note in report.notes)


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        (b'"a`b":1', '{"a`b":1}'),
        (b'"\\u0061 b":{"x":[]}', '{"a b":{"x":[]}}'),
        (b'"":""', '{"":""}'),
        (b'"_extra":2', '{"_extra":2}'),
        (b'"unknown_field_0":3', '{"unknown_field_0":3}'),
        (b'"bill_total":4', '{"bill_total":4}'),
        (b'"x":null,"y":false', '{"x":null,"y":false}'),
    ],
)
@pytest.mark.parametrize("name", TABLES)
def test_an_unknown_field_may_have_any_name(name: str, field: bytes, kept: str) -> None:
    with written([b'{"id":"b1"}', b'{"id":"b2",' + field + b"}"], FORMS[name]) as report:
        read = csv_rows if name == "csv" else parquet_rows
        first, second = read(report, "bills", "bills")
        assert not first["_extra"]
        assert second["_extra"] == kept
        assert not report.notes


@pytest.mark.parametrize("field", [b'"a\\"b"', b'"a\\\\b"', b'"a\\nb"', b'"a` - at `$.lineItems[0]"'])
@pytest.mark.parametrize("name", TABLES)
def test_a_record_with_a_field_whose_name_is_none_is_set_aside(name: str, field: bytes) -> None:
    with written([b'{"id":"b1"}', b'{"id":"b2",' + field + b":1}", b'{"id":"b3"}'], FORMS[name]) as report:
        assert report.records == {"bills": 2}
        assert [note.names for note in report.notes] == [("1",)]


async def test_a_range_of_dates_says_that_it_leaves_out_what_has_no_date(out: Path) -> None:
    shelf = Shelf({"bills": [bill(1)], "bills/bill-1/lineitems": [{"id": "i"}]})
    ranged = await export(shelf.client(), ["bills", "bills.line_items"], out / "a", since="2024-01-01")
    assert [(note.kind, note.resource, note.count) for note in ranged.notes] == [
        ("undated", "bills", None),
        ("undated", "bills.line_items", None),
    ]
    assert ranged.complete
    assert not (await export(shelf.client(), ["bills"], out / "b")).notes


def asked_for(**options: Any) -> Any:
    """What an export of bills asks for, by name."""
    queries: list[dict[str, str]] = []

    def serve(request: Request) -> Response:
        queries.append(dict(parse_qsl(urlsplit(request.url).query)))
        return answer({"data": []})

    async def run(out: Path) -> dict[str, str]:
        await export(client(FakeTransport(serve)), ["bills"], out, **options)
        return queries[0]

    return run


async def test_the_total_of_a_bill_is_asked_for(out: Path) -> None:
    assert (await asked_for()(out / "a"))["includeBillTotal"] == "true"
    assert (await asked_for(where={"include_bill_total": False})(out / "b"))["includeBillTotal"] == "false"


async def test_arguments_may_be_what_the_listing_takes(out: Path) -> None:
    where: dict[str, Any] = {
        "locked": False,
        "account_id": "a",
        "external_invoice_date_start": date(2024, 1, 31),
        "ids": ["x", "y"],
    }
    query = await asked_for(where=where, page_size=7)(out)
    assert query["locked"] == "false"
    assert query["externalInvoiceDateStart"] == "2024-01-31"
    assert query["ids"] == "x,y"
    assert query["pageSize"] == "7"
    await export(Shelf({"bills": []}).client(), ["bills"], out, where=where, resume=True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"where": {"locked": "perhaps"}}, "locked must be true or false, not 'perhaps'"),
        ({"where": {"locked": None}}, "locked cannot be None"),
        ({"where": {"ids": []}}, "ids cannot be"),
        ({"where": {"account_id": {"a": 1}}}, "account_id cannot be"),
        ({"where": {"page_size": "many"}}, "page_size must be a whole number from 1, not many"),
        ({"page_size": 0}, "page_size must be a whole number from 1, not 0"),
        ({"page_size": 101}, "page_size of bills must be a whole number from 1 to 100, not 101"),
        ({"page_size": 5, "where": {"page_size": 6}}, "page_size is given twice"),
    ],
)
async def test_what_a_listing_does_not_take_is_refused_by_its_name(
    out: Path, options: dict[str, Any], text: str
) -> None:
    shelf = Shelf({})
    with pytest.raises(ValueError, match=text):
        await export(shelf.client(), ["bills"], out, **options)
    assert not files(out)
    assert not shelf.asked


async def test_pages_may_have_another_size_when_an_export_is_gone_on_with(out: Path) -> None:
    sizes: list[str] = []

    def serve(request: Request) -> Response:
        query = dict(parse_qsl(urlsplit(request.url).query))
        sizes.append(query["pageSize"])
        place, size = int(query.get("nextToken", 0)), int(query["pageSize"])
        if place and size > 3:
            return answer({"message": "no"}, 403)
        rows = [bill(number) for number in range(place, min(place + size, 30))]
        return answer({"data": rows, "nextToken": str(place + size) if place + size < 30 else None})

    report = await export(client(FakeTransport(serve)), ["bills"], out, where={"page_size": "10"})
    assert not report.complete
    report = await export(client(FakeTransport(serve)), ["bills"], out, resume=True, page_size=3)
    assert report.complete
    assert report.records == {"bills": 30}
    assert set(sizes) == {"10", "3", "1"}


async def test_a_slice_without_records_writes_no_file_and_readers_of_folders_read_the_rest(
    out: Path, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    small_parts(monkeypatch)
    made = [bill(number, f"2024-03-{30 - number // 2:02d}", lineItems=[{"id": "i"}]) for number in range(40)]
    days: dict[str, Any] = {"since": "2015-01-01", "until": "2025-01-01"}
    report = await export(
        Shelf({"bills": made}, size=5).client(), ["bills"], out, concurrency=8, **days, **form.options
    )
    assert all(file.rows for file in report.files if file.table == "bills")
    assert files(out) == sorted(file.path.relative_to(out).as_posix() for file in report.files)
    for table, count in report.rows["bills"].items():
        if form.compression is None:
            kind = "json" if form.format == "ndjson" else form.format
            assert dataset.dataset(out / "bills" / table, format=kind).count_rows() == count


async def test_a_table_without_rows_has_one_file_with_its_columns(out: Path, table: Form) -> None:
    report = await export(Shelf({"bills": [bill(n) for n in range(30)]}).client(), ["bills"], out, **table.options)
    assert sorted({file.table for file in report.files}) == sorted(report.rows["bills"])
    for name in set(report.rows["bills"]) - {"bills"}:
        assert [file.rows for file in report.files if file.table == name] == [0]
        assert rows_of(report, table, "bills", name) == []


@pytest.mark.parametrize("finished", [True, False])
async def test_other_columns_than_it_was_begun_with_are_refused_at_once(out: Path, table: Form, finished: bool) -> None:
    await export(Shelf({"bills": [bill(1)]}).client(), ["bills"], out, **table.options)
    journal = out / MANIFEST
    begun, *rest = journal.read_bytes().splitlines(keepends=True)
    other = begun.replace(b'"due_date', b'"payable_on')
    assert other != begun
    journal.write_bytes(b"".join([with_check(other), *(rest if finished else rest[:1])]))
    shelf = Shelf({})
    with pytest.raises(ExportError, match=r"begun with other columns of bills.*go on with the version") as caught:
        await export(shelf.client(), ["bills"], out, resume=True)
    assert not caught.value.resumable
    assert not shelf.asked


def with_check(line: bytes) -> bytes:
    """A line of the journal as it would have been written."""
    from zlib import crc32

    content = line.rpartition(b',"crc":')[0]
    return b'%b,"crc":"%08x"}\n' % (content, crc32(content))


async def test_line_breaks_of_any_kind_between_tokens_do_not_cut_a_line(out: Path) -> None:
    made = [b'{"id":\r"a"}', b'{"id":"b",\r\n"x":1.10}', b'{"id":"c"\r}', b'{"id":"d\\r"}']
    report = await export(Shelf({"bills": made}).client(), ["bills"], out)
    text = b"".join(line + b"\n" for line in lines(report, "bills", "bills"))
    assert len(text.decode().splitlines()) == 4
    assert [exact(line) for line in text.splitlines()] == [exact(row) for row in made]


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        (b'{"id":"a\nb","x":\r1}', {"id": "a\nb", "x": 1}),
        (b'{"id":"c",\n"x":"\\"\r\\ud83d"}', {"id": "c", "x": '"\r\ud83d'}),
        (b'{"id":"d",\n"x":"\\ud83d"}', {"id": "d", "x": "\ud83d"}),
    ],
)
def test_texts_with_breaks_that_json_does_not_allow_are_kept_on_one_line(record: bytes, kept: dict[str, Any]) -> None:
    with written([record], FORMS["ndjson"]) as report:
        (line,) = lines(report, "bills", "bills")
    assert b"\r" not in line
    assert json.loads(line) == kept


async def test_what_a_finished_export_left_to_tidy_is_tidied_by_the_next_run(out: Path) -> None:
    await export(Shelf({"bills": [bill(1)]}).client(), ["bills"], out)
    (out / "_ids").mkdir()
    (out / "_ids" / "bills-00000").write_text("left behind by a kill")
    (out / "bills" / "bills" / "00007.ndjson.tmp").write_text("so was this")
    await export(Shelf({}).client(), ["bills"], out, resume=True)
    assert not (out / "_ids").exists()
    assert files(out) == ["bills/bills/00000.ndjson"]
