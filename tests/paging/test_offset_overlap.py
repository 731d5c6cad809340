"""In a listing by offset, rows that come or go between two pages are noticed, and none is passed over or doubled."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from m3ter_async import APIResponseValidationError
from m3ter_async._paging.paginator import Paginator
from m3ter_async.models import Bill
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .test_paginator import asked, ids


class Index:
    """What is searched: its rows, and what happens to them before the request of a number."""

    def __init__(self, rows: list[str], most: int = 1000) -> None:
        self.rows = rows
        self.most = most
        self.before: dict[int, Callable[[], None]] = {}
        self.requests = 0
        self.version = 0

    def __call__(self, request: Request) -> Response:
        self.requests += 1
        if change := self.before.pop(self.requests, None):
            change()
        query = asked(request)
        start, size = int(query.get("fromDocument", "0")), min(self.most, int(query["pageSize"]))
        self.version += 1  # a row that changes is still the same row
        return answer({"data": [{"id": row, "version": self.version} for row in self.rows[start : start + size]]})

    def insert(self, place: int, *rows: str) -> Callable[[], None]:
        def change() -> None:
            self.rows[place:place] = rows

        return change

    def delete(self, start: int, end: int) -> Callable[[], None]:
        def change() -> None:
            del self.rows[start:end]

        return change


def rows(count: int) -> list[str]:
    return [f"r{number}" for number in range(count)]


async def read(index: Index, page_size: int = 10, **options: Any) -> list[str]:
    async with client(FakeTransport(index)) as m3ter:
        return await ids(m3ter.bills.search(page_size=page_size, **options))


@pytest.mark.parametrize("page_size", [2, 3, 10, 100])
@pytest.mark.parametrize("gone", [(0, 1), (0, 2), (3, 8), (9, 10), (8, 12), (0, 10)])
async def test_rows_that_go_before_the_place_hide_none_behind_it(page_size: int, gone: tuple[int, int]) -> None:
    for when in (2, 3, 4, 7):
        index = Index(rows(40))
        index.before[when] = index.delete(*gone)
        stayed = {row for place, row in enumerate(rows(40)) if not gone[0] <= place < gone[1]}
        found = await read(index, page_size)
        assert len(found) == len(set(found))
        assert stayed <= set(found), f"gone before request {when}"


@pytest.mark.parametrize("page_size", [2, 3, 10, 100])
@pytest.mark.parametrize(("place", "count"), [(0, 1), (0, 5), (4, 1), (9, 2), (10, 1), (0, 25)])
async def test_rows_that_come_before_the_place_double_none(page_size: int, place: int, count: int) -> None:
    for when in (2, 3, 4, 7):
        index = Index(rows(40))
        index.before[when] = index.insert(place, *(f"new{number}" for number in range(count)))
        try:
            found = await read(index, page_size)
        except APIResponseValidationError:  # allowed where very many came at once for such small pages
            assert count > page_size
            continue
        assert len(found) == len(set(found))
        assert set(rows(40)) <= set(found)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_comes_and_goes_each_row_that_stays_is_given_once_or_the_listing_raises(seed: int) -> None:
    lots = random.Random(seed)
    index = Index(rows(60), most=lots.choice((1, 2, 7, 1000)))
    page_size = lots.choice((1, 2, 5, 20))
    # pages of one row cannot overlap: there, one that comes right after one that went may make up for it
    coming = lots.choice((0.0, 1.0)) if 1 in (index.most, page_size) else 0.5
    stayed = set(index.rows)
    made = 0

    def change() -> None:
        nonlocal made
        if lots.random() < coming:
            made += 1
            index.rows.insert(lots.randrange(len(index.rows) + 1), f"new{made}")
        elif index.rows:
            stayed.discard(index.rows.pop(lots.randrange(len(index.rows))))

    index.before = {number: change for number in range(1, 200) if lots.random() < 0.2}
    found: list[str] = []
    async with client(FakeTransport(index)) as m3ter:
        try:
            async for bill in m3ter.bills.search(page_size=page_size):
                found.append(bill.id)
        except APIResponseValidationError:
            stayed = set()
    assert len(found) == len(set(found))
    assert stayed <= set(found)


async def test_a_place_that_cannot_be_found_again_is_an_error() -> None:
    index = Index(rows(40))

    def replaced() -> None:
        index.rows[:] = [f"other{number}" for number in range(40)]

    index.before[2] = replaced
    with pytest.raises(APIResponseValidationError, match="read it anew"):
        await read(index, from_document=10)  # whoever begins at the first row would know these for new ones


async def test_a_listing_whose_rows_are_all_gone_ends() -> None:
    index = Index(rows(20))
    index.before[2] = index.rows.clear
    assert await read(index) == rows(10)


async def test_rows_without_an_id_are_told_apart_by_all_of_them() -> None:
    table = [{"name": f"{number}"} for number in range(25)]

    def serve(request: Request) -> Response:
        query = asked(request)
        start, size = int(query.get("fromDocument", "0")), int(query["pageSize"])
        return answer({"data": table[start : start + size]})

    async with client(FakeTransport(serve)) as m3ter:
        found = await m3ter.bills.search(page_size=10).as_type(dict).collect()
    assert found == table


async def test_the_pages_of_a_search_meet_without_a_gap() -> None:
    async with client(FakeTransport(Index(rows(25)))) as m3ter:
        listing: Paginator[Bill] = m3ter.bills.search(page_size=10)
        seen: list[str] = []
        async for page in listing.pages():
            assert listing.next_token == page.next_token
            seen += [bill.id for bill in page.data]
            assert page.next_token in (str(len(seen)), None)
    assert seen == rows(25)
    assert listing.finished


async def test_a_search_that_begins_somewhere_gives_the_rows_from_there() -> None:
    assert await read(Index(rows(25)), from_document=7) == rows(25)[7:]
    assert await read(Index(rows(25)), from_document=25) == []
