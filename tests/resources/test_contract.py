"""What goes over the wire is judged by the contract document, so that one mistake cannot hide in both ends."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest

from m3ter_async import Paginator
from m3ter_async.transports.protocol import Request, Response

from ..contract import (
    Operation,
    Schema,
    choices,
    example,
    faults,
    flat,
    naming,
    needs_document,
    needs_naming,
    operations,
    true_answer,
)
from ..fakes import FakeTransport, answer, client

SELECTED = list(operations())

pytestmark = needs_document


def method_of(m3ter: Any, operation: Operation) -> Callable[..., Any]:
    """The client's method for an operation, under its published name."""
    name = naming()[operation.id]
    namespace = functools.reduce(getattr, name["resource"].split("."), m3ter)
    found: Callable[..., Any] = getattr(namespace, name["method"])
    return found


def key(name: str) -> str:
    """What is left of a name when spelling does not count: ``billDateStart`` and ``bill_date_start`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def declared_values(operation: Operation, kind: int = 0) -> dict[str, tuple[str, str, Any]]:
    """A value for every parameter and every field of that kind of body, by the key of its name."""
    values = {
        key(name): (place, name, example(schema, name))
        for (place, name), schema in operation.parameters.items()
        if name not in ("orgId", "nextToken")
    }
    if operation.body is not None:
        for name, schema in flat(choices(operation.body)[kind]).get("properties", {}).items():
            values[key(name)] = ("body", name, example(schema, name))
    return values


def arguments(method: Callable[..., Any], operation: Operation, kind: int = 0) -> dict[str, Any]:
    """Everything that the document declares, as keyword arguments of `method`."""
    names = {key(name): name for name in inspect.signature(method).parameters}
    values = declared_values(operation, kind)
    unreachable = set(values) - set(names)
    assert not unreachable, f"no keyword for {sorted(unreachable)}"
    every = {name for each in range(kinds(operation)) for name in declared_values(operation, each)}
    unknown = set(names) - every - {"nexttoken", "waitforslot"}
    assert not unknown, f"a keyword that the contract lacks: {sorted(unknown)}"
    given = {names[name]: value for name, (_, _, value) in values.items()}
    for name in ("from_document", "page_size"):
        if name in given:
            given[name] = 7
    return given


def kinds(operation: Operation) -> int:
    """How many kinds of body an operation takes."""
    return len(choices(operation.body)) if operation.body is not None else 1


def query_faults(operation: Operation, query: dict[str, str]) -> list[str]:
    """What the document does not allow in a query string."""
    found = []
    for name, text in query.items():
        schema = operation.parameters.get(("query", name))
        if schema is None:
            found.append(f"{name}: not declared")
            continue
        schema = flat(schema)
        value: Any = text
        if schema.get("type") == "array":
            value = text.split(",")
        elif schema.get("type") == "integer":
            value = int(text)
        elif schema.get("type") == "boolean":
            value = {"true": True, "false": False}[text]
        found.extend(faults(value, schema, name))
    return found


def record_of(operation: Operation) -> Schema | None:
    """The schema of one record, where the operation answers pages of them."""
    properties = flat(true_answer(operation) or {}).get("properties", {})
    return properties["data"]["items"] if {"data", "nextToken"} <= set(properties) else None


@pytest.mark.parametrize(
    ("operation", "kind"),
    [(operation, kind) for operation in SELECTED for kind in range(kinds(operation))],
    ids=lambda value: value.id if isinstance(value, Operation) else str(value),
)
async def test_every_declared_argument_goes_over_the_wire_as_the_contract_says(operation: Operation, kind: int) -> None:
    def serve(_: Request) -> Response:
        if operation.answer is not None and flat(operation.answer).get("type") == "array":
            return answer([])
        return answer({"data": []} if record_of(operation) else {})

    transport = FakeTransport(serve)
    async with client(transport) as m3ter:
        method = method_of(m3ter, operation)
        given = arguments(method, operation, kind)
        result = method(**given)
        await result if not isinstance(result, Paginator) else await result.collect()
    request = (transport.logins if operation.id == "GenerateToken" else transport.requests)[-1]
    assert request.method == operation.method
    url = urlsplit(request.url)
    template = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path)
    path = re.fullmatch(template, url.path)
    assert path, f"{url.path} is not {operation.path}"
    assert [unquote(value) for name, value in path.groupdict().items() if name == "orgId"] in ([], ["org-1"])
    query = dict(parse_qsl(url.query, strict_parsing=bool(url.query), keep_blank_values=True))
    assert not query_faults(operation, query)
    expected = {name for place, name, _ in declared_values(operation, kind).values() if place == "query"}
    assert set(query) == expected
    if operation.body is None:
        assert request.content is None
    else:
        body = json.loads(request.content or b"", parse_float=Decimal)
        assert not list(faults(body, operation.body))
        assert set(body) == set(flat(choices(operation.body)[kind]).get("properties", {}))


@pytest.mark.parametrize("operation", SELECTED, ids=lambda operation: operation.id)
async def test_an_answer_with_every_declared_field_decodes_to_the_last_digit(operation: Operation) -> None:
    """Every field of the contract's answer is found again, under its own name and with its own value."""
    record = record_of(operation)
    declared = example(record or true_answer(operation) or {})
    payload = {"data": [declared]} if record else declared

    def serve(_: Request) -> Response:
        return answer(_json(payload))

    async with client(FakeTransport(serve, login=serve if operation.id == "GenerateToken" else None)) as m3ter:
        method = method_of(m3ter, operation)
        result = method(**arguments(method, operation))
        decoded = (await result.collect(limit=1))[0] if isinstance(result, Paginator) else await result
    if operation.answer is None:
        assert decoded is None
    else:
        assert _json(decoded) == _json(declared)


@needs_naming
def test_path_arguments_are_taken_by_position_and_by_name_as_in_the_published_package() -> None:
    m3ter = client(FakeTransport([]))
    for operation in SELECTED:
        parameters = inspect.signature(method_of(m3ter, operation)).parameters.values()
        by_position = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        assert by_position == naming()[operation.id].get("positional", []), operation.id
        assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters if p.name in by_position)
        assert set(naming()[operation.id].get("keyword_path_args", ())) <= {p.name for p in parameters}


def _json(value: Any) -> bytes:
    """JSON in which only meaning counts: sorted keys, exact numbers, instants in one spelling."""
    encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
    return encode(msgspec.json.Decoder(float_hook=Decimal).decode(encode(value)))
