"""The pages of a listing, in order, with the next one fetched while this one is consumed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import anyio
import msgspec
from msgspec import UNSET, Raw, UnsetType

from .._core.background import ElsewhereError, Task, TaskAbandoned
from .._core.call import Call
from .._core.decoding import Unreadable, decode
from .._core.operation import Operation
from .._core.pipeline import Pipeline
from ..errors import APIError, APIResponseValidationError
from ..transports.protocol import Response
from .record_decoding import Reader

_LONGEST_TOKEN = 16_384  # characters: with more of them, no server takes the URL


class _Envelope(msgspec.Struct, rename="camel"):
    data: list[Raw]
    next_token: str | None = None


class _EitherEnvelope(msgspec.Struct, rename="camel"):
    data: list[Raw] | UnsetType = UNSET
    next_token: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_either_envelope = msgspec.json.Decoder(_EitherEnvelope)


@dataclass(slots=True)
class FeedPage:
    """A page, split into its records and no further unless the reader has decoded it at once.

    Undecoded records are views of one body, which lives until the last of them is dropped.

    Attributes:
        records: The records or the JSON of each, the last one first, so that handing one out is a ``pop()``.
        decoded: Which of the two.
        token: What fetched this page; None is the first.
        next_token: What fetches the next; None is the end.
        headers: Those of its answer.
        mark: What no other page of the same pass has.
    """

    records: list[Any]
    decoded: bool
    token: str | None
    next_token: str | None
    headers: Mapping[str, str] = field(repr=False)
    mark: bytes


class Feed:
    """Fetches the pages of one pass over a listing.

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
        self._path = path
        self._body = body
        self._reader = reader
        self._cursor = "fromDocument" if operation.page == "offset" else "nextToken"
        self._query = dict(query)
        start = self._query.pop(self._cursor, UNSET)
        self.token: str | None = None if start is UNSET or start is None or start == "" else str(start)
        if operation.page == "offset" and self.token is not None and not self.token.isdecimal():
            raise ValueError(f"from_document must be a whole number from 0, not {start!r}")
        if self._query.get("pageSize", UNSET) is UNSET and operation.page_size is not None:
            # the largest page: a cursor is sequential, so fewer pages are the only way to be faster
            self._query["pageSize"] = operation.page_size if limit is None else min(limit, operation.page_size)
        self._left = limit
        self._ahead_wanted = ahead
        self._ahead: Task[FeedPage] | None = None
        self._ahead_until = math.inf  # in the event loop's time
        self._seen = {_digest(self.token or "")}
        self._ended = False
        self._call(self.token)  # bad arguments raise here

    async def next(self) -> FeedPage | None:
        """The next page, or None after the last."""
        if self._ended:
            return None
        page = await self._ready() or await self._fetch(self.token)
        # noted only now: a page that was fetched ahead and then dropped may have to be fetched again
        self._seen.add(page.mark)
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

    def unreadable(self, page: FeedPage, index: int, raw: Raw, cause: Unreadable) -> APIError:
        """The error for a record that cannot be decoded; it names the place within the page."""
        cause.json_path = f"$.data[{index}]" + (cause.json_path or "$")[1:]
        response = Response(200, page.headers, bytes(raw))
        error = self._pipeline.unreadable(self._call(page.token), response, cause).error
        error.next_token = page.token
        return error

    def _call(self, token: str | None) -> Call:
        query = self._query if token is None else {**self._query, self._cursor: token}
        return self._pipeline.prepare(self._operation, self._path, query, self._body)

    async def _fetch(self, token: str | None) -> FeedPage:
        call = self._call(token)
        try:
            page = await self._pipeline.run(call, lambda response: self._split(token, response))
            if page.next_token is not None and page.mark in self._seen:
                raise self._repeated(call)
        except APIError as error:
            error.next_token = token
            raise
        return page

    def _split(self, token: str | None, response: Response) -> FeedPage:
        either = self._operation.page == "either"
        whole = None if either else self._reader.page(response.content)
        records: list[Any] | UnsetType
        if whole is not None:
            records, next_token = whole
        else:
            try:
                page = decode(_either_envelope, response.content) if either else decode(_envelope, response.content)
            except Unreadable as cause:
                cause.passing = True  # some gateway's answer, perhaps: worth another try, but never the end
                cause.reason = f"not a page: {cause.reason}"
                raise
            records, next_token = page.data, page.next_token
        if isinstance(records, UnsetType):
            return FeedPage([Raw(bytes(response.content))], False, token, None, response.headers, b"")
        next_token = next_token or None
        if next_token is not None and len(next_token) > _LONGEST_TOKEN:
            raise Unreadable(f"a nextToken of {len(next_token)} characters", "$.nextToken", passing=True)
        mark = _digest(next_token or "")
        if self._operation.page == "offset":
            # nothing says how many there are, and a short page may not be the last: only an empty one is
            next_token = str(int(token or "0") + len(records)) if records else None
            mark = blake2b(response.content, digest_size=16).digest()
        records.reverse()
        return FeedPage(records, whole is not None, token, next_token, response.headers, mark)

    def _repeated(self, call: Call) -> APIResponseValidationError:
        what = "page" if self._operation.page == "offset" else "nextToken"
        return APIResponseValidationError(
            f"the service gave a {what} that it gave before: going on would repeat rows without end",
            method=call.operation.method,
            path=call.path,
            status=200,
        )


def _digest(token: str) -> bytes:
    # tokens can be long and pages many
    return blake2b(token.encode(errors="surrogatepass"), digest_size=16).digest()
