"""Bills: heads of those that are not locked, new ones by search, and whole ones by id where a head tells of a change.

A head is a bill without its line items. A locked bill does not change as long as it is locked, so its head is only
looked at now and then, with all others.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from .._core.operation import Operation
from ..client import AsyncM3ter
from ..errors import APIStatusError
from ..export.slices.listings import Listing, paginator
from .change import SetAside, SyncNote
from .found import Found, Record
from .keys import LINES, Print, Unkeyed, print_of
from .ledger import Ledger
from .source import ById, by_id, page_of

METHOD = "bills.list"
OWN = ("exclude_line_items", "ids", "locked", "next_token")
"""Arguments that a sync of bills gives by itself."""

_TOGETHER = 50  # ids in a request: some two kilobytes of URL
_SEARCHED = "50"  # a search gives whole bills, of which only the ids are used
_NAMED = 20  # ids in a note
_SEARCH = "bills.search"
_REFUSED = frozenset((400, 404, 405, 422, 501))


class _NotSorted(Exception):
    """A search that does not give what it was asked for, in the order that it was asked for."""


class _Created(msgspec.Struct, rename={"at": "dtCreated"}):
    id: str
    at: datetime


_decoder = msgspec.json.Decoder(_Created)


def _created(row: bytes) -> _Created:
    try:
        found = _decoder.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _NotSorted from None
    if found.at.tzinfo is None:
        raise _NotSorted
    return found


class _Group(NamedTuple):
    """Ids to fetch together; those that a search found may be of bills that are not selected."""

    ids: list[str]
    searched: bool = False


class Bills:
    """A round over bills.

    Args:
        client: Of the organization.
        listing: ``bills.list`` with the arguments that select.
        ledger: What the destination holds.
        since: Look for what was created from then on; None looks at everything, locked bills too.
        concurrency: How many requests for whole bills are out at once.
    """

    def __init__(
        self, client: AsyncM3ter, listing: Listing, ledger: Ledger, *, since: datetime | None, concurrency: int
    ) -> None:
        self._client = client
        self._listing = listing
        self._ledger = ledger
        self._since = since
        self._concurrency = concurrency
        kept = {name: listing.arguments[name] for name in ("additional",) if name in listing.arguments}
        self._whole = {"include_bill_total": "true", **kept}
        self._by_ids = replace(listing, arguments=self._whole)
        one: Operation[Any] | None = by_id(client, listing)
        assert one is not None  # the contract has GetBill
        self._one = ById(client, one, listing)
        # bills may be passed over where page tokens count rows: then one before them went, or one came and went
        self._moved = False
        self._aside: list[SetAside] = []
        self._notes: list[SyncNote] = []

    @property
    def looked_at_all(self) -> bool:
        """Whether all bills were looked at, and none can have been passed over."""
        return self._since is None and not self._moved

    async def found(self) -> AsyncGenerator[Found]:
        """What is new, changed or gone."""
        fetched = self._client.map(self._groups(), self._fetch, concurrency=self._concurrency, ordered=False)
        async with aclosing(fetched):
            async for _, found in fetched:
                yield found
        yield Found(aside=self._aside, notes=self._notes)

    async def _groups(self) -> AsyncGenerator[_Group]:
        group = _Group([])
        async for id, searched in self._wanted():
            if group.ids and (searched != group.searched or len(group.ids) == _TOGETHER):
                yield group
                group = _Group([])
            group = _Group([*group.ids, id], searched)
        if group.ids:
            yield group

    async def _wanted(self) -> AsyncGenerator[tuple[str, bool]]:
        """The ids of bills to fetch, and whether a search found them."""
        if self._since is not None:
            async for id in self._by_heads(locked=False):
                yield id, False
            searched = await self._search(self._since)
            for id in searched or ():
                yield id, True
            if searched is None:
                self._since = None
                self._ledger.see_none()
        if self._since is None:
            async for id in self._by_heads(locked=True):
                yield id, False
        # what is known and did not come: locked since, deleted, or passed over by the listing
        for _, id in self._ledger.unseen(settled=self._since is None):
            yield id, False

    async def _by_heads(self, *, locked: bool) -> AsyncGenerator[str]:
        """Ids of bills whose heads are new or differ from what is known, and of those that went meanwhile.

        Args:
            locked: Look at locked bills too.
        """
        pages = 0
        async for heads in self._heads(locked=locked):
            pages += 1
            for head in heads:
                if self._ledger.seen("", head.id):
                    self._moved = True
                    continue
                self._ledger.see("", [head.id], open=not head.settled)
                held = self._ledger.held("", head.id)
                if held is None or held.digest != head.digest:
                    yield head.id
        if locked and pages > 1:  # one that is locked cannot go, and whether locks were lifted is looked at apart
            async for heads in self._heads(locked=False):
                self._ledger.see_again(head.id for head in heads)
            for id in self._ledger.not_again():
                yield id

    async def _heads(self, *, locked: bool) -> AsyncGenerator[list[Print]]:
        arguments = {**self._listing.arguments, "exclude_line_items": "true"}
        if not locked:
            arguments["locked"] = "false"
        async for page in paginator(self._client, METHOD, arguments, None).raw().pages():
            heads: list[Print] = []
            for record in page.data:
                try:
                    heads.append(print_of(record, LINES))
                except Unkeyed as error:
                    self._aside.append(SetAside(record, None, None, "", str(error)))
            yield heads

    async def _search(self, since: datetime) -> list[str] | None:
        """Ids of bills made since then that nobody knows; None where the service does not search so."""
        try:
            return await self._made_since(since)
        except _NotSorted:
            pass
        except APIStatusError as error:
            if error.status not in _REFUSED:
                raise
        self._notes.append(
            SyncNote("whole_look", 1, "the service did not search for bills that are new: all heads were looked at")
        )
        return None

    async def _made_since(self, since: datetime) -> list[str]:
        """Page by page, each from the time of the last bill on: so it does not matter that others come and go."""
        came: dict[str, datetime] = {}
        offset = 0
        while True:
            when = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            arguments = {"search_query": f"dtCreated>={when}", "sort_by": "dtCreated", "sort_order": "ASC"}
            arguments |= {"page_size": _SEARCHED, "from_document": str(offset)}
            rows = [_created(row) for row in (await paginator(self._client, _SEARCH, arguments, None).raw()).data]
            if any(before.at > after.at for before, after in pairwise(rows)):
                raise _NotSorted
            new = {row.id: row.at for row in rows if row.id not in came}
            if not new:
                return [id for id in came if not self._ledger.seen("", id) and self._ledger.held("", id) is None]
            came |= new
            since = rows[-1].at.replace(microsecond=rows[-1].at.microsecond // 1000 * 1000)
            # behind those of that very moment; the last of them is asked for again, so that nothing is passed over
            offset = sum(at >= since for at in came.values()) - 1

    async def _fetch(self, group: _Group) -> Found:
        """The bills of a group, whole; those that do not come are asked for one by one."""
        selected = {**self._listing.arguments, **self._whole} if group.searched else self._whole
        got: dict[str, Record] = {}
        aside: list[SetAside] = []
        arguments = {**selected, "ids": ",".join(group.ids)}
        async for page in paginator(self._client, METHOD, arguments, None).raw().pages(ahead=False):
            _keep(page.data, got, aside)
        deletes: list[tuple[str, str]] = []
        unclear: list[str] = []
        for id in group.ids:
            if id in got or group.searched:
                continue
            if await self._one("", id) is None:
                self._moved = self._moved or self._ledger.seen("", id)
                if self._ledger.held("", id) is not None:
                    deletes.append(("", id))
                continue
            _keep((await page_of(self._client, self._by_ids, ids=id)).data, got, aside)  # passed over, perhaps
            if id not in got:
                unclear.append(id)
        notes: list[SyncNote] = []
        if unclear:
            text = f"{len(unclear)} bills are there and were not given by their ids: they stay as they were"
            notes.append(SyncNote("not_answered", len(unclear), text, tuple(unclear[:_NAMED])))
        wanted = set(group.ids)
        return Found([each for id, each in got.items() if id in wanted], deletes, aside, notes)


def _keep(records: Iterable[bytes], got: dict[str, Record], aside: list[SetAside]) -> None:
    for record in records:
        try:
            found = print_of(record, LINES)
        except Unkeyed as error:
            aside.append(SetAside(record, None, None, "", str(error)))
        else:
            got[found.id] = Record("", record, found)
