"""One pass over a listing: its records one by one, or its pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import anyio.lowlevel
from msgspec import Raw

from .._core.decoding import Unreadable
from ..errors import RecordError
from .feed_page import FeedPage
from .page_fetching import Feed
from .record_decoding import Reader

T = TypeVar("T")
Y_co = TypeVar("Y_co", covariant=True)

OnBad: TypeAlias = Callable[[RecordError], object]

# Bytes of JSON handed out before other tasks get a turn: two or three large bills, about two milliseconds of decoding.
_GIVE_WAY = 262_144


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing.

    Attributes:
        data: Its records; it may be empty and still not be the last.
        next_token: What fetches the page after it, or None if there is none.
    """

    data: list[T]
    next_token: str | None


class Place:
    """Where an iteration stands; apart from it, so that who looks at this does not keep a dropped one alive.

    Attributes:
        token: The page whose records are being handed out; None is the first.
        after: The page after it; None is the end.
        index: How many of its records have had their turn.
        total: How many it has.
    """

    __slots__ = ("after", "index", "token", "total")

    def __init__(self, token: str | None) -> None:
        self.token = token
        self.after: str | None = None
        self.index: int = 0
        self.total: int = 1

    def at(self, page: FeedPage) -> None:
        """Stand before the first record of a page."""
        self.token, self.after, self.index, self.total = page.token, page.next_token, 0, len(page.records)

    def behind(self, next_token: str | None) -> None:
        """Stand between two pages, or at the end."""
        self.token = self.after = next_token
        self.index = self.total = 0


class _Iteration(Generic[T, Y_co]):
    """One pass over a listing; it stops the page under way when it is dropped.

    After an error it goes on where it stands: behind the record that could not be decoded, or with another try at the
    page that could not be fetched.
    """

    def __init__(self, feed: Feed, reader: Reader[T], place: Place, on_bad: OnBad | None) -> None:
        self._feed = feed
        self._reader = reader
        self._place = place
        self._on_bad = on_bad
        self._page: FeedPage | None = None
        self._running = False
        self._handed_out = 0  # bytes since other tasks had a turn

    def __aiter__(self) -> "_Iteration[T, Y_co]":
        return self

    async def __anext__(self) -> Y_co:
        if self._running:
            raise RuntimeError("two tasks read from one iterator: each needs its own, or a queue between them")
        self._running = True
        done = False
        try:
            value = await self._produce()
            done = True
            return value
        except RecordError:
            done = True  # the page under way comes after this record
            raise
        finally:
            self._running = False
            if not done:
                self._feed.close()

    async def _produce(self) -> Y_co:
        raise StopAsyncIteration

    async def _give_way(self) -> None:
        """Let other tasks have a turn, now and then."""
        if self._handed_out > _GIVE_WAY:
            self._handed_out = 0
            await anyio.lowlevel.checkpoint()

    def _take(self, page: FeedPage, index: int, into: list[T]) -> None:
        """Take the next record from `page`, and put it `into` a list if it can be decoded.

        Args:
            index: Its place in the page, for the error.
        """
        raw: Raw = page.records.pop()
        size = len(memoryview(raw))
        self._handed_out += size
        try:
            into.append(self._reader.record(raw, size))
        except Unreadable as cause:
            error = self._feed.unreadable(page, index, raw, cause)
            if self._on_bad is None:
                raise error from None
            self._on_bad(error)

    def __del__(self) -> None:
        self._feed.close()

    async def aclose(self) -> None:
        """Stop the page under way now; dropping the iterator, as ``break`` does, has the same effect."""
        self._feed.close()


class Records(_Iteration[T, T]):
    """The records of a listing, one by one."""

    def __init__(self, feed: Feed, reader: Reader[T], place: Place, on_bad: OnBad | None = None) -> None:
        super().__init__(feed, reader, place, on_bad)
        self._ready: list[T] = []  # decoded, the last one first

    async def __anext__(self) -> T:
        # most of the time there is nothing to wait for, and then it costs as little as can be
        if self._ready:
            self._place.index += 1
            return self._ready.pop()
        return await super().__anext__()

    async def _produce(self) -> T:
        place = self._place
        while not self._ready:
            page = self._page
            if page is None or not page.records:
                page = await self._feed.next()
                if page is None:
                    place.behind(None)
                    raise StopAsyncIteration
                place.at(page)
                if page.decoded:
                    self._ready, self._page = page.records, None
                else:
                    self._page = page
                continue
            await self._give_way()
            place.index = place.total - len(page.records)  # a record that could not be decoded has had its turn
            self._take(page, place.index, self._ready)
        place.index += 1
        return self._ready.pop()


class Pages(_Iteration[T, Page[T]]):
    """The pages of a listing, one by one, their records decoded."""

    def __init__(self, feed: Feed, reader: Reader[T], place: Place, on_bad: OnBad | None = None) -> None:
        super().__init__(feed, reader, place, on_bad)
        self._data: list[T] = []
        self._total = 0

    async def _produce(self) -> Page[T]:
        page = self._page  # left over, if decoding it was cancelled or one of its records is bad
        if page is None:
            page = await self._feed.next()
            if page is None:
                raise StopAsyncIteration
            self._page, self._data, self._total = page, [], len(page.records)
            if page.decoded:
                page.records.reverse()
                self._data, page.records = page.records, []
        while page.records:
            await self._give_way()
            self._take(page, self._total - len(page.records), self._data)
        self._page = None
        self._place.behind(page.next_token)
        return Page(self._data, page.next_token)
