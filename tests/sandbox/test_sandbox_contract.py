"""The sandbox says what the contract says: checked with code that shares nothing with the sandbox's own checks."""

from __future__ import annotations

import json
import re
from contextlib import closing
from decimal import Decimal
from typing import Any

import httpx
import pytest

from codegen.document import DOCUMENT
from m3ter_async.sandbox import Sandbox
from m3ter_async.sandbox.contract import ROUTES, SCHEMAS, Field

from ..contract import needs_document
from .raw import DECODER, Raw, RawFactory, tour

DATE = r"\d{4}-\d\d-\d\d"
FORMS = {"date": re.compile(DATE), "date-time": re.compile(DATE + r"T\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z")}
TYPES: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "number": (int, Decimal),
    "map": dict,
    "object": dict,
    "array": list,
}


def faults(value: Any, field: Field, place: str) -> list[str]:
    """Everything about an answer that the contract's tables do not allow; null stands for a missing value."""
    if field.type in ("any", "union") or value is None:
        return []
    if not has_type(value, TYPES.get(field.type, str)):
        return [f"{place}: {value!r} is no {field.type}"]
    if field.enum and value not in field.enum:
        return [f"{place}: {value!r} is not in the enum"]
    if field.type in FORMS and not FORMS[field.type].fullmatch(value):
        return [f"{place}: {value!r} is no {field.type}"]
    if field.type == "array" and field.item is not None:
        return [fault for item in value for fault in faults(item, field.item, place + "[]")]
    if field.type == "object":
        fields = SCHEMAS[field.ref or ""]
        found = [f"{place}.{name}: unknown" for name in value if name not in fields]
        found += [f"{place}.{name}: missing" for name, one in fields.items() if one.required and name not in value]
        for name, item in value.items():
            found += faults(item, fields[name], f"{place}.{name}") if name in fields else []
        return found
    return []


def has_type(value: object, wanted: Any) -> bool:
    """Whether the value is of the type, where a boolean is no number."""
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


Answers = dict[str, list[Any]]


def operation_of(method: str, path: str) -> str:
    """The operation a path belongs to, found without the sandbox's router."""
    found = [
        (route.path.count("{"), route.operation)
        for route in ROUTES
        if route.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), path)
    ]
    return min(found)[1]


@pytest.fixture(scope="module")
def answers() -> Answers:
    """Every answer of the tour through the bills, by operation; `test_sandbox_walk` calls all the others too."""
    seen: Answers = {}

    def listen(response: httpx.Response) -> None:
        operation = operation_of(response.request.method, response.request.url.path)
        seen.setdefault(operation, []).append(DECODER.decode(response.read()))

    with Sandbox(seed=3, bills=120) as sandbox:
        raw = Raw(sandbox)
        with closing(raw.http):
            raw.http.event_hooks["response"] = [listen]
            tour(raw)
    return seen


def test_every_answer_conforms_to_the_contract_tables(answers: Answers) -> None:
    for route in ROUTES:
        for answer in answers.get(route.operation, ()):
            assert route.answer is not None
            assert faults(answer, route.answer, route.operation) == []


@needs_document
def test_every_answer_conforms_to_the_openapi_document(answers: Answers) -> None:
    document = json.loads(DOCUMENT.read_text())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in ("get", "post", "put", "delete") and operation["operationId"] in answers:
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
                for answer in answers[operation["operationId"]]:
                    assert schema_faults(answer, schema, document, f"{method} {path}") == []


def properties_of(schema: Any, document: Any) -> dict[str, Any]:
    """The properties of a schema, through references and compositions."""
    if "$ref" in schema:
        return properties_of(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    found: dict[str, Any] = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        found.update(properties_of(part, document))
    return found


def schema_faults(value: Any, schema: Any, document: Any, place: str) -> list[str]:
    """Everything about an answer that the document's schema does not allow; null stands for a missing value."""
    if value is None or "anyOf" in schema:
        return []
    if "$ref" in schema:
        target = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema_faults(value, target, document, place)
    if has_type(value, dict) and (properties := properties_of(schema, document)):
        found = [f"{place}.{name}: unknown" for name in value if name not in properties]
        for name, item in value.items():
            found += schema_faults(item, properties.get(name, {}), document, f"{place}.{name}")
        return found
    if "allOf" in schema:
        return [fault for part in schema["allOf"] for fault in schema_faults(value, part, document, place)]
    kind = schema.get("type")
    wanted: dict[str, Any] = {
        "string": str,
        **{name: TYPES[name] for name in ("boolean", "integer", "number", "object", "array")},
    }
    if kind is not None and not has_type(value, wanted[kind]):
        return [f"{place}: {value!r} is no {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is not in the enum"]
    if kind == "array":
        return [fault for item in value for fault in schema_faults(item, schema["items"], document, place + "[]")]
    return []


def test_the_data_is_as_varied_as_the_service_s(shared: Raw) -> None:
    bills = shared.all("/bills")
    lines = [line for bill in bills for line in bill["lineItems"]]
    amounts = [line["subtotal"] for line in lines]
    assert {line["lineItemType"] for line in lines} == set(SCHEMAS["BillLineItem"]["lineItemType"].enum)
    assert {len(line["usagePerPricingBand"]) for line in lines} == {0, 1, 2, 3, 4}
    assert {bill["currency"] for bill in bills} >= {"USD", "EUR", "GBP", "JPY"}
    assert {bill["status"] for bill in bills} == {"PENDING", "APPROVED"}
    assert any(not bill["lineItems"] for bill in bills)
    assert any(bill["purchaseOrderNumber"] is None for bill in bills)
    assert any("externalInvoiceReference" not in bill for bill in bills)
    assert min(amounts) < 0 < max(amounts)
    assert any(amount == 0 for amount in amounts)
    assert any(Decimal(repr(float(amount))) != amount for amount in amounts), "none that a double cannot hold"
    places = {-amount.as_tuple().exponent for amount in amounts}
    assert {2, 3, 13} <= places <= set(range(14))
    stamps = {len(bill["createdDate"].partition(".")[2].rstrip("Z")) for bill in bills}
    assert stamps == {0, 3, 6}


def test_no_amount_is_written_with_an_exponent(shared: Raw) -> None:
    text = shared.ask("GET", "/bills", pageSize=100).text
    assert re.search(r":-?[\d.]+[eE]", text) is None


def test_the_same_seed_gives_the_same_bytes(start: RawFactory) -> None:
    texts: list[list[str]] = []
    for _ in range(2):
        raw = start(seed=11)
        seen: list[str] = []

        def listen(response: httpx.Response, raw: Raw = raw, seen: list[str] = seen) -> None:
            if not response.request.url.path.startswith("/oauth"):
                seen.append(response.read().decode().replace(raw.sandbox.url, ""))

        raw.http.event_hooks["response"] = [listen]
        tour(raw)
        texts.append(seen)
    assert texts[0] == texts[1]


def test_another_seed_gives_another_organization(start: RawFactory) -> None:
    one, two = start(seed=1).sandbox, start(seed=2).sandbox
    assert one.org_id != two.org_id
    assert one.api_secret != two.api_secret
    assert one.truth() != two.truth()
