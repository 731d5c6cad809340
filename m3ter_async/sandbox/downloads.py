"""Presigned URLs, and the files behind them: statements, usage and the CSV of many bills."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from m3ter_async.sandbox.bills import own_shape, with_lines
from m3ter_async.sandbox.calls import Call, Handler, World
from m3ter_async.sandbox.data import Row
from m3ter_async.sandbox.problem import Problem
from m3ter_async.sandbox.store import BILLS
from m3ter_async.sandbox.validate import moment

PREFIX: Final = "/downloads/"
SIGNATURE: Final = "X-Amz-Signature"
LINE_COLUMNS: Final = ("billId", "id", "lineItemType", "description", "units", "subtotal", "currency")
JSON: Final = msgspec.json.Encoder(decimal_format="number")


def _sign(world: World, resource: str) -> str:
    # Like S3's: a key that only the service knows, over everything the URL asks for.
    return blake2b(resource.encode(), key=f"downloads {world.seed}".encode()[:64], digest_size=32).hexdigest()


def presigned(world: World, file: str, **query: str) -> Row:
    """The answer that points at a file."""
    resource = PREFIX + quote(file) + "?" + urlencode({"X-Amz-Algorithm": "AWS4-HMAC-SHA256", **query})
    return {"downloadUrl": f"{world.url}{resource}&{SIGNATURE}={_sign(world, resource)}"}


def statement_url(world: World, bill_id: str, form: str) -> str:
    """The URL of a bill's statement as `json` or `csv`."""
    url: str = presigned(world, f"statements/{bill_id}.{form}")["downloadUrl"]
    return url


def fetch(world: World, target: str, authorized: bool) -> tuple[str, bytes]:
    """The content type and bytes behind a presigned URL's path and query.

    Like S3, it takes no Authorization header besides the signature (400), and no other signature (403).
    """
    if authorized:
        raise Problem(400, "Authorization: a presigned URL is fetched without this header")
    resource, _, signature = target.partition(f"&{SIGNATURE}=")
    if not compare_digest(signature.encode(), _sign(world, resource).encode()):
        raise Problem(403, f"{SIGNATURE}: does not match the request")
    path, _, query = resource.partition("?")
    kind, _, name = path[len(PREFIX) :].partition("/")
    name, _, form = name.rpartition(".")
    if kind == "usage":
        return "application/json", JSON.encode(_usage(world, *name.split("/")))
    if kind == "statements":
        bill = world.store.bills.get(name)
        if bill is None:
            raise Problem(404, "the bill of this statement does not exist any more")
        if form == "json":
            return "application/json", JSON.encode(with_lines(world, bill))
        return "text/csv", _csv(world, [bill])
    return "text/csv", _csv(world, _bills_between(world, dict(parse_qsl(query))))


def _usage(world: World, bill_id: str, line_id: str) -> Row:
    bill = world.store.bills.get(bill_id)
    for line in world.store.lines(bill) if bill is not None else ():
        if line["id"] == line_id:
            return {"billId": bill_id, "lineItemId": line_id, "usage": line["usagePerPricingBand"]}
    raise Problem(404, "the line item of this usage does not exist any more")


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
        return presigned(world, f"statements/{bill['id']}.{form}")

    return handler


def usage_url(world: World, call: Call) -> Row:
    """GET /bills/{billId}/lineitems/{id}/usage/json."""
    bill = world.store.row(BILLS, call.path, "billId")
    if all(line["id"] != call.path["id"] for line in world.store.lines(bill)):
        raise Problem(404, "id: this bill has no such line item")
    return presigned(world, f"usage/{bill['id']}/{call.path['id']}.json")


def bills_csv_url(world: World, call: Call) -> Row:
    """POST /bills/download/csv/url: the line items of the bills in the ranges given."""
    return presigned(world, "bills/all.csv", **{name: value for name, value in call.body.items() if value is not None})


HANDLERS: Final[dict[str, Handler]] = {
    "GetBillJsonStatement": _statement("json"),
    "GetBillCsvStatement": _statement("csv"),
    "CreateBillCsvStatement": _statement("csv"),
    "GetBillLineItemJsonUsage": usage_url,
    "DownloadBillsCsvUrl": bills_csv_url,
}
