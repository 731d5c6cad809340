"""Every answer of the contract: what comes back as it went, what is taken although it is odd, and what is not."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from m3ter_async import APIResponseValidationError, Paginator, resources
from m3ter_async._core import operation as calls
from m3ter_async._core.decoding import Unreadable, decode
from m3ter_async._core.encoding import encode_body
from m3ter_async.transports.protocol import Request, Response

from ..contract import (
    Operation,
    Schema,
    choices,
    example,
    flat,
    needs_document,
    operations,
    true_answer,
)
from ..fakes import FakeTransport, answer, client
from ..resources.test_contract import _json, arguments, key, method_of, record_of

pytestmark = needs_document

# Described by the methods of a Java class: what the service sends is something else, and any of it is taken.
ARTEFACTS = ({"empty"}, {"isEmpty"})


def printed() -> dict[str, calls.Operation[Any]]:
    """The package's own operations."""
    found: dict[str, calls.Operation[Any]] = {}
    for info in pkgutil.iter_modules(resources.__path__):
        module = importlib.import_module(f"m3ter_async.resources.{info.name}")
        found |= {value.id: value for value in vars(module).values() if isinstance(value, calls.Operation)}
    return found


PRINTED = printed()
# Every kind of answer, or of one record of it.
ANSWERS = [
    pytest.param(operation, schema, id=f"{operation.id}-{number}")
    for operation in operations()
    for number, schema in enumerate(choices(record_of(operation) or true_answer(operation) or {}))
    if operation.answer is not None
]
every_answer = pytest.mark.parametrize(("operation", "schema"), ANSWERS)


def read(operation: Operation, payload: Any) -> Any:
    return decode(PRINTED[operation.id].decoder, payload if isinstance(payload, bytes) else _json(payload))


def is_object(schema: Schema) -> bool:
    return bool(schema.get("properties")) and set(schema["properties"]) not in ARTEFACTS


def odd(schema: Schema, name: str = "") -> Any:
    """An example in which every object has a field too many and every enumeration a value that is new."""
    schema = flat(schema)
    if "anyOf" in schema:
        return odd(schema["anyOf"][0], name)
    if schema.get("type") == "array":
        return [odd(schema["items"])]
    if is_object(schema):
        fields = {field: odd(declared, field) for field, declared in schema["properties"].items()}
        return {**fields, "fieldOfTomorrow": {"deep": [1.5, None]}}
    return "VALUE_OF_TOMORROW" if "enum" in schema else example(schema, name)


def nulls(schema: Schema) -> Any:
    """An object whose objects are all there, and whose other fields are all null."""
    schema = flat(schema)
    if "anyOf" in schema:
        return nulls(schema["anyOf"][0])
    if schema.get("type") == "array":
        return [nulls(schema["items"])] if is_object(flat(schema["items"])) else None
    return {field: nulls(declared) for field, declared in schema["properties"].items()} if is_object(schema) else None


def wrong(schema: Schema, at: str = "$") -> Iterator[tuple[str, Any]]:
    """The example with one value of the wrong type in it, for every value, and where that value is."""
    schema = flat(schema)
    if "anyOf" in schema or (schema.get("type") == "object" and not is_object(schema)):
        return  # anything goes
    if schema.get("type") == "array":
        yield at, 5
        for path, value in wrong(schema["items"], f"{at}[1]"):
            yield path, [example(schema["items"]), value]
    elif is_object(schema):
        yield at, 5
        for name, declared in schema["properties"].items():
            for path, value in wrong(declared, f"{at}.{name}"):
                yield path, {name: value}
    elif "type" in schema:
        yield at, {"wrong": 1}


@every_answer
def test_an_answer_goes_round_without_losing_a_digit(operation: Operation, schema: Schema) -> None:
    declared = example(schema)
    once = read(operation, declared)
    sent = encode_body(once)
    assert _json(msgspec.Raw(sent)) == _json(declared)
    assert read(operation, sent) == once


@every_answer
def test_what_is_new_on_the_service_decodes(operation: Operation, schema: Schema) -> None:
    payload = odd(schema)
    assert b"OfTomorrow" not in encode_body(read(operation, payload)) or not is_object(flat(schema))
    values = _json(payload).count(b"VALUE_OF_TOMORROW")
    assert _json(read(operation, payload)).count(b"VALUE_OF_TOMORROW") == values


@every_answer
def test_nulls_and_missing_fields_decode(operation: Operation, schema: Schema) -> None:
    if is_object(flat(schema)):
        read(operation, nulls(schema))
        assert read(operation, dict.fromkeys(flat(schema)["properties"])) == read(operation, {})


@every_answer
def test_a_value_of_the_wrong_type_is_refused_by_its_place(operation: Operation, schema: Schema) -> None:
    for path, payload in wrong(schema):
        with pytest.raises(Unreadable) as caught:
            read(operation, payload)
        assert caught.value.json_path == path


@pytest.mark.parametrize("operation", [o for o in operations() if record_of(o)], ids=lambda operation: operation.id)
async def test_an_error_in_a_page_names_its_place_in_the_page(operation: Operation) -> None:
    schema = choices(record_of(operation) or {})[0]
    path, broken = list(wrong(schema))[-1]
    good = example(schema)
    transport = FakeTransport(lambda _: answer(_json({"data": [good, good, good, broken]})))
    async with client(transport) as m3ter:
        method = method_of(m3ter, operation)
        listing = method(**arguments(method, operation))
        assert isinstance(listing, Paginator)
        with pytest.raises(APIResponseValidationError) as caught:
            await listing.collect()
    assert listing.page_offset == 3
    assert caught.value.json_path == f"$.data[3]{path[1:]}"


async def test_an_amount_of_the_wrong_type_is_named_to_the_last_step() -> None:
    bad = {"id": "b", "lineItems": [{"subtotal": {"amount": 1}}]}
    async with client(FakeTransport(lambda _: answer({"data": [{}, {}, {}, bad]}))) as m3ter:
        with pytest.raises(APIResponseValidationError) as caught:
            await m3ter.bills.list().collect()
    assert caught.value.json_path == "$.data[3].lineItems[0].subtotal"


def test_a_misspelled_or_missing_argument_is_a_type_error_before_anything_is_sent() -> None:
    def serve(_: Request) -> Response:
        raise AssertionError("something was sent")

    m3ter = client(FakeTransport(serve, login=serve))
    for operation in operations():
        method = method_of(m3ter, operation)
        given = arguments(method, operation)
        with pytest.raises(TypeError, match="nonsense"):
            method(**given, nonsense=1)
        names = {key(name): name for name in inspect.signature(method).parameters}
        required = {name for _, name in operation.required if name != "orgId"}
        if operation.body is not None:
            bodies = [set(flat(choice).get("required", ())) for choice in choices(operation.body)]
            required |= set.intersection(*bodies)
        for name in required:
            left_out = names[key(name)]
            with pytest.raises(TypeError, match=left_out):
                method(**{other: value for other, value in given.items() if other != left_out})
