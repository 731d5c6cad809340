"""Filters of lists, as each operation declares them among its query parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from m3ter_async.sandbox.call_context import Call, World
from m3ter_async.sandbox.contract import Field, Row
from m3ter_async.sandbox.contract.validation import moment
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.organization import TODAY

Test = Callable[[Row], bool]

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
            raise Refusal(400, "active: neither true nor false")
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
        raise Refusal(400, f"{name}: not one of {', '.join(field.enum)}")
    if field.type == "boolean":
        return lambda row: bool(row.get(target)) == value
    return lambda row: row.get(target) == value


def _bound(name: str, value: str) -> datetime:
    bound = moment(value)
    if bound is None:
        raise Refusal(400, f"{name}: not a date")
    return bound


def _range(target: str, name: str, value: str, compare: Callable[[Any, Any], bool]) -> Test:
    bound = _bound(name, value)

    def test(row: Row) -> bool:
        text = row.get(target)
        return text is not None and compare(moment(text), bound)

    return test
