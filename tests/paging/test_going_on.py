"""What goes wrong with one record or page is its own matter: the iteration goes on behind it, told or not told."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anyio
import msgspec
import pytest

from m3ter_async import APIError, APIResponseValidationError, InternalServerError, RecordError
from m3ter_async._paging.paginator import Paginator
from m3ter_async.models import Bill
from m3ter_async.transports.protocol import Request

from ..fakes import Answer, FakeTransport, TickingClock, answer, client
from .test_paginator import BillTotal, book, ids, settle, table, tokens_asked

BAD: list[dict[str, Any]] = [{"id": 5}, {"dueDate": ""}, {"id": "x", "externalInvoiceReference": 17}]
PAGES: tuple[list[Any], ...] = (["a", BAD[0], "c"], [BAD[1], BAD[2]], [], ["d", {"id": []}])


async def step_by_step(bills: Paginator[Any]) -> tuple[list[str], list[RecordError]]:
    iteration = aiter(bills)
    seen: list[str] = []
    errors: list[RecordError] = []
    while True:
        try:
            seen.append((await anext(iteration)).id)
        except StopAsyncIteration:
            return seen, errors
        except RecordError as error:
            errors.append(error)


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "one by one"])
async def test_the_next_step_gives_the_record_behind_a_bad_one(slow: bool) -> None:
    transport = FakeTransport(book(*PAGES))
    async with client(transport, TickingClock() if slow else None) as m3ter:
        bills = m3ter.bills.list()
        seen, errors = await step_by_step(bills)
        assert m3ter.stats().failures == 3  # pages, each once
    assert seen == ["a", "c", "d"]
    assert [(error.next_token, error.index) for error in errors] == [(None, 1), ("t1", 0), ("t1", 1), ("t3", 1)]
    assert [msgspec.json.decode(error.record) for error in errors] == [*BAD, {"id": []}]
    assert [error.json_path for error in errors][:2] == ["$.data[1].id", "$.data[0].dueDate"]
    assert bills.finished
    assert tokens_asked(transport) == [None, "t1", "t2", "t3"]


async def test_pages_raise_each_bad_record_and_then_hand_out_the_rest() -> None:
    async with client(FakeTransport(book(*PAGES))) as m3ter:
        bills = m3ter.bills.list()
        pages = bills.pages()
        seen: list[list[str]] = []
        places: list[tuple[str | None, int]] = []
        standing: list[str | None] = []
        for _ in range(8):
            try:
                page = await anext(pages)
            except RecordError as error:
                places.append((error.next_token, error.index))
                standing.append(bills.next_token)
            else:
                seen.append([bill.id for bill in page.data])
        with pytest.raises(StopAsyncIteration):
            await anext(pages)
    assert seen == [["a", "c"], [], [], ["d"]]
    assert places == [(None, 1), ("t1", 0), ("t1", 1), ("t3", 1)]
    assert standing == [token for token, _ in places]


async def test_saving_at_a_bad_record_and_going_on_loses_and_doubles_nothing() -> None:
    pages: tuple[Sequence[Any], ...] = (["a", BAD[0], "b", BAD[1], BAD[2]], [BAD[0], "c"], ["d"])
    for stop in range(8):
        async with client(FakeTransport(book(*pages))) as m3ter:
            bills = m3ter.bills.list()
            iteration = aiter(bills)
            before: list[str] = []
            for _ in range(stop):
                with suppress(RecordError):
                    before.append((await anext(iteration)).id)
            rest = await m3ter.bills.list(next_token=bills.next_token).raw().collect()
            after = [msgspec.json.decode(record).get("id") for record in rest[bills.page_offset :]]
        assert [*before, *(row for row in after if isinstance(row, str) and row != "x")] == list("abcd")


async def test_a_page_that_could_not_be_fetched_is_tried_again_by_the_next_step() -> None:
    good = table(250)
    faults: list[Answer] = []

    def serve(request: Request) -> Answer:
        return faults.pop() if "nextToken=100" in request.url and faults else good(request)

    async with client(FakeTransport(serve), max_retries=0) as m3ter:
        for ahead in (True, False):
            faults[:] = [answer(status=500)] * 3
            pages = m3ter.bills.list().pages(ahead=ahead)
            rows = [bill.id for bill in (await anext(pages)).data]
            for _ in range(3):
                with pytest.raises(InternalServerError) as caught:
                    await anext(pages)
                assert caught.value.next_token == "100"
            rows += [bill.id async for page in pages for bill in page.data]
            assert rows == [str(row) for row in range(250)]


async def test_a_tolerant_listing_gives_the_good_records_and_tells_of_the_others() -> None:
    async with client(FakeTransport(book(*PAGES))) as m3ter:
        bad: list[RecordError] = []
        bills: Paginator[Bill] = m3ter.bills.list().tolerant(bad.append)
        ways = [
            await ids(bills),
            [bill.id for bill in await bills.collect()],
            [bill.id async for page in bills.pages() for bill in page.data],
        ]
        assert ways == [["a", "c", "d"]] * 3
        places = [(error.next_token, error.index) for error in bad]
        assert places == [(None, 1), ("t1", 0), ("t1", 1), ("t3", 1)] * 3
        bad.clear()
        totals = await m3ter.bills.list().tolerant(bad.append).as_type(BillTotal).collect()
        assert [total.id for total in totals] == ["a", "c", "x", "d"]
        assert len(bad) == 3  # of what the type names
        assert [bill.id for bill in (await bills).data] == ["a", "c"]
        assert [bill.id for bill in await bills.collect(limit=2)] == ["a", "c"]
        bad.clear()
        assert len(await m3ter.bills.list().tolerant(bad.append).raw().collect()) == 7
        assert bad == []


class Enough(Exception):
    """What a callback may raise."""


async def test_what_the_callback_raises_ends_the_step_and_not_the_iteration() -> None:
    def stop(error: RecordError) -> None:
        raise Enough

    async with client(FakeTransport(book(*PAGES))) as m3ter:
        bills = aiter(m3ter.bills.list().tolerant(stop))
        assert (await anext(bills)).id == "a"
        with pytest.raises(Enough):
            await anext(bills)
        assert (await anext(bills)).id == "c"


async def test_a_callback_that_would_have_to_be_awaited_is_refused() -> None:
    async def later(error: RecordError) -> None:
        raise AssertionError

    async with client(FakeTransport([])) as m3ter:
        with pytest.raises(TypeError, match="async"):
            m3ter.bills.list().tolerant(later)


async def test_a_bad_record_is_an_error_like_any_other_and_shows_no_secret() -> None:
    body = b'{"data":[{"id":5,"x":"secret-of-the-tests"}]}'
    async with client(FakeTransport(lambda _: answer(body, x_request_id="r-1"))) as m3ter:
        with pytest.raises(APIResponseValidationError) as caught:
            await m3ter.bills.list().collect()
    error = caught.value
    assert isinstance(error, RecordError)
    assert (error.status, error.request_id, error.json_path) == (200, "r-1", "$.data[0].id")
    assert "secret-of-the-tests" not in f"{error}{error!r}{error.body!r}{error.record!r}"
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, RecordError)
    assert (copy.record, copy.index, str(copy)) == (error.record, 0, str(error))


async def test_a_page_ahead_goes_on_while_a_bad_record_is_told() -> None:
    transport = FakeTransport(book(["a", BAD[0]], ["b"]))
    async with client(transport) as m3ter:
        bills = aiter(m3ter.bills.list())
        await anext(bills)
        await settle()
        with pytest.raises(RecordError):
            await anext(bills)
        assert (await anext(bills)).id == "b"
    assert tokens_asked(transport) == [None, "t1"]


async def test_who_asks_where_a_listing_stands_keeps_no_dropped_iteration_alive() -> None:
    first = book(["a", "b"], ["c"])

    async def serve(request: Request) -> Answer:
        if "nextToken" in request.url:
            await anyio.sleep_forever()
        return first(request)

    transport = FakeTransport(serve)
    async with client(transport) as m3ter:
        bills = m3ter.bills.list()
        async for _ in bills:
            await settle()
            break
        gc.collect()
        await settle()
        assert (bills.next_token, bills.page_offset, bills.finished) == (None, 1, False)
        assert transport.in_flight == 0


async def test_a_token_that_comes_again_is_one_failed_call() -> None:
    transport = FakeTransport(lambda _: answer({"data": [], "nextToken": "x"}))
    async with client(transport) as m3ter:
        with pytest.raises(APIError, match="gave before"):
            await m3ter.bills.list().collect()
        assert m3ter.stats().failures == 1


async def test_a_long_listing_takes_no_more_memory_than_a_short_one() -> None:
    """But for a digest of each token, by which one that comes again is known."""
    number = 0

    def serve(_: Request) -> Answer:
        nonlocal number
        number += 1
        return answer({"data": [{"id": f"{number}"}], "nextToken": f"t{number}"})

    async with client(FakeTransport(serve), token="t", api_key=None, api_secret=None) as m3ter:
        m3ter._pipeline.parts.transport.requests = Forgetful()  # type: ignore[attr-defined]
        bills = aiter(m3ter.bills.list())
        for _ in range(500):
            await anext(bills)
        tracemalloc.start()
        for _ in range(5_000):
            await anext(bills)
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert grown < 5_000 * 300


class Forgetful(list[Request]):
    """Keeps nothing."""

    def append(self, value: Request) -> None:
        """Drop it."""
