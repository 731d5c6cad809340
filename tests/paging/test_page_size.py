"""A page that is too much for the service is asked for again at half its size, at the same place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from m3ter_async import APIConnectionError, APIError, BadRequestError, InternalServerError, TransportError
from m3ter_async._paging.page_size import PageSize
from m3ter_async.transports.protocol import Request

from ..fakes import Answer, FakeClock, FakeTransport, answer, client
from .test_paginator import asked, collect_into, ids, table

ROWS = 250
EVERYTHING = [str(row) for row in range(ROWS)]
TOO_MUCH: dict[str, Answer] = {
    "502": answer(status=502),
    "504": answer(status=504),
    "413": answer(status=413),
    "time-out": TransportError("too slow", timeout=True),
    "too large an answer": TransportError("larger than 5 bytes", too_large=True),
}


def heavy(most: Callable[[int], int], fault: Answer, rows: int = ROWS) -> Callable[[Request], Answer]:
    """A service that makes no page with more records than `most` allows for where it begins."""
    good = table(rows)

    def serve(request: Request) -> Answer:
        query = asked(request)
        start, size = int(query.get("nextToken", "0")), int(query["pageSize"])
        return fault if size > most(start) else good(request)

    return serve


def sizes(transport: FakeTransport) -> list[int]:
    return [int(asked(request)["pageSize"]) for request in transport.requests]


@pytest.mark.parametrize("fault", TOO_MUCH.values(), ids=TOO_MUCH.keys())
@pytest.mark.parametrize("most", [50, 3, 1])
async def test_whatever_says_that_a_page_was_too_much_smaller_ones_bring_all_of_it(fault: Answer, most: int) -> None:
    transport = FakeTransport(heavy(lambda _: most, fault))
    async with client(transport, max_retries=0) as m3ter:
        assert await ids(m3ter.bills.list()) == EVERYTHING
        assert m3ter.stats().failures == 0
    assert sizes(transport)[0] == 100


async def test_a_heavy_stretch_in_the_middle_is_read_in_small_pages_and_the_rest_in_large_ones() -> None:
    transport = FakeTransport(heavy(lambda start: 2 if 300 <= start < 320 else 100, answer(status=504), 3000))
    async with client(transport) as m3ter:
        rows = await ids(m3ter.bills.list())
    assert rows == [str(row) for row in range(3000)]
    assert sizes(transport)[:3] == [100, 100, 100]
    assert sizes(transport)[-1] == 100
    assert sizes(transport).count(100) > 20


async def test_a_size_that_was_too_much_is_not_tried_again_with_every_page() -> None:
    transport = FakeTransport(heavy(lambda _: 50, answer(status=504), 10_000))
    async with client(transport) as m3ter:
        assert len(await ids(m3ter.bills.list())) == 10_000
    assert sizes(transport).count(100) < 12


async def test_no_page_is_larger_than_was_asked_for() -> None:
    failing = [answer(status=504)]
    good = table(ROWS)
    transport = FakeTransport(lambda request: failing.pop() if failing else good(request))
    async with client(transport) as m3ter:
        assert await ids(m3ter.bills.list(page_size=8)) == EVERYTHING
    assert max(sizes(transport)) == 8
    assert sizes(transport)[:2] == [8, 4]
    assert sizes(transport)[-1] == 8


async def test_what_has_nothing_to_do_with_size_is_repeated_at_the_same_size() -> None:
    faults: list[Answer] = [
        answer(status=500),
        answer(status=503),
        answer(status=429),
        TransportError("reset"),
        TransportError("no connection in time", sent=False, timeout=True),
        answer(b"<html>"),
    ]
    good = table(ROWS)
    transport = FakeTransport(lambda request: faults.pop() if faults else good(request))
    async with client(transport, max_retries=6) as m3ter:
        await m3ter.bills.list()
    assert sizes(transport) == [100] * 7


async def test_what_fails_at_one_record_as_well_ends_in_its_error_after_the_usual_repeats() -> None:
    transport = FakeTransport(lambda _: TransportError("too slow", timeout=True))
    async with client(transport, max_retries=2) as m3ter:
        with pytest.raises(APIConnectionError) as caught:
            await m3ter.bills.list()
        assert m3ter.stats().failures == 1
    assert sizes(transport) == [100, 50, 25, 12, 6, 3, 1, 1, 1]
    assert caught.value.attempts == 9


async def test_an_hour_is_not_spent_at_a_size_that_is_too_much() -> None:
    clock = FakeClock()
    good = table(ROWS)

    async def serve(request: Request) -> Answer:
        if int(asked(request)["pageSize"]) > 10:
            await clock.sleep(60)
            return TransportError("too slow", timeout=True)
        return good(request)

    transport = FakeTransport(serve)
    async with client(transport, clock) as m3ter:
        page = await m3ter.bills.list()
    assert len(page.data) == 6
    assert sizes(transport) == [100, 50, 25, 12, 6]


async def test_a_single_record_has_no_half() -> None:
    transport = FakeTransport(lambda _: answer(status=504))
    async with client(transport, max_retries=1) as m3ter:
        with pytest.raises(InternalServerError):
            await m3ter.bills.list(page_size=1)
    assert sizes(transport) == [1, 1]


async def test_where_a_listing_stands_is_right_whatever_the_size_of_its_pages() -> None:
    for stop in (1, 49, 50, 51, 100, 149, 249, 250):
        transport = FakeTransport(heavy(lambda start: 7 if start > 90 else 50, answer(status=504)))
        async with client(transport) as m3ter:
            bills = m3ter.bills.list()
            before: list[str] = []
            async for bill in bills:
                before.append(bill.id)
                if len(before) == stop:
                    break
            token, offset, finished = bills.next_token, bills.page_offset, bills.finished
            after = [] if finished else (await ids(m3ter.bills.list(next_token=token)))[offset:]
        assert before + after == EVERYTHING


def bound_to_size(fault: Answer, *, refused: bool, most: int = 50) -> Callable[[Request], Answer]:
    """Its tokens count pages; at another size it refuses them, or gives other rows."""

    def serve(request: Request) -> Answer:
        query = asked(request)
        size = int(query["pageSize"])
        number, own = map(int, query.get("nextToken", f"0.{size}").split("."))
        if number == 1 and size > most:
            return fault
        if refused and own != size:
            return answer({"message": "no such token"}, 400)
        start = number * size
        data = [{"id": str(row)} for row in range(start, min(start + size, ROWS))]
        own = size if refused else 0
        return answer({"data": data, **({"nextToken": f"{number + 1}.{own}"} if start + size < ROWS else {})})

    return serve


@pytest.mark.parametrize("refused", [True, False])
async def test_a_token_that_is_good_for_one_size_only_never_brings_other_rows(refused: bool) -> None:
    transport = FakeTransport(bound_to_size(answer(status=504), refused=refused))
    seen: list[str] = []
    async with client(transport, max_retries=2) as m3ter:
        with pytest.raises(InternalServerError) as caught:
            await collect_into(seen, m3ter.bills.list())
        assert seen == EVERYTHING[:100]
        assert str(caught.value.next_token).startswith("1.")
        assert ("at no other" in str(caught.value)) is refused
        # an outage is over before the tries at the token's own size are
        faults: list[Answer] = [answer(status=504)] * 2
        inner = bound_to_size(answer(status=504), refused=refused, most=100)
        transport._handler = lambda request: faults.pop() if faults and "nextToken" in request.url else inner(request)
        assert await ids(m3ter.bills.list()) == EVERYTHING


async def test_a_refusal_that_is_not_about_the_size_stays_what_it_is() -> None:
    good = table(ROWS)
    transport = FakeTransport(
        lambda request: answer({"message": "no"}, 400) if "nextToken" in request.url else good(request)
    )
    async with client(transport) as m3ter:
        with pytest.raises(BadRequestError) as caught:
            await m3ter.bills.list().collect()
    assert "no other" not in str(caught.value)
    assert len(transport.requests) == 2


async def test_a_search_is_read_in_small_pages_as_well() -> None:
    rows = [str(row) for row in range(60)]
    for most in (1, 2, 7):

        def serve(request: Request, most: int = most) -> Answer:
            query = asked(request)
            start, size = int(query.get("fromDocument", "0")), int(query["pageSize"])
            if 10 <= start < 30 and size > most:
                return answer(status=504)
            return answer({"data": [{"id": row} for row in rows[start : start + size]]})

        async with client(FakeTransport(serve)) as m3ter:
            assert await ids(m3ter.bills.search(page_size=20)) == rows


@pytest.mark.parametrize("most", [None, 1, 2, 3, 100, 200])
def test_a_size_halves_down_to_one_and_comes_back_no_further_than_it_was(most: int | None) -> None:
    size = PageSize(most)
    seen: list[Any] = [size.now]
    while size.shrink():
        seen.append(size.now)
    assert seen[-1] == (None if most is None else 1)
    for _ in range(100):
        size.came_well()
    assert size.now == most
    size.pin(5)
    size.came_well()
    assert not size.shrink()
    assert size.now == 5


async def test_a_failed_page_is_one_failure() -> None:
    good = table(ROWS)
    transport = FakeTransport(lambda request: answer(status=504) if "nextToken" in request.url else good(request))
    async with client(transport, max_retries=1) as m3ter:
        with pytest.raises(APIError):
            await m3ter.bills.list().collect()
        assert m3ter.stats().failures == 1
