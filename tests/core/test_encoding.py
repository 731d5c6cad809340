"""What is sent is what the caller meant, digit for digit, or it is refused before it is sent."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

import attrs
import msgspec
import numpy
import pandas
import pytest
from msgspec import UNSET

from m3ter_async._core import encoding
from m3ter_async._core.encoding import as_date, as_datetime, encode_body, encode_path, encode_query
from m3ter_async.models import Bill

from ..fakes import FakeTransport, answer, client

UTC = UTC
EAST = timezone(timedelta(hours=5, minutes=30))


class Status(enum.StrEnum):
    APPROVED = "APPROVED"


class Wanted(msgspec.Struct, rename="camel"):
    unit_price: Any = None
    left_out: Any = UNSET


# Amounts

AMOUNTS = [
    "0",
    "0.00",
    "-0.00",
    "1.10",
    "100",
    "123456789012345678901234567890",
    "-123456789012345678901234567890.123456789012345678901234567890",
    "0.000000000000000000000000000001",
    "1E+30",
    "1E-30",
    "-1.5E+7",
    "9" * 400,
    "1E+400",
]


@pytest.mark.parametrize("digits", AMOUNTS)
def test_an_amount_is_sent_digit_for_digit(digits: str) -> None:
    amount = Decimal(digits)
    for body in ({"a": amount}, {"a": [amount]}, {"a": {"b": amount}}, [amount], Wanted(amount)):
        sent = encode_body(body)
        assert str(amount).encode() in sent
        number = msgspec.json.decode(sent, type=msgspec.Raw)
        assert b'"%b"' % str(amount).encode() not in bytes(number)
    back = msgspec.json.Decoder(dict[str, Decimal]).decode(encode_body({"a": amount}))["a"]
    assert back.as_tuple() == amount.as_tuple()


@pytest.mark.parametrize("number", [0, 1, -1, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30)])
def test_an_integer_is_sent_digit_for_digit(number: int) -> None:
    assert encode_body({"a": number}) == b'{"a":%d}' % number


def test_a_float_is_sent_as_the_shortest_text_that_reads_back() -> None:
    for number in (0.1, 1.0, 1e22, 5e-324, 1.7976931348623157e308, -0.0):
        assert float(encode_body([number])[1:-1]) == number


def shown(value: object) -> str:
    """The same name for a case in every process: no address, and no order of a set."""
    text = ascii(value)
    return type(value).__name__ if " at 0x" in text or isinstance(value, (set, frozenset)) else text[:60]


NOT_NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("-Infinity"),
]


@dataclass
class Parcel:
    content: Any


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: {"a": value},
        lambda value: {"a": [{"b": (value,)}]},
        lambda value: [value],
        lambda value: Wanted(value),
        lambda value: {"a": {value}},
        lambda value: {"a": frozenset([value])},
        lambda value: Parcel(value),
        lambda value: {"a": Parcel(value)},
        lambda value: value,
    ],
)
def test_what_is_no_number_is_never_sent(value: Any, wrap: Callable[[Any], Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode_body(wrap(value))


@pytest.mark.parametrize("value", [*NOT_NUMBERS[3:]], ids=repr)
def test_what_is_no_number_is_never_asked_for(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode_query({"a": value})


# What is left out, and what is null


def test_what_was_left_out_is_not_sent_and_none_is_null() -> None:
    assert encode_body({"a": UNSET, "b": None, "c": 0, "d": ""}) == b'{"b":null,"c":0,"d":""}'
    assert encode_body(Wanted()) == b'{"unitPrice":null}'
    assert encode_body({"a": UNSET}) == b"{}"
    assert encode_query({"a": UNSET, "b": 1}) == "b=1"
    assert encode_query({"a": UNSET}) == encode_query({}) == ""


def test_a_model_goes_back_as_it_came() -> None:
    raw = b'{"id":"b","version":3,"billDate":"2024-01-31","billTotal":1.10}'
    bill = msgspec.json.decode(raw, type=Bill)
    sent = msgspec.json.decode(encode_body(bill), type=dict[str, msgspec.Raw])
    assert {name: bytes(value) for name, value in sent.items()} == {
        "id": b'"b"',
        "version": b"3",
        "billDate": b'"2024-01-31"',
        "billTotal": b"1.10",
    }


def test_none_in_a_query_is_an_error_since_a_query_has_no_null() -> None:
    with pytest.raises(TypeError, match="leave it out"):
        encode_query({"a": None})


@pytest.mark.parametrize(
    "value", [object(), {1: object()}, {"a": UNSET}, [UNSET], 1j, lambda: None, Bill, "\ud800", {"\ud800": 1}]
)
def test_what_has_no_form_in_json_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode_body({"a": value})


def test_any_mapping_is_a_body() -> None:
    for body in (UserDict({"a": 1}), MappingProxyType({"a": 1})):
        assert encode_body(body) == b'{"a":1}'


def test_a_body_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with pytest.raises((ValueError, TypeError, RecursionError)):
        encode_body(loop)


# Values of other types: exactly, or refused by the place where they stand


class Money(Decimal):
    pass


class Share(float):
    pass


class Count(int):
    pass


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another"


class Table(dict[str, Any]):
    pass


class Row(list[Any]):
    pass


class Moment(datetime):
    def isoformat(self, *args: Any, **options: Any) -> str:
        return "whenever"


class Colour(enum.IntEnum):
    RED = 1


class Flag(enum.Flag):
    ON = 4


class Rate(enum.Enum):
    HALF = Decimal("0.50")
    START = datetime(2024, 1, 1, tzinfo=EAST)
    NONE = math.nan


class Mixed(int, enum.Enum):
    TWO = 2


class Pair(NamedTuple):
    left: int
    right: int


@attrs.define
class Crate:
    content: Any


ODD_OFFSET = timezone(timedelta(hours=5, minutes=30, seconds=29))
ONE = UUID("0D63F0C6-6F36-4A4F-9E0B-5A5A3B1C2D3E")

EXACTLY: list[tuple[Any, bytes]] = [
    (Money("1.10"), b"1.10"),
    (Share(0.1), b"0.1"),
    (Count(7), b"7"),
    (Text("a"), b'"a"'),
    (Table(a=Money("1.0")), b'{"a":1.0}'),
    (Row([Count(1)]), b"[1]"),
    (OrderedDict(b=1, a=2), b'{"b":1,"a":2}'),
    (deque([1, 2]), b"[1,2]"),
    (range(3), b"[0,1,2]"),
    ((1, "a"), b'[1,"a"]'),
    (MappingProxyType({"a": UserDict({"b": Money(1)})}), b'{"a":{"b":1}}'),
    (Colour.RED, b"1"),
    (Mixed.TWO, b"2"),
    (Flag.ON, b"4"),
    (Status.APPROVED, b'"APPROVED"'),
    (Rate.HALF, b"0.50"),
    (Rate.START, b'"2023-12-31T18:30:00Z"'),
    ({Status.APPROVED: 1, Text("b"): 2}, b'{"APPROVED":1,"b":2}'),
    (ONE, b'"0d63f0c6-6f36-4a4f-9e0b-5a5a3b1c2d3e"'),
    (Fraction(1, 4), b"0.25"),
    (Fraction(8, 4), b"2.0"),
    (date(2024, 2, 29), b'"2024-02-29"'),
    (datetime(2024, 2, 29, 12, tzinfo=UTC), b'"2024-02-29T12:00:00Z"'),
    (datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC), b'"2024-02-29T12:00:00.000005Z"'),
    (datetime(2024, 2, 29, 12, tzinfo=ODD_OFFSET), b'"2024-02-29T06:29:31Z"'),
    (datetime(2024, 3, 1, 0, 0, 10, tzinfo=timezone(timedelta(seconds=20))), b'"2024-02-29T23:59:50Z"'),
    (Moment(2024, 2, 29, 12, tzinfo=EAST), b'"2024-02-29T06:30:00Z"'),
    (Parcel(Money("1.10")), b'{"content":1.10}'),
    (Crate(Colour.RED), b'{"content":1}'),
    (Wanted(Colour.RED), b'{"unitPrice":1}'),
    (Wanted([datetime(2024, 1, 1, tzinfo=ODD_OFFSET)]), b'{"unitPrice":["2023-12-31T18:29:31Z"]}'),
    (msgspec.Raw(b'{"a":1.10}'), b'{"a":1.10}'),
    (numpy.float64(0.1), b"0.1"),
    (numpy.float32(0.5), b"0.5"),
    (numpy.int64(2**62), b"4611686018427387904"),
    (numpy.uint8(3), b"3"),
    (numpy.bool_(True), b"true"),
    (numpy.str_("a"), b'"a"'),
    (numpy.datetime64("2024-02-29"), b'"2024-02-29"'),
    (numpy.datetime64("2024-02-29T12:00:00.000005000"), b'"2024-02-29T12:00:00.000005Z"'),
    (numpy.datetime64("2024-02-29T12"), b'"2024-02-29T12:00:00Z"'),
    (pandas.Timestamp("2024-02-29 12:00:00.000005", tz="Asia/Kolkata"), b'"2024-02-29T06:30:00.000005Z"'),
]


@pytest.mark.parametrize(("value", "text"), EXACTLY, ids=shown)
def test_a_value_of_another_type_is_sent_as_what_it_is(value: Any, text: bytes) -> None:
    assert encode_body({"a": value}) == b'{"a":%b}' % text
    assert encode_body([{"b": (value,)}]) == b'[{"b":[%b]}]' % text
    assert encode_body(Wanted({"c": value})) == b'{"unitPrice":{"c":%b}}' % text


REFUSED: list[tuple[Any, str]] = [
    *((value, "not a number") for value in NOT_NUMBERS),
    (Share("nan"), "not a number"),
    (Money("Infinity"), "not a number"),
    (Rate.NONE, "not a number"),
    (b"abc", "decode them to text"),
    (bytearray(b"abc"), "decode them to text"),
    (memoryview(b"abc"), "decode them to text"),
    ({"a"}, "no order"),
    (frozenset("a"), "no order"),
    ((item for item in "a"), "only once"),
    (iter([1]), "only once"),
    (Pair(1, 2), "list or as an object"),
    (time(1), "no form"),
    (timedelta(1), "no form"),
    (datetime(2024, 1, 1), "no time zone"),
    (Moment(2024, 1, 1), "no time zone"),
    (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "no year"),
    ({1: 2}, "key 1 is not text"),
    ({math.nan: 1}, "key nan"),
    ({datetime(2024, 1, 1): 1}, "not text"),
    ({None: 1}, "key None"),
    (Fraction(1, 3), "no exact form"),
    (1j, "no form"),
    (UNSET, "leave it out"),
    (Bill, "the type Bill"),
    (object(), "no form"),
    (msgspec.Raw(b"{"), "none"),
    (msgspec.Raw(b"NaN"), "none"),
    ("\udc00", "surrogate"),
    ({"\ud800": 1}, "surrogate"),
    (numpy.float64("nan"), "not a number"),
    (numpy.float32("inf"), "not a number"),
    (numpy.longdouble("0.1"), "no exact form"),
    (numpy.datetime64("NaT", "s"), "no moment"),
    (numpy.datetime64("2024-01-01T00:00:00.000000001"), "finer than a microsecond"),
    (numpy.datetime64("10000-01-01T00:00"), "no year"),
    (numpy.timedelta64(1, "s"), "no moment"),
    (numpy.array([1]), "plain values"),
    (pandas.NaT, "no moment"),
    (pandas.NA, "no form"),
    (pandas.Timestamp("2024-01-01"), "no time zone"),
    (pandas.Timestamp(1, unit="ns", tz="UTC"), "finer than a microsecond"),
    (pandas.Timedelta("1s"), "no form"),
    (pandas.Series([1]), "plain values"),
]


@pytest.mark.parametrize(("value", "says"), REFUSED, ids=shown)
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda value: {"amount": value}, "body.amount"),
        (lambda value: {"lines": [1, 2, 3, {"amount": value}]}, r"body.lines\[3\].amount"),
        (lambda value: [[value]], r"body\[0\]\[0\]"),
        (lambda value: {"a": Wanted((value,))}, r"body.a.unit_price\[0\]"),
        (lambda value: {"a": UserDict({"b": Crate(Parcel(value))})}, "body.a.b.content.content"),
    ],
    ids=["field", "line", "list", "struct", "classes"],
)
def test_what_is_not_known_is_refused_by_the_place_where_it_stands(
    value: Any, says: str, wrap: Callable[[Any], Any], place: str
) -> None:
    if value is UNSET and place in ("body.amount", "body.a.b.content.content"):
        return  # a field that was left out
    with pytest.raises((TypeError, ValueError), match=f"^{place}.*: .*{says}") as caught:
        encode_body(wrap(value))
    assert type(caught.value) in (TypeError, ValueError)


def test_a_body_nested_too_deeply_says_so() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match=r"^body: nested too deeply"):
        encode_body({"a": loop})


# Queries


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("a b&c=d/é+%", "a b&c=d/é+%"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (10**30, "1" + "0" * 30),
        (Decimal("1.10"), "1.10"),
        (Decimal("123456789012345678901234567890.12"), "123456789012345678901234567890.12"),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 12, 0, 0, 5000, tzinfo=UTC), "2024-02-29T12:00:00.005000Z"),
        (datetime(2024, 2, 29, 12, tzinfo=EAST), "2024-02-29T06:30:00Z"),
        (["a", "b"], "a,b"),
        (("a",), "a"),
        (frozenset(["a"]), "a"),
        ([1, True, date(2024, 1, 1)], "1,true,2024-01-01"),
        (Status.APPROVED, "APPROVED"),
        ([Status.APPROVED], "APPROVED"),
        ("a,b", "a,b"),
        (Colour.RED, "1"),
        (Mixed.TWO, "2"),
        (Count(7), "7"),
        (Money("1.10"), "1.10"),
        (Text("a"), "a"),
        (ONE, "0d63f0c6-6f36-4a4f-9e0b-5a5a3b1c2d3e"),
        (Moment(2024, 2, 29, 12, tzinfo=ODD_OFFSET), "2024-02-29T06:29:31Z"),
        (numpy.int64(7), "7"),
        (pandas.Timestamp("2024-02-29 12:00", tz="UTC"), "2024-02-29T12:00:00Z"),
    ],
)
def test_a_query_says_each_value_as_the_service_reads_it(value: Any, text: str) -> None:
    query = encode_query({"name": value})
    assert parse_qsl(query, keep_blank_values=True) == [("name", text)]
    assert query.isascii()
    assert "+" not in query
    assert " " not in query


@pytest.mark.parametrize("value", [["a,b"], ["a", "b,"], (",",), [["a", "b"]], {"a,b"}])
def test_a_comma_within_a_joined_value_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="comma"):
        encode_query({"ids": value})


@pytest.mark.parametrize(
    "value", [1.5, b"abc", bytearray(b"a"), {"a": 1}, object(), [None], [UNSET], [object()], time(1)]
)
def test_what_a_query_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="name"):
        encode_query({"name": value})


def test_a_filter_of_nothing_is_refused_since_it_may_be_read_as_no_filter() -> None:
    with pytest.raises(ValueError, match="ids"):
        encode_query({"ids": []})


# Dates


@pytest.mark.parametrize("where", [lambda v: encode_body({"a": v}), lambda v: encode_query({"a": v}), as_datetime])
def test_a_date_time_without_a_zone_is_refused(where: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match="time zone"):
        where(datetime(2024, 1, 1, 12))


def test_a_date_time_without_a_zone_is_refused_wherever_it_is_hidden() -> None:
    naive = datetime(2024, 1, 1, 12)
    for body in ([naive], {"a": (naive,)}, {"a": {naive}}, Wanted(naive), Parcel(naive), {"a": [Wanted([naive])]}):
        with pytest.raises((ValueError, TypeError)):
            encode_body(body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29"),
        (datetime(2024, 2, 29, tzinfo=EAST), "2024-02-29"),
        ("2024-02-29", "2024-02-29"),
        ("20240229", "2024-02-29"),
        ("2024-02-29T00:00:00Z", "2024-02-29"),
        (numpy.datetime64("2024-02-29"), "2024-02-29"),
        (numpy.datetime64("2024-02-29T00:00:00.000000000"), "2024-02-29"),
        (UNSET, UNSET),
        (None, None),
    ],
)
def test_a_date_is_a_day(value: Any, text: Any) -> None:
    assert as_date(value) == text


@pytest.mark.parametrize("encode", [as_date, as_datetime])
@pytest.mark.parametrize("value", [pandas.NaT, pandas.Timestamp(1, unit="ns", tz="UTC")], ids=repr)
def test_a_day_or_moment_that_is_none_is_refused_by_the_name_of_its_argument(encode: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^bill_date: "):
        encode(value, "bill_date")


@pytest.mark.parametrize("moment", [time(12), time(0, 0, 1), time(0, 0, 0, 1)])
@pytest.mark.parametrize("zone", [None, UTC])
def test_a_time_of_day_where_the_service_takes_a_date_is_refused(moment: time, zone: timezone | None) -> None:
    with pytest.raises(ValueError, match="time of day"):
        as_date(datetime.combine(date(2024, 1, 1), moment, zone))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2024, 2, 29), "2024-02-29T00:00:00Z"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "2024-02-29T12:00:00Z"),
        (datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=EAST), "2024-02-28T19:32:03.456789Z"),
        ("2024-02-29T12:00:00+01:00", "2024-02-29T12:00:00+01:00"),
        ("2024-02-29 12:00:00.5+01:00", "2024-02-29T11:00:00.500000Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        (numpy.datetime64("2024-02-29T12:00"), "2024-02-29T12:00:00Z"),
        (numpy.datetime64("2024-02-29"), "2024-02-29T00:00:00Z"),
        (UNSET, UNSET),
        (None, None),
    ],
)
def test_a_date_time_is_a_moment(value: Any, text: Any) -> None:
    assert as_datetime(value) == text


# Through a call


async def test_a_transaction_is_sent_exactly_as_it_was_written() -> None:
    transport = FakeTransport(lambda _: answer({"id": "t"}))
    amount = Decimal("123456789012345678901234567890.10")
    async with client(transport) as m3ter:
        await m3ter.balances.transactions.create("bal", amount=amount, transaction_type_id="t", description="é")
    (request,) = transport.requests
    assert request.method == "POST"
    assert request.content is not None
    assert b'"amount":123456789012345678901234567890.10' in request.content
    assert set(msgspec.json.decode(request.content)) == {"amount", "transactionTypeId", "description"}


async def test_an_encoding_error_is_raised_before_anything_is_sent() -> None:
    transport = FakeTransport([])
    async with client(transport) as m3ter:
        with pytest.raises(ValueError, match="amount"):
            await m3ter.balances.transactions.create("bal", amount=Decimal("NaN"), transaction_type_id="t")
        with pytest.raises(ValueError, match="time zone"):
            await m3ter.balances.transactions.create(
                "bal", amount=1, transaction_type_id="t", transaction_date=datetime(2024, 1, 1)
            )
    assert transport.requests == transport.logins == []


async def test_a_moment_is_refused_by_the_name_of_its_argument() -> None:
    async with client(FakeTransport([])) as m3ter:
        with pytest.raises(ValueError, match=r"^transaction_date: .* has no time zone"):
            await m3ter.balances.transactions.create("bal", amount=1, transaction_date=datetime(2024, 1, 1))
        with pytest.raises(ValueError, match=r"^bill_date: .* time of day"):
            await m3ter.bills.list(bill_date=datetime(2024, 1, 1, 12, tzinfo=UTC))


async def test_paths_of_other_people_are_not_kept_for_ever() -> None:
    """A path by hand may be another at each call."""
    kept = encoding._parts.cache_info().maxsize
    assert kept is not None
    async with client(FakeTransport(lambda _: answer({}))) as m3ter:
        for number in range(kept + 100):
            await m3ter.request("GET", f"/organizations/{{orgId}}/things/{number}")
    assert encoding._parts.cache_info().currsize <= kept


def test_a_path_takes_each_argument_once_and_leaves_nothing_open() -> None:
    assert encode_path("/a/{x}/b/{y}", {"x": "{y}", "y": "1/2"}) == "/a/%7By%7D/b/1%2F2"
