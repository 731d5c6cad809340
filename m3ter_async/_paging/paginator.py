"""Listings as async iterators: one page ahead, each record decoded when its turn comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import UNSET

from .._core.operation import Operation
from .._core.pipeline import Pipeline
from .iteration import OnBad, Page, Pages, Place, Records
from .page_fetching import Feed
from .record_decoding import RawReader, Reader

if TYPE_CHECKING:
    from .._tabular.arrow_page import ArrowPage

T = TypeVar("T")
S = TypeVar("S")

_OpenFeed = Callable[[Reader[Any], "int | None", bool], Feed]


class Paginator(Generic[T]):
    """A listing that has not been asked for yet.

    ``async for`` streams its records and starts from the beginning each time; ``await`` fetches the first page alone.
    While a page is consumed the next one is already on its way; leaving the loop, in whatever way, stops that.

    A page that the service cannot make in time (a timeout, 502, 504) or that is too large is asked for again at half
    its size, down to one record. An error does not end an iteration: its next step goes on behind a record that could
    not be decoded (`RecordError`), and tries a page again that could not be fetched.

    Attributes:
        operation: What it asks the service for.
    """

    def __init__(
        self,
        open_feed: _OpenFeed,
        reader: Reader[T],
        now: Callable[[], float],
        operation: Operation[Any],
        on_bad: OnBad | None = None,
    ) -> None:
        self._open_feed = open_feed
        self.reader: Reader[T] = reader
        self.operation = operation
        self._now = now
        self._on_bad = on_bad
        self._place = Place(self._feed(ahead=False).token)

    @property
    def next_token(self) -> str | None:
        """Where the latest iteration stands, to save and go on from.

        The token of the page whose records are being handed out, and of the page after it once the last one was. None
        stands for the first page, and for the end. (In a search it is the ``from_document`` to go on from, as text.)
        """
        place = self._place
        return place.token if place.index < place.total else place.after

    @property
    def page_offset(self) -> int:
        """How many records of that page were handed out already, or could not be decoded.

        Going on from `next_token` hands them out again, unless you skip as many. After each page of `pages()` it is 0.
        """
        place = self._place
        return place.index if place.index < place.total else 0

    @property
    def finished(self) -> bool:
        """Whether the latest iteration reached the end."""
        place = self._place
        return place.index >= place.total and place.after is None

    def _feed(self, limit: int | None = None, *, ahead: bool = True) -> Feed:
        return self._open_feed(self.reader, limit, ahead)

    def _begin(self, feed: Feed) -> tuple[Feed, Reader[T], Place, OnBad | None]:
        self._place = Place(feed.token)
        return feed, self.reader, self._place, self._on_bad

    def __aiter__(self) -> Records[T]:
        return self.records()

    def __repr__(self) -> str:
        record = getattr(self.reader.type, "__name__", None) or str(self.reader.type)
        return (
            f"<Paginator of {record}, {self.operation.method} {self.operation.path}: "
            "'async for' streams all records, 'await' gives the first page>"
        )

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return self.pages(ahead=False).__anext__().__await__()

    def records(self, *, limit: int | None = None) -> Records[T]:
        """The records one by one, as ``async for`` over the listing itself gives them.

        Args:
            limit: How many are wanted: no page is asked for beyond those, but all of the last page are handed out.
        """
        return Records(*self._begin(self._feed(limit)))

    def pages(self, *, ahead: bool = True) -> Pages[T]:
        """The same listing page by page: the place to save `next_token` between pages, when each row counts.

        Args:
            ahead: Fetch the next page while one is consumed; without, no more than one page is in memory.
        """
        return Pages(*self._begin(self._feed(ahead=ahead)))

    def raw(self) -> Paginator[bytes]:
        """The same listing, each record as the bytes of its JSON."""
        return Paginator(self._open_feed, RawReader(), self._now, self.operation, self._on_bad)

    def as_type(self, type: type[S]) -> Paginator[S]:
        """The same listing, each record decoded as a type of yours: fields that it does not name are skipped unread.

        Args:
            type: Anything that msgspec decodes; ``class Total(msgspec.Struct, rename="camel")`` reads ``billTotal``
                into ``bill_total``. Name amounts ``Decimal`` to keep them exact.
        """
        return Paginator(self._open_feed, Reader(type, self._now), self._now, self.operation, self._on_bad)

    def tolerant(self, on_bad: OnBad) -> Paginator[T]:
        """The same listing, without the records that cannot be decoded: those are told, and the rest goes on.

        ::

            bad = []
            async for bill in m3ter.bills.list().tolerant(bad.append):
                ...
            for error in bad:
                print(error.next_token, error.index, error.reason, error.record)

        Args:
            on_bad: Called with a `RecordError` for each of them, in its turn: its JSON, its place and what is wrong
                with it. What this raises ends the step; the next one goes on behind the record.

        Raises:
            TypeError: `on_bad` is async: it is called, and not awaited.
        """
        if iscoroutinefunction(on_bad):
            raise TypeError("on_bad is async; it is called, not awaited, so make it a plain function")
        return Paginator(self._open_feed, self.reader, self._now, self.operation, on_bad)

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """The records as a list, `limit` of them at the most: no page is asked for beyond those."""
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, not {limit}")
        records: list[T] = []
        if limit == 0:
            return records
        async for record in self.records(limit=limit):
            records.append(record)
            if len(records) == limit:
                break
        return records

    def arrow(self, *, nested: bool = False) -> AsyncGenerator[ArrowPage]:
        """The same listing page by page as Arrow record batches; it needs the extra ``export``.

        ::

            async for page in m3ter.bills.list().arrow():
                page.tables["line_items"]  # a pyarrow.RecordBatch

        Without a page of records there is one that has no rows. A record that Arrow cannot hold exactly is told as one
        that cannot be decoded: it ends the iteration, or goes to the function given to `tolerant`.

        Args:
            nested: One table with lists and structs in its rows, in place of a table for each of them.

        Raises:
            ImportError: pyarrow is not installed.
            RecordError: A record has an amount beyond 18 decimals or 38 digits, a date out of range, or the like.
        """
        from .arrow import arrow_pages

        return arrow_pages(self.raw(), self._on_bad, nested=nested)

    async def to_arrow(self, table: str | None = None) -> Any:
        """The whole listing as a ``pyarrow.Table``: ``polars.from_arrow(await m3ter.bills.list().to_arrow())``.

        Args:
            table: One of the tables that the records are split into, such as ``line_items``; by default the records
                themselves, with what they hold nested in them.

        Raises:
            ValueError: There is no such table.
            ImportError: pyarrow is not installed.
            RecordError: As in `arrow`.
        """
        from .arrow import arrow_table

        return await arrow_table(self.arrow(nested=table is None), table)


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
