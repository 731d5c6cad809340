"""What the contract does not allow is refused before anything is sent, by the name that the argument has in Python."""

from __future__ import annotations

import enum
import math
import timeit
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy
import pandas
import pytest
from msgspec import Raw

from m3ter_async import AsyncM3ter
from m3ter_async._core.arguments import Arguments
from m3ter_async._core.encoding import encode_body, encode_query
from m3ter_async.models import CurrencyConversion, PricingBand

from ..fakes import FakeTransport, answer, client

ID = "0d63f0c6-6f36-4a4f-9e0b-5a5a3b1c2d3e"


INDIAN = pandas.Timestamp("2025-06-30 12:00", tz="Asia/Kolkata")


class Colour(enum.Enum):
    RED = "RED"
    ONE = 1
    HALF = Decimal("0.50")


class Pair(NamedTuple):
    left: str
    right: str


# untyped: what is tried here is what a type checker refuses
Call = Callable[[Any], Any]


async def call_of(call: Call, m3ter: AsyncM3ter) -> Any:
    return await call(m3ter)


REFUSED: list[tuple[Call, type[Exception], str]] = [
    # enumerations: any text, and nothing but a text
    (lambda m: m.bills.list(status=1), TypeError, "status: must be a str, not int"),
    (lambda m: m.bills.list(status=True), TypeError, "status: must be a str, not bool"),
    (lambda m: m.bills.list(status=None), TypeError, "status: must be a str, not None"),
    (lambda m: m.bills.list(status=Colour.ONE), TypeError, "status: must be a str, not int"),
    (lambda m: m.bills.update_status("b", status=b"APPROVED"), TypeError, "status: must be a str, not bytes"),
    # bounds
    (lambda m: m.bills.list(page_size=1000), ValueError, "page_size: 1000 is too large: it may be 100 at the most"),
    (lambda m: m.bills.list(page_size=0), ValueError, "page_size: 0 is too small: it must be at least 1"),
    (lambda m: m.bills.list(page_size="50"), TypeError, "page_size: must be an int, not str"),
    (lambda m: m.bills.list(page_size=5.0), TypeError, "page_size: must be an int, not float"),
    (lambda m: m.bills.list(page_size=True), TypeError, "page_size: must be an int, not bool"),
    (lambda m: m.balances.create(**{**BALANCE, "name": ""}), ValueError, "name: 0 characters, .* 1 or more"),
    (lambda m: m.balances.create(**{**BALANCE, "code": "c" * 81}), ValueError, "code: 81 characters, .* 1 to 80"),
    (lambda m: m.accounts.create(**{**ACCOUNT, "days_before_bill_due": 0}), ValueError, "due: 0 .* more than 0"),
    (
        lambda m: m.bill_jobs.create(account_ids=[]),
        ValueError,
        "account_ids: 0 items, where the service takes 1 to 100",
    ),
    (lambda m: m.bill_jobs.create(account_ids=["a"] * 101), ValueError, "account_ids: 101 items"),
    # dates
    (lambda m: m.bills.list(bill_date_start="yesterday"), ValueError, "bill_date_start: 'yesterday' is no date"),
    (lambda m: m.bills.list(bill_date_start="2025-02-30"), ValueError, "bill_date_start: '2025-02-30' is no date"),
    (lambda m: m.bills.list(bill_date_start=20250630), TypeError, "bill_date_start: must be a date"),
    (lambda m: m.bills.list(bill_date_start="2025-06-30T10:00Z"), ValueError, "bill_date_start: .*time of day"),
    (lambda m: m.bills.list(bill_date=pandas.NaT), ValueError, "bill_date: NaT is no day"),
    (lambda m: m.bills.list(bill_date=numpy.datetime64("NaT", "s")), ValueError, "bill_date: .*no moment"),
    (lambda m: m.bills.list(bill_date=numpy.datetime64("2025-06-30T10")), ValueError, "bill_date: .*time of day"),
    (lambda m: m.bills.approve_by_billing_period("DAILY", last_date_in_billing_period="x"), ValueError, "last_date_in"),
    (lambda m: transaction(m, transaction_date="soon"), ValueError, "transaction_date: 'soon' is no date-time"),
    (lambda m: transaction(m, transaction_date="2025-06-30T10:00:00"), ValueError, "transaction_date: .*no time zone"),
    (lambda m: transaction(m, transaction_date=datetime(2025, 6, 30)), ValueError, "transaction_date: .*no time zone"),
    (lambda m: transaction(m, transaction_date="2025-06-30T10:00:00.0000001Z"), ValueError, "finer than a micro"),
    (lambda m: transaction(m, transaction_date=timedelta(1)), TypeError, "transaction_date: must be a datetime"),
    (lambda m: transaction(m, transaction_date=numpy.timedelta64(1, "s")), TypeError, "transaction_date: must be"),
    # numbers
    (lambda m: transaction(m, amount="12.50"), TypeError, "amount: must be a Decimal, an int or a float, not str"),
    (lambda m: transaction(m, amount=True), TypeError, "amount: must be a Decimal"),
    (lambda m: transaction(m, amount=math.nan), ValueError, "amount: nan is not a number"),
    (lambda m: transaction(m, amount=Decimal("Infinity")), ValueError, "amount: Infinity is not a number"),
    (lambda m: transaction(m, amount=numpy.float64("nan")), ValueError, "amount: nan is not a number"),
    (lambda m: transaction(m, amount=Fraction(1, 3)), ValueError, "amount: .*no exact form"),
    (lambda m: transaction(m, amount=numpy.longdouble("0.1")), ValueError, "amount: .*no exact form"),
    (lambda m: transaction(m, amount=pandas.NA), TypeError, "amount: must be a Decimal"),
    (lambda m: transaction(m, amount=numpy.array([1])), TypeError, "amount: must be .*tolist"),
    (lambda m: transaction(m, amount=numpy.datetime64("2025-06-30")), TypeError, "amount: must be a Decimal"),
    # the other kinds
    (lambda m: m.bills.list(locked="false"), TypeError, "locked: must be True or False, not str"),
    (lambda m: m.bills.list(locked=1), TypeError, "locked: must be True or False, not int"),
    (lambda m: m.bills.list(ids="b1"), TypeError, "ids: must be a list, not str"),
    (lambda m: m.bills.list(ids=["b1", 2]), TypeError, r"ids\[1\]: must be a str, not int"),
    (lambda m: m.bills.list(ids=Pair("a", "b")), TypeError, "ids: must be a list, not Pair"),
    (lambda m: m.bills.list(ids=[]), ValueError, "ids: is empty"),
    (lambda m: m.bills.list(ids=numpy.array(["a"])), TypeError, r"ids: must be a list, not ndarray.*tolist"),
    (lambda m: m.bills.approve(bill_ids={"b"}), TypeError, "bill_ids: .*no order"),
    (lambda m: m.lookup_tables.lookup_table_revisions.retrieve(1, lookup_table_id="t"), TypeError, "id: must be a str"),
    # within a list or a mapping
    (lambda m: m.accounts.create(**ACCOUNT, custom_fields={"a": [1]}), TypeError, r"custom_fields\.a: must be a str"),
    (lambda m: m.accounts.create(**ACCOUNT, custom_fields=[1]), TypeError, "custom_fields: must be a mapping"),
    (
        lambda m: m.bills.preview(currency_conversions=[{"multiplier": "1.1"}]),
        TypeError,
        r"\[0\]\.multiplier: must be a",
    ),
    (
        lambda m: m.bills.preview(currency_conversions=[CurrencyConversion(multiplier="1.1")]),  # type: ignore[arg-type]
        TypeError,
        r"currency_conversions\[0\]\.multiplier: must be a Decimal",
    ),
    (
        lambda m: m.bills.preview(currency_conversions=[{"from": "EUR", "to": "USD"}, {"multiplier": 0}]),
        ValueError,
        r"currency_conversions\[1\]\.multiplier: 0 is too small: it must be more than 0",
    ),
    (
        lambda m: m.bills.preview(currency_conversions=[CurrencyConversion(from_="EUR", to="")]),
        ValueError,
        r"currency_conversions\[0\]\.to: 0 characters",
    ),
    (
        lambda m: m.accounts.create(**ACCOUNT, address={"post_code": "x" * 21}),
        ValueError,
        r"address\.post_code: 21 characters, where the service takes 0 to 20",
    ),
    # forms of texts
    (
        lambda m: m.accounts.create(**{**ACCOUNT, "code": "c "}),
        ValueError,
        "code: must neither begin nor end",
    ),
    (
        lambda m: m.accounts.create(**{**ACCOUNT, "code": "a\tb"}),
        ValueError,
        "code: must .* nor hold control",
    ),
    (
        lambda m: m.accounts.create(**{**ACCOUNT, "email_address": "me"}),
        ValueError,
        "email_address: must be like 'name@example",
    ),
    (lambda m: m.currencies.create(name="n", code="1A"), ValueError, "code: must .* not begin with a digit"),
    (
        lambda m: m.counter_adjustments.create(account_id=ID, counter_id=ID, date="2025-06-30", value=2**31),
        ValueError,
        "value: 2147483648 is too large: it may be 2147483647 at the most",
    ),
    (
        lambda m: m.bills.preview(currency_conversions=["EUR"]),
        TypeError,
        r"\[0\]: must be a CurrencyConversion or a map",
    ),
    (
        lambda m: m.bills.preview(currency_conversions=[{"from": "EUR", "from_": "USD"}]),
        TypeError,
        r"currency_conversions\[0\]\.from_: is given twice",
    ),
]
BALANCE: dict[str, Any] = {
    "account_id": ID,
    "currency": "EUR",
    "start_date": "2025-01-01",
    "end_date": date(2026, 1, 1),
    "name": "n",
    "code": "c",
}
ACCOUNT: dict[str, Any] = {"name": "n", "code": "c", "email_address": "a@example.com"}


