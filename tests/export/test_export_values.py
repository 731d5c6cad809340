"""What stands in a record stands in the file: amounts to the last digit, text to the last character, or an error."""

from __future__ import annotations

import json
from decimal import Context, Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from .support import FORMS, Form, csv_rows, exact, lines, parquet_rows, written

quickly = settings(max_examples=30, deadline=None)
PARQUET = ["parquet", "nested"]
SIZE, SCALE = 38, 18


def bill_of(number: int, **fields: str) -> bytes:
    """A bill from the JSON of its fields."""
    rest = "".join(f',"{name}":{value}' for name, value in fields.items())
    return f'{{"id":"b{number}"{rest}}}'.encode()


@st.composite
def spellings(draw: Any) -> str:
    """A number as JSON may spell it, of up to 20 digits before the point and 18 after it."""
    before, after = draw(st.integers(0, SIZE - SCALE)), draw(st.integers(0, SCALE))
    digits = draw(st.integers(0, 10 ** (before + after) - 1))
    with localcontext(Context(prec=100, Emin=-999, Emax=999)):
        shift = draw(st.sampled_from([None, None, 0, 1, -1, 7, -7, 20, -20]))
        value = Decimal(digits).scaleb(-after - (shift or 0))
        sign = draw(st.sampled_from(["", "-"]))
        exponent = "" if shift is None else draw(st.sampled_from(["e{}", "E{}", "e{:+}", "e{:+04}"])).format(shift)
        return f"{sign}{value:f}{exponent}"


@pytest.mark.parametrize("name", PARQUET)
@quickly
@given(st.lists(st.one_of(spellings(), st.just("null")), min_size=1, max_size=40))
@example(["99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999"])
@example(["0.000000000000000001", "1e-18", "-0", "0e5", "0.0e-18", "12345678901234567890", "1E+19"])
def test_every_amount_of_20_and_18_digits_survives_parquet_exactly(name: str, amounts: list[str]) -> None:
    records = [bill_of(number, billTotal=amount) for number, amount in enumerate(amounts)]
    with written(records, FORMS[name]) as report:
        found = [row["bill_total"] for row in parquet_rows(report, "bills", "bills")]
    assert found == [None if amount == "null" else Decimal(amount) for amount in amounts]


@quickly
@given(st.lists(st.one_of(spellings(), st.just("null")), min_size=1, max_size=40))
@example(["1.50", "0.10000000000000000000000000000001", "1E400", "-0.0", "123456789012345678901234567890"])
def test_csv_has_the_digits_of_amounts_as_they_were_sent(amounts: list[str]) -> None:
    records = [bill_of(number, billTotal=amount) for number, amount in enumerate(amounts)]
    with written(records, FORMS["csv"]) as report:
        found = [row["bill_total"] for row in csv_rows(report, "bills", "bills")]
    assert found == ["" if amount == "null" else amount for amount in amounts]


@pytest.mark.parametrize("name", ["parquet", "nested", "csv"])
def test_amounts_in_quotes_are_amounts(name: str) -> None:
    records = [bill_of(1, billTotal='"12.50"'), bill_of(2, billTotal="12.50"), bill_of(3)]
    with written(records, FORMS[name]) as report:
        if name == "csv":
            assert [row["bill_total"] for row in csv_rows(report, "bills", "bills")] == ["12.50", "12.50", ""]
        else:
            found = [row["bill_total"] for row in parquet_rows(report, "bills", "bills")]
            assert found == [Decimal("12.50"), Decimal("12.50"), None]


TOO_LONG = [
    "100000000000000000000",
    "-100000000000000000000",
    "1e20",
    "1e999999",
    "0.0000000000000000001",
    "1e-19",
    "99999999999999999999.9999999999999999999",
    '"NaN"',
    '"Infinity"',
]


@pytest.mark.parametrize("amount", TOO_LONG)
@pytest.mark.parametrize("name", PARQUET)
def test_a_record_whose_amount_has_one_digit_more_is_set_aside_with_the_column_and_the_amount_named(
    name: str, amount: str
) -> None:
    records = [bill_of(number, billTotal="1") for number in range(5)]
    records[3] = bill_of(3, billTotal=amount)
    with written(records, FORMS[name]) as report:
        assert [row["id"] for row in parquet_rows(report, "bills", "bills")] == ["b0", "b1", "b2", "b4"]
        (note,) = report.notes
    assert note.names == ("3",)
    assert all(word in note.text for word in ("bills.bill_total", amount.strip('"'))), note.text


