"""What became of records that were put into tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .fitting import Misfit


@dataclass
class Written:
    """What became of some records.

    Attributes:
        misfits: Those that the format cannot hold, of which nothing was written.
        below: For each table below the first, the rows in it of each record that was written.
        unknown: How often each field came that the models do not name; as ``line_items.region``.
    """

    misfits: Sequence[Misfit] = ()
    below: dict[str, list[int]] = field(default_factory=lambda: {})
    unknown: Mapping[str, int] = field(default_factory=lambda: {})


@dataclass
class Batches:
    """Some records as Arrow record batches.

    Attributes:
        tables: The record batches of each table, in order.
        written: What is set aside, and what else there is to say of the records.
    """

    tables: dict[str, list[Any]]
    written: Written
