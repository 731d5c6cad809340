"""The pages of a listing, in order, with the next one fetched while this one is consumed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import anyio
from msgspec import UNSET, Raw, UnsetType

from .._core.background import ElsewhereError, Task, TaskAbandoned
from .._core.call import Call
from .._core.decoding import Unreadable
from .._core.operation import Operation
from .._core.pipeline import Pipeline
from ..errors import APIError, APIResponseValidationError, RecordError
from ..transports.protocol import Response
from .feed_page import FeedPage
from .offset_overlap import Overlap, identity
from .page_size import PageSize
from .page_splitting import split
from .record_decoding import Reader

_LONGEST_TOKEN = 16_384  # characters: with more of them, no server takes the URL
_LONGEST_SEARCH = 12  # pages that are looked through for the place where a listing by offset stands
# How a service may say that it does not know a token, which it gave for pages of another size.
_NO_SUCH_TOKEN = frozenset((400, 404, 410, 422))


class Feed:
    """Fetches the pages of one pass over a listing.

    A page that is too much for the service is asked for again at half its size, down to one record.

    Args:
        reader: Decodes pages at once, where it can.
        limit: How many records are wanted at the most; it bounds the page size and what is fetched ahead.
        ahead: Whether to fetch the next page while this one is consumed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        operation: Operation[Any],
        path: Mapping[str, str],
        query: Mapping[str, Any],
        body: Any,
        reader: Reader[Any],
        *,
        limit: int | None = None,
        ahead: bool = True,
    ) -> None:
        self._pipeline = pipeline
        self._operation = operation
        self._reader = reader
        self._cursor = "fromDocument" if operation.page == "offset" else "nextToken"
        query = dict(query)
        start = query.pop(self._cursor, UNSET)
        self.token: str | None = None if start is UNSET or start is None or start == "" else str(start)
        if operation.page == "offset" and self.token is not None and not self.token.isdecimal():
            raise ValueError(f"from_document must be a whole number from 0, not {start!r}")
        most: object = query.get("pageSize", UNSET)
        if most is UNSET and operation.page_size is not None:
            # the largest page: a cursor is sequential, so fewer pages are the only way to be faster
            most = operation.page_size if limit is None else min(limit, operation.page_size)
        elif operation.arguments is not None and most is not UNSET:
            most = operation.arguments.checked("pageSize", most)
        known = str(most).isdecimal()
        if known:
            query.pop("pageSize", None)
        self._size = PageSize(int(str(most)) if known else None)
        # bad arguments raise here; what differs from page to page is put behind it
        self._base = pipeline.prepare(operation, path, query, body)
        self._call(self.token)
        self._own_size = self._size.now  # of the page that gave `token`
        self._sizes_checked = False
        self._overlap = Overlap(complete=self.token in (None, "0"))
        self._left = limit
        self._ahead_wanted = ahead
        self._ahead: Task[FeedPage] | None = None
        self._ahead_until = math.inf  # in the event loop's time
        self._seen = {_digest(self.token or "")}
        self._ended = False

    async def next(self) -> FeedPage | None:
        """The next page, or None after the last; after an error it is the same page that is asked for."""
        if self._ended:
            return None
        page = await self._ready() or await self._fetch(self.token)
        # noted only now: a page that was fetched ahead and then dropped may have to be fetched again
        self._seen.add(page.mark)
        self._overlap.add(page.rows)
        self._own_size = page.size
        self.token = page.next_token
        if page.next_token is None:
            self._ended = True
            return page
        if self._left is not None:
            self._left -= len(page.records)
        if self._ahead_wanted and (self._left is None or self._left > 0):
            token = page.next_token
            self._ahead_until = anyio.current_effective_deadline()
            with suppress(ElsewhereError):  # the call for it says so
                self._ahead = self._pipeline.background.start(lambda: self._fetch(token), deadline=self._ahead_until)
        return page

    async def _ready(self) -> FeedPage | None:
        """The page that was fetched ahead; None where there is none, or where it had less time than there is now."""
        ahead = self._ahead
        if ahead is None or not self._pipeline.background.at_home():
            self._ahead = None
            return None
        try:
            page = await ahead.wait()
        except TaskAbandoned:
            page = None  # at its deadline, or by the closing client, which the next call tells
        except APIError:
            if self._ahead_until >= anyio.current_effective_deadline():
                raise
            page = None
        self._ahead = None
        return page

    def close(self) -> None:
        """Stop the page that is under way, if one is."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()

    def unreadable(self, page: FeedPage, index: int, raw: Raw, cause: Unreadable) -> RecordError:
        """The error for a record that cannot be decoded; it names the place within the page."""
        cause.json_path = f"$.data[{index}]" + (cause.json_path or "$")[1:]
        record = bytes(raw)
        found = self._pipeline.unreadable(self._call(page.token), Response(200, page.headers, record), cause).error
        if not page.bad:
            page.bad = True
            self._pipeline.failed_later()
        error = RecordError(
            found.reason,
            method=found.method,
            path=found.path,
            status=found.status,
            request_id=found.request_id,
            body=found.body,
            next_token=page.token,
        )
        error.json_path, error.index, error.record = cause.json_path, index, self._pipeline.masked(record)
        return error

    def _call(self, cursor: str | None, *, smaller: bool = False, size: int | None = None) -> Call:
        parts = [self._base.query] if self._base.query else []
        if (size := self._size.now if size is None else size) is not None:
            parts.append(f"pageSize={size}")
        if cursor is not None:
            parts.append(f"{self._cursor}={quote(cursor, safe='')}")
        call = replace(self._base, query="&".join(parts))
        if smaller and self._size.can_shrink:
            call.smaller = lambda: self._call(cursor, smaller=True) if self._size.shrink() else None
        return call

    async def _fetch(self, token: str | None) -> FeedPage:
        try:
            page = await (self._by_offset(token) if self._operation.page == "offset" else self._by_token(token))
        except APIError as error:
            error.next_token = token
            raise
        self._size.came_well()
        return page

    async def _get(self, cursor: str | None, *, size: int | None = None) -> FeedPage:
        """The page at `cursor` as it comes.

        Args:
            size: Ask for so many records; by default for what the service can make.
        """
        call = self._call(cursor, smaller=size is None, size=size)
        page = await self._pipeline.run(call, lambda response: self._split(cursor, response))
        page.size = self._size.now if size is None else size
        return page

    async def _by_token(self, token: str | None) -> FeedPage:
        own = self._own_size
        other: APIError | None = None
        try:
            page = await self._get(token)
        except APIError as error:
            if token is None or self._size.now == own or error.status not in _NO_SUCH_TOKEN:
                raise
            other = error
        else:
            if token is None or page.size == own or await self._holds(token, page):
                return self._new(page)
        # the token is one for pages of its own size alone
        self._size.pin(own)
        try:
            return self._new(await self._get(token))
        except APIError as error:
            if other is not None:
                error.reason += f"; at {self._size.now} records a page, and the service takes this position at no other"
            raise

    async def _holds(self, token: str, page: FeedPage) -> bool:
        """Whether a token names the same place whatever the page size, so that no row is passed over or doubled.

        One that counts pages would lead to the same next page from pages of any size.
        """
        if not self._sizes_checked and page.next_token is not None and len(page.records) > 1:
            one = await self._get(token, size=1)
            if one.next_token == page.next_token and len(one.records) < len(page.records):
                return False
            self._sizes_checked = True
        return True

    async def _by_offset(self, token: str | None) -> FeedPage:
        """The page at an offset; it is asked for from one row before, by which rows that came or went are noticed."""
        if not self._overlap:
            return await self._plain(token)
        at = int(token or "0") - 1
        for _ in range(_LONGEST_SEARCH):
            page = await self._get(str(at))
            known = self._overlap.count(page.rows)
            if known != 1 or not self._overlap.ends_with(page.rows[0]):
                self._new(page)  # something has moved, or is given twice
            if 0 < known < len(page.rows):
                return page.behind(at, known)
            if known > 1:
                at += known - 1  # all of it is known: rows came before these
            elif known:
                # the end, or just a short page; the row before is looked at last, so that whatever moved shows in it
                after = await self._plain(str(at + 1))
                if self._overlap.count(after.rows):
                    at += 1
                elif (await self._get(str(at), size=1)).rows == page.rows:
                    return after
            elif at:
                at = max(0, at + 1 - max(2, self._size.now or 0))  # rows went: it is further to the front
            elif page.rows and not self._overlap.complete:
                break
            else:
                return page  # none of those that were handed out is left
        raise self._error("rows came or went while this listing was read, and its place is lost: read it anew")

    async def _plain(self, token: str | None) -> FeedPage:
        return self._new(await self._get(token))

    def _new(self, page: FeedPage) -> FeedPage:
        """The same page, if it did not come before.

        Raises:
            APIResponseValidationError: It did: going on would repeat rows without end.
        """
        if page.next_token is not None and page.mark in self._seen:
            what = "page" if self._operation.page == "offset" else "nextToken"
            raise self._error(f"the service gave a {what} that it gave before: going on would repeat rows without end")
        return page

    def _error(self, reason: str) -> APIResponseValidationError:
        self._pipeline.failed_later()
        call = self._call(None)
        return APIResponseValidationError(reason, method=call.operation.method, path=call.path, status=200)

    def _split(self, token: str | None, response: Response) -> FeedPage:
        by_offset, either = self._operation.page == "offset", self._operation.page == "either"
        whole = None if by_offset or either else self._reader.page(response.content)
        records: list[Any] | UnsetType
        if whole is not None:
            records, next_token = whole
        else:
            try:
                records, next_token = split(response.content, either=either)
            except Unreadable as cause:
                cause.passing = True  # some gateway's answer, perhaps: worth another try, but never the end
                cause.reason = f"not a page: {cause.reason}"
                raise
        if isinstance(records, UnsetType):
            return FeedPage([Raw(bytes(response.content))], False, token, None, response.headers, b"")
        next_token = next_token or None
        if next_token is not None and len(next_token) > _LONGEST_TOKEN:
            raise Unreadable(f"a nextToken of {len(next_token)} characters", "$.nextToken", passing=True)
        mark = _digest(next_token or "")
        rows: list[bytes] = []
        if by_offset:
            # nothing says how many there are, and a short page may not be the last: only an empty one is
            next_token = str(int(token or "0") + len(records)) if records else None
            mark = blake2b(response.content, digest_size=16).digest()
            rows = [identity(row) for row in records]
        records.reverse()
        return FeedPage(records, whole is not None, token, next_token, response.headers, mark, rows=rows)


def _digest(token: str) -> bytes:
    # tokens can be long and pages many
    return blake2b(token.encode(errors="surrogatepass"), digest_size=16).digest()