def transaction(m3ter: AsyncM3ter, **given: Any) -> Any:
    return m3ter.balances.transactions.create("balance", **{"amount": 1, "transaction_type_id": "t", **given})


@pytest.mark.parametrize(("call", "kind", "says"), REFUSED, ids=[says[:40] for _, _, says in REFUSED])
async def test_what_the_contract_does_not_allow_is_refused_by_name_before_anything_is_sent(
    call: Call, kind: type[Exception], says: str
) -> None:
    transport = FakeTransport([])
    async with client(transport) as m3ter:
        with pytest.raises(kind, match=says) as caught:
            await call_of(call, m3ter)
    assert type(caught.value) is kind
    assert transport.requests == transport.logins == []


async def sent(call: Call) -> tuple[str, Any]:
    """The query and the body of the one request that a call sends."""
    transport = FakeTransport(lambda request: answer({"data": []} if "pageSize" in request.url else {}))
    async with client(transport) as m3ter:
        await call(m3ter)
    (request,) = transport.requests
    body = None if request.content is None else msgspec.json.decode(request.content, type=dict[str, Raw])
    return request.url.partition("?")[2], {} if body is None else {key: bytes(value) for key, value in body.items()}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (12, b"12"),
        (Decimal("12.50"), b"12.50"),
        (0.1, b"0.1"),
        (Colour.HALF, b"0.50"),
        (Fraction(1, 4), b"0.25"),
        (numpy.int64(2**62), b"4611686018427387904"),
        (numpy.uint8(3), b"3"),
        (numpy.float64(0.1), b"0.1"),
        (numpy.float32(0.5), b"0.5"),
        (pandas.Series([12.5])[0], b"12.5"),
        (-(10**30), b"-1000000000000000000000000000000"),
    ],
    ids=repr,
)
async def test_a_number_of_any_library_is_sent_exactly(given: Any, text: bytes) -> None:
    _, body = await sent(lambda m: transaction(m, amount=given))
    assert body["amount"] == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (date(2025, 6, 30), b"2025-06-30T00:00:00Z"),
        ("2025-06-30", b"2025-06-30T00:00:00Z"),
        ("2025-06-30T12:00:00Z", b"2025-06-30T12:00:00Z"),
        ("2025-06-30T12:00:00.123456+02:00", b"2025-06-30T12:00:00.123456+02:00"),
        (pandas.Timestamp("2025-06-30 12:00", tz="UTC"), b"2025-06-30T12:00:00Z"),
        (numpy.datetime64("2025-06-30T12:00:00.123456000"), b"2025-06-30T12:00:00.123456Z"),
        (numpy.datetime64("2025-06-30"), b"2025-06-30T00:00:00Z"),
        (
            pandas.Series([pandas.Timestamp("2025-06-30 12:00", tz="Asia/Kolkata")]).to_numpy("M8[ns]")[0],
            b"2025-06-30T06:30:00Z",
        ),
        (datetime(2025, 6, 30, 12, tzinfo=UTC), b"2025-06-30T12:00:00Z"),
    ],
    ids=repr,
)
async def test_a_moment_of_any_library_is_sent_exactly(given: Any, text: bytes) -> None:
    _, body = await sent(lambda m: transaction(m, transaction_date=given))
    assert body["transactionDate"] == b'"%b"' % text


