"""The contract document as an independent judge: it is read here without the package's own generator or tables."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from codegen.corrections import M3TER
from codegen.document import DOCUMENT, MISSING
from codegen.operation_names import TABLE

needs_document = pytest.mark.skipif(not DOCUMENT.exists(), reason=MISSING)
NAMING = DOCUMENT.parent / "naming.json"
needs_naming = pytest.mark.skipif(
    not NAMING.exists(), reason=f"there is no list of the m3ter package's names at {NAMING}: see CONTRIBUTING.md"
)

Schema = dict[str, Any]


class Operation(NamedTuple):
    """One operation as the document has it."""

    id: str
    tag: str
    method: str
    path: str
    parameters: dict[tuple[str, str], Schema]
    required: set[tuple[str, str]]
    body: Schema | None
    answer: Schema | None


@functools.cache
def document() -> Any:
    """The document, amounts kept exact."""
    return json.loads(DOCUMENT.read_text(), parse_float=Decimal)


@functools.cache
def naming() -> Any:
    """The names of the `m3ter` package: operation -> resource, method, arguments.

    Without a list of them beside the document, resource and method are those of the generator.
    """
    if NAMING.exists():
        return json.loads(NAMING.read_text())
    entries = ((resource, entry.split("=")) for resource, line in TABLE.items() for entry in line.split())
    return {operation: {"resource": resource, "method": method} for resource, (method, operation) in entries}


def operations() -> Iterator[Operation]:
    """All operations, or none without a document."""
    if not DOCUMENT.exists():
        return
    for path, methods in document()["paths"].items():
        for method, declared in methods.items():
            if method not in ("get", "put", "post", "delete"):
                continue
            parameters = {(p["in"], p["name"]): p["schema"] for p in declared.get("parameters", ())}
            required = {(p["in"], p["name"]) for p in declared.get("parameters", ()) if p.get("required")}
            body = declared.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            content = declared["responses"].get("200", {}).get("content", {})
            answer = next((media.get("schema") for media in content.values()), None)
            tag = declared["tags"][0]
            yield Operation(declared["operationId"], tag, method.upper(), path, parameters, required, body, answer)


def flat(schema: Schema) -> Schema:
    """A schema with its references followed and its bases merged."""
    if "$ref" in schema:
        return flat(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    merged: Schema = {key: value for key, value in schema.items() if key != "allOf"}
    for base in schema.get("allOf", ()):
        other = flat(base)
        merged["properties"] = {**other.get("properties", {}), **merged.get("properties", {})}
        merged["required"] = [*other.get("required", ()), *merged.get("required", ())]
        for key, value in other.items():
            merged.setdefault(key, value)
    if not merged.get("properties"):
        merged.pop("properties", None)
    return merged


# The document says a run, or a simple aggregation, where the path is that of something else.
_MISTAKEN = {
    "GetIntegrationConfig": "IntegrationConfigResponse",
    "GetIntegrationConfigForType": "IntegrationConfigResponse",
    "PostCompoundAggregation": "CompoundAggregationResponse",
    "PutCompoundAggregation": "CompoundAggregationResponse",
}


def true_answer(operation: Operation) -> Schema | None:
    """The schema of the answer, also where the document names another's by mistake."""
    name = _MISTAKEN.get(operation.id)
    return {"$ref": f"#/components/schemas/{name}"} if name else operation.answer


def choices(schema: Schema) -> list[Schema]:
    """The kinds of thing that a schema allows: itself, if it is no union."""
    return flat(schema).get("anyOf") or [schema]


_DAYS = ("date", "datestart", "dateend")
# What the document declares as any text although it is something else, by the name of the argument.
_CORRECTED = {key.rpartition(":")[2].rpartition(".")[2]: kind for key, (kind, _) in M3TER.types.items()}


def example(schema: Schema, name: str = "") -> Any:
    """A value with every field that the document declares, as a caller would pass it."""
    schema = flat(schema)
    if "enum" in schema:
        return schema["enum"][-1]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], name)
    kind, form = schema.get("type"), schema.get("format")
    if kind == "array":
        return [example(schema["items"])] * 2
    if kind == "object" or "properties" in schema:
        if "properties" not in schema:
            extra = schema.get("additionalProperties")
            return {"key": example(extra, name) if isinstance(extra, dict) else "value"}
        return {field: example(declared, field) for field, declared in schema["properties"].items()}
    if kind == "integer":
        return 3
    if kind == "number":
        return Decimal("1234567890.12345678901234567")
    if kind == "boolean":
        return True
    corrected = _CORRECTED.get(name) if form is None else None
    if corrected == "array":
        return ["x"] * 2
    if corrected == "date-time":
        form = corrected
    if form == "date" or corrected == "date" or (form is None and name.lower().endswith(_DAYS)):
        return date(2024, 2, 29)
    if form == "date-time":
        return datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
    if form == "email" or "arn" in schema.get("pattern", ""):
        return "x@example.com" if form else "arn:aws:iam::123456789012:role/x"
    least = max(schema.get("minLength", 0), schema.get("minimum", 0), 1)  # some lengths are in the wrong word
    return ("x" * least)[: schema.get("maxLength", 10**6)]


_FORMS = {
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
}
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, Decimal),
    "array": (list,),
    "object": (dict,),
}


def faults(value: Any, schema: Schema, at: str = "$", *, answer: bool = False) -> Iterator[str]:
    """Everything in `value` that the document does not allow; in an answer, nulls and missing fields are normal."""
    schema = flat(schema)
    if value is None:
        if not answer and not schema.get("nullable"):
            yield f"{at}: null"
        return
    if "anyOf" in schema:
        found = [list(faults(value, choice, at, answer=answer)) for choice in schema["anyOf"]]
        if all(found):
            yield f"{at}: none of {found}"
        return
    kind = schema.get("type") or ("object" if "properties" in schema else None)
    if kind in _KINDS and (not isinstance(value, _KINDS[kind]) or (kind != "boolean" and isinstance(value, bool))):
        yield f"{at}: {value!r} is not of type {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    form = _FORMS.get(schema.get("format", ""))
    if form is not None and not form.fullmatch(value):
        yield f"{at}: {value!r} is no {schema['format']}"
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from faults(item, schema["items"], f"{at}[{index}]", answer=answer)
    if isinstance(value, dict):
        properties = schema.get("properties")
        extra = schema.get("additionalProperties")
        for name, item in value.items():
            if properties is not None and name in properties:
                yield from faults(item, properties[name], f"{at}.{name}", answer=answer)
            elif isinstance(extra, dict):
                yield from faults(item, extra, f"{at}.{name}", answer=answer)
            elif properties is not None and not extra:
                yield f"{at}.{name}: not declared"
        if not answer:
            yield from (f"{at}.{name}: missing" for name in schema.get("required", ()) if name not in value)