@pytest.mark.parametrize("name", PARQUET)
def test_a_record_with_an_amount_too_long_in_a_table_below_is_set_aside_whole(name: str) -> None:
    items = '[{"id":"i1","subtotal":1},{"id":"i2","subtotal":0.1234567890123456789}]'
    records = [bill_of(6, lineItems='[{"id":"i0"}]'), bill_of(7, lineItems=items), bill_of(8)]
    with written(records, FORMS[name]) as report:
        assert [row["id"] for row in parquet_rows(report, "bills", "bills")] == ["b6", "b8"]
        if name == "parquet":
            assert [row["id"] for row in parquet_rows(report, "bills", "line_items")] == ["i0"]
        (note,) = report.notes
    assert all(word in note.text for word in ("line_items", "subtotal", "0.1234567890123456789")), note.text


@quickly
@given(st.lists(spellings(), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_digit_beyond_the_scale_is_never_rounded_away(amounts: list[str], chance: Any) -> None:
    spoilt = chance.randrange(len(amounts))
    with localcontext(Context(prec=100)):
        value = Decimal(amounts[spoilt]) + Decimal("1e-19")
    amounts[spoilt] = str(value)
    records = [bill_of(number, billTotal=amount) for number, amount in enumerate(amounts)]
    with written(records, FORMS["parquet"]) as report:
        assert f"b{spoilt}" not in [row["id"] for row in parquet_rows(report, "bills", "bills")]
        assert [note.names for note in report.notes] == [(str(spoilt),)]


# JSON has no half of a surrogate pair
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ODD = ["\r", "a\rb", "\n", "\r\n", "\0", '"', '""', ",", "\ufeff", "\u2028", "\x85", "\x1a", "\\", "🙂"]


@quickly
@given(st.lists(TEXTS, min_size=1, max_size=20), st.booleans())
@example(ODD, False)
@example(ODD, True)
def test_every_text_survives_in_every_format(texts: list[str], escaped: bool) -> None:
    encoded = [json.dumps(text, ensure_ascii=escaped) for text in texts]
    records = [bill_of(number, accountCode=text) for number, text in enumerate(encoded)]
    for name, form in FORMS.items():
        with written(records, form) as report:
            if form.format == "ndjson":
                assert lines(report, "bills", "bills") == records
            elif form.format == "csv":
                assert [row["account_code"] for row in csv_rows(report, "bills", "bills")] == texts
            else:
                found = [row["account_code"] for row in parquet_rows(report, "bills", "bills")]
                assert found == texts, name


PLAIN_JSON = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS)
MAPS = st.dictionaries(TEXTS, st.recursive(PLAIN_JSON, lambda inner: st.lists(inner, max_size=3), max_leaves=5))


@quickly
@given(st.lists(MAPS, min_size=1, max_size=8))
def test_free_form_maps_are_kept_as_the_json_that_was_sent(maps: list[Any]) -> None:
    encoded = [json.dumps(each, ensure_ascii=False) for each in maps]
    records = [b'{"id":"a%d","customFields":%b}' % (n, text.encode()) for n, text in enumerate(encoded)]
    for name in ("csv", "parquet", "nested"):
        with written(records, FORMS[name], "accounts") as report:
            read = csv_rows if name == "csv" else parquet_rows
            assert [row["custom_fields"] for row in read(report, "accounts", "accounts")] == encoded


@quickly
@given(st.lists(spellings(), min_size=1, max_size=5), st.sampled_from([1, 4, "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_json_laid_out_over_lines_becomes_a_line_with_the_same_numbers(
    amounts: list[str], indent: int | str, newline: str
) -> None:
    made = [
        json.dumps({"id": f"b{number}", "billTotal": "@", "note": "a\nb"}, indent=indent).replace('"@"', amount)
        for number, amount in enumerate(amounts)
    ]
    records = [text.replace("\n", newline).encode() for text in made]
    records.insert(len(records) // 2, b'{"id":"plain","billTotal":1.10}')
    with written(records, FORMS["ndjson"]) as report:
        found = lines(report, "bills", "bills")
    assert list(map(exact, found)) == list(map(exact, records))
    assert found[len(amounts) // 2] == b'{"id":"plain","billTotal":1.10}'
    assert not any(line.count(b"\r") for line in found)
    for amount, line in zip(amounts, found[: len(amounts) // 2], strict=False):
        assert amount.encode() in line


MOMENTS = st.datetimes(timezones=st.none()).map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")


@quickly
@given(st.lists(MOMENTS, min_size=1, max_size=10), st.lists(st.dates(), min_size=10, max_size=10))
def test_days_and_moments_survive_parquet(moments: list[str], days: list[Any]) -> None:
    records = [
        bill_of(number, dtCreated=f'"{moment}"', billDate=f'"{day.isoformat()}"')
        for number, (moment, day) in enumerate(zip(moments, days, strict=False))
    ]
    with written(records, FORMS["parquet"]) as report:
        rows = parquet_rows(report, "bills", "bills")
    found = [row["dt_created"].strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") + "Z" for row in rows]
    assert found == moments
    assert [row["bill_date"] for row in rows] == days[: len(rows)]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2025-06-30T12:00:00Z", "2025-06-30T12:00:00+00:00"),
        ("2025-06-30T12:00:00.250Z", "2025-06-30T12:00:00.250000+00:00"),
        ("2025-06-30T12:00:00.000001Z", "2025-06-30T12:00:00.000001+00:00"),
        ("2025-06-30T12:00:00+02:00", "2025-06-30T10:00:00+00:00"),
    ],
)
def test_moments_are_kept_in_utc(sent: str, kept: str) -> None:
    with written([bill_of(1, dtCreated=f'"{sent}"')], FORMS["parquet"]) as report:
        assert parquet_rows(report, "bills", "bills")[0]["dt_created"].isoformat() == kept


UNFIT = {
    "a moment finer than microseconds": {"dtCreated": '"2025-06-30T12:00:00.0000001Z"'},
    "a moment that is none": {"dtCreated": '"soon"'},
    "a day that is none": {"billDate": '"2025-02-30"'},
    "an integer too long": {"version": "9223372036854775808"},
    "a text for an integer": {"version": '"one"'},
    "a number for a text": {"accountId": "5"},
    "a text for an amount": {"billTotal": '"much"'},
    "a list for an amount": {"billTotal": "[1]"},
    "an object for a list": {"lineItems": "{}"},
    "text that is no UTF-8": {"accountId": '"@"'},
    "half of a surrogate pair": {"accountId": '"cut \\ud83d"'},
    "an empty day": {"dueDate": '""'},
    "a date-time for a day": {"billDate": '"2025-01-31T00:00:00Z"'},
    "a moment without a zone": {"dtCreated": '"2025-06-30T12:00:00"'},
}


@pytest.mark.parametrize("what", UNFIT)
@pytest.mark.parametrize("name", PARQUET)
def test_what_does_not_fit_its_column_is_set_aside_and_the_rest_is_kept(name: str, what: str) -> None:
    records = [bill_of(1), bill_of(2, **UNFIT[what]).replace(b"@", b"\xff\xfe"), bill_of(3)]
    with written(records, FORMS[name]) as report:
        assert [row["id"] for row in parquet_rows(report, "bills", "bills")] == ["b1", "b3"]
        assert [note.names for note in report.notes] == [("1",)]


@pytest.mark.parametrize("name", PARQUET)
def test_records_of_which_none_fits_are_all_set_aside(name: str) -> None:
    with written([bill_of(number, billTotal='"NaN"') for number in range(40)], FORMS[name]) as report:
        assert parquet_rows(report, "bills", "bills") == []
        assert len(report.notes) == 40


@pytest.mark.parametrize(
    ("resource", "field"),
    [("bills", b'"billTotal":"@"'), ("accounts", b'"customFields":{"a":"@"}')],
    ids=["amount", "map"],
)
@pytest.mark.parametrize(
    "name",
    [*PARQUET, "csv"],
)
def test_what_is_no_utf8_is_set_aside_with_its_column_named(name: str, resource: str, field: bytes) -> None:
    records = [b'{"id":"b1"}', b'{"id":"b2",' + field.replace(b"@", b"\xff\xfe") + b"}"]
    with written(records, FORMS[name], resource) as report:
        assert report.rows[resource][resource] == 1
        (note,) = report.notes
    assert note.names == ("1",)
    assert resource in note.text
    assert "bill_total" in note.text or "custom_fields" in note.text


def test_records_without_fields_are_rows_all_the_same(form: Form) -> None:
    with written([b"{}", b'{"unknown":1}'], form) as report:
        assert report.rows["bills"]["bills"] == 2
        if form.format == "ndjson":
            assert lines(report, "bills", "bills") == [b"{}", b'{"unknown":1}']


def test_a_line_item_knows_its_place_where_it_has_no_id() -> None:
    items = '[{"usagePerPricingBand":[{"bandUnits":1},{"bandUnits":2}]},{"usagePerPricingBand":[{"bandUnits":3}]}]'
    with written([bill_of(1), bill_of(2, lineItems=items), bill_of(3, lineItems="null")], FORMS["parquet"]) as report:
        bands = parquet_rows(report, "bills", "pricing_bands")
    keys = ("bill_id", "line_item_position", "position", "band_units")
    assert [tuple(band[key] for key in keys) for band in bands] == [
        ("b2", 0, 0, Decimal(1)),
        ("b2", 0, 1, Decimal(2)),
        ("b2", 1, 0, Decimal(3)),
    ]


def test_msgspec_keeps_numbers_when_it_joins_lines() -> None:
    # what NDJSON relies on
    assert msgspec.json.format(b'{\n "a": 1.000000000000000000000000010e+5\n}', indent=-1) == (
        b'{"a":1.000000000000000000000000010e+5}'
    )
