"""Whatever bytes a server sends, what comes out is a value of the type or one kind of error."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from m3ter_async import APIError, APIResponseValidationError
from m3ter_async._core.decoding import Unreadable, decode, decoder
from m3ter_async.models import BalanceTransaction, Bill

from ..fakes import FakeTransport, answer, client

TYPES: list[Any] = [
    Any,
    dict,
    list,
    str,
    int,
    float,
    Decimal,
    bool,
    datetime,
    date,
    Bill,
    msgspec.Raw,
    list[msgspec.Raw],
]

ODD = {
    "nothing": b"",
    "blank": b" \n",
    "nul": b"\x00",
    "html": b"<html></html>",
    "bare word": b"nul",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "cut object": b'{"id":',
    "cut text": b'"abc',
    "cut escape": b'"\\u00',
    "trailing": b"{}x",
    "comma": b"[1,]",
    "single quotes": b"{'id':1}",
    "leading zero": b"01",
    "plus": b"+1",
    "byte order mark": b"\xef\xbb\xbf{}",
    "utf-16": '{"id":"a"}'.encode("utf-16"),
    "invalid utf-8": b'"\xff\xfe"',
    "cut utf-8": b'"\xc3"',
    "surrogate in bytes": b'"\xed\xa0\x80"',
    "lone surrogate": b'"\\ud800"',
    "reversed surrogates": b'"\\udc00\\ud800"',
    "deep arrays": b"[" * 100_000,
    "deep closed arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "huge exponent": b"1e99999999999999999999",
    "tiny exponent": b"1e-99999999999999999999",
    "exponent past a double": b"1e400",
    "long exponent": b"1e" + b"9" * 5000,
    "huge integer": b"9" * 5000,
    "huge negative integer": b"-" + b"9" * 5000,
    "long fraction": b"0." + b"1" * 5000,
    "long number in an object": b'{"id":' + b"1" * 5000 + b"}",
    "wrong id": b'{"id":{}}',
    "wrong amount": b'{"billTotal":[]}',
    "amount in words": b'{"billTotal":"ten"}',
    "amount with a huge exponent": b'{"billTotal":1e99999999999999999999}',
    "day that is none": b'{"billDate":"2024-02-30"}',
    "moment that is none": b'{"createdDate":"2024-01-01T25:00:00Z"}',
    "year zero": b'{"createdDate":"0000-01-01T00:00:00Z"}',
    "line items of text": b'{"lineItems":"x"}',
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_odd_bytes_are_a_value_or_unreadable_and_never_anything_else(kind: Any, data: bytes) -> None:
    made = decoder(kind)
    for form in (data, bytearray(data)):
        try:
            decode(made, form)
        except Unreadable as error:
            assert error.reason  # noqa: PT017
            assert len(error.reason) < 1000  # noqa: PT017


@pytest.mark.parametrize("kind", [Any, dict, list, Bill, msgspec.Raw, list[msgspec.Raw]], ids=str)
def test_json_that_would_exhaust_the_stack_is_an_error_for_models_plain_values_and_raw_ones(kind: Any) -> None:
    """Also where it is only skipped, in a field that nobody asked for."""
    levels = 500_000  # Python 3.14 measures its stack, and follows more than older ones
    for inner in (b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels):
        for around in (b"%b", b"[%b]", b'{"unknown": %b}', b'{"lineItems": [{"unknown": %b}]}'):
            with pytest.raises(Unreadable):
                decode(decoder(kind), around % inner)


def test_no_bytes_at_all_make_decoding_fail_in_another_way() -> None:
    draw = random.Random(11)
    good = b'{"id":"a\\u00e9","billTotal":1.5e3,"lineItems":[{"subtotal":-0.10,"segment":{"a":"b"}}],"dueDate":null}'
    made = [decoder(kind) for kind in (Any, Bill, dict)]
    for _ in range(4_000):
        data = bytearray(good)
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(data))
            if draw.random() < 0.5:
                data[at] = draw.randrange(256)
            else:
                del data[at : at + draw.randrange(1, 9)]
            if not data:
                break
        for each in made:
            with suppress(Unreadable):
                decode(each, bytes(data))


@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
async def test_odd_bytes_leave_a_call_only_as_a_typed_error(data: bytes) -> None:
    transport = FakeTransport(lambda _: answer(data))
    async with client(transport, max_retries=0) as m3ter:
        for call in (lambda: m3ter.bills.retrieve("b"), lambda: m3ter.request("GET", "/x", type=dict)):
            try:
                await call()
            except APIError as error:
                assert type(error) is APIResponseValidationError  # noqa: PT017


async def test_odd_bytes_under_an_error_status_are_only_a_body_without_a_message() -> None:
    for data in ODD.values():
        transport = FakeTransport(lambda _, data=data: answer(data, 418))  # type: ignore[misc]
        async with client(transport) as m3ter:
            with pytest.raises(APIError) as caught:
                await m3ter.bills.retrieve("b")
        assert caught.value.status == 418
        assert caught.value.body == data[:65_536]


def test_a_place_within_an_answer_is_named() -> None:
    with pytest.raises(Unreadable) as caught:
        decode(decoder(Bill), b'{"lineItems":[{},{"subtotal":[]}]}', at="$.data[3]")
    assert caught.value.json_path == "$.data[3].lineItems[1].subtotal"
    assert "at `" not in caught.value.reason
    assert not caught.value.passing


def test_what_is_no_json_may_pass_and_what_is_of_another_type_stays() -> None:
    for data, passing in ((b"<html>", True), (b"", True), (b'{"id":', True), (b'{"id":5}', False), (b"[]", False)):
        with pytest.raises(Unreadable) as caught:
            decode(decoder(Bill), data)
        assert caught.value.passing is passing
        assert (caught.value.json_path is None) is passing


@pytest.mark.parametrize(
    "digits",
    ["1.10", "0.1", "123456789012345678901234567890.123456789012345678901234567890", "1e30", "1E-30", "-0.00", "7"],
)
def test_amounts_keep_every_digit_wherever_they_stand(digits: str) -> None:
    amount = Decimal(digits)
    bill = decode(decoder(Bill), b'{"billTotal":%b,"lineItems":[{"subtotal":%b}]}' % ((digits.encode(),) * 2))
    assert bill.bill_total is not None
    assert bill.bill_total.as_tuple() == amount.as_tuple()
    assert bill.line_items is not None
    assert bill.line_items[0].subtotal.as_tuple() == amount.as_tuple()
    plain = decode(decoder(Any), b'{"a":[%b]}' % digits.encode())["a"][0]
    assert plain == amount
    assert not isinstance(plain, float)


def test_an_integer_of_any_length_that_is_read_is_read_exactly() -> None:
    for number in (2**53 + 1, 2**63, 2**64 + 1, 10**30 + 1):
        for kind in (Any, Decimal):
            try:
                value = decode(decoder(kind), str(number).encode())
            except Unreadable:
                continue  # an error is honest, a rounded number is not
            assert value == number


def test_nulls_missing_and_unknown_fields_and_values_decode() -> None:
    assert decode(decoder(Bill), b"{}") == Bill()
    assert decode(decoder(Bill), b'{"id":null,"billTotal":null,"lineItems":null,"new":{"x":[1]}}') == Bill()
    assert decode(decoder(Bill), b'{"status":"FROZEN"}').status == "FROZEN"
    assert decode(decoder(BalanceTransaction), b'{"entityType":"NEW"}').entity_type == "NEW"


def test_a_missing_amount_is_not_counted_as_zero() -> None:
    bill = decode(decoder(Bill), b'{"lineItems":[{"subtotal":1},{}]}')
    assert bill.line_items is not None
    with pytest.raises(TypeError):
        sum((item.subtotal for item in bill.line_items), Decimal())


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [("2024-02-29T12:00:00Z", 0), ("2024-02-29T12:00:00.123Z", 123_000), ("2024-02-29T12:00:00.123456Z", 123_456)],
)
def test_date_times_come_with_their_zone_and_every_fraction(text: str, microsecond: int) -> None:
    bill = decode(decoder(Bill), b'{"createdDate":"%b"}' % text.encode())
    assert bill.created_date == datetime(2024, 2, 29, 12, 0, 0, microsecond, tzinfo=UTC)


# What would be decoded without a word, although it is not exact


class Part(msgspec.Struct, rename="camel"):
    unit_price: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    parts: list[Part] | None = None
    by_name: dict[str, Decimal] | None = None
    at: datetime | None = None
    pair: tuple[Decimal, datetime] | None = None


@dataclass
class Parcel:
    amount: Decimal
    sent: datetime


class Listed(msgspec.Struct, array_like=True):
    name: str
    amount: Decimal
    at: datetime | None = None


NOT_AMOUNTS = ["NaN", "nan", "nAn", "sNaN", "-NaN", "NaN123", " NaN ", "Infinity", "-Infinity", "inf", "+INF"]
PLACES: list[tuple[Any, str, str]] = [
    (Decimal, '"%s"', "$"),
    (Bill, '{"id":"NaN","billTotal":"%s"}', "$.billTotal"),
    (Bill, '{"lineItems":[{"subtotal":0},{"quantity":1,"subtotal":"%s"}]}', "$.lineItems[1].subtotal"),
    (
        Bill,
        '{"lineItems":[{},{"usagePerPricingBand":[{},{"bandSubtotal":"%s"}]}]}',
        "$.lineItems[1].usagePerPricingBand[1].bandSubtotal",
    ),
    (list[Bill], '[{},{"billTotal":"%s"}]', "$[1].billTotal"),
    (dict[str, list[Bill]], '{"a":[{"billTotal":"%s"}]}', "$.a[0].billTotal"),
    (Bill | None, '{"billTotal":"%s"}', "$.billTotal"),
    (Part, '{"unitPrice":"%s"}', "$.unitPrice"),
    (Part, '{"parts":[{"parts":[{"unitPrice":1},{"unitPrice":"%s"}]}]}', "$.parts[0].parts[1].unitPrice"),
    (Part, '{"byName":{"a":1,"b":"%s"}}', "$.byName.b"),
    (Part, '{"pair":["%s","2024-01-01T00:00:00Z"]}', "$.pair[0]"),
    (Parcel, '{"amount":"%s","sent":"2024-01-01T00:00:00Z"}', "$.amount"),
    (Listed, '["a","%s"]', "$[1]"),
    (list[Decimal | list[Decimal]], '[1,["%s"]]', "$[1][0]"),
]


@pytest.mark.parametrize("text", NOT_AMOUNTS)
@pytest.mark.parametrize(
    ("kind", "around", "place"), PLACES, ids=[f"{i}{place}" for i, (_, _, place) in enumerate(PLACES)]
)
def test_an_amount_that_is_no_number_is_an_error_and_no_sum_of_nothing(
    kind: Any, around: str, place: str, text: str
) -> None:
    with pytest.raises(Unreadable, match="not a finite number") as caught:
        decode(decoder(kind), (around % text).encode(), at="$")
    assert caught.value.json_path == place
    assert not caught.value.passing
    decode(decoder(kind), (around % "1.50").encode())  # exact, as text too
    escaped = "".join(f"\\u{ord(one):04x}" for one in text)
    with pytest.raises(Unreadable, match="not a finite number"):
        decode(decoder(kind), (around % escaped).encode())


async def test_an_amount_that_is_no_number_is_the_error_of_its_record_in_a_listing() -> None:
    rows = [{"id": "a", "billTotal": 1}, {"id": "b", "billTotal": "NaN"}]
    async with client(FakeTransport(lambda _: answer({"data": rows, "nextToken": None}))) as m3ter:
        listing = aiter(m3ter.bills.list())
        assert (await anext(listing)).bill_total == 1
        with pytest.raises(APIResponseValidationError, match="an amount that is not a finite number") as caught:
            await anext(listing)
    assert caught.value.json_path == "$.data[1].billTotal"


MOMENTS: list[tuple[Any, str, str]] = [
    (datetime, '"%s"', "$"),
    (Bill, '{"accountCode":"%s","createdDate":"%s"}', "$.createdDate"),
    (Bill, '{"lineItems":[{},{"servicePeriodStartDate":"%s"}]}', "$.lineItems[1].servicePeriodStartDate"),
    (Part, '{"parts":[{"at":"%s"}]}', "$.parts[0].at"),
    (Part, '{"pair":[1,"%s"]}', "$.pair[1]"),
    (Parcel, '{"amount":1,"sent":"%s"}', "$.sent"),
    (Listed, '["a",1,"%s"]', "$[2]"),
    (dict[str, datetime], '{"a":"%s"}', "$.a"),
]


@pytest.mark.parametrize("zone", ["Z", "+05:30", "-05:00"])
@pytest.mark.parametrize("digits", ["1234567", "0000001", "9999999", "123456789", "9999994999"])
@pytest.mark.parametrize(("kind", "around", "place"), MOMENTS, ids=[place for _, _, place in MOMENTS])
def test_a_moment_is_never_rounded(kind: Any, around: str, place: str, digits: str, zone: str) -> None:
    def of(fraction: str) -> bytes:
        return around.replace("%s", f"2024-12-31T23:59:59.{fraction}{zone}").encode()

    with pytest.raises(Unreadable, match="finer than a microsecond") as caught:
        decode(decoder(kind), of(digits))
    assert caught.value.json_path == place
    for exact in ("123456", "123456000", "5"):
        decode(decoder(kind), of(exact))


def test_a_text_that_looks_like_what_is_not_exact_is_a_text() -> None:
    text = "2024-12-31T23:59:59.1234567Z"
    bill = decode(decoder(Bill), f'{{"accountCode":"{text}","accountId":"NaN","billTotal":1.5}}'.encode())
    assert (bill.account_code, bill.account_id, bill.bill_total) == (text, "NaN", Decimal("1.5"))
    assert decode(decoder(Any), b'["NaN", 1.5]') == ["NaN", Decimal("1.5")]


HALVES = [b"\\ud800", b"a\\udc00", b"\\udc00\\ud800", b"\xed\xa0\x80"]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("kind", [Any, Bill, dict], ids=str)
def test_a_text_with_half_a_pair_is_an_error_that_says_so_and_that_asking_again_does_not_mend(
    kind: Any, half: bytes
) -> None:
    with pytest.raises(Unreadable, match="half of a surrogate pair") as caught:
        decode(decoder(kind), b'{"lineItems":[{},{"description":"%b"}]}' % half)
    assert caught.value.json_path == "$.lineItems[1].description"
    assert not caught.value.passing
    assert decode(decoder(Any), b'"\\ud83d\\ude00"') == "\U0001f600"
