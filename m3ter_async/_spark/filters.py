"""Spark's filters as arguments of the listing of bills: less is read, and never less than what Spark keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

METHOD = "bills.list"
"""The listing whose columns and arguments are known to mean the same."""
_EQUAL = ("account_id", "status", "bill_job_id")
_MOST_IDS = 50  # about 1.9 KB of URL
_DAY = timedelta(days=1)


@dataclass
class Narrowed:
    """What filters leave of a listing.

    Attributes:
        since: The first bill date.
        until: The day after the last.
        where: Other arguments.
    """

    since: date | None = None
    until: date | None = None
    where: dict[str, str] = field(default_factory=lambda: {})

    @property
    def empty(self) -> bool:
        """Whether no bill can pass."""
        return self.since is not None and self.until is not None and self.since >= self.until

    def within(self, since: date | None, until: date | None) -> Narrowed:
        """The same with another range of days, as far as it lies in its own."""
        return Narrowed(
            max(filter(None, (self.since, since)), default=None),
            min(filter(None, (self.until, until)), default=None),
            self.where,
        )


def narrowed(filters: Iterable[Any]) -> Narrowed:
    """What filters leave of the bills.

    Args:
        filters: Those of Spark; a row has to pass all of them, and Spark tries each row once more itself.
    """
    found = Narrowed()
    for each in filters:
        kind, column, value = _parts(each)
        if column == "bill_date" and type(value) is date:
            found = found.within(*_days(kind, value))
        elif column in _EQUAL and kind == "EqualTo" and _usable(value):
            found.where.setdefault(column, value)
        elif column == "id" and kind in ("EqualTo", "In"):
            ids = [value] if kind == "EqualTo" else [*value]
            if 0 < len(ids) <= _MOST_IDS and all(map(_usable, ids)):
                found.where.setdefault("ids", ",".join(ids))
        elif column == "locked" and (kind, value) in (("Not EqualTo", True), ("EqualTo", False)):
            found.where["locked"] = "false"  # locked=true would bring both kinds, and spare nothing
    return found


def _parts(filter: Any) -> tuple[str, str, Any]:
    """The kind of a filter, the column it is about, and the value that it compares with."""
    kind = type(filter).__name__
    inner = filter
    if kind == "Not":
        inner = filter.child
        kind = f"Not {type(inner).__name__}"
    path: tuple[str, ...] = getattr(inner, "attribute", ())
    return kind, path[0] if len(path) == 1 else "", getattr(inner, "value", None)


def _days(kind: str, day: date) -> tuple[date | None, date | None]:
    """The range of days, its end left out, in which a comparison with `day` holds."""
    behind = day + _DAY if day < date.max else None
    if kind in ("EqualTo", "EqualNullSafe"):
        return day, behind
    if kind == "GreaterThanOrEqual":
        return day, None
    if kind == "GreaterThan":
        return behind, None
    if kind == "LessThan":
        return None, day
    if kind == "LessThanOrEqual":
        return None, behind
    return None, None


def _usable(value: object) -> bool:
    """Whether a text means itself as an argument: a list of them is joined by commas."""
    return isinstance(value, str) and value != "" and "," not in value
