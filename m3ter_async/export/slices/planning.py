"""How a listing is divided into slices before anything of it is known."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec

from ...client import AsyncM3ter
from ..errors import ExportError
from .arguments import Value, as_texts, day
from .listings import Listing, find, paginator
from .parent_names import parent_key
from .slice import Slice


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
    client: AsyncM3ter,
    resource: str,
    *,
    since: date | str | None = None,
    until: date | str | None = None,
    where: Mapping[str, Value] | None = None,
    count: int = 32,
) -> AsyncGenerator[Slice]:
    """Divide a listing into slices that are read independently of each other, by `read_slice`, wherever that is.

    Args:
        client: Reads the parents, where the listing has any.
        resource: Its dotted name.
        since: The first day.
        until: The day after the last.
        where: Other arguments of the listing; ``page_size`` too.
        count: About how many slices to make, of each page of parents where there are any.

    Raises:
        ValueError: There is no such listing, it does not take these arguments, or one of them is none.
        ExportError: After the slices of all others: a parent has no id that can be asked for.
    """
    if count < 1:
        raise ValueError(f"count must be 1 or more, not {count}")
    listing = find(client, resource, as_texts(where or {})).narrowed(
        None if since is None else day("since", since), None if until is None else day("until", until)
    )
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
    if unusable:  # only now: the slices of all others are there
        record, why = unusable[0]
        raise ExportError(
            f"{len(unusable)} parents of {resource} are left out: {why} ({record[:80]!r})", resumable=False
        )
