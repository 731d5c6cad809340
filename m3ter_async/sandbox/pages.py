"""Lists: filters as each operation declares them, and pages behind opaque tokens."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec

from m3ter_async.sandbox.calls import Call, World
from m3ter_async.sandbox.data import TODAY, Row
from m3ter_async.sandbox.problem import Problem
from m3ter_async.sandbox.schema import Field
from m3ter_async.sandbox.validate import moment

Walk = Callable[["int | None"], Iterable[tuple[int, Row]]]
Test = Callable[[Row], bool]

# The contract declares only the largest page; an answer without `pageSize` takes this many, or the largest if fewer.
DEFAULT_PAGE_SIZE: Final = 100

# Filters whose name is not the name of the field they look at.
FILTER_FIELDS: Final = {
    ("ListStatementJobs", "status"): "statementJobStatus",
    ("ListBalances", "contract"): "contractId",
    ("ListCounterAdjustments", "endDateStart"): "dateStart",
    ("ListCounterAdjustments", "endDateEnd"): "dateEnd",
    ("ListJobs", "dateCreatedStart"): "uploadDateStart",
    ("ListJobs", "dateCreatedEnd"): "uploadDateEnd",
    ("ListJobs", "fileKey"): "fileName",
    ("ListIntegrationRuns", "startDate"): "dtStartedStart",
    ("ListIntegrationRuns", "endDate"): "dtStartedEnd",
    ("ListIntegrationRunsByDestinationId", "startDate"): "dtStartedStart",
    ("ListIntegrationRunsByDestinationId", "endDate"): "dtStartedEnd",
    ("ListExternalMappings", "externalSystemId"): "externalSystem",
    ("ListExternalMappings", "m3terIds"): "m3terId",
}
FINISHED: Final = frozenset({"COMPLETE", "CANCELLED", "FAILED", "SUCCEEDED"})


def page(world: World, call: Call, walk: Walk, shape: Callable[[Row], Row]) -> Row:
    """One page of the rows that pass the call's filters, with the token of the next."""
    cursor = _Cursor(world, call)
    after, shown_empty = cursor.read()
    if world.empty_pages and not shown_empty and cursor.chance(after, 7):
        return {"data": [], "nextToken": cursor.token(after, True)}
    largest = int(call.route.query["pageSize"].maximum or DEFAULT_PAGE_SIZE)
    size: int = call.query.get("pageSize", min(largest, DEFAULT_PAGE_SIZE))
    passes = filters(world, call)
    found: list[tuple[int, Row]] = []
    for place, row in walk(after):
        if all(test(row) for test in passes):
            found.append((place, row))
            if len(found) > size:
                break
    declared = world.fields(call.route.answer)
    answer: Row = {"data": [_declared(shape(row), declared) for _, row in found[:size]]}
    if len(found) > size:
        answer["nextToken"] = cursor.token(found[size - 1][0], False)
    else:
        answer.update(cursor.end())
    return answer


def _declared(row: Row, fields: Mapping[str, Field]) -> Row:
    """A list shows what it declares, which for some entities is less than what there is."""
    return row if row.keys() <= fields.keys() else {name: value for name, value in row.items() if name in fields}


def numbered(rows: list[Row]) -> Walk:
    """Rows that are at hand as a list: the place is the index."""
    return lambda after: list(enumerate(rows))[0 if after is None else after + 1 :]


def filters(world: World, call: Call) -> list[Test]:
    """A test for each filter among the query parameters."""
    fields = world.fields(call.route.answer)
    tests = [_filter(call.route.operation, name, value, fields) for name, value in call.query.items()]
    return [test for test in tests if test is not None]


