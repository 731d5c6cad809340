"""What all formats have in common: records go in, files are finished at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

from ..._tabular.written import Written


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
