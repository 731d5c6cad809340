"""The face of a sync: its arguments, when it looks at everything, and the order of its changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta

import msgspec

from ..client import AsyncM3ter
from ..export.slices.arguments import Value, as_texts
from ..export.slices.listings import Listing, find
from .bills import METHOD, OWN, Bills
from .bookmark import Bookmark, First
from .change import Change
from .errors import SyncError
from .first_bills import FirstBills
from .found import Found
from .known import Known
from .listings import Records
from .making import Maker
from .source import Beginning, begin

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_BATCH = 8 * 2**20


def changes(
    client: AsyncM3ter,
    resource: str,
    known: Known,
    *,
    full: bool | timedelta = _DAY,
    where: Mapping[str, Value] | None = None,
    look_back: timedelta = _HOUR,
    nested: bool = False,
    arrow: bool = True,
    batch_bytes: int = _BATCH,
    concurrency: int = 8,
) -> AsyncGenerator[Change]:
    """What changed in a listing since the last sync, as changes to be stored one after the other.

    ::

        known = Known(stored_mark)  # Known() the first time
        async for change in changes(m3ter, "bills", known):
            with database.transaction():
                store(change)  # its ids and deletes out, its upserts in
                store_mark(change.mark)

    A first sync brings everything. One that was interrupted is begun again with the last mark that was stored: what
    was stored is not brought again. The last change of a sync has ``last`` set, with or without rows.

    Bills are found by their heads (bills without line items): those of all that are not locked are compared, what was
    made since is searched for, and only what differs is read whole. Every other listing is read whole and compared.
    What is known and is not listed any more is asked for by id, and only deleted where the service answers that there
    is no such thing.

    Args:
        client: Of the organization.
        resource: Its dotted name, as for an export: ``bills``, ``accounts``, ``balances.transactions``.
        known: What the destination holds. It is updated when the change after the next is asked for, that is, once one
            was taken; if the loop is left before, it stays as it was.
        full: When to look at locked bills too, which finds those that were unlocked, changed and locked again: True
            for now, False for never, or how long after the last time, by the service's clock. The second sync does, and
            so does one after the date moved up to which bills are locked. Without effect on other listings.
        where: Other arguments of the listing. A record that was selected once is followed from then on.
        look_back: How long before the start of the last sync new bills are searched for: longer than the search needs
            to find what is new.
        nested: Leave lists and structs in their rows, in place of tables for them.
        arrow: False leaves `Change.upserts` empty and needs no pyarrow.
        batch_bytes: About how much JSON makes a change.
        concurrency: How many requests for whole records are out at once.

    Returns:
        An async generator. Leaving the loop stops what is under way.

    Raises:
        ValueError: There is no such listing, it does not take these arguments, or one of them is none. Also where its
            records have no ids, by which they could be told apart.
        ImportError: pyarrow is not installed, and `arrow` is not False.
        SyncError: `known` is of another resource, organization or selection, or in use by another sync.
        APIError: The service failed; what was stored is kept.
    """
    if isinstance(full, timedelta) and full < timedelta(0):
        raise ValueError(f"full must not be negative, not {full}")
    if look_back < timedelta(0):
        raise ValueError(f"look_back must not be negative, not {look_back}")
    for name, number in (("batch_bytes", batch_bytes), ("concurrency", concurrency)):
        if number < 1:
            raise ValueError(f"{name} must be 1 or more, not {number}")
    texts = as_texts(where or {})
    listing = find(client, resource, texts)
    if "id" not in getattr(listing.operation.answer, "__struct_fields__", ()):
        raise ValueError(f"records of {resource} have no id, by which a sync could tell them apart: export them")
    if listing.method == METHOD and (own := sorted(set(texts) & set(OWN))):
        raise ValueError(f"a sync of bills gives {own[0]} by itself: leave it out")
    _standing(client, resource, texts, known)
    maker = Maker(listing, known, arrow=arrow, nested=nested, batch_bytes=batch_bytes)
    sync = _Sync(client.with_options(bulk=True), listing, known, maker, concurrency)
    return sync.run(lambda: _standing(client, resource, texts, known), full, look_back)


def _standing(client: AsyncM3ter, resource: str, where: Mapping[str, str], known: Known) -> Bookmark:
    """Where the sync of this stands.

    Raises:
        SyncError: `known` is of something else.
    """
    before = known._standing
    kept = {name: value for name, value in where.items() if name != "page_size"}
    if not before.resource:
        if len(known):
            raise SyncError("rows of a state are there and their bookmark is not: begin anew with Known()")
        return Bookmark(org=client.org_id, resource=resource, where=kept)
    for name, old, new in (
        ("resource", before.resource, resource),
        ("organization", before.org, client.org_id),
        ("selection", dict(before.where), kept),
    ):
        if old != new:
            raise SyncError(f"what is known is of another {name}, {old}, not {new}: each needs its own Known")
    return before


class _Sync:
    """One sync."""

    def __init__(
        self,
        client: AsyncM3ter,
        listing: Listing,
        known: Known,
        maker: Maker,
        concurrency: int,
    ) -> None:
        self._client = client
        self._listing = listing
        self._known = known
        self._standing = Bookmark()
        self._maker = maker
        self._concurrency = concurrency

    async def run(
        self, standing: Callable[[], Bookmark], full: bool | timedelta, look_back: timedelta
    ) -> AsyncGenerator[Change]:
        """Its changes, in order."""
        with self._known._in_use():
            self._standing = standing()  # which may have changed since the arguments were checked
            beginning = await begin(self._client, self._listing)
            notes = list(beginning.notes)
            bills: Bills | None = None
            if self._listing.method == METHOD:
                async with aclosing(self._first_bills(beginning)) as firsts:
                    async for change in firsts:
                        yield change
                        self._take(change)
                bills = self._bills(beginning, full, look_back)
            ledger = self._known._ledger
            round = (bills or Records(self._client, self._listing, ledger, concurrency=self._concurrency)).found()
            async with aclosing(round):
                async for found in round:
                    self._maker.add(found)
                    if self._maker.enough:
                        change = await self._maker.change(self._standing)
                        yield change
                        self._take(change)
            self._maker.add(Found(notes=notes))
            looked = bills is None or bills.looked_at_all
            change = await self._maker.change(
                msgspec.structs.replace(
                    self._standing,
                    since=beginning.now,
                    full=beginning.now if looked else self._standing.full,
                    locks=beginning.locks,
                    first=None,
                ),
                last=True,
            )
            yield change
            self._take(change)

    def _take(self, change: Change) -> None:
        self._known._take(change._standing, change._state)

    async def _first_bills(self, beginning: Beginning) -> AsyncGenerator[Change]:
        """Changes for a destination that does not hold all bills yet."""
        standing, names = self._standing, self._listing.dates
        if (
            standing.since is not None
            or beginning.now is None
            or names is None
            or set(names) & set(self._listing.arguments)
        ):
            return
        if standing.first is None and len(self._known):
            return  # of a sync that could not go by ranges of days
        first = standing.first or First(beginning.now.date(), beginning.now)
        reading = FirstBills(
            self._client, self._listing, self._known._ledger, first=first, concurrency=self._concurrency
        )
        async with aclosing(reading.found()) as round:
            async for found, reached in round:
                self._maker.add(found)
                self._standing = msgspec.structs.replace(standing, first=reached)
                if self._maker.enough:
                    yield await self._maker.change(self._standing)
        if not self._maker.empty:
            yield await self._maker.change(self._standing)

    def _bills(self, beginning: Beginning, full: bool | timedelta, look_back: timedelta) -> Bills:
        """The round for what changed since the last sync, or since the first one began."""
        before = self._standing
        since = before.since
        if before.first is not None and full is not True:
            since = before.first.since
        elif self._is_whole(full, beginning):
            since = None
        since = None if since is None else since - look_back
        return Bills(self._client, self._listing, self._known._ledger, since=since, concurrency=self._concurrency)

    def _is_whole(self, full: bool | timedelta, beginning: Beginning) -> bool:
        """Whether locked bills have to be looked at too."""
        before, now = self._standing, beginning.now
        if full is True or before.since is None or before.full is None or now is None or now < before.since:
            return True
        if before.locks != beginning.locks:
            return True
        return isinstance(full, timedelta) and now - before.full >= full
