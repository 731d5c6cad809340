"""What a format cannot hold, and how such records are found among many without slowing down the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Unfit(Exception):
    """A value that a format cannot hold exactly.

    Attributes:
        where: The table and the column, or the path in the record.
        why: What is wrong with the value.
        places: Which of several values do not fit, where that is known.
    """

    def __init__(self, where: str, why: str, places: Sequence[int] = ()) -> None:
        super().__init__(f"{where}: {why}" if where else why)
        self.where = where
        self.why = why
        self.places = places


class Misfit(NamedTuple):
    """A record that is set aside: nothing of it is in the files of its format.

    Attributes:
        place: Its place among the records that were given.
        where: The table and the column, or the path in the record.
        why: What is wrong with its value.
    """

    place: int
    where: str
    why: str


def in_halves(items: Sequence[S], convert: Callable[[Sequence[S]], T], first: int = 0) -> tuple[list[T], list[Misfit]]:
    """Convert `items` together; where that fails, in halves, until what does not fit stands alone.

    Args:
        items: What to convert.
        convert: Raises `Unfit` where one of those it is given does not fit.
        first: The index of the first item.

    Returns:
        What `convert` gave, in the order of the items, and those that it does not take.
    """
    try:
        return [convert(items)], []
    except Unfit as error:
        if len(items) == 1:
            return [], [Misfit(first, error.where, error.why)]
    middle = len(items) // 2
    done, misfits = in_halves(items[:middle], convert, first)
    more, others = in_halves(items[middle:], convert, first + middle)
    return done + more, misfits + others


def shown(value: bytes | str) -> str:
    """A value in a message: its beginning, if it is long."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    return text if len(text) <= 80 else f"{text[:80]}..."
