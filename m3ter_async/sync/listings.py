"""Listings whose records are read whole: what differs from what is known, and what is gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import NamedTuple

from ..client import AsyncM3ter
from ..errors import NotFoundError
from ..export.slices.listings import Listing, paginator
from ..export.slices.parent_names import ParentName, parent_key
from ..export.slices.planning import parents_on
from .change import SetAside, SyncNote
from .found import Found, Record
from .keys import Unkeyed, print_of
from .ledger import Ledger
from .source import ById, by_id

_AT_ONCE = 10  # pages of one parent that are read beside those of others
_NAMED = 20  # ids in a note
_PIECE = 1_000  # records that are deleted in one piece


class _Read(NamedTuple):
    """What was read of a parent.

    Attributes:
        found: What is new or changed.
        token: The page to go on with, if that was not all.
        gone: Whether the parent is not there any more.
    """

    found: Found
    token: str | None = None
    gone: bool = False


class Records:
    """A round over a listing.

    Args:
        client: Of the organization.
        listing: What to read.
        ledger: What the destination holds.
        concurrency: How many parents, or single records, are asked for at once.
    """

    def __init__(self, client: AsyncM3ter, listing: Listing, ledger: Ledger, *, concurrency: int) -> None:
        self._client = client
        self._listing = listing
        self._ledger = ledger
        self._concurrency = concurrency
        one = by_id(client, listing)
        self._one = None if one is None else ById(client, one, listing)
        self._key = parent_key(listing)
        above = None if listing.parent is None else by_id(client, listing.parent)
        self._parent = None if above is None or listing.parent is None else ById(client, above, listing.parent)

    async def found(self) -> AsyncGenerator[Found]:
        """What is new, changed or gone."""
        if self._listing.parent is None:
            pages = self._pages("", None)
            async with aclosing(pages):
                async for found, _ in pages:
                    yield found
        else:
            children = self._of_parents(self._listing.parent)
            async with aclosing(children):
                async for found in children:
                    yield found
        missing = self._missing()
        async with aclosing(missing):
            async for found in missing:
                yield found

    async def _pages(self, parent: str, token: str | None) -> AsyncGenerator[tuple[Found, str | None]]:
        """What is new or changed on each page, and the token of the next page."""
        arguments, naming = self._listing.arguments, None
        if self._listing.parent_argument is not None:
            arguments = {**arguments, self._listing.parent_argument: parent}
            naming = None if self._key is None else ParentName(self._key, parent)
        pages = paginator(self._client, self._listing.method, arguments, token).raw().pages(ahead=naming is None)
        async for page in pages:
            records = page.data if naming is None else [naming.into(record) for record in page.data]
            yield self._compared(parent, records), page.next_token

    def _compared(self, parent: str, records: Sequence[bytes]) -> Found:
        upserts: list[Record] = []
        aside: list[SetAside] = []
        ids: list[str] = []
        for json in records:
            try:
                found = print_of(json)
            except Unkeyed as error:
                aside.append(SetAside(json, None, parent or None, "", str(error)))
                continue
            ids.append(found.id)
            held = self._ledger.held(parent, found.id)
            if held is None or held.digest != found.digest:
                upserts.append(Record(parent, json, found))
        self._ledger.see(parent, ids)
        return Found(upserts, aside=aside)

    async def _of_parents(self, above: Listing) -> AsyncGenerator[Found]:
        unusable: list[SetAside] = []
        parents = self._parents(above, unusable)
        reading = self._client.map(parents, self._children, concurrency=self._concurrency, ordered=False)
        async with aclosing(reading):
            async for (parent, _), read in reading:
                yield read.found
                if read.gone:
                    for found in self._without(parent):
                        yield found
                elif read.token is not None:
                    rest = self._pages(parent, read.token)
                    async with aclosing(rest):
                        async for found, _ in rest:
                            yield found
        yield Found(aside=unusable)

    async def _parents(self, above: Listing, unusable: list[SetAside]) -> AsyncGenerator[tuple[str, bool]]:
        """The ids of parents, and whether they are listed: first those, then those that are only known."""
        token: str | None = None
        while True:
            page = await parents_on(self._client, above, token)
            unusable += [SetAside(record, None, None, above.table, why) for record, why in page.unusable]
            fresh = [id for id in dict.fromkeys(page.ids) if not self._ledger.seen("", id)]
            self._ledger.see("", fresh)
            for id in fresh:
                yield id, True
            token = page.next_token
            if token is None:
                break
        for id in self._ledger.unseen_parents():
            yield id, False

    async def _children(self, asked: tuple[str, bool]) -> _Read:
        """What is new or changed among the children of a parent, up to some pages of them."""
        parent, listed = asked
        if not listed and self._parent is not None and await self._parent("", parent) is None:
            return _Read(Found(), gone=True)
        upserts: list[Record] = []
        aside: list[SetAside] = []
        pages = self._pages(parent, None)
        try:
            async with aclosing(pages):
                count = 0
                async for found, token in pages:
                    upserts += found.upserts
                    aside += found.aside
                    count += 1
                    if count == _AT_ONCE:
                        return _Read(Found(upserts, aside=aside), token)
        except NotFoundError:
            return _Read(Found(), gone=self._parent is None or await self._parent("", parent) is None)
        return _Read(Found(upserts, aside=aside))

    def _without(self, parent: str) -> Iterator[Found]:
        """All children that are known of a parent that is gone."""
        children = self._ledger.unseen(parent=parent)
        while piece := list(islice(children, _PIECE)):
            self._ledger.see(parent, [id for _, id in piece])
            yield Found(deletes=piece)

    async def _missing(self) -> AsyncGenerator[Found]:
        """What is known and was not listed: each is asked for by its id."""
        if self._one is None:
            names = self._ledger.unseen()
            some = [id for _, id in islice(names, _NAMED)]
            if some:
                count = len(some) + sum(1 for _ in names)
                text = f"{count} records are not listed any more, and cannot be asked for by id: they are not deleted"
                yield Found(notes=[SyncNote("not_deleted", count, text, tuple(some))])
            return
        asking = self._client.map(self._ledger.unseen(), self._ask, concurrency=self._concurrency, ordered=False)
        async with aclosing(asking):
            async for key, json in asking:
                yield Found(deletes=[key]) if json is None else self._compared(key[0], [json])

    async def _ask(self, key: tuple[str, str]) -> bytes | None:
        assert self._one is not None  # else nothing is asked
        parent, id = key
        json = await self._one(parent, id)
        if json is not None and parent and self._key is not None:
            return ParentName(self._key, parent).into(json)
        return json
