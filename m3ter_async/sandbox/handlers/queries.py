"""Queries over measurements and over the line items of bills."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ACCOUNTS, METERS
from m3ter_async.sandbox.contract.validation import moment
from m3ter_async.sandbox.exact_numbers import EXACT, total
from m3ter_async.sandbox.refusal import Refusal

MOST_USAGE_ROWS: Final = 20_000
MOST_BILL_ROWS: Final = 2_000
NUMERIC: Final = ("measure", "cost", "income")
TEXTUAL: Final = ("who", "where", "what", "other", "metadata")
# How many characters of a moment tell the hour, day or month; a week starts with any measurement of it.
PERIODS: Final = {"HOUR": 13, "DAY": 10, "MONTH": 7, "QUARTER": 7, "WEEK": 10, "WHOLE_PERIOD": 0}


def _mean(values: list[Any]) -> Decimal:
    return EXACT.divide(total(values), len(values))


# Without a number among the values there is nothing to add up: a count stands for it.
FUNCTIONS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "SUM": total,
    "MIN": min,
    "MAX": max,
    "COUNT": len,
    "LATEST": lambda values: values[-1],
    "MEAN": _mean,
    "UNIQUE": lambda values: len(set(values)),
}


def _ids(world: World, pattern: str) -> dict[str, str]:
    """The ids of a collection by code."""
    return {str(row.get("code")): row["id"] for _, row in world.store.table(pattern, {}).walk()}


def _field(row: Row, code: str, kinds: Iterable[str]) -> Any:
    return next((row[kind][code] for kind in kinds if code in (row.get(kind) or {})), None)


def query_usage(world: World, call: Call) -> Row:
    """POST /usage/query: the measurements, or their aggregations by group."""
    meters, accounts = _ids(world, METERS), _ids(world, ACCOUNTS)
    rows = [
        {**row, "meterId": meters.get(row["meter"]), "accountId": accounts.get(row["account"])}
        for row in world.store.measurements.values()
        if _between(row["ts"], call.body)
    ]
    for name in ("meterIds", "accountIds"):
        wanted = call.body.get(name)
        if wanted:
            rows = [row for row in rows if row[name[:-1]] in wanted]
    for one in call.body.get("dimensionFilters") or ():
        rows = [row for row in rows if _field(row, one["fieldCode"], TEXTUAL) in one["values"]]
    limit = call.body.get("limit") or MOST_USAGE_ROWS
    if limit > MOST_USAGE_ROWS:
        raise Refusal(400, f"limit: above {MOST_USAGE_ROWS}")
    answer = _grouped(rows, call.body) if call.body.get("aggregations") else rows
    return {"data": answer[:limit], "hasMoreData": len(answer) > limit}


def _between(text: str, body: Row) -> bool:
    when, start, end = moment(text), moment(body.get("startDate") or ""), moment(body.get("endDate") or "")
    return when is not None and (start is None or when >= start) and (end is None or when < end)


def _grouped(rows: list[Row], body: Row) -> list[Row]:
    groups: dict[tuple[tuple[str, Any], ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(_group(row, group) for group in body.get("groups") or ()), []).append(row)
    return [{**dict(key), **_aggregated(members, body["aggregations"])} for key, members in groups.items()]


def _group(row: Row, group: Row) -> tuple[str, Any]:
    if group.get("groupType") == "DIMENSION":
        return group["fieldCode"], _field(row, group["fieldCode"], TEXTUAL)
    if group.get("groupType") == "TIME":
        return "startDate", row["ts"][: PERIODS.get(group["frequency"], 10)]
    return "accountId", row["accountId"]


def _aggregated(rows: list[Row], aggregations: list[Row]) -> Row:
    found: Row = {}
    for one in aggregations:
        code, function = one["fieldCode"], one["function"]
        kinds = NUMERIC if one["fieldType"] == "MEASURE" else TEXTUAL
        values = [_field(row, code, kinds) for row in rows if row["meterId"] == one["meterId"]]
        numbers = [
            value if isinstance(value, str) else EXACT.create_decimal(value) for value in values if value is not None
        ]
        # Texts can be counted, but not added up.
        fits = numbers and (kinds is NUMERIC or function in ("COUNT", "UNIQUE", "LATEST"))
        found[f"{code}.{function}"] = FUNCTIONS[function](numbers) if fits else 0
    return found


def query_bills(world: World, call: Call) -> Row:
    """POST /dataexplorer/bills: the line items of the bills in the period, up to the limit."""
    limit = call.body.get("limit") or MOST_BILL_ROWS
    kinds = frozenset(call.body["lineItemTypes"])
    values: list[Row] = []
    for _, bill in world.store.bills.walk():
        if not _between(bill["billDate"], call.body):
            continue
        for line in world.store.lines(bill):
            if line["lineItemType"] in kinds and _fits(_dimensions(bill, line), call.body["dimensions"]):
                values.append(_value(bill, line))
                if len(values) >= limit:
                    return {"values": values}
    return {"values": values}


def _fits(dimensions: Row, queries: list[Row]) -> bool:
    return all(
        not query["filter"] or query["name"] not in dimensions or dimensions[query["name"]] in query["filter"]
        for query in queries
    )


def _dimensions(bill: Row, line: Row) -> Row:
    own = ("description", "lineItemType", "productName", "childAccountId", "commitmentId")
    return {
        "account": bill["accountCode"],
        "accountId": bill["accountId"],
        "billId": bill["id"],
        "billLineItemId": line["id"],
        "subtotalUnit": line["currency"],
        "convertedSubtotalUnit": bill["currency"],
        **{name: line[name] for name in own if name in line},
    }


def _value(bill: Row, line: Row) -> Row:
    measured = ("convertedSubtotal", "subtotal", "conversionRate", "quantity", "units")
    day = bill["billDate"]
    details = {name: bill[name] for name in ("status", "dueDate", "startDate", "endDate", "billDate", "timezone")}
    calendar = {"year": int(day[:4]), "month": day[5:7], "day": int(day[8:]), "yearMonth": day[:7]}
    named = {"billCurrency": bill["currency"], "billingFrequency": bill["billingFrequency"]}
    return {
        "updatedDate": bill["dtLastModified"],
        "dimensions": _dimensions(bill, line),
        "measures": {name: line[name] for name in measured},
        "billDetails": {**details, **calendar, **named, "locked": "true" if bill["locked"] else "false"},
    }


HANDLERS: Final[dict[str, Handler]] = {"PostUsageDataQuery": query_usage, "PostQueryBillData": query_bills}
