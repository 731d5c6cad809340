"""What all formats have in common: records go in, files are finished at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

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


class Sink(Protocol):
    """The open files of one part; all that it does is blocking."""

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows each table has got."""
        ...

    def write(self, records: Sequence[bytes]) -> Written:
        """Append records, each the JSON of one; those that do not fit are given back.

        Raises:
            OSError: The disk is full, or not there.
        """
        ...

    def close(self) -> None:
        """Finish the files, whatever was written."""
        ...


class Closing(Protocol):
    """Something that can be closed."""

    def close(self) -> None:
        """Close it."""
        ...


def close_all(files: Iterable[Closing]) -> None:
    """Close all of them, also where one cannot be closed."""
    with ExitStack() as closing:
        for file in files:
            closing.callback(file.close)
