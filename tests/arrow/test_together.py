"""Records that are made into tables together come to the same as records that are looked at one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3ter_async._tabular import together
from m3ter_async._tabular.batches import RecordBatches
from m3ter_async._tabular.written import Batches
from m3ter_async.models import Bill
from m3ter_async.sandbox import Sandbox

from ..export.support import sandbox_client
from .test_arrow import httpx_on_trio

AMOUNTS = [
    *("0", "-0", "12.50", "0E-18", "1e5", "-1.5E+3", "1e-18", "null", '"12.50"', '"1e2"', "99999999999999999999"),
    *("99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999", "1234567.1234567890123"),
    *("0.123456789012345678", "-0.123456789012345678", "12345678901234567890.1", "-1234567890123456789.12"),
]
ODD_AMOUNTS = [
    *("100000000000000000000", "1e20", "1e999999", "0.0000000000000000001", "123456789.1234567890123456789"),
    *(
        '"NaN"',
        '"Infinity"',
        '""',
        '"1,5"',
        '"]["',
        '"-"',
        '"."',
        '".5"',
        '"1\\u0031"',
        "true",
        "[1,2]",
        "[]",
        '{"a":1}',
    ),
    *('"null"', "[\n1]", '"\xff"', '"1\x1e2"', "100000000000000000000000000000000000000000"),
]
TEXTS = ['"a"', '""', '"null"', '"a, \\"b\\"\\n"', '"\\u20ac€🙂"', "null", '"\\u0000"', '"x\\\\"']
ODD_TEXTS = ['"\\ud800"', "1", "{}", '"\xff"', '"a\nb"', "true"]
DAYS = ['"2024-02-29"', '"1969-12-31"', "null"]
ODD_DAYS = ['"2024-02-30"', '"2024-2-9"', '""', '"2024-02-29T00:00:00Z"', "20240229"]
MOMENTS = ['"2024-02-29T23:59:59Z"', '"2024-02-29T23:59:59.123456Z"', '"2024-02-29T23:59:59.5+02:00"', "null"]
ODD_MOMENTS = ['"2024-02-29T23:59:59.1234567Z"', '"2024-02-29"', '"yesterday"', "1"]
MAPS = ['{"a": 1.10}', "{}", "null", "[1, null]", '"null"', '{"a":\n\r1}', '{"€":"\\u20ac"}', "1e5", "true"]
ODD_MAPS = ['"\xff"', '"\x1e"', '{"a":"\x1e"}', "{1}", '"\x1e"']
INTEGERS = ["0", "-7", "9223372036854775807", "null"]
ODD_INTEGERS = ["9223372036854775808", "1.5", '"1"', "true"]


def value(plain: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """Mostly what fits."""
    return st.sampled_from([*plain * (1 + 20 * len(odd) // len(plain)), *odd])


def objects(fields: dict[str, st.SearchStrategy[str]], *unknown: str) -> st.SearchStrategy[str]:
    """JSON objects with some of the fields in any order, and seldom one that no model names."""
    more = {name: st.sampled_from(["1.10", "null", '"€"', '{"a": 1}']) for name in unknown}
    some = st.fixed_dictionaries({}, optional=fields)
    with_more = st.fixed_dictionaries({}, optional={**fields, **more})
    return st.one_of(some, some, some, with_more).flatmap(
        lambda found: st.permutations([*found]).map(
            lambda names: "{" + ",".join(f'"{name}":{found[name]}' for name in names) + "}"
        )
    )


def lists(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    found = st.lists(items, max_size=3).map(lambda each: f"[{','.join(each)}]")
    return st.one_of(found, found, st.just("null"))


BANDS = objects(
    {
        "pricingBandId": value(TEXTS, ODD_TEXTS),
        "lowerLimit": value(AMOUNTS, ODD_AMOUNTS),
        "unitPrice": value(AMOUNTS, ODD_AMOUNTS),
    },
    "kind",
)
ITEMS = objects(
    {
        "id": value(TEXTS, ODD_TEXTS),
        "description": value(TEXTS, ODD_TEXTS),
        "quantity": value(AMOUNTS, ODD_AMOUNTS),
        "subtotal": value(AMOUNTS, ODD_AMOUNTS),
        "segment": value(MAPS, ODD_MAPS),
        "sequenceNumber": value(INTEGERS, ODD_INTEGERS),
        "servicePeriodStartDate": value(MOMENTS, ODD_MOMENTS),
        "usagePerPricingBand": lists(BANDS),
    },
    "region",
    "tier",
)
BILLS = objects(
    {
        "id": value(TEXTS, ODD_TEXTS),
        "accountCode": value(TEXTS, ODD_TEXTS),
        "billDate": value(DAYS, ODD_DAYS),
        "createdDate": value(MOMENTS, ODD_MOMENTS),
        "billTotal": value(AMOUNTS, ODD_AMOUNTS),
        "locked": value(["true", "false", "null"], ["0"]),
        "version": value(INTEGERS, ODD_INTEGERS),
        "lineItems": lists(ITEMS),
    },
    "zone",
    "lineitems",
).map(lambda text: text.encode().replace("\xff".encode(), b"\xff"))  # no UTF-8


def shown(found: Batches) -> dict[str, Any]:
    """All that was made of records; the fields of `_extra` without an order, which nobody promises."""
    tables: dict[str, Any] = {}
    for name, batches in found.tables.items():
        rows = [row for batch in batches for row in batch.to_pylist()]
        for row in rows:
            row["_extra"] = None if row["_extra"] is None else json.loads(row["_extra"], parse_float=str)
        tables[name] = rows, {str(batch.schema) for batch in batches}
    written = found.written
    return {
        "tables": tables,
        "misfits": list(written.misfits),
        "below": {name: counts for name, counts in written.below.items() if counts},
        "unknown": dict(written.unknown),
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(BILLS, min_size=1, max_size=6), min_size=1, max_size=4), st.sampled_from([1, 300, 200_000]))
def test_what_is_made_together_is_what_is_made_one_by_one(pages: list[list[bytes]], few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "_FEW", few)
        quick, slow = RecordBatches(Bill, "bills"), RecordBatches(Bill, "bills")
        for page in pages:
            assert shown(quick(page)) == shown(slow.one_by_one(page))


async def bills() -> list[bytes]:
    with Sandbox(seed=5, bills=60) as sandbox:
        async with sandbox_client(sandbox, **httpx_on_trio()) as client:
            return [each async for each in client.bills.list().raw()]


async def test_ordinary_records_need_no_look_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    records = await bills()
    slow = RecordBatches(Bill, "bills").one_by_one(records)
    monkeypatch.setattr(RecordBatches, "one_by_one", None)
    assert shown(RecordBatches(Bill, "bills")(records)) == shown(slow)


async def test_only_those_that_do_not_fit_are_looked_at_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    records = await bills()
    records[7] = b'{"id":"b7","version":"one"}'
    records[20] = b'{"id":"b20","billTotal":1e-19}'
    records[31] = b'{"id":"b31","lineItems":[{"units":1},{"units":1e20}]}'
    records[44] = b"{"
    slow = RecordBatches(Bill, "bills").one_by_one(records)
    assert [each.place for each in slow.written.misfits] == [7, 20, 31, 44]
    looked_at: list[int] = []
    whole = RecordBatches.one_by_one

    def counted(self: RecordBatches, some: list[bytes]) -> Batches:
        looked_at.append(len(some))
        return whole(self, some)

    monkeypatch.setattr(RecordBatches, "one_by_one", counted)
    assert shown(RecordBatches(Bill, "bills")(records)) == shown(slow)
    assert looked_at == [1, 1, 1, 1]
