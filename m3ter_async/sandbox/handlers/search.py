"""The search language: `name<op>value` joined by `$`, over the plain fields of an entity."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from operator import eq, ge, gt, le, lt
from typing import Any, Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Field, Row
from m3ter_async.sandbox.contract.path_patterns import ACCOUNTS, BILLS, COMMITMENTS
from m3ter_async.sandbox.contract.validation import moment
from m3ter_async.sandbox.handlers.bills import with_lines
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.state.collection_rows import Table

DEFAULT_PAGE_SIZE: Final = 10
CONDITION: Final = re.compile(r"(\w+)(>=|<=|>|<|:|~)(.+)", re.DOTALL)
COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {">": gt, ">=": ge, ":": eq, "<=": le, "<": lt}


def _search(pattern: str, shape: Callable[[World, Row], Row]) -> Handler:
    return lambda world, call: search(world, call, world.store.table(pattern, {}), shape)


def search(world: World, call: Call, table: Table, shape: Callable[[World, Row], Row]) -> Row:
    """A page from an offset on, newest first unless sorted otherwise."""
    fields = world.fields(call.route.answer)
    query = call.query.get("searchQuery")
    tests = [] if query is None else [_test(text, fields) for text in query.split("$")]
    first, size = call.query.get("fromDocument", 0), call.query.get("pageSize", DEFAULT_PAGE_SIZE)
    if first < 0:
        raise Refusal(400, "fromDocument: below 0")
    joined = any if call.query.get("operator") == "OR" and tests else all
    rows = [row for row in _indexed(world, call, table) if joined(test(row) for test in tests)]
    rows = _sorted(rows, call, fields)
    return {"data": [shape(world, row) for row in rows[first : first + size]]}


def _indexed(world: World, call: Call, table: Table) -> list[Row]:
    """The rows as the index has them, which may be as they were a while ago."""
    before = world.store.a_while_ago(call.route.path.removesuffix("/search"))
    if not before:
        return [row for _, row in table.walk()]
    here = [(row["id"], row) for _, row in table.walk()]
    there = {row_id for row_id, _ in here}
    gone = [row for row_id, row in before.items() if row is not None and row_id not in there]
    rows = [before.get(row_id, row) for row_id, row in here]
    return gone + [row for row in rows if row is not None]


def _sorted(rows: list[Row], call: Call, fields: dict[str, Field]) -> list[Row]:
    name, ascending = call.query.get("sortBy"), call.query.get("sortOrder") == "ASC"
    if name is None:
        return rows[::-1] if ascending else rows
    field = _plain(name, fields, "sortBy")
    # Rows without the field come last in both directions.
    known = [row for row in rows if row.get(name) is not None]
    known.sort(key=lambda row: _value(row[name], field, name), reverse=not ascending)
    return known + [row for row in rows if row.get(name) is None]


def _plain(name: str, fields: dict[str, Field], parameter: str) -> Field:
    field = fields.get(name)
    if field is None or field.type in ("array", "object", "map", "any", "union") or name == "billTotal":
        raise Refusal(400, f"{parameter}: {name} cannot be searched")
    return field


def _test(text: str, fields: dict[str, Field]) -> Callable[[Row], bool]:
    match = CONDITION.fullmatch(text)
    if match is None:
        raise Refusal(400, f"searchQuery: {text!r} is not a name, an operator and a value")
    name, operator, wanted = match.groups()
    field = _plain(name, fields, "searchQuery")
    if operator == "~":
        return lambda row: row.get(name) is not None and str(row[name]).startswith(wanted)
    value, compare = _value(wanted, field, name), COMPARE[operator]
    return lambda row: row.get(name) is not None and compare(_value(row[name], field, name), value)


def _value(text: Any, field: Field, name: str) -> Any:
    """What a text or a stored value is compared as."""
    value: Any = text
    if field.type in ("date", "date-time"):
        value = moment(text)
    elif field.type == "boolean":
        value = {"true": True, "false": False, "True": True, "False": False}.get(str(text))
    elif field.type in ("integer", "number"):
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = None
    if value is None:
        raise Refusal(400, f"searchQuery: {text!r} is not a value of {name}")
    return value


HANDLERS: Final[dict[str, Handler]] = {
    "SearchBills": _search(BILLS, with_lines),
    "SearchAccounts": _search(ACCOUNTS, lambda _world, row: row),
    "SearchCommitments": _search(COMMITMENTS, lambda _world, row: row),
}
