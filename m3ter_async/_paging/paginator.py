"""Listings as async iterators: one page ahead, each record decoded when its turn comes."""

import copy
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio.lowlevel
from msgspec import UNSET, Raw

from .._core.decoding import Unreadable
from .._core.operation import Operation
from .._core.pipeline import Pipeline
from ..errors import APIError
from .page_fetching import Feed, FeedPage
from .record_decoding import RawReader, Reader

T = TypeVar("T")
S = TypeVar("S")
Y_co = TypeVar("Y_co", covariant=True)

# Bytes of JSON handed out before other tasks get a turn: two or three large bills, about two milliseconds of decoding.
_GIVE_WAY = 262_144

_OpenFeed = Callable[[Reader[Any], "int | None", bool], Feed]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing.

    Attributes:
        data: Its records; it may be empty and still not be the last.
        next_token: What fetches the page after it, or None if there is none.
    """

    data: list[T]
    next_token: str | None


class Paginator(Generic[T]):
    """A listing that has not been asked for yet.

    ``async for`` streams its records and starts from the beginning each time; ``await`` fetches the first page alone.
    While a page is consumed the next one is already on its way; leaving the loop, in whatever way, stops that.

    Attributes:
        next_token: Where the latest iteration stands, to save and go on from: the token of the page whose records
            are being handed out, and of the page after it once the last one was. None stands for the first page,
            and for the end. (In a search it is the ``from_document`` to go on from, as text.)
        page_offset: How many records of that page were handed out already: going on from `next_token` hands them
            out again, unless you skip as many. After each page of `pages()` it is 0.
        finished: Whether the latest iteration reached the end.
        operation: What it asks the service for.
    """

    def __init__(
        self, open_feed: _OpenFeed, reader: Reader[T], now: Callable[[], float], operation: Operation[Any]
    ) -> None:
        self._open_feed = open_feed
        self.reader: Reader[T] = reader
        self.operation = operation
        self._now = now
        self.next_token: str | None = self._feed(ahead=False).token
        self.page_offset = 0
        self.finished = False

    def _feed(self, limit: int | None = None, *, ahead: bool = True) -> Feed:
        return self._open_feed(self.reader, limit, ahead)

    def __aiter__(self) -> "Records[T]":
        return Records(self, self._feed())

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return Pages(self, self._feed(ahead=False)).__anext__().__await__()

    def pages(self, *, ahead: bool = True) -> "Pages[T]":
        """The same listing page by page: the place to save `next_token` between pages, when each row counts.

        Args:
            ahead: Fetch the next page while one is consumed; without, no more than one page is in memory.
        """
        return Pages(self, self._feed(ahead=ahead))

    def raw(self) -> "Paginator[bytes]":
        """The same listing, each record as the bytes of its JSON."""
        return Paginator(self._open_feed, RawReader(), self._now, self.operation)

    def as_type(self, type: type[S]) -> "Paginator[S]":
        """The same listing, each record decoded as a type of yours: fields that it does not name are skipped unread.

        Args:
            type: Anything that msgspec decodes; ``class Total(msgspec.Struct, rename="camel")`` reads ``billTotal``
                into ``bill_total``. Name amounts ``Decimal`` to keep them exact.
        """
        return Paginator(self._open_feed, Reader(type, self._now), self._now, self.operation)

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """The records as a list, `limit` of them at the most: no page is asked for beyond those."""
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, not {limit}")
        records: list[T] = []
        if limit == 0:
            return records
        iteration = Records(self, self._feed(limit))
        async for record in iteration:
            records.append(record)
            if len(records) == limit:
                break
        return records


class _Iteration(Generic[T, Y_co]):
    """One pass over a listing; it stops the page under way when it is dropped."""

    def __init__(self, paginator: Paginator[T], feed: Feed) -> None:
        self._paginator = paginator
        self._feed = feed
        self._reader = paginator.reader
        self._error: APIError | None = None
        self._running = False
        self._handed_out = 0  # bytes since other tasks had a turn
        self._stand(feed.token, 0)

    def _stand(self, token: str | None, offset: int, finished: bool = False) -> None:
        paginator = self._paginator
        paginator.next_token, paginator.page_offset, paginator.finished = token, offset, finished

    def __aiter__(self) -> "_Iteration[T, Y_co]":
        return self

    async def __anext__(self) -> Y_co:
        if self._error is not None:
            raise copy.copy(self._error)  # an end would say that there is nothing more
        if self._running:
            raise RuntimeError("two tasks read from one iterator: each needs its own, or a queue between them")
        self._running = True
        done = False
        try:
            value = await self._produce()
            done = True
            return value
        except APIError as error:
            self._error = error
            raise
        finally:
            self._running = False
            if not done:
                self._feed.close()

    async def _produce(self) -> Y_co:
        raise StopAsyncIteration

    async def _decode(self, page: FeedPage, index: int) -> T:
        """The next record of `page`, which is dropped from it; `index` is its place, for the error."""
        if page.decoded:
            record: T = page.records.pop()
            return record
        raw: Raw = page.records[-1]
        size = len(memoryview(raw))
        self._handed_out += size
        if self._handed_out > _GIVE_WAY:
            self._handed_out = 0
            await anyio.lowlevel.checkpoint()
        page.records.pop()
        try:
            return self._reader.record(raw, size)
        except Unreadable as cause:
            raise self._feed.unreadable(page, index, raw, cause) from None

    def __del__(self) -> None:
        self._feed.close()

    async def aclose(self) -> None:
        """Stop the page under way now; dropping the iterator, as ``break`` does, has the same effect."""
        self._feed.close()


class Records(_Iteration[T, T]):
    """The records of a listing, one by one."""

    _page: FeedPage | None = None
    _index = 0

    async def _produce(self) -> T:
        page = self._page
        while page is None or not page.records:
            page = await self._feed.next()
            if page is None:
                self._stand(None, 0, finished=True)
                raise StopAsyncIteration
            self._page, self._index = page, 0
            self._stand(page.token, 0)
        record = await self._decode(page, self._index)
        self._index += 1
        if page.records:
            self._stand(page.token, self._index)
        else:
            self._stand(page.next_token, 0, finished=page.next_token is None)
        return record


class Pages(_Iteration[T, Page[T]]):
    """The pages of a listing, one by one, their records decoded."""

    _page: FeedPage | None = None
    _data: list[T]

    async def _produce(self) -> Page[T]:
        page = self._page  # left over, if decoding it was cancelled
        if page is None:
            page = await self._feed.next()
            if page is None:
                raise StopAsyncIteration
            self._page, self._data = page, []
        while page.records:
            self._data.append(await self._decode(page, len(self._data)))
        self._page = None
        self._stand(page.next_token, 0, finished=page.next_token is None)
        return Page(self._data, page.next_token)


def paginate(
    pipeline: Pipeline,
    operation: Operation[T],
    path: Mapping[str, str],
    query: Mapping[str, Any],
    body: Any = UNSET,
) -> Paginator[T]:
    """A paginator over an operation whose answer comes in pages; bad arguments raise at once."""

    def open_feed(reader: Reader[Any], limit: int | None, ahead: bool) -> Feed:
        return Feed(pipeline, operation, path, query, body, reader, limit=limit, ahead=ahead)

    now = pipeline.clock.now
    return Paginator(open_feed, Reader(operation.answer, now), now, operation)


for _public in (Page, Paginator):
    _public.__module__ = "m3ter_async"  # where users import it from
