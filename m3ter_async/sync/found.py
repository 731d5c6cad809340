"""What a round finds, piece by piece, before changes are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .change import SetAside, SyncNote
from .keys import Print


class Record(NamedTuple):
    """A record that is new or changed.

    Attributes:
        parent: The id of its parent, or empty.
        json: The whole of it.
        print: What is kept of it.
    """

    parent: str
    json: bytes
    print: Print


class Found(NamedTuple):
    """A piece of what a round finds.

    Attributes:
        upserts: Records that are new or changed.
        deletes: Parents and ids of records that are gone.
        aside: Records that cannot be told from others.
        notes: What else there is to say.
    """

    upserts: Sequence[Record] = ()
    deletes: Sequence[tuple[str, str]] = ()
    aside: Sequence[SetAside] = ()
    notes: Sequence[SyncNote] = ()
