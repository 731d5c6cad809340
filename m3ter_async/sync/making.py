"""Changes are made of what a round finds: enough of it together, as Arrow tables, with the state beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anyio import to_thread

from .._tabular.fitting import Misfit
from ..export.slices.listings import Listing
from .bookmark import Bookmark
from .change import Change, SetAside, SyncNote
from .found import Found, Record
from .known import Known
from .state import StateRow


class Maker:
    """Collects what is found, until there is enough for a change.

    Args:
        listing: What is read.
        known: What the destination holds.
        arrow: Whether to make Arrow tables.
        nested: Whether lists and structs stay in their rows.
        batch_bytes: About how much JSON makes a change.

    Raises:
        ImportError: Arrow tables need pyarrow, which is not installed.
    """

    def __init__(self, listing: Listing, known: Known, *, arrow: bool, nested: bool, batch_bytes: int) -> None:
        self._listing = listing
        self._known = known
        self._most = batch_bytes
        self._batches: Any = None
        self._told: set[tuple[str | None, str | None]] = set()
        if arrow:
            from ..export.formats.converters import of_listing

            self._batches = of_listing(listing, nested=nested)
        self._clear()

    def _clear(self) -> None:
        self._upserts: dict[tuple[str, str], Record] = {}
        self._deletes: dict[tuple[str, str], None] = {}
        self._aside: list[SetAside] = []
        self._notes: list[SyncNote] = []
        self._bytes = 0

    def add(self, found: Found) -> None:
        """Take a piece; of two that tell of one record the later counts."""
        for record in found.upserts:
            key = (record.parent, record.print.id)
            self._deletes.pop(key, None)
            self._upserts[key] = record
            self._bytes += len(record.json)
        for key in found.deletes:
            self._upserts.pop(key, None)
            self._deletes[key] = None
            self._bytes += sum(map(len, key))
        self._aside += found.aside
        self._notes += found.notes

    @property
    def enough(self) -> bool:
        """Whether there is enough for a change."""
        return self._bytes >= self._most

    @property
    def empty(self) -> bool:
        """Whether nothing was taken."""
        return not (self._upserts or self._deletes or self._aside or self._notes)

    async def change(self, standing: Bookmark, *, last: bool = False) -> Change:
        """A change of all that was taken since the one before."""
        records = list(self._upserts.values())
        deletes, aside, notes = list(self._deletes), self._aside, self._notes
        self._clear()
        tables: dict[str, Any] = {}
        if self._batches is not None:
            tables, misfits, unknown = await to_thread.run_sync(self._tables, [each.json for each in records])
            lost = {each.place: each for each in misfits}
            aside = [*aside, *self._new_aside([_aside(records[place], each) for place, each in lost.items()])]
            records = [each for place, each in enumerate(records) if place not in lost]
            notes = [*notes, *(_unknown(name, count) for name, count in unknown.items())]
        state = [StateRow(each.parent, *each.print) for each in records]
        return Change(
            resource=self._listing.resource,
            table=self._listing.table,
            ids=[each.print.id for each in records],
            records=[each.json for each in records],
            upserts=tables,
            deletes=[id for _, id in deletes],
            aside=aside,
            notes=notes,
            last=last,
            _known=self._known,
            _standing=standing,
            _state=[*state, *(StateRow(parent, id, None) for parent, id in deletes)],
        )

    def _new_aside(self, found: Sequence[SetAside]) -> list[SetAside]:
        """Those that this sync has not told of yet: what is changing is read more than once."""
        new = [each for each in found if (each.parent, each.id) not in self._told]
        self._told.update((each.parent, each.id) for each in new)
        return new

    def _tables(self, records: list[bytes]) -> tuple[dict[str, Any], list[Misfit], dict[str, int]]:
        from .._tabular.pyarrow_import import pa

        made = self._batches(records)
        tables = {
            name: pa.Table.from_batches(batches, self._batches.schemas[name]) for name, batches in made.tables.items()
        }
        return tables, list(made.written.misfits), dict(made.written.unknown)


def _aside(record: Record, misfit: Misfit) -> SetAside:
    return SetAside(record.json, record.print.id, record.parent or None, misfit.where, misfit.why)


def _unknown(name: str, count: int) -> SyncNote:
    return SyncNote(
        "unknown_field", count, f"{count} rows have the field {name}, which the models do not name: see _extra", (name,)
    )
