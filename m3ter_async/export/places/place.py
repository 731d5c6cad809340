"""What an export needs of the place that it is kept in.

Files have names below the place, with slashes: ``bills/line_items/00000.parquet``. Each is written as a *draft*, on the
disk of this machine, and *published* whole: under its name there is all of it or nothing. Then the journal names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ..errors import ExportError

TEMPORARY = ".tmp"  # what a draft ends with


class Rival(ExportError):
    """Another export has the place by now; what this one wanted to enter is not entered, and never will be."""

    def __init__(self, where: str) -> None:
        super().__init__(f"another export took over {where}: this one stops, and the other has all", resumable=False)


class Journal(Protocol):
    """Lines that are only ever appended to; nobody else writes to it meanwhile. All that it does is blocking."""

    @property
    def shown(self) -> str:
        """Where it is, for messages."""
        ...

    def load(self) -> Iterator[bytes]:
        """The lines that are there, without their ends. It is to be read to its end before anything is appended.

        Raises:
            OSError: They cannot be read.
            ExportError: Some are missing.
        """
        ...

    def append(self, line: bytes) -> None:
        """Add a line, with its end, so that it is kept whatever comes.

        Raises:
            OSError: It cannot be kept.
            Rival: Another export writes to it.
        """
        ...

    def lines(self) -> Iterator[bytes]:
        """The lines that were loaded and appended, with their ends."""
        ...

    def clear(self) -> None:
        """Have none of the lines count any more."""
        ...


class Aside(Protocol):
    """The records of a resource that were set aside, as lines; all that it does is blocking."""

    @property
    def shown(self) -> str:
        """Where they are, for messages."""
        ...

    def append(self, stem: str, lines: Sequence[bytes]) -> None:
        """Keep the lines of a part, all or none."""
        ...

    def of_part(self, stem: str) -> list[bytes]:
        """The lines of a part."""
        ...

    def tidy(self, counts: Mapping[str, int]) -> None:
        """Remove the lines of all parts but these, and see that theirs are there.

        Args:
            counts: How many lines each part has, by the stem of its files.

        Raises:
            ExportError: They are not.
        """
        ...

    def remove(self) -> None:
        """Remove all of them."""
        ...


class Place(Protocol):
    """Where an export is kept. All that it does is blocking, and any thread may call it.

    Attributes:
        scratch: A folder of this machine for what is needed for a while.
        mark: What the stems of this run's files end with; empty where no other run can make files meanwhile.
        threads: How many parts may be published side by side.
        most: Bytes of files after which a part is finished, though more JSON would fit; None is any.
    """

    @property
    def scratch(self) -> Path:  # noqa: D102 (above)
        ...

    @property
    def mark(self) -> str:  # noqa: D102
        ...

    @property
    def threads(self) -> int:  # noqa: D102
        ...

    @property
    def most(self) -> int | None:  # noqa: D102
        ...

    def shown(self, name: str = "") -> str:
        """Where a file is, or the whole, for messages."""
        ...

    def path_of(self, name: str) -> Path:
        """Where a file is: its path, or its key in a store."""
        ...

    def url_of(self, name: str) -> str | None:
        """The URL of a file, where it is no file of this machine."""
        ...

    def holds_export(self) -> bool:
        """Whether there is a journal of an export; nothing is made or changed.

        Raises:
            OSError: It cannot be known.
        """
        ...

    def open(self) -> Journal:
        """Have the place, made if it is not there, and its journal. `close` has to follow.

        Raises:
            ExportError: Another export has it.
            OSError: It cannot be written to.
        """
        ...

    def claim(self) -> None:
        """Keep others from writing to it from now on, once the journal was loaded and before anything is changed.

        Raises:
            Rival: Another export writes to it.
            OSError: It cannot be written to.
        """
        ...

    def see_no_rival(self) -> None:
        """See that nobody else has written to it since it was claimed.

        Raises:
            Rival: Another export has.
            OSError: It cannot be known.
        """
        ...

    def close(self) -> None:
        """Let others have the place."""
        ...

    def draft(self, name: str) -> Path:
        """Where to write what is to be published under a name; its folder is there."""
        ...

    def discard(self, name: str) -> None:
        """Remove a draft, if there is one."""
        ...

    def publish(self, names: Sequence[str]) -> list[int]:
        """Keep drafts under their names, so that they are there whatever comes, and give their sizes.

        Raises:
            OSError: They cannot be kept.
        """
        ...

    def withdraw(self, names: Iterable[str], resource: str, stem: str) -> None:
        """Remove what was published of a part that is never entered, as far as that can be done."""
        ...

    def at_hand(self, name: str) -> AbstractContextManager[Path]:
        """A published file on this machine, to be read."""
        ...

    def read_at(self, name: str, start: int, size: int) -> bytes:
        """Some bytes of a published file."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Remove published files."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """The names of all that is below a folder, finished or not, with their sizes."""
        ...

    def is_left_over(self, name: str) -> bool:
        """Whether a file that the journal does not name is certainly of a run that is over."""
        ...

    def forget(self, folder: str) -> None:
        """Remove all that is below a folder."""
        ...

    def aside(self, resource: str) -> Aside:
        """The records of a resource that were set aside."""
        ...
