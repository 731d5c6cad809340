"""A page is decoded at once where that is quick, and nobody can tell the difference but by the time it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from m3ter_async import APIResponseValidationError
from m3ter_async._paging.record_decoding import RawReader, Reader

from ..fakes import FakeTransport, TickingClock, answer, client


class Row(msgspec.Struct):
    id: str
    amount: int = 0


def page(rows: list[dict[str, Any]], token: str | None = None) -> bytes:
    return msgspec.json.encode({"data": rows, "nextToken": token})


def rows(count: int, size: int = 10) -> list[dict[str, Any]]:
    return [{"id": str(number), "amount": number, "filler": "x" * size} for number in range(count)]


def clock(step: float) -> Callable[[], float]:
    """A clock that goes on by `step` seconds whenever it is looked at."""
    ticks: Iterator[float] = (step * number for number in range(10**9))
    return lambda: next(ticks)


def test_a_small_page_is_decoded_at_once_without_having_been_measured() -> None:
    found = Reader[Row](Row, clock(60.0)).page(page(rows(3), "next"))
    assert found is not None
    assert found[0] == [Row("0", 0), Row("1", 1), Row("2", 2)]
    assert found[1] == "next"


def test_a_large_page_is_split_until_decoding_has_proven_quick() -> None:
    large = page(rows(100, 1_000))
    quick, slow = Reader[Row](Row, clock(1e-7)), Reader[Row](Row, clock(0.001))
    record = msgspec.Raw(msgspec.json.encode(rows(1, 1_000)[0]))
    for reader in (quick, slow):
        assert reader.page(large) is None
        assert reader.record(record, len(bytes(record))) == Row("0", 0)
    assert quick.page(large) is not None
    assert slow.page(large) is None


def test_a_reader_that_turns_out_slow_splits_again() -> None:
    steps = iter([0.0, 1e-6, 0.0, 5.0])  # a quick record, then a page that took five seconds
    reader = Reader[Row](Row, lambda: next(steps))
    record = msgspec.Raw(b'{"id":"a"}')
    reader.record(record, 10_000)
    large = page(rows(100, 1_000))
    assert reader.page(large) is not None
    assert reader.page(large) is None


@pytest.mark.parametrize(
    "body", [b"null", b"[]", b"{}", b'{"data":null}', b'{"data":[1]}', b'{"data":[{"id":1}]}', b"<html>", b'{"data":[']
)
def test_what_is_not_a_page_of_its_records_is_left_to_the_splitting(body: bytes) -> None:
    assert Reader[Row](Row, clock(0.0)).page(body) is None


def test_raw_records_are_never_decoded() -> None:
    reader = RawReader()
    assert reader.page(b'{"data":[{"id":"a"}]}') is None  # type: ignore[func-returns-value]
    assert reader.record(msgspec.Raw(b'{"id" : 1.0}'), 12) == b'{"id" : 1.0}'


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "one by one"])
async def test_what_stands_before_a_broken_record_is_handed_out(slow: bool) -> None:
    broken = [{"id": "a"}, {"id": "b"}, {"id": 3}, {"id": "d"}]
    transport = FakeTransport([answer({"data": broken, "nextToken": "more"})])
    async with client(transport, TickingClock() if slow else None) as m3ter:
        bills = aiter(m3ter.bills.list(next_token="here"))
        assert [(await anext(bills)).id, (await anext(bills)).id] == ["a", "b"]
        with pytest.raises(APIResponseValidationError) as caught:
            await anext(bills)
    assert caught.value.json_path == "$.data[2].id"
    assert caught.value.next_token == "here"


async def test_at_once_and_one_by_one_give_the_same_records_and_positions() -> None:
    async def run(ticking: bool) -> list[tuple[str, str | None, int, bool]]:
        transport = FakeTransport(
            [
                answer({"data": rows(40, 4_000), "nextToken": "b"}),
                answer({"data": rows(3, 50_000), "nextToken": "c"}),
                answer({"data": [], "nextToken": "d"}),
                answer({"data": rows(1)}),
            ]
        )
        async with client(transport, TickingClock() if ticking else None) as m3ter:
            bills = m3ter.bills.list().as_type(Row)
            return [(row.id, bills.next_token, bills.page_offset, bills.finished) async for row in bills]

    assert await run(True) == await run(False)
