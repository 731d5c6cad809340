"""The options of the data source: checked as a whole when a query is made, before anything is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from .._tabular.pyarrow_import import pa
from ..blocking import Connection
from ..blocking.reading import empty_slice, listing
from ..blocking.tables import Rows
from ..export.slices.arguments import day
from ..export.slices.listings import Listing

PARTITIONS = 32
CHANGE = "_change"
"""The column of a streaming query that says what became of a record."""
_SECRET = ("api_key", "api_secret", "token")
_DAYS = ("since", "until")


@dataclass(frozen=True)
class Options:
    """What a query reads, and how.

    Attributes:
        connections: One for each organization.
        resource: The listing, by the name that it was asked for.
        method: Its method, from the client on: ``bills.list``.
        table: The table, or None for whole records.
        since: The first day.
        until: The day after the last.
        where: Other arguments of the listing.
        partitions: About how many tasks to make.
        by: Whether the listing is divided by days or by ids.
        keep_bad: Whether records that do not fit have rows of their own.
        pushdown: Whether Spark hands over its filters.
        state: The folder of a streaming query, or None for a batch query.
        schema: The Arrow schema of the rows.
    """

    connections: tuple[Connection, ...]
    resource: str
    method: str
    table: str | None = None
    since: str | None = None
    until: str | None = None
    where: Mapping[str, str] = field(default_factory=lambda: {})
    partitions: int = PARTITIONS
    by: Literal["days", "ids"] = "days"
    keep_bad: bool = False
    pushdown: bool = False
    state: str | None = None
    schema: Any = None


def read_options(given: Mapping[str, str]) -> Options:
    """The options of a query.

    Args:
        given: As Spark has them. The names of the source's own options are known in either style, ``base_url`` and
            ``baseUrl``; those of the listing's arguments as they are called in Python.

    Raises:
        ValueError: One is missing, is not known, or has a value that it does not take; the text names it.
        ConfigurationError: A setting of the connection cannot be used.
    """
    own: dict[str, Any] = {}
    where: dict[str, str] = {}
    for name, text in given.items():
        known = _KNOWN.get(_plain(name))
        if known is None:
            where[name] = text
        elif known in own:
            raise ValueError(f"the option {known} is given twice")
        else:
            own[known] = _value(known, text)
    _refuse_others(where)
    resource = own.get("resource")
    if resource is None:
        raise ValueError('the option resource is missing: .option("resource", "bills")')
    days = {name: day(name, own[name]) if name in own else None for name in _DAYS}
    found = listing(resource, where).narrowed(days["since"], days["until"])
    table, keep_bad = own.get("table"), own.get("keep_bad", False)
    rows = Rows(empty_slice(found), table, keep_bad=keep_bad)
    return Options(
        connections=_connections(own),
        resource=resource,
        method=found.method,
        table=table,
        **days,
        where=where,
        partitions=own.get("partitions", PARTITIONS),
        by=_by(own, found),
        keep_bad=keep_bad,
        pushdown=own.get("pushdown", False),
        state=own.get("state"),
        schema=rows.schema if "state" not in own else _of_changes(rows.schema, own),
    )


def _of_changes(schema: Any, own: Mapping[str, Any]) -> Any:
    """The schema of a streaming query."""
    for name in (*_DAYS, "table", "partitions", "by", "pushdown"):
        if name in own:
            raise ValueError(f"the option {name} does not go with state: a stream brings all that changes, whole")
    return schema.append(pa.field(CHANGE, pa.string()))


def _by(own: Mapping[str, Any], listing: Listing) -> Literal["days", "ids"]:
    """What the tasks are divided by; without days that is ids, where the listing can be asked for them."""
    dated = any(name in own for name in _DAYS)
    by: Literal["days", "ids"] = own.get("by", "ids" if listing.by_ids and not dated else "days")
    if by == "ids" and not listing.by_ids:
        raise ValueError(f"the option by cannot be ids: {listing.resource} cannot be asked for ids")
    return by


def _connections(own: Mapping[str, Any]) -> tuple[Connection, ...]:
    settings = {name: own[name] for name in _OF_CONNECTION if name in own}
    given = [name for name in ("org_id", "organizations", "profiles") if name in own]
    if len(given) > 1:
        raise ValueError(f"the options {' and '.join(given)} exclude each other: give one of them")
    if "profiles" in own:
        return tuple(Connection(profile=each, **settings) for each in own["profiles"])
    return tuple(Connection(org_id=each, **settings) for each in own.get("organizations", [own.get("org_id")]))


def _refuse_others(where: Iterable[str]) -> None:
    """Refuse what is surely not an argument of a listing; all else the listing itself refuses."""
    for name in where:
        if _plain(name) in map(_plain, _SECRET):
            raise ValueError(
                f"the option {name} is not taken, since Spark shows options in its plans: set M3TER_API_KEY and "
                "M3TER_API_SECRET where the driver and the workers run"
            )
        if near := get_close_matches(_plain(name), _KNOWN, 1, 0.8):
            raise ValueError(f"the option {name} is not known; did you mean {_KNOWN[near[0]]}?")


def _value(name: str, text: str) -> Any:
    words, read = _READ.get(name, _TEXT)
    try:
        return read(text.strip())
    except ValueError:
        raise ValueError(f"the option {name} must be {words}, not {text!r}") from None


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def _texts(text: str) -> list[str]:
    found = [_text(each.strip()) for each in text.split(",")]
    if len(set(found)) < len(found):
        raise ValueError  # each of its rows would come twice
    return found


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


_TEXT: tuple[str, Callable[[str], Any]] = ("a text, not empty", _text)
_COUNT: tuple[str, Callable[[str], Any]] = ("a whole number from 1", _whole)
_NUMBER: tuple[str, Callable[[str], Any]] = ("a number above 0", _positive)
_FLAG: tuple[str, Callable[[str], Any]] = ("true or false", _truth)


def _division(text: str) -> str:
    if text not in ("days", "ids"):
        raise ValueError
    return text


_READ: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "partitions": _COUNT,
    "by": ("days or ids", _division),
    "keep_bad": _FLAG,
    "pushdown": _FLAG,
    "organizations": ("ids of organizations, joined by commas, each once", _texts),
    "profiles": ("names of profiles, joined by commas, each once", _texts),
    "rate_limit": _NUMBER,
    "timeout": _NUMBER,
    "max_connections": _COUNT,
    "allow_insecure_http": _FLAG,
}
_OF_CONNECTION = ("base_url", "limiter", "rate_limit", "timeout", "max_connections", "allow_insecure_http")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_KNOWN: Mapping[str, str] = {
    _plain(name): name for name in ("resource", "table", *_DAYS, "org_id", "state", *_READ, *_OF_CONNECTION)
}
