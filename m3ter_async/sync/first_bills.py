"""The first time: all bills, whole, in ranges of days that are read side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

import anyio

from .._paging.iteration import Page
from ..client import AsyncM3ter
from ..export.slices.listings import Listing, paginator
from .bookmark import First
from .change import SetAside
from .found import Found, Record
from .keys import LINES, Unkeyed, print_of
from .ledger import Ledger

ALL = "all"
"""What is done where one page was all."""

# How far back a range ends, in days: most bills are of the last years, and an empty range costs a request.
_BACK = (*range(-30, 730, 60), 730, 1_095, 1_825)


class Range(NamedTuple):
    """A half-open range of bill dates; None is open."""

    name: str
    start: date | None
    end: date | None


def ranges(day: date) -> list[Range]:
    """All days, in ranges that are told from a day: the same ones whenever the sync goes on."""
    edges = [day - timedelta(days=back) for back in reversed(_BACK)]
    bounded = [Range(f"{start}", start, end) for start, end in pairwise(edges)]
    return [Range(f"{edges[-1]}", edges[-1], None), *reversed(bounded), Range("before", None, edges[0])]


class _Place(NamedTuple):
    range: Range
    token: str | None


class FirstBills:
    """The first round over bills; after it comes one for what changed meanwhile.

    Args:
        client: Of the organization.
        listing: ``bills.list`` with the arguments that select; none of them a date.
        ledger: What the destination holds.
        first: What of it is done.
        concurrency: How many pages are asked for at once.
    """

    def __init__(self, client: AsyncM3ter, listing: Listing, ledger: Ledger, *, first: First, concurrency: int) -> None:
        self._client = client
        self._listing = listing
        self._ledger = ledger
        self._first = first
        self._concurrency = concurrency
        self._waiting: deque[_Place] = deque()
        self._under_way = 0
        self._news = anyio.Event()

    async def found(self) -> AsyncGenerator[tuple[Found, First]]:
        """What is new, page by page, and what is done with that page."""
        if ALL in self._first.done:
            return
        if not self._first.done:
            page = await paginator(self._client, self._listing.method, self._listing.arguments, None).raw()
            if page.next_token is None:
                yield self._compared(page.data), First(self._first.day, self._first.since, (ALL,))
                return
        left = [each for each in ranges(self._first.day) if each.name not in self._first.done]
        self._waiting.extend(_Place(each, None) for each in left)
        reading = self._client.map(self._places(), self._page, concurrency=self._concurrency, ordered=False)
        done = list(self._first.done)
        async with aclosing(reading):
            async for place, page in reading:
                if page.next_token is None:
                    done.append(place.range.name)
                else:
                    self._waiting.appendleft(_Place(place.range, page.next_token))
                self._under_way -= 1
                self._news.set()
                yield self._compared(page.data), First(self._first.day, self._first.since, tuple(done))

    async def _places(self) -> AsyncGenerator[_Place]:
        """The pages to read: the next one of a range is known when the one before has come."""
        while self._waiting or self._under_way:
            if self._waiting:
                self._under_way += 1
                yield self._waiting.popleft()
            else:
                self._news = anyio.Event()
                await self._news.wait()

    async def _page(self, place: _Place) -> Page[bytes]:
        names = ("bill_date_start", "bill_date_end")
        days = {
            name: day.isoformat() for name, day in zip(names, place.range[1:], strict=True) if isinstance(day, date)
        }
        arguments = {**self._listing.arguments, **days}
        return await paginator(self._client, self._listing.method, arguments, place.token).raw()

    def _compared(self, records: Sequence[bytes]) -> Found:
        """What of a page is not held yet, as it may be where an earlier try was interrupted."""
        upserts: list[Record] = []
        aside: list[SetAside] = []
        for json in records:
            try:
                found = print_of(json, LINES)
            except Unkeyed as error:
                aside.append(SetAside(json, None, None, "", str(error)))
                continue
            held = self._ledger.held("", found.id)
            if held is None or held.digest != found.digest:
                upserts.append(Record("", json, found))
        return Found(upserts, aside=aside)