@pytest.mark.parametrize(
    "given",
    [
        date(2025, 6, 30),
        "2025-06-30",
        datetime(2025, 6, 30),
        pandas.Timestamp("2025-06-30"),
        numpy.datetime64("2025-06-30"),
    ],
    ids=repr,
)
async def test_a_day_of_any_library_is_sent_as_a_day(given: Any) -> None:
    query, _ = await sent(lambda m: m.bills.list(bill_date=given))
    assert query == "billDate=2025-06-30&pageSize=100"


async def test_values_of_the_future_and_of_other_libraries_pass() -> None:
    query, _ = await sent(
        lambda m: m.bills.list(status="OF_TOMORROW", page_size=numpy.int64(7), locked=numpy.bool_(True), ids={UUID(ID)})
    )
    assert query == f"locked=true&status=OF_TOMORROW&ids={ID}&pageSize=7"
    query, _ = await sent(lambda m: m.bills.list(status=Colour.RED))
    assert query == "status=RED&pageSize=100"
    _, body = await sent(lambda m: m.accounts.create(**ACCOUNT, custom_fields={"a": 1, "b": "x", "c": Decimal("1.0")}))
    assert body["customFields"] == b'{"a":1,"b":"x","c":1.0}'


async def test_fields_within_an_argument_are_taken_by_either_of_their_names() -> None:
    """The ``m3ter`` package takes those of Python; sent like that, the service would not see them."""
    listed: list[Any] = [
        {"from": "EUR", "to": "USD", "multiplier": Decimal("1.10")},
        {"from_": "EUR", "to": "USD", "multiplier": Decimal("1.10")},
        CurrencyConversion(from_="EUR", to="USD", multiplier=Decimal("1.10")),
    ]
    _, body = await sent(lambda m: m.bills.preview(currency_conversions=listed))
    assert body["currencyConversions"] == b"[" + b",".join([b'{"from":"EUR","to":"USD","multiplier":1.10}'] * 3) + b"]"
    bands = [
        {"lower_limit": 0, "unit_price": numpy.float64(0.5), "of_tomorrow": 1},
        PricingBand(id="b"),
    ]
    sent_bands = encode_body({"pricingBands": bands}, Arguments("pricingBands:[PricingBand](1,)"))
    assert sent_bands == b'{"pricingBands":[{"lowerLimit":0,"unitPrice":0.5,"of_tomorrow":1},{"id":"b"}]}'


