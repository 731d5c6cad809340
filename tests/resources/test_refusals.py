"""What the contract document forbids is refused before anything is sent, wherever in an argument it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from m3ter_async import AsyncM3ter, Paginator
from m3ter_async.transports.protocol import Request, Response

from ..contract import Operation, Schema, choices, example, flat, needs_document, operations
from ..fakes import FakeTransport, answer, client
from .test_contract import arguments, key, kinds, method_of, record_of

pytestmark = needs_document

Step = str | int
Case = tuple[list[Step], Any, type[Exception]]
"""Where in the arguments, by the names on the wire; a value that is forbidden there; and the error."""

WITH_BOUNDS = [(operation, kind) for operation in operations() for kind in range(kinds(operation))]
# A pattern of the document; what it forbids, and what it allows at its edges.
PATTERNS: dict[str, tuple[list[str], list[str]]] = {
    r"^([^[\p{Cntrl}\s]])|([^[\p{Cntrl}\s]][[^[\p{Cntrl}\s]] ]*[^[\p{Cntrl}\s]])$": (
        ["", " ", " a", "a ", "a\tb", "a\nb", "a\x00b", "a\n", "\x7f"],
        ["a", "a b", "a  b", "ß", "a\u00a0b", "-", "日本", "a-b_c.d/e"],
    ),
    r"^[\p{L}_$][\p{L}_$0-9]*$": (
        ["", "1a", "a-b", "a b", "a.b", "a\n", "a\u0663"],
        ["a", "_", "$1", "aß9_$", "日本"],
    ),
    "^[a-zA-Z0-9_-]*$": (["a b", "ä", "a\n", "a.b"], ["-", "a_B-9"]),
    r"^arn:aws:iam::\d+:role/.*$": (
        ["arn:aws:iam::x:role/a", "arn:aws:s3:::bucket", "role/a"],
        ["arn:aws:iam::1:role/", "arn:aws:iam::123456789012:role/a/b"],
    ),
}
# Whether there is such an id is for the service to say, and values of an enumeration are added over time.
UNCHECKED = {"^[a-zA-Z0-9-]*$", "HOUR|DAY|MINUTE"}
EMAILS = (["nobody", "@example.com", "a@", "a@b c"], ["a@b", '"a b"@example.com', "a@[127.0.0.1]", "ä@ö.example"])


def places(schema: Schema, name: str, at: list[Step]) -> Iterator[tuple[list[Step], Schema]]:
    """Every place within a value, with what the document says of it; a union is not looked into."""
    schema = flat(schema)
    if "anyOf" in schema:
        return
    yield at, schema
    if schema.get("type") == "array":
        yield from places(schema["items"], name, [*at, 1])
    elif "properties" in schema:
        for field, declared in schema["properties"].items():
            yield from places(declared, field, [*at, field])
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from places(schema["additionalProperties"], name, [*at, "key"])


def forbidden(at: list[Step], schema: Schema) -> Iterator[Case]:
    """Values just beyond what is allowed at a place."""
    kind, form, pattern = schema.get("type"), schema.get("format"), schema.get("pattern")
    if "enum" in schema:
        yield at, 1, TypeError
    if kind in ("integer", "number"):
        if (least := schema.get("minimum")) is not None:
            yield at, least if schema.get("exclusiveMinimum") else least - 1, ValueError
        if (most := schema.get("maximum")) is not None:
            yield at, most + 1, ValueError
        if form == "int32":
            yield at, 2**31, ValueError
    elif kind == "array":
        item = example(schema["items"])
        if least := schema.get("minItems", 0):
            yield at, [item] * (least - 1), ValueError
        if most := schema.get("maxItems", 0):
            yield at, [item] * (most + 1), ValueError
    elif kind == "string" and form in ("date", "date-time"):
        yield at, "2024-02-30", ValueError
    elif kind == "string" and schema.get("maxLength") != 36:
        if least := schema.get("minLength", 0):
            yield at, "x" * (least - 1), ValueError
        if most := schema.get("maxLength", 0):
            yield at, "x" * (most + 1), ValueError
        bad = EMAILS[0] if form == "email" else PATTERNS[pattern][0] if pattern and pattern not in UNCHECKED else []
        yield from ((at, text, ValueError) for text in bad)


def allowed(at: list[Step], schema: Schema) -> Iterator[tuple[list[Step], Any]]:
    """Values that are only just allowed at a place."""
    kind, form, pattern = schema.get("type"), schema.get("format"), schema.get("pattern")
    if "enum" in schema:
        yield at, "OF_TOMORROW"
    elif kind in ("integer", "number"):
        if (least := schema.get("minimum")) is not None:
            yield at, least + bool(schema.get("exclusiveMinimum"))
        yield at, schema.get("maximum", 2**31 - 1)
    elif kind == "string" and (form == "email" or (pattern and pattern not in UNCHECKED)):
        texts = EMAILS[1] if form == "email" else PATTERNS[pattern or ""][1]
        yield from ((at, text) for text in texts if len(text) <= schema.get("maxLength", 80))
    elif kind == "string" and schema.get("maxLength", 0) > 0:
        yield at, "x" * schema["maxLength"]


def in_arguments(operation: Operation, kind: int) -> list[tuple[list[Step], Schema]]:
    """The places of all arguments of an operation, but those in its path and those that say where paging begins."""
    found = [
        place
        for (where, name), schema in operation.parameters.items()
        if where == "query" and name not in ("nextToken", "fromDocument")
        for place in places(schema, name, [name])
    ]
    if operation.body is not None:
        for name, schema in flat(choices(operation.body)[kind]).get("properties", {}).items():
            found += places(schema, name, [name])
    return found


def copied(value: Any) -> Any:
    """A value of its own at every place: what an example has twice is one object."""
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def put(given: dict[str, Any], at: list[Step], value: Any) -> dict[str, Any]:
    """The arguments with another value at a place."""
    made: dict[str, Any] = copied(given)
    inside: Any = made
    names = {key(name): name for name in given}
    steps: list[Step] = [names[key(str(at[0]))], *at[1:]]
    for step in steps[:-1]:
        inside = inside[step]
    inside[steps[-1]] = value
    return made


def said(given: dict[str, Any], at: list[Step]) -> str:
    """A place as an error names it: the argument as in Python, then the steps."""
    names = {key(name): name for name in given}
    return names[key(str(at[0]))] + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at[1:])


async def call(m3ter: AsyncM3ter, operation: Operation, given: dict[str, Any]) -> None:
    result = method_of(m3ter, operation)(**given)
    await (result.collect() if isinstance(result, Paginator) else result)


async def taken(m3ter: AsyncM3ter, operation: Operation, given: dict[str, Any], what: str) -> None:
    await call(m3ter, operation, given)
    pytest.fail(f"{what} was taken")


@pytest.mark.parametrize(
    ("operation", "kind"), WITH_BOUNDS, ids=lambda value: value.id if isinstance(value, Operation) else str(value)
)
async def test_what_the_contract_forbids_is_refused_with_its_place_and_nothing_is_sent(
    operation: Operation, kind: int
) -> None:
    def serve(_: Request) -> Response:
        if operation.answer is not None and flat(operation.answer).get("type") == "array":
            return answer([])
        return answer({"data": []} if record_of(operation) else {})

    transport = FakeTransport(serve, login=serve if operation.id == "GenerateToken" else None)
    async with client(transport) as m3ter:
        valid = arguments(method_of(m3ter, operation), operation, kind)
        for at, schema in in_arguments(operation, kind):
            for at_, value in allowed(at, schema):
                await call(m3ter, operation, put(valid, at_, value))
        sent = len(transport.requests) + len(transport.logins)
        for at, schema in in_arguments(operation, kind):
            for at_, value, error in forbidden(at, schema):
                with pytest.raises(error, match=re.escape(said(valid, at_)) + r"(\[\d+\])?[:.]"):
                    await taken(m3ter, operation, put(valid, at_, value), f"{value!r} at {said(valid, at_)}")
        assert len(transport.requests) + len(transport.logins) == sent


def test_the_document_forbids_something_within_lists_and_objects() -> None:
    """That there is something to try above, and every pattern of an argument is among what is tried."""
    found = [(at, schema) for operation, kind in WITH_BOUNDS for at, schema in in_arguments(operation, kind)]
    within = {str(at) for at, schema in found if len(at) > 1 and any(forbidden(at, schema))}
    assert "['pricingBands', 1, 'lowerLimit']" in within
    assert len(within) > 30
    patterns = {schema["pattern"] for _, schema in found if "pattern" in schema}
    assert patterns == {*PATTERNS, *UNCHECKED}
