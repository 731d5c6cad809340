"""Listings: every record once, in order, one page ahead, and never an end that is not one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.lowlevel
import msgspec
import pytest

from m3ter_async import (
    APIConnectionError,
    APIResponseValidationError,
    AsyncM3ter,
    InternalServerError,
    M3terError,
    Page,
    TransportError,
)
from m3ter_async._core.operation import Operation
from m3ter_async._paging.paginator import Paginator, paginate
from m3ter_async.models import Bill
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, TickingClock, answer, client


class BillTotal(msgspec.Struct, rename="camel"):
    id: str
    bill_total: Decimal | None = None


def asked(request: Request) -> dict[str, str]:
    query = parse_qs(urlsplit(request.url).query, keep_blank_values=True, strict_parsing=False)
    return {name: values[0] for name, values in query.items()}


def tokens_asked(transport: FakeTransport) -> list[str | None]:
    return [asked(request).get("nextToken") for request in transport.requests]


def book(*pages: Sequence[Any]) -> Callable[[Request], Response]:
    """Serves pages; page n is fetched with the token ``t<n>``. A page holds ids or whole records."""

    def serve(request: Request) -> Response:
        number = int(asked(request).get("nextToken", "t0")[1:])
        data = [{"id": row} if isinstance(row, str) else row for row in pages[number]]
        return answer({"data": data, **({"nextToken": f"t{number + 1}"} if number + 1 < len(pages) else {})})

    return serve


def table(rows: int) -> Callable[[Request], Response]:
    """Serves that many bills, as many a page as it is asked for."""

    def serve(request: Request) -> Response:
        query = asked(request)
        start, size = int(query.get("nextToken", "0")), int(query["pageSize"])
        data = [{"id": str(row)} for row in range(start, min(start + size, rows))]
        return answer({"data": data, "nextToken": str(start + size) if start + size < rows else None})

    return serve


async def settle() -> None:
    """Let everything that goes on beside this task come to rest."""
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


async def collect_into(seen: list[str], bills: AsyncIterator[Bill] | Paginator[Bill]) -> None:
    async for bill in bills:
        await settle()
        seen.append(bill.id)


async def ids(bills: AsyncIterator[Bill] | Paginator[Bill]) -> list[str]:
    return [bill.id async for bill in bills]


# What is asked for, and when


async def test_nothing_is_asked_for_before_it_is_wanted() -> None:
    transport = FakeTransport(book(["a"]))
    async with client(transport) as m3ter:
        bills = m3ter.bills.list()
        bills.pages(), bills.raw(), bills.as_type(BillTotal), aiter(bills)
        await settle()
        assert transport.requests == transport.logins == []


async def test_one_page_is_fetched_ahead_and_never_two() -> None:
    transport = FakeTransport(book(["a", "b"], ["c", "d"], ["e", "f"], ["g"]))
    fetched = []
    async with client(transport) as m3ter:
        async for _ in m3ter.bills.list():
            await settle()
            fetched.append(len(transport.requests))
    assert fetched == [2, 2, 3, 3, 4, 4, 4]


async def test_pages_are_fetched_one_ahead_too() -> None:
    transport = FakeTransport(book(["a", "b"], ["c"], [], ["d"]))
    seen = []
    async with client(transport) as m3ter:
        async for page in m3ter.bills.list().pages():
            await settle()
            seen.append(([bill.id for bill in page.data], page.next_token, len(transport.requests)))
    assert seen == [(["a", "b"], "t1", 2), (["c"], "t2", 3), ([], "t3", 4), (["d"], None, 4)]


async def test_awaiting_a_listing_fetches_its_first_page_alone() -> None:
    transport = FakeTransport(book(["a", "b"], ["c"]))
    async with client(transport) as m3ter:
        bills = m3ter.bills.list(page_size=2)
        page = await bills
        await settle()
        assert page == Page([Bill(id="a"), Bill(id="b")], "t1")
        assert (bills.next_token, bills.page_offset, bills.finished) == ("t1", 0, False)
        assert tokens_asked(transport) == [None]
        last = m3ter.bills.list(next_token="t1")
        assert (await last).next_token is None
        assert last.finished


async def test_leaving_the_loop_stops_the_page_under_way() -> None:
    first = book(["a", "b"], ["c"])

    async def serve(request: Request) -> Response:
        if "nextToken" in asked(request):
            await anyio.sleep_forever()
        return first(request)

    transport = FakeTransport(serve)
    async with client(transport) as m3ter:
        async for _ in m3ter.bills.list():
            await settle()
            assert transport.in_flight == 1
            break
        await settle()
        assert transport.in_flight == 0
        iteration = aiter(m3ter.bills.list())
        await anext(iteration)
        await settle()
        assert transport.in_flight == 1
        await iteration.aclose()
        await settle()
        assert transport.in_flight == 0


async def test_the_largest_page_that_the_contract_allows_is_asked_for() -> None:
    transport = FakeTransport(lambda _: answer({"data": []}))
    async with client(transport) as m3ter:
        await m3ter.bills.list()
        await m3ter.bills.list(page_size=7)
        await m3ter.bills.search()
        await m3ter.balances.list()
    assert [asked(request)["pageSize"] for request in transport.requests] == ["100", "7", "100", "100"]


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (None, [100, 100, 100]),
        (1, [1]),
        (99, [99]),
        (100, [100]),
        (101, [100, 100]),
        (200, [100, 100]),
        (250, [100] * 3),
        (999, [100] * 3),
    ],
)
async def test_collect_asks_for_no_page_beyond_its_limit(limit: int | None, sizes: list[int]) -> None:
    transport = FakeTransport(table(250))
    async with client(transport) as m3ter:
        bills = await m3ter.bills.list().collect(limit=limit)
        await settle()
    assert [bill.id for bill in bills] == [str(row) for row in range(250)][:limit]
    assert [int(asked(request)["pageSize"]) for request in transport.requests] == sizes


async def test_collecting_nothing_asks_for_nothing_and_less_than_nothing_is_an_error() -> None:
    transport = FakeTransport([])
    async with client(transport) as m3ter:
        assert await m3ter.bills.list().collect(limit=0) == []
        with pytest.raises(ValueError, match="limit"):
            await m3ter.bills.list().collect(limit=-1)
    assert transport.requests == []


async def test_a_limit_goes_on_over_empty_pages_until_it_is_reached() -> None:
    transport = FakeTransport(book([], ["a"], [], ["b", "c"], ["d"]))
    async with client(transport) as m3ter:
        assert [bill.id for bill in await m3ter.bills.list().collect(limit=2)] == ["a", "b"]
        await settle()
    assert tokens_asked(transport) == [None, "t1", "t2", "t3"]


async def test_bad_arguments_raise_at_the_call_and_nothing_is_sent() -> None:
    transport = FakeTransport([])
    async with client(transport) as m3ter:
        with pytest.raises(ValueError, match="commas"):
            m3ter.bills.list(ids=["a", "b,c"])
        with pytest.raises(TypeError, match="account_id"):
            m3ter.bills.list(account_id=object())  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="bill_id"):
            m3ter.bills.line_items.list("..")
        with pytest.raises(TypeError, match="bill_id"):
            m3ter.bills.line_items.list(None)  # type: ignore[arg-type]
        await settle()
    assert transport.requests == transport.logins == []


@pytest.mark.parametrize("start", ["abc", True, 1.5])
async def test_a_search_that_starts_nowhere_raises_at_the_call(start: Any) -> None:
    transport = FakeTransport(lambda _: answer({"data": [{"id": "a"}]}))
    async with client(transport) as m3ter:
        with pytest.raises((TypeError, ValueError)):
            m3ter.bills.search(from_document=start)
    assert transport.requests == []


# What is handed out


async def test_each_record_is_decoded_only_when_its_turn_comes() -> None:
    transport = FakeTransport(book(["a", {"id": 1}]))
    async with client(transport) as m3ter:
        bills = aiter(m3ter.bills.list())
        assert (await anext(bills)).id == "a"
        with pytest.raises(APIResponseValidationError):
            await anext(bills)


async def test_raw_gives_the_very_bytes_of_each_record() -> None:
    records = [b'{"id" : "a",\t"billTotal":1.10e2}', '{"x":"\\u00e9é","id":[ ]}'.encode(), b"{}", b"7"]
    transport = FakeTransport([answer(b' {"data": [ ' + b" , ".join(records) + b' ], "nextToken": null }\n')])
    async with client(transport) as m3ter:
        assert await m3ter.bills.list().raw().collect() == records


async def test_as_type_reads_only_what_the_type_names() -> None:
    rows = [{"id": "a", "billTotal": 1, "lineItems": "not read"}, {"id": "b", "dueDate": "nor this"}]
    transport = FakeTransport(book(rows))
    async with client(transport) as m3ter:
        totals = await m3ter.bills.list().as_type(BillTotal).collect()
    assert totals == [BillTotal("a", Decimal(1)), BillTotal("b")]


async def test_amounts_keep_every_digit_typed_and_untyped() -> None:
    amount = "12345678901234567890.123456789012345678901234567890"
    transport = FakeTransport(lambda _: answer(b'{"data":[{"id":"a","billTotal":%b}]}' % amount.encode()))
    async with client(transport) as m3ter:
        (bill,) = await m3ter.bills.list().collect()
        (plain,) = await m3ter.bills.list().as_type(dict).collect()
    assert bill.bill_total == plain["billTotal"] == Decimal(amount)


async def test_iterating_twice_starts_anew() -> None:
    transport = FakeTransport(book(["a", "b"], ["c"]))
    async with client(transport) as m3ter:
        bills = m3ter.bills.list()
        assert await ids(bills) == await ids(bills) == ["a", "b", "c"]
        async for _ in bills:
            break
        assert (bills.next_token, bills.page_offset, bills.finished) == (None, 1, False)
        assert await ids(bills) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "consume", [lambda bills: bills.collect(), lambda bills: bills.raw().collect(), lambda bills: anext(bills.pages())]
)
async def test_other_tasks_get_turns_while_a_big_page_is_consumed(
    consume: Callable[[Paginator[Bill]], Awaitable[object]],
) -> None:
    rows = [{"id": str(row), "timezone": "x" * 100_000} for row in range(60)]
    turns = 0
    transport = FakeTransport(book(rows))
    async with client(transport, TickingClock()) as m3ter, anyio.create_task_group() as tasks:

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        bills = m3ter.bills.list()
        async for _ in bills:  # logged in, and more than the first record is there
            break
        tasks.start_soon(other)
        await settle()
        before = turns
        await consume(bills)
        assert turns - before > 15, "six megabytes went by with hardly a turn for anyone else"
        tasks.cancel_scope.cancel()


# Where a listing stands


async def test_saving_after_any_record_and_going_on_loses_and_doubles_nothing() -> None:
    pages: tuple[list[str], ...] = (["a", "b", "c"], [], ["d"], ["e", "f"], [])
    everything = [row for page in pages for row in page]
    for stop in range(len(everything) + 1):
        transport = FakeTransport(book(*pages))
        async with client(transport) as m3ter:
            bills = m3ter.bills.list()
            before: list[str] = []
            if stop:
                async for bill in bills:
                    before.append(bill.id)
                    if len(before) == stop:
                        break
            after: list[str] = []
            if not bills.finished:
                rest = m3ter.bills.list(next_token=bills.next_token)
                after = (await ids(rest))[bills.page_offset :]
                assert (rest.next_token, rest.page_offset, rest.finished) == (None, 0, True)
        assert before + after == everything, f"stopped after {stop}"


async def test_saving_after_any_page_and_going_on_loses_and_doubles_nothing() -> None:
    pages: tuple[list[str], ...] = (["a", "b", "c"], [], ["d"], ["e", "f"])
    for stop in range(1, len(pages) + 1):
        async with client(FakeTransport(book(*pages))) as m3ter:
            bills = m3ter.bills.list()
            before: list[str] = []
            count = 0
            async for page in bills.pages():
                before += [bill.id for bill in page.data]
                count += 1
                assert (bills.next_token, bills.page_offset) == (page.next_token, 0)
                if count == stop:
                    break
            after = [] if bills.finished else await ids(m3ter.bills.list(next_token=bills.next_token))
            assert bills.finished is (stop == len(pages))
        assert before + after == list("abcdef")


async def test_no_token_stands_for_the_first_page() -> None:
    transport = FakeTransport(book(["a"], ["b"]))
    async with client(transport) as m3ter:
        assert await ids(m3ter.bills.list(next_token=None)) == ["a", "b"]
        assert await ids(m3ter.bills.list(next_token="")) == ["a", "b"]
    assert tokens_asked(transport) == [None, "t1", None, "t1"]


async def test_an_iterator_goes_on_where_a_cancelled_step_left_it() -> None:
    """A step under a time limit that ran out must not cost, double or forge a thing, wherever it was cancelled."""
    rows = [[{"id": f"{page}.{row}", "timezone": "x" * 150_000} for row in range(4)] for page in range(3)]
    expected = [row["id"] for page in rows for row in page]
    async with client(FakeTransport(book(*rows))) as m3ter:
        for patience in range(5):
            bills = aiter(m3ter.bills.list())
            seen: list[str] = []
            with suppress(StopAsyncIteration):
                while True:
                    with anyio.CancelScope() as scope:
                        scope.cancel()
                        seen.append((await anext(bills)).id)
                    for _ in range(patience):
                        await settle()
                    seen.append((await anext(bills)).id)
            assert seen == expected


async def test_a_page_that_was_cancelled_half_way_is_handed_out_again_whole() -> None:
    rows = [[{"id": f"{page}.{row}", "timezone": "x" * 150_000} for row in range(4)] for page in range(3)]
    async with client(FakeTransport(book(*rows))) as m3ter:
        pages = m3ter.bills.list().pages()
        seen: list[str] = []
        with suppress(StopAsyncIteration):
            while True:
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    seen += [bill.id for bill in (await anext(pages)).data]
                await settle()
                seen += [bill.id for bill in (await anext(pages)).data]
    assert seen == [row["id"] for page in rows for row in page]


async def test_one_iterator_does_not_hand_out_a_record_twice_to_two_tasks() -> None:
    """Either each record goes to one of them, or the second is told that one is enough, as generators do."""
    for pages in ((["a", "b"],), (["a", "b"], ["c"])):
        async with client(FakeTransport(book(*pages))) as m3ter:
            bills = aiter(m3ter.bills.list())
            seen: list[str] = []

            async def take(
                bills: AsyncIterator[Bill] = bills,
                seen: list[str] = seen,
            ) -> None:
                try:
                    async for bill in bills:
                        seen.append(bill.id)
                except RuntimeError:
                    pass

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                tasks.start_soon(take)
            assert sorted(seen) == sorted(row for page in pages for row in page)


# Where a listing ends


@pytest.mark.parametrize("end", ["", ',"nextToken":null', ',"nextToken":""'])
async def test_a_token_that_is_absent_null_or_empty_ends_the_listing(end: str) -> None:
    transport = FakeTransport([answer(f'{{"data":[{{"id":"a"}}]{end}}}'.encode())])
    async with client(transport) as m3ter:
        bills = m3ter.bills.list()
        assert await ids(bills) == ["a"]
        assert (bills.next_token, bills.page_offset, bills.finished) == (None, 0, True)
    assert len(transport.requests) == 1


async def test_the_end_stays_the_end() -> None:
    transport = FakeTransport(book(["a"]))
    async with client(transport) as m3ter:
        for iteration in (aiter(m3ter.bills.list()), m3ter.bills.list().pages()):
            await anext(iteration)
            for _ in range(3):
                with pytest.raises(StopAsyncIteration):
                    await anext(iteration)
    assert len(transport.requests) == 2


async def test_an_empty_page_with_a_token_is_not_the_end() -> None:
    async with client(FakeTransport(book([], [], ["a"], [], ["b"], []))) as m3ter:
        bills = m3ter.bills.list()
        assert await ids(bills) == ["a", "b"]
        assert bills.finished


@pytest.mark.parametrize(("cycle", "rows"), [("xx", 2), ("xyx", 3), ("xyzy", 4)])
async def test_a_token_that_comes_again_is_an_error_and_not_a_loop(cycle: str, rows: int) -> None:
    served = [answer({"data": [{"id": str(row)}], "nextToken": token}) for row, token in enumerate(cycle)]
    transport = FakeTransport([*served, *served])
    async with client(transport) as m3ter:
        seen: list[str] = []
        bills = m3ter.bills.list()
        with pytest.raises(APIResponseValidationError, match="gave before"):
            await collect_into(seen, bills)
        assert not bills.finished
    assert len(transport.requests) == rows
    assert seen == [str(row) for row in range(rows - 1)]


async def test_a_token_that_leads_back_to_where_the_listing_began_is_an_error() -> None:
    transport = FakeTransport(lambda _: answer({"data": [], "nextToken": "saved"}))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError, match="gave before") as caught:
            await m3ter.bills.list(next_token="saved").collect()
    assert caught.value.next_token == "saved"
    assert len(transport.requests) == 1


NOT_PAGES = {
    "html": b"<html><body>502 from some proxy</body></html>",
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "text": b'"x"',
    "number": b"0",
    "no data": b"{}",
    "a token and no data": b'{"nextToken":"x"}',
    "data null": b'{"data":null}',
    "data object": b'{"data":{}}',
    "data text": b'{"data":"[]"}',
    "token number": b'{"data":[],"nextToken":5}',
    "token object": b'{"data":[],"nextToken":{}}',
    "token false": b'{"data":[],"nextToken":false}',
    "cut": b'{"data":[{"id":"a"},{"id":',
    "cut after data": b'{"data":[{"id":"a"}]',
    "two": b'{"data":[]}{"data":[]}',
    "not utf-8": b'{"data":[],"nextToken":"\xff"}',
    "too deep": b'{"data":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", NOT_PAGES.values(), ids=NOT_PAGES.keys())
async def test_a_success_that_is_no_page_is_an_error_after_retries(body: bytes) -> None:
    transport = FakeTransport(lambda _: answer(body))
    async with client(transport, max_retries=2) as m3ter:
        listing = m3ter.bills.list()
        ways: list[Awaitable[object]] = [listing, listing.collect(), anext(listing.pages()), anext(aiter(listing))]
        for way in ways:
            transport.requests.clear()
            with pytest.raises(APIResponseValidationError) as caught:
                await way
            assert len(transport.requests) == caught.value.attempts == 3
            assert caught.value.status == 200
            assert caught.value.next_token is None
            assert caught.value.body == body[:65_536]
            assert not caught.value.outcome_unknown


@pytest.mark.parametrize("body", [body for name, body in NOT_PAGES.items() if name != "too deep"])
async def test_what_is_no_page_in_the_middle_is_passed_over_if_a_repeat_brings_one(body: bytes) -> None:
    good = answer({"data": [{"id": "a"}], "nextToken": "x"})
    transport = FakeTransport([good, answer(body), answer({"data": [{"id": "b"}]})])
    async with client(transport) as m3ter:
        assert await ids(m3ter.bills.list()) == ["a", "b"]
    assert tokens_asked(transport) == [None, "x", "x"]


# What goes wrong on the way


async def test_a_record_of_the_wrong_type_is_named_by_its_place_and_the_listing_does_not_end() -> None:
    bad = {"id": "3", "lineItems": [{"subtotal": True}]}
    transport = FakeTransport(book(["a", "b"], ["0", "1", "2", bad, "4"], ["z"]))
    async with client(transport) as m3ter:
        listing = m3ter.bills.list()
        bills = aiter(listing)
        seen: list[str] = []
        with pytest.raises(APIResponseValidationError) as caught:
            await collect_into(seen, bills)
        error = caught.value
        assert seen == ["a", "b", "0", "1", "2"]
        assert error.json_path == "$.data[3].lineItems[0].subtotal"
        assert error.json_path in str(error)
        assert error.next_token == listing.next_token == "t1"
        assert (listing.page_offset, listing.finished) == (3, False)
        assert msgspec.json.decode(error.body) == bad
        await collect_into(seen, bills)
        assert seen == ["a", "b", "0", "1", "2", "4", "z"]
        assert listing.finished
        rest = await m3ter.bills.list(next_token=error.next_token).raw().collect()
        assert len(rest) == 6


async def test_a_page_with_a_record_of_the_wrong_type_is_an_error_with_its_place() -> None:
    transport = FakeTransport(book(["a"], ["b", {"id": 5}]))
    async with client(transport) as m3ter:
        listing = m3ter.bills.list()
        pages = listing.pages()
        await anext(pages)
        with pytest.raises(APIResponseValidationError) as caught:
            await anext(pages)
        assert caught.value.json_path == "$.data[1].id"
        assert caught.value.next_token == "t1"
        assert (listing.next_token, listing.finished) == ("t1", False)
        assert await anext(pages) == Page([Bill(id="b")], None)
        assert (listing.next_token, listing.finished) == (None, True)


@pytest.mark.parametrize(
    "record", [b"null", b"[]", b'"x"', b"5", b'{"id":"\xff"}', b'{"billTotal":1e9999999999999999999}']
)
async def test_a_record_that_is_none_is_a_typed_error(record: bytes) -> None:
    transport = FakeTransport(lambda _: answer(b'{"data":[{"id":"a"},%b]}' % record))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError) as caught:
            await m3ter.bills.list().collect()
    assert (caught.value.json_path or "").startswith("$.data[1]")


async def test_a_failed_page_is_told_when_its_turn_comes_and_names_where_to_go_on() -> None:
    transport = FakeTransport(
        [
            answer({"data": [{"id": "a"}, {"id": "b"}], "nextToken": "x"}),
            answer({"message": "no"}, 500),
            answer({"data": [{"id": "c"}]}),
        ]
    )
    async with client(transport, max_retries=0) as m3ter:
        seen: list[str] = []
        listing = m3ter.bills.list()
        with pytest.raises(InternalServerError) as caught:
            await collect_into(seen, listing)
        assert seen == ["a", "b"]
        assert caught.value.next_token == listing.next_token == "x"
        assert (listing.page_offset, listing.finished) == (0, False)
        assert await ids(m3ter.bills.list(next_token=caught.value.next_token)) == ["c"]


async def test_a_broken_connection_on_the_way_is_repeated_in_place() -> None:
    good = book(["a"], ["b"], ["c"])
    broken = {None, "t1", "t2"}

    def serve(request: Request) -> Response | TransportError:
        token = asked(request).get("nextToken")
        if token in broken:
            broken.remove(token)
            return TransportError("reset")
        return good(request)

    async with client(FakeTransport(serve)) as m3ter:
        assert await ids(m3ter.bills.list()) == ["a", "b", "c"]


async def test_a_page_that_never_comes_is_a_typed_error() -> None:
    async with client(FakeTransport(lambda _: TransportError("reset"))) as m3ter:
        with pytest.raises(APIConnectionError) as caught:
            await m3ter.bills.list()
    assert (caught.value.method, caught.value.path) == ("GET", "/organizations/org-1/bills")
    assert caught.value.attempts == 6


async def test_a_listing_of_a_closed_client_is_an_error_and_neither_hangs_nor_ends() -> None:
    m3ter: AsyncM3ter = client(FakeTransport(book(["a"], ["b"], ["c"])))
    bills = aiter(m3ter.bills.list())
    await anext(bills)
    await m3ter.aclose()
    with pytest.raises(M3terError), anyio.fail_after(5):
        await collect_into([], bills)


# Search, and answers that may be a page


def search_of(*rows: str, most: int) -> Callable[[Request], Response]:
    def serve(request: Request) -> Response:
        query = asked(request)
        start, size = int(query.get("fromDocument", "0")), min(most, int(query["pageSize"]))
        return answer({"data": [{"id": row} for row in rows[start : start + size]]})

    return serve


async def test_a_search_advances_by_the_rows_seen_and_ends_at_the_empty_page() -> None:
    transport = FakeTransport(search_of(*"abcdefg", most=3))
    async with client(transport) as m3ter:
        found = m3ter.bills.search(search_query="status:APPROVED$billDate>2024-01-01", page_size=5)
        assert await ids(found) == list("abcdefg")
        assert found.finished
    assert [asked(request).get("fromDocument") for request in transport.requests] == [None, "2", "4", "6", "7", "6"]
    assert all(asked(request)["searchQuery"] == "status:APPROVED$billDate>2024-01-01" for request in transport.requests)


async def test_a_search_can_be_saved_and_gone_on_with_at_any_record() -> None:
    everything = list("abcdefg")
    for stop in range(1, 8):
        async with client(FakeTransport(search_of(*everything, most=3))) as m3ter:
            found = m3ter.bills.search(from_document=0)
            before: list[str] = []
            async for bill in found:
                before.append(bill.id)
                if len(before) == stop:
                    break
            assert found.next_token is not None
            rest = m3ter.bills.search(from_document=int(found.next_token))
            after = (await ids(rest))[found.page_offset :]
        assert before + after == everything


async def test_a_search_that_gives_the_same_page_twice_is_an_error() -> None:
    transport = FakeTransport(lambda _: answer({"data": [{"id": "a"}, {"id": "b"}]}))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError, match="gave before"):
            await m3ter.bills.search().collect()
    assert len(transport.requests) == 2


async def test_a_search_of_nothing_ends_at_once() -> None:
    transport = FakeTransport(lambda _: answer({"data": []}))
    async with client(transport) as m3ter:
        assert await m3ter.bills.search().collect() == []
    assert len(transport.requests) == 1


EITHER: Operation[Bill] = Operation(
    "Preview", "POST", "/organizations/{orgId}/preview", Bill, repeat="safe", page="either", page_size=100, takes=None
)


async def test_an_answer_that_may_be_a_page_is_read_as_one_if_it_is() -> None:
    transport = FakeTransport(book(["a"], [], ["b"]))
    async with client(transport) as m3ter:
        assert await ids(paginate(m3ter._pipeline, EITHER, {}, {}, {"amount": Decimal("1.10")})) == ["a", "b"]
    assert {request.content for request in transport.requests} == {b'{"amount":1.10}'}
    assert tokens_asked(transport) == [None, "t1", "t2"]


async def test_an_answer_that_may_be_a_page_is_the_only_record_if_it_is_none() -> None:
    body = b'{"id":"a", "billTotal": 1.10}'
    transport = FakeTransport(lambda _: answer(body))
    async with client(transport) as m3ter:
        listing = paginate(m3ter._pipeline, EITHER, {}, {})
        assert await listing.collect() == [Bill(id="a", bill_total=Decimal("1.10"))]
        assert listing.finished
        assert await listing.raw().collect() == [body]
        assert await listing == Page([Bill(id="a", bill_total=Decimal("1.10"))], None)


@pytest.mark.parametrize("body", [b"[]", b"null", b"<html>", b"", b'{"data":5}', b'{"data":null,"nextToken":null}'])
async def test_an_answer_that_is_neither_page_nor_record_is_an_error(body: bytes) -> None:
    transport = FakeTransport(lambda _: answer(body))
    async with client(transport, max_retries=1) as m3ter:
        with pytest.raises(APIResponseValidationError):
            await paginate(m3ter._pipeline, EITHER, {}, {}).collect()