async def test_whether_there_is_such_an_id_is_for_the_service_to_say() -> None:
    """It is often somebody else's input, and in tests it is made up; the contract has ids of 36 characters."""
    query, _ = await sent(lambda m: m.commitments.list(account_id="nobody"))
    assert query == "accountId=nobody&pageSize=100"


async def test_a_call_by_hand_takes_whatever_json_can_say() -> None:
    query, body = await sent(
        lambda m: m.request("POST", "/x", query={"status": 1, "page_size": 1000}, body={"amount": "12.50"})
    )
    assert query == "status=1&page_size=1000"
    assert body == {"amount": b'"12.50"'}


def test_a_check_costs_next_to_nothing() -> None:
    """Five arguments in less than a few microseconds: what sends them takes a hundred times as long."""
    known = Arguments("amount:number transactionDate:moment")
    body = {"amount": Decimal("12.50"), "transactionTypeId": "t", "description": "d", "code": "c", "name": "n"}
    encode_body(body, known)
    times = 2_000
    without = min(timeit.repeat(lambda: encode_body(body), number=times, repeat=5)) / times
    checked = min(timeit.repeat(lambda: encode_body(body, known), number=times, repeat=5)) / times
    assert checked - without < 10e-6
    query = {"status": "APPROVED", "accountId": "a"}
    without = min(timeit.repeat(lambda: encode_query(query), number=times, repeat=5)) / times
    checked = min(timeit.repeat(lambda: encode_query(query, known), number=times, repeat=5)) / times
    assert checked - without < 10e-6
