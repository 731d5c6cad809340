"""A destination in memory: rows and state in one transaction, and a process that dies at any moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from m3ter_async import AsyncM3ter
from m3ter_async.sync import Change, Known, SyncNote, changes


class Killed(Exception):
    """The process that syncs has died."""


class Destination:
    """What was stored, by id, and the mark beside it.

    Attributes:
        rows: The JSON of each record.
        mark: What the last transaction stored.
        notes: What was said.
        syncs: How many came to their end.
        kills: How many did not.
    """

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.rows: dict[str, bytes] = {}
        self.mark: bytes | None = None
        self.bookmark: bytes | None = None
        self.state: dict[tuple[str, str], tuple[str, bool]] = {}
        self.notes: list[SyncNote] = []
        self.syncs = 0
        self.kills = 0

    def store(self, change: Change) -> None:
        """One transaction."""
        for id in change.deletes:
            del self.rows[id]  # it was there
        assert len(set(change.ids)) == len(change.ids)
        self.rows.update(zip(change.ids, change.records, strict=True))
        for row in change.state.to_pylist():
            key = (row["parent"], row["id"])
            if row["deleted"]:
                del self.state[key]
            else:
                self.state[key] = (row["digest"], row["settled"])
        self.mark, self.bookmark = change.mark, change.bookmark
        self.notes += change.notes

    def known(self, random: Random) -> Known:
        """What the next process knows, from either form of the state."""
        if random.random() < 0.5:
            return Known(self.mark)
        from m3ter_async._tabular.pyarrow_import import pa

        rows = [
            {"parent": parent, "id": id, "digest": digest, "settled": settled}
            for (parent, id), (digest, settled) in self.state.items()
        ]
        return Known.from_state(self.bookmark, [pa.Table.from_pylist(rows)] if rows else [])

    async def sync(self, client: AsyncM3ter, random: Random, *, kills: float = 0.0, **options: Any) -> None:
        """One process that syncs; it may be killed before or after any transaction.

        Raises:
            Killed: It was.
            M3terError: The service failed it.
        """
        known = self.known(random)
        size = random.choice([1, 3_000, 10**9])
        found = changes(client, self.resource, known, arrow=False, batch_bytes=size, **options)
        last: Sequence[bool] = ()
        try:
            async for change in found:
                assert not any(last)  # nothing comes after the last one
                last = [*last, change.last]
                if random.random() < kills:
                    raise Killed
                self.store(change)
                if random.random() < kills:
                    raise Killed
        except Killed:
            self.kills += 1
            raise
        finally:
            await found.aclose()
        assert last[-1:] == [True]
        assert known.mark == self.mark
        self.syncs += 1


def parsed(rows: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """The fields of rows, digit for digit, whatever their order."""
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    return {id: {name: bytes(value) for name, value in decoder.decode(row).items()} for id, row in rows.items()}
