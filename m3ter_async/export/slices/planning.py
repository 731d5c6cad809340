"""How a listing is divided into slices before anything of it is known."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

import msgspec

from ...client import AsyncM3ter
from ..errors import ExportError
from .arguments import Value, as_texts, day
from .listings import PAGE_SIZE, Listing, find, paginator
from .parent_names import parent_key
from .record_id import id_of
from .slice import Slice, read_slice

_IDS_EACH = 50
# Arguments that select by what changes in the life of a record.
_PASSING = {
    "bills.list": (
        "bill_date",
        "bill_date_start",
        "bill_date_end",
        "billing_frequency",
        "external_invoice_date_start",
        "external_invoice_date_end",
        "locked",
        "status",
    )
}
_LONGEST = 100  # characters of an id: those of the service have 36


class _Identified(msgspec.Struct):
    id: str | int


_identified = msgspec.json.Decoder(_Identified)


def first_slices(listing: Listing, count: int) -> list[Slice]:
    """A listing that has no parents: in so many slices if it is selected by date, else as one."""
    whole = Slice("0", listing.method, listing.arguments)
    window = whole.window
    # where an end is open, records are guessed to end today; whatever there is beyond has a slice of its own
    return [whole] if window is None else whole.cut(window.split(count, [datetime.now(UTC).date()]))


@dataclass
class Parents:
    """A page of parents.

    Attributes:
        ids: Of those that can be asked for their children.
        unusable: The JSON of the others, and why.
        next_token: The page after it, or None.
    """

    ids: list[str]
    unusable: list[tuple[bytes, str]]
    next_token: str | None


async def parents_on(client: AsyncM3ter, parent: Listing, token: str | None) -> Parents:
    """One page of the records that a listing fans out over."""
    page = await paginator(client, parent.method, parent.arguments, token).raw()
    found = Parents([], [], page.next_token)
    for record in page.data:
        try:
            name = str(_identified.decode(record).id)
            name.encode()
        except (msgspec.DecodeError, UnicodeError) as error:
            found.unusable.append((record, f"no id that can be read: {error}"))
            continue
        if name in ("", ".", ".."):
            found.unusable.append((record, f"{name!r} is no id: nothing can be asked for by it"))
        else:
            found.ids.append(name)
    return found


def parent_slices(listing: Listing, ids: Sequence[str], *, first: int, count: int) -> list[Slice]:
    """The children of some parents in about so many slices, of which the first is called `first`."""
    size = -(-len(ids) // count)
    groups = [ids[start : start + size] for start in range(0, len(ids), size or 1)]
    return [
        Slice(str(number), listing.method, listing.arguments, listing.parent_argument, group, parent_key(listing))
        for number, group in enumerate(groups, first)
    ]


async def plan_slices(
    client: AsyncM3ter | Sequence[AsyncM3ter],
    resource: str,
    *,
    since: date | str | None = None,
    until: date | str | None = None,
    where: Mapping[str, Value] | None = None,
    count: int = 32,
    by: Literal["days", "ids"] = "days",
) -> AsyncGenerator[Slice]:
    """Divide a listing into slices that are read independently of each other, by `read_slice`, wherever that is.

    Days hold very different numbers of records: with monthly bills one day of a month holds nearly all of them. Slices
    of ids are all of one size, for one request more per 100 bills, and a record whose date changes meanwhile is still
    in one of them and in no other.

    Args:
        client: Reads the parents or the ids, where it is divided by these. Clients of several organizations plan one
            after the other; then the id of each slice begins with that of its organization.
        resource: Its dotted name.
        since: The first day.
        until: The day after the last.
        where: Other arguments of the listing; ``page_size`` too.
        count: About how many slices to make for each organization, of each page of parents where there are any.
        by: ``ids`` for slices of 50 ids each, so that `count` is of no account; for listings that can be asked for
            ids, such as bills. What is selected is selected now: a bill that is approved or gets another date
            meanwhile is read all the same. One that is gone by then is named in `SlicePage.gone`.

    Raises:
        ValueError: There is no such listing, it does not take these arguments, or one of them is none.
        ExportError: After the slices of all others: a parent or a record has no id that can be asked for.
        APIError: The service failed.
    """
    if count < 1:
        raise ValueError(f"count must be 1 or more, not {count}")
    if by not in ("days", "ids"):
        raise ValueError(f"by must be days or ids, not {by!r}")
    alone = isinstance(client, AsyncM3ter)
    clients: Sequence[AsyncM3ter] = [client] if isinstance(client, AsyncM3ter) else client
    organizations = [each.org_id for each in clients]
    if len(set(organizations)) < len(organizations):
        raise ValueError("client must name each organization once, or its records are read twice")
    listings = [
        find(each, resource, as_texts(where or {})).narrowed(
            None if since is None else day("since", since), None if until is None else day("until", until)
        )
        for each in clients
    ]
    if by == "ids" and not all(each.by_ids for each in listings):
        raise ValueError(f"{resource} cannot be asked for ids: leave out by")
    left_out: list[ExportError] = []
    for each, listing in zip(clients, listings, strict=True):
        slices = id_slices(each, listing) if by == "ids" else _planned(each, listing, count)
        async with aclosing(slices):
            try:
                async for slice in slices:
                    name = slice.id if alone else f"{each.org_id}.{slice.id}"
                    yield msgspec.structs.replace(slice, id=name, org_id=each.org_id)
            except ExportError as error:
                left_out.append(error)
    if left_out:  # only now: the slices of all others are there
        raise left_out[0]


async def _planned(client: AsyncM3ter, listing: Listing, count: int) -> AsyncGenerator[Slice]:
    if listing.parent is None:
        for each in first_slices(listing, count):
            yield each
        return
    token, named = None, 0
    unusable: list[tuple[bytes, str]] = []
    while True:
        page = await parents_on(client, listing.parent, token)
        unusable += page.unusable
        slices = parent_slices(listing, page.ids, first=named, count=count)
        for each in slices:
            yield each
        named += len(slices)
        token = page.next_token
        if token is None:
            break
    if unusable:
        record, why = unusable[0]
        raise ExportError(
            f"{len(unusable)} parents of {listing.resource} are left out: {why} ({record[:80]!r})", resumable=False
        )


async def id_slices(client: AsyncM3ter, listing: Listing) -> AsyncGenerator[Slice]:
    """Slices of ids, of the records that a listing has now; each id is in one of them.

    Raises:
        ExportError: After all slices: a record has no id that can be asked for.
    """
    size = ids_each(listing)
    # what was selected is asked for whatever becomes of it
    passing = _PASSING.get(listing.method, ())
    kept = {name: value for name, value in listing.arguments.items() if name not in passing}
    seen: set[str] = set()
    waiting: list[str] = []
    number = 0
    unusable: list[bytes] = []
    async with aclosing(read_slice(client, Slice("heads", listing.method, listing.heads))) as pages:
        async for page in pages:
            for record in page.records:
                name = id_in_list(record)
                if name is None:
                    unusable.append(record)
                elif name not in seen:
                    seen.add(name)
                    waiting.append(name)
            while len(waiting) >= size or (waiting and page.position is None):
                yield Slice(str(number), listing.method, kept, ids=waiting[:size])
                number += 1
                del waiting[:size]
    if unusable:
        raise ExportError(
            f"{len(unusable)} records of {listing.resource} have no id that can be asked for ({unusable[0][:80]!r})",
            resumable=False,
        )


def ids_each(listing: Listing) -> int:
    """How many ids one request asks for: what comes is one page, and with ids of 36 characters the URL has 2 KB."""
    return min(_IDS_EACH, int(listing.arguments.get(PAGE_SIZE, _IDS_EACH)))


def id_in_list(record: bytes) -> str | None:
    """The id of a record as it can stand in a list of ids; None where it cannot."""
    try:
        name = (id_of(record) or b"").decode()
    except UnicodeDecodeError:
        return None
    return name if can_be_listed(name) else None


def can_be_listed(name: str) -> bool:
    """Whether an id can stand in a list of ids that is asked for."""
    return bool(name) and not set(name) & set(", ") and len(name) <= _LONGEST
