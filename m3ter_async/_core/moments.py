"""Days and moments as the service takes them, from those of Python, pandas and numpy: exactly, or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from ..models._base import dt


def instant(value: datetime) -> str:
    """A moment as the service takes it: in UTC, exactly.

    Raises:
        ValueError: It has no time zone, is finer than a microsecond, or is no moment at all.
    """
    if value != value:  # as NaT of pandas is, which passes for a datetime
        raise ValueError(f"{value!r} is no moment")
    if getattr(value, "nanosecond", 0):
        raise ValueError(f"{value!r} is finer than a microsecond, which the service does not take: round it")
    if value.utcoffset() is None:
        raise ValueError(f"{value!r} has no time zone; give it one, such as timezone.utc")
    # of a subclass, its own fields: what it makes of isoformat() is anybody's guess
    day, time = (value.year, value.month, value.day), (value.hour, value.minute, value.second, value.microsecond)
    try:
        moment = dt.datetime(*day, *time, value.tzinfo, fold=value.fold).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value!r} is in no year of UTC") from None
    return moment.isoformat().replace("+00:00", "Z")


def day_of(value: Any) -> str | None:
    """A date as the service takes it; a date-time counts as its own day, if it is midnight.

    Returns:
        None where the value is neither.

    Raises:
        ValueError: It has a time of day, or is no day at all.
    """
    if is_moment(value):
        value = of_numpy(value)
    if isinstance(value, datetime):
        if value != value:  # as NaT of pandas is
            raise ValueError(f"{value!r} is no day")
        if any((value.hour, value.minute, value.second, value.microsecond, getattr(value, "nanosecond", 0))):
            raise ValueError(f"{value!r} has a time of day where the service takes a date")
    return f"{value.year:04}-{value.month:02}-{value.day:02}" if isinstance(value, date) else None


def instant_of(value: Any) -> str | None:
    """A date-time as the service takes it; a date is its first moment, in UTC.

    Returns:
        None where the value is neither.

    Raises:
        ValueError: As `instant`.
    """
    if is_moment(value):
        value = of_numpy(value)
    if isinstance(value, datetime):
        return instant(value)
    day = day_of(value)
    return None if day is None else f"{day}T00:00:00Z"


def of_numpy(value: Any) -> date | datetime:
    """A ``datetime64``: a date where its unit is a day or longer, else a moment in UTC, which is what numpy counts in.

    Raises:
        ValueError: It is finer than a microsecond, or nothing that Python has.
    """
    if value != value:
        raise ValueError(f"{value!r} is no moment")
    found = value.item()
    if isinstance(found, date) and not isinstance(found, datetime):
        return found
    exact = value.astype("datetime64[us]")
    if exact != value:
        raise ValueError(f"{value!r} is finer than a microsecond, which the service does not take: round it")
    found = exact.item()
    if not isinstance(found, datetime):
        raise ValueError(f"{value!r} is in no year of Python's")
    return found.replace(tzinfo=UTC)


def is_moment(value: Any) -> bool:
    """Whether it is a moment of numpy's."""
    return getattr(getattr(value, "dtype", None), "kind", "") == "M" and getattr(value, "ndim", 1) == 0


def is_time(value: Any) -> bool:
    """Whether it is a moment or a span of numpy's, which pass for whole numbers."""
    return getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M")
