"""Presigned URLs, and the files behind them: statements, usage and the CSV of many bills."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import BILLS
from m3ter_async.sandbox.contract.validation import moment
from m3ter_async.sandbox.exact_numbers import ENCODER
from m3ter_async.sandbox.files.presigned_urls import DOWNLOADS, download_url, verify
from m3ter_async.sandbox.handlers.bills import with_lines
from m3ter_async.sandbox.handlers.line_items import own_shape
from m3ter_async.sandbox.refusal import Refusal

LINE_COLUMNS: Final = ("billId", "id", "lineItemType", "description", "units", "subtotal", "currency")


def statement_url(world: World, bill_id: str, form: str) -> str:
    """The URL of a bill's statement as `json` or `csv`."""
    return download_url(world, f"statements/{bill_id}.{form}")


def fetch(world: World, target: str, authorized: bool) -> tuple[str, bytes]:
    """The content type and bytes behind a presigned URL's path and query."""
    resource = verify(world, target, authorized)
    path, _, query = resource.partition("?")
    kind, _, name = path[len(DOWNLOADS) :].partition("/")
    if kind == "files":
        if name not in world.store.files:
            raise Refusal(404, "there is no such file")
        return world.store.files[name]
    name, _, form = name.rpartition(".")
    if kind == "usage":
        return "application/json", ENCODER.encode(_usage(world, *name.split("/")))
    if kind == "statements":
        bill = world.store.bills.get(name)
        if bill is None:
            raise Refusal(404, "the bill of this statement does not exist any more")
        if form == "json":
            return "application/json", ENCODER.encode(with_lines(world, bill))
        return "text/csv", _csv(world, [bill])
    return "text/csv", _csv(world, _bills_between(world, dict(parse_qsl(query))))


def _usage(world: World, bill_id: str, line_id: str) -> Row:
    bill = world.store.bills.get(bill_id)
    for line in world.store.lines(bill) if bill is not None else ():
        if line["id"] == line_id:
            return {"billId": bill_id, "lineItemId": line_id, "usage": line["usagePerPricingBand"]}
    raise Refusal(404, "the line item of this usage does not exist any more")


def _bills_between(world: World, query: dict[str, str]) -> Iterable[Row]:
    invoiced = ("externalInvoiceDate", "externalInvoiceDateStart", "externalInvoiceDateEnd")
    ranges = (("billDate", "startDate", "endDate"), invoiced)
    for _, bill in world.store.bills.walk():
        for field, start, end in ranges:
            value = bill.get(field)
            if start in query and (value is None or _before(value, query[start])):
                break
            if end in query and (value is None or not _before(value, query[end])):
                break
        else:
            yield bill


def _before(value: str, bound: str) -> bool:
    first, second = moment(value), moment(bound)
    return first is not None and second is not None and first < second


def _csv(world: World, bills: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(LINE_COLUMNS)
    for bill in bills:
        for line in world.store.lines(bill):
            row = own_shape(line, bill)
            writer.writerow([row[name] for name in LINE_COLUMNS])
    return text.getvalue().encode()


def _statement(form: str) -> Handler:
    def handler(world: World, call: Call) -> Row:
        bill = world.store.row(BILLS, call.path)
        if call.route.method == "POST":
            world.store.bills.put({**bill, "csvStatementGenerated": True})
            world.wrote(call)
        return {"downloadUrl": statement_url(world, bill["id"], form)}

    return handler


def usage_url(world: World, call: Call) -> Row:
    """GET /bills/{billId}/lineitems/{id}/usage/json."""
    bill = world.store.row(BILLS, call.path, "billId")
    if all(line["id"] != call.path["id"] for line in world.store.lines(bill)):
        raise Refusal(404, "id: this bill has no such line item")
    return {"downloadUrl": download_url(world, f"usage/{bill['id']}/{call.path['id']}.json")}


def bills_csv_url(world: World, call: Call) -> Row:
    """POST /bills/download/csv/url: the line items of the bills in the ranges given."""
    ranges = {name: value for name, value in call.body.items() if value is not None}
    return {"downloadUrl": download_url(world, "bills/all.csv", **ranges)}


HANDLERS: Final[dict[str, Handler]] = {
    "GetBillJsonStatement": _statement("json"),
    "GetBillCsvStatement": _statement("csv"),
    "CreateBillCsvStatement": _statement("csv"),
    "GetBillLineItemJsonUsage": usage_url,
    "DownloadBillsCsvUrl": bills_csv_url,
}
