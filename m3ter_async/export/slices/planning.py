"""How a listing is divided into slices before anything of it is known."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, date, datetime

import msgspec

from ...client import AsyncM3ter
from .listings import Listing, day, find, paginator
from .slice import Slice, parent_key


class _Identified(msgspec.Struct):
    id: str


def first_slices(listing: Listing, count: int) -> list[Slice]:
    """A listing that has no parents: in so many slices if it is selected by date, else as one."""
    whole = Slice("0", listing.method, listing.arguments)
    window = whole.window
    # where an end is open, records are guessed to end today; whatever there is beyond has a slice of its own
    return [whole] if window is None else whole.cut(window.split(count, [datetime.now(UTC).date()]))


async def parent_slices(
    client: AsyncM3ter, listing: Listing, token: str | None, *, first: int, count: int
) -> tuple[list[Slice], str | None]:
    """One page of parents in about so many slices, and the token of the next page.

    Args:
        client: Reads the parents.
        listing: What is read of each parent.
        token: The page of parents.
        first: What the first slice is called; those after it count on.
        count: How many slices to make.
    """
    parent = listing.parent
    assert parent is not None
    page = await paginator(client, parent.method, parent.arguments, token).as_type(_Identified)
    ids = [each.id for each in page.data]
    size = -(-len(ids) // count)
    groups = [ids[start : start + size] for start in range(0, len(ids), size or 1)]
    slices = [
        Slice(str(number), listing.method, listing.arguments, listing.parent_argument, group, parent_key(listing))
        for number, group in enumerate(groups, first)
    ]
    return slices, page.next_token


async def plan_slices(
    client: AsyncM3ter,
    resource: str,
    *,
    since: date | str | None = None,
    until: date | str | None = None,
    where: Mapping[str, str] | None = None,
    count: int = 32,
) -> AsyncGenerator[Slice]:
    """Divide a listing into slices that are read independently of each other, by `read_slice`, wherever that is.

    Args:
        client: Reads the parents, where the listing has any.
        resource: Its dotted name.
        since: The first day.
        until: The day after the last.
        where: Other arguments of the listing.
        count: About how many slices to make, of each page of parents where there are any.

    Raises:
        ValueError: There is no such listing, it does not take these arguments, or one of them is none.
    """
    if count < 1:
        raise ValueError(f"count must be 1 or more, not {count}")
    listing = find(client, resource, where or {}).narrowed(
        None if since is None else day("since", since), None if until is None else day("until", until)
    )
    if listing.parent is None:
        for each in first_slices(listing, count):
            yield each
        return
    token, named = None, 0
    while True:
        slices, token = await parent_slices(client, listing, token, first=named, count=count)
        for each in slices:
            yield each
        named += len(slices)
        if token is None:
            return