def _filter(operation: str, name: str, value: Any, fields: Mapping[str, Field]) -> Test | None:
    target = FILTER_FIELDS.get((operation, name), name)
    start, end = target.removesuffix("Start"), target.removesuffix("End")
    if name in ("ids", "codes"):
        return _among(name[:-1], frozenset(value))
    for known in (target, target + "Id"):
        if known in fields:
            return _equal(known, fields[known], name, value)
    if name == "includeall":
        return None if value else _in_force(datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC))
    if name == "active":
        if value not in ("true", "false"):
            raise Problem(400, "active: neither true nor false")
        return _unfinished(value == "true")
    if target + "s" in fields:
        return lambda row: value in (row.get(target + "s") or ())
    if name == "date" and "startDate" in fields:
        return _in_force(_bound(name, value))
    if start != target and start in fields:
        return _range(start, name, value, lambda row, bound: row >= bound)
    if end != target and end in fields:
        return _range(end, name, value, lambda row, bound: row < bound)
    return None


def _among(field: str, wanted: frozenset[str]) -> Test:
    return lambda row: row.get(field) in wanted


def _unfinished(wanted: bool) -> Test:
    return lambda row: (row.get("status", row.get("statementJobStatus")) not in FINISHED) == wanted


def _in_force(bound: Any) -> Test:
    """From the start on and up to, and without, the end; without an end for ever."""

    def test(row: Row) -> bool:
        start, end = row.get("startDate"), row.get("endDate")
        return (start is None or moment(start) <= bound) and (end is None or moment(end) > bound)

    return test


def _equal(target: str, field: Field, name: str, value: Any) -> Test:
    if field.type in ("date", "date-time"):
        return _range(target, name, value, lambda row, bound: row == bound)
    if isinstance(value, list):
        return _among(target, frozenset(cast("list[str]", value)))
    if field.enum and value not in field.enum:
        raise Problem(400, f"{name}: not one of {', '.join(field.enum)}")
    if field.type == "boolean":
        return lambda row: bool(row.get(target)) == value
    return lambda row: row.get(target) == value


def _bound(name: str, value: str) -> datetime:
    bound = moment(value)
    if bound is None:
        raise Problem(400, f"{name}: not a date")
    return bound


def _range(target: str, name: str, value: str, compare: Callable[[Any, Any], bool]) -> Test:
    bound = _bound(name, value)

    def test(row: Row) -> bool:
        text = row.get(target)
        return text is not None and compare(moment(text), bound)

    return test


class _Cursor:
    """The token of one list: a place in it, signed together with the operation, its path and its filters."""

    def __init__(self, world: World, call: Call) -> None:
        self._given: str | None = call.query.get("nextToken")
        # The size of a page may change on the way, the filters may not.
        kept = {name: value for name, value in call.query.items() if name not in ("nextToken", "pageSize")}
        self._list = msgspec.json.encode([world.seed, call.route.operation, call.path, kept], order="sorted")

    def _hash(self, *words: object) -> str:
        return blake2b(self._list + repr(words).encode(), digest_size=9).hexdigest()

    def read(self) -> tuple[int | None, bool]:
        """The place the given token stands for, and whether an empty page was shown there."""
        if self._given is None:
            return None, False
        try:
            text = urlsafe_b64decode(self._given.encode()).decode()
            place, shown, _ = text.split(".")
            after, shown_empty = None if place == "start" else int(place), shown == "1"
        except ValueError:
            raise Problem(400, "nextToken: not a token of this service") from None
        if self._given != self.token(after, shown_empty):
            raise Problem(400, "nextToken: of another list or other filters")
        return after, shown_empty

    def token(self, after: int | None, shown_empty: bool) -> str:
        """The token that goes on after a place."""
        text = f"{'start' if after is None else after}.{int(shown_empty)}.{self._hash(after, shown_empty)}"
        return urlsafe_b64encode(text.encode()).decode()

    def chance(self, after: int | None, one_in: int) -> bool:
        """Whether this place is among the one in so many, always the same ones for a seed."""
        return int(self._hash("chance", after), 16) % one_in == 0

    def end(self) -> Row:
        """One of the three ways in which a last page says that it is the last."""
        ends: tuple[Row, ...] = ({}, {"nextToken": None}, {"nextToken": ""})
        return ends[int(self._hash("end"), 16) % 3]
