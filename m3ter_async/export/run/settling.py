"""The last step of an export that settles: what was written is compared with what the service holds by now.

All records are listed again without their line items. What differs or is new is planned as slices of ids, which are
read and written as all others are; then the records that they take the place of are dropped. So a run that is killed
on the way is gone on with as any other is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from ..formats.layout import Layout
from ..formats.selection import ids_at
from ..slices.listings import Listing
from ..slices.planning import can_be_listed, first_slices, id_in_list, ids_each
from ..slices.record_id import id_of
from ..slices.slice import Slice
from .aside import names_of
from .entries import Group, Part, Settled
from .exported_ids import NONE, SIZE, digest_of, load, positions
from .files import stem_of
from .head_reader import HeadReader
from .rewriting import drop

if TYPE_CHECKING:
    from .run import Run

_ROUNDS = 5  # of reading again; whatever changes more often than that is named
_SLICES = 8  # of heads, where both ends of the dates are known
_NAMED = 10

Places = dict[int, list[int]]


@dataclass
class _Written:
    """What the files hold.

    Attributes:
        heads: Of each record, by the digest of its id.
        places: The part of each record, and its place there.
        stale: By part, records that another took the place of.
    """

    heads: dict[bytes, bytes] = field(default_factory=lambda: {})
    places: dict[bytes, tuple[int, int]] = field(default_factory=lambda: {})
    stale: Places = field(default_factory=lambda: {})


@dataclass
class _Look:
    """What is there by now, beside what was written.

    Attributes:
        again: Records that differ, or that were not written, with the digests of what stands in them; by id.
        unseen: The digests of the ids of what was written and did not come.
        gone: Ids of records that were written and are not there any more, by their digests.
        unasked: Ids of records that differ and cannot be asked for by them.
        unread: What could not be looked at, and why.
    """

    unseen: set[bytes]
    again: dict[str, bytes] = field(default_factory=lambda: {})
    gone: dict[bytes, str] = field(default_factory=lambda: {})
    unasked: list[str] = field(default_factory=lambda: [])
    unread: list[tuple[Slice, str]] = field(default_factory=lambda: [])


async def settle(run: Run, listing: Listing, layout: Layout) -> None:
    """Make the files of a listing hold what the service holds.

    Raises:
        APIError: The service failed.
        ExportError: The disk failed.
    """
    await _Settling(run, listing, layout).settle()


class _Settling:
    def __init__(self, run: Run, listing: Listing, layout: Layout) -> None:
        assert layout.head is not None
        self._run = run
        self._listing = listing
        self._layout = layout
        self._head = layout.head
        # What stood in the listing when a record was read again: where that is there still, it has not changed since,
        # though the record by itself may say it in another way.
        self._read_at: dict[str, bytes] = {}
        self._again: set[str] = set()
        self._removed = 0
        self._void = 0  # rows that were dropped, and are not told yet

    async def settle(self) -> None:
        look = await self._round()
        for _ in range(_ROUNDS):
            if not look.again and not look.gone:
                break
            await self._read(list(look.again))
            failed = {name for slice in self._failed().values() for name in slice.ids}
            read = {name: head for name, head in look.again.items() if name not in failed}
            self._read_at |= read
            self._again.update(read)
            look = await self._round()
        left = [*look.unasked, *look.again]
        unread = [Group(_where(slice), why, 1) for slice, why in look.unread]
        entry = Settled(self._listing.resource, len(self._again), self._removed, len(left), left[:_NAMED], unread)
        await self._run.blocking(self._run.manifest.append, entry)

    async def _round(self) -> _Look:
        """Compare, and remove what is gone."""
        written = await self._run.blocking(self._written_once)
        look = await self._look(written)
        if look.gone:
            await self._run.blocking(self._remove, written, look.gone)
            self._removed += len(look.gone)
        self._run.tally.void(self._listing.resource, self._void)
        self._void = 0
        return look

    async def _read(self, names: Sequence[str]) -> None:
        standing = self._run.standing(self._listing.resource)
        first = standing.named
        failed = self._failed()
        covered = {name for slice in failed.values() for name in slice.ids}
        groups = _groups([name for name in names if name not in covered], ids_each(self._listing))
        slices = [
            Slice(f"again.{number}", self._listing.method, self._listing.arguments, ids=group)
            for number, group in enumerate(groups, first)
        ]
        await self._run.read_more(self._listing, slices, list(failed))

    def _failed(self) -> dict[str, Slice]:
        """Slices of ids that were set aside because they could not be read."""
        units = self._run.standing(self._listing.resource).units
        return {name: unit.slice for name, unit in units.items() if unit.slice.ids}

    async def _look(self, written: _Written) -> _Look:
        """Compare what is there with what was written."""
        look = _Look(set(written.places))
        heads = replace(self._listing, arguments=self._listing.heads)
        reader = HeadReader(self._run.client, heads.resource, lambda record: self._see(record, written, look))
        await reader.read(first_slices(heads, _SLICES))
        # a page may have been missed while records came and went: only what does not come by its id either is gone
        names = await self._run.blocking(self._names, written, look.unseen)
        asked = [name for name in names.values() if can_be_listed(name)]
        groups = _groups(asked, ids_each(heads))
        await reader.read([Slice("", heads.method, heads.arguments, ids=each) for each in groups])
        look.unread = reader.unread
        unknown = {name for slice, _ in look.unread for name in slice.ids}
        for digest in look.unseen:
            if not can_be_listed(name := names[digest]):
                look.unasked.append(name)
            elif name not in unknown:
                look.gone[digest] = name
        return look

    def _see(self, record: bytes, written: _Written, look: _Look) -> None:
        digest = digest_of(None, record)
        if digest is None:
            return
        look.unseen.discard(digest)
        head, before = self._head(record), written.heads.get(digest)
        if head == before:
            return
        name = id_in_list(record)
        if name is None:
            look.unasked.append((id_of(record) or b"").decode(errors="replace"))
        elif before is None or self._read_at.get(name) != head:
            look.again[name] = head

    def _written_once(self) -> _Written:
        """What the files hold, once what is there twice is dropped."""
        written = self._written()
        if written.stale:
            self._drop(written.stale)
            written = self._written()
        return written

    def _written(self) -> _Written:
        written = _Written()
        for part in self._parts:
            taken = load(self._run.manifest.place, part, self._layout.tables[1:])
            for at in range(part.taken):
                digest = bytes(taken.digests[at * SIZE : (at + 1) * SIZE])
                if digest == NONE:
                    continue
                if (before := written.places.get(digest)) is not None:
                    written.stale.setdefault(before[0], []).append(before[1])
                written.places[digest] = part.number, at
                written.heads[digest] = bytes(taken.heads[at * SIZE : (at + 1) * SIZE])
        return written

    @property
    def _parts(self) -> list[Part]:
        return [part for part in self._run.standing(self._listing.resource).parts.values() if part.taken]

    def _names(self, written: _Written, digests: Iterable[bytes]) -> dict[bytes, str]:
        """The ids of records that were written or set aside."""
        wanted: dict[int, dict[int, bytes]] = {}
        for digest in digests:
            number, at = written.places[digest]
            wanted.setdefault(number, {})[at] = digest
        place = self._run.manifest.place
        found: dict[bytes, str] = {}
        for part in self._parts:
            if (of_part := wanted.get(part.number)) is None:
                continue
            taken = load(place, part, self._layout.tables[1:])
            rows = positions(taken.kept)
            kept = [at for at in sorted(of_part) if taken.kept[at]]
            for file in part.files:
                if kept and file.table == self._layout.tables[0]:
                    with place.at_hand(file.path) as source:
                        names = ids_at(source, self._layout.suffix, [rows[at] for at in kept])
                    found.update((of_part[at], name) for at, name in zip(kept, names, strict=True))
            if len(kept) < len(of_part):
                aside = names_of(place.aside(part.resource).of_part(stem_of(part.number, part.mark)))
                found.update((of_part[at], aside[at]) for at in of_part if not taken.kept[at])
        return found

    def _remove(self, written: _Written, digests: Iterable[bytes]) -> None:
        places: Places = {}
        for digest in digests:
            number, at = written.places[digest]
            places.setdefault(number, []).append(at)
        self._drop(places)

    def _drop(self, places: Places) -> None:
        run, resource = self._run, self._listing.resource
        dropped = {number: [(at, at + 1) for at in sorted(each)] for number, each in places.items()}
        fewer = drop(run.manifest, resource, self._layout, dropped, partial(run.number, resource))
        self._void += fewer


def _where(slice: Slice) -> str:
    """What a slice that could not be looked at is of."""
    if slice.ids:
        return slice.ids[0]
    window = slice.window
    return "all" if window is None else str(window.start or f"until {window.end}")


def _groups(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]
