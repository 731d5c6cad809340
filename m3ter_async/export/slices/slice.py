"""What one cursor reads: a small value that any process can be handed, and the function that reads it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

import msgspec

from ...client import AsyncM3ter
from .listings import DATES, IDS, paginator
from .parent_names import ParentName
from .record_id import id_of

# Where neither end of a range is known, so many days before the newest record is cut into slices of its own.
_PAST = 730
_WAYS = 8  # into about so many a slice is cut to find the part that cannot be read


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A place between two pages of a slice.

    Attributes:
        parent: Which of the slice's parents is being read.
        token: The page of it to go on from, or None for the first.
    """

    parent: int = 0
    token: str | None = None


START = Position()


class Window(NamedTuple):
    """A half-open range of days; None is open."""

    start: date | None
    end: date | None

    @property
    def days(self) -> int | None:
        """How many days it has, if it has both ends."""
        return (self.end - self.start).days if self.start is not None and self.end is not None else None

    def split(self, ways: int, seen: Sequence[date] = ()) -> "list[Window]":
        """The same days in about so many windows, without a gap; itself alone where it cannot be split.

        Args:
            ways: How many windows to make.
            seen: Dates of records in it, from which open ends are guessed: a guess that is bad makes the windows
                uneven, and nothing else.
        """
        start, end = self.start, self.end
        if end is None and seen and max(seen) < date.max:
            end = max(seen) + timedelta(days=1)
        if start is None and end is not None:
            start = date.fromordinal(max(1, end.toordinal() - _PAST))
        if start is None or end is None:
            return [self]
        days = (end - start).days
        ways = min(ways, days)
        if ways < 1:
            return [self]
        edges = [start + timedelta(days=days * number // ways) for number in range(ways + 1)]
        windows = [Window(low, high) for low, high in pairwise(edges)]
        if self.start is None:
            windows.insert(0, Window(None, start))
        if self.end is None:
            windows.append(Window(end, None))
        return windows


class Slice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a listing that is read by one cursor, and by nobody else.

    It is plain data: pickle it or send it as JSON to where it shall be read.

    Attributes:
        id: Its name within an export.
        method: The listing, from the client on: ``bills.list``.
        arguments: What the listing is called with, by Python names.
        parent_argument: Where a listing fans out, the argument that takes a parent's id.
        parents: Those ids, read one after the other.
        parent_key: The name under which each record has its parent's id.
        ids: Where the records are asked for by their ids, these.
        org_id: The organization that it is of; None in an export, which is of one organization.
    """

    id: str
    method: str
    arguments: Mapping[str, str] = {}
    parent_argument: str | None = None
    parents: Sequence[str] = ()
    parent_key: str | None = None
    ids: Sequence[str] = ()
    org_id: str | None = None

    @property
    def window(self) -> Window | None:
        """The days that it reads, where it reads by days and can be cut by them."""
        names = DATES.get(self.method)
        if names is None or self.parent_argument or self.ids or names[0].removesuffix("_start") in self.arguments:
            return None
        start, end = (self.arguments.get(name) for name in names)
        if start is None and end is None:
            return None  # which brings records without a date too, and no range of dates does
        return Window(date.fromisoformat(start) if start else None, date.fromisoformat(end) if end else None)

    @property
    def weight(self) -> float:
        """How much of its listing it is likely to be, beside others: days, or parents."""
        window = self.window
        return float((window.days or 1) if window is not None else len(self.parents) or 1)

    def pieces(self) -> "list[Slice]":
        """The same records in a few slices, to find the one that cannot be read.

        Returns:
            An empty list where it is one day or one record, or cannot be cut.
        """
        if (window := self.window) is not None:
            return self.cut(window.split(_WAYS)) if (window.days or 0) > 1 else []
        if len(self.ids) < 2:
            return []
        size = -(-len(self.ids) // _WAYS)
        groups = [self.ids[start : start + size] for start in range(0, len(self.ids), size)]
        return [msgspec.structs.replace(self, id=f"{self.id}.{n}", ids=ids) for n, ids in enumerate(groups)]

    def cut(self, windows: Sequence[Window]) -> "list[Slice]":
        """The same listing, a slice for each of these windows."""
        names = DATES[self.method]
        kept = {name: value for name, value in self.arguments.items() if name not in names}
        cuts: list[Slice] = []
        for number, window in enumerate(windows):
            days = {name: day.isoformat() for name, day in zip(names, window, strict=True) if day is not None}
            cuts.append(msgspec.structs.replace(self, id=f"{self.id}.{number}", arguments={**kept, **days}))
        return cuts


class SlicePage(msgspec.Struct, frozen=True):
    """Some records of a slice, and where it stands after them.

    Attributes:
        records: The JSON of each, as the service sent it (with its parent's id, where it does not name it itself).
        parent: The id of the parent they belong to, or None.
        position: Where to go on, or None after the last page.
        contradicted: How many of the records named another parent than the one that they were listed for.
        gone: On the last page of a slice of ids, those that did not come: they are not there any more.
    """

    records: list[bytes]
    parent: str | None
    position: Position | None
    contradicted: int = 0
    gone: tuple[str, ...] = ()


async def read_slice(
    client: AsyncM3ter, slice: Slice, position: Position = START, *, ahead: bool = True
) -> AsyncGenerator[SlicePage]:
    """Read a slice page by page, from `position` on.

    Args:
        client: Any client of the slice's organization, in any process.
        slice: What to read.
        position: Where to begin; of a page that was read before, its `position`.
        ahead: Fetch the next page while one is consumed.

    Raises:
        ValueError: The client calls another organization than that of the slice; nothing was sent.
        APIError: The service failed; nothing of the page was handed out.
    """
    if slice.org_id not in (None, client.org_id):
        raise ValueError(
            f"slice is of the organization {slice.org_id}, and client calls {client.org_id}: "
            "give client.with_options(org_id=slice.org_id), or a client with keys of that organization"
        )
    missing = dict.fromkeys(slice.ids) if position == START else {}
    parents: Sequence[str | None] = slice.parents if slice.parent_argument is not None else [None]
    for number in range(position.parent, len(parents)):
        parent, arguments = parents[number], slice.arguments
        if slice.ids:
            arguments = {**arguments, IDS: ",".join(slice.ids)}
        naming: ParentName | None = None
        if slice.parent_argument is not None and parent is not None:
            arguments = {**arguments, slice.parent_argument: parent}
            naming = ParentName(slice.parent_key, parent) if slice.parent_key is not None else None
        token = position.token if number == position.parent else None
        async for page in paginator(client, slice.method, arguments, token).raw().pages(ahead=ahead):
            records, contradicted = page.data, 0
            if naming is not None:
                before = naming.contradicted
                records = [naming.into(record) for record in records]
                contradicted = naming.contradicted - before
            after: Position | None = Position(number, page.next_token)
            if page.next_token is None:
                after = Position(number + 1) if number + 1 < len(parents) else None
            for record in records if missing else ():
                missing.pop((id_of(record) or b"").decode(errors="replace"), None)
            yield SlicePage(records, parent, after, contradicted, () if after is not None else tuple(missing))
