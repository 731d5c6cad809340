"""From a record to what people do with it: exact in each form, short to look at, and at no cost to those who do not."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Hashable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import TypeAdapter, ValidationError

from m3ter_async import models
from m3ter_async._core.encoding import encode_body
from m3ter_async.models import Bill, Model, WebhookDestination

from ..fakes import FakeTransport, answer, client

RAW = (
    b'{"id":"b1","billTotal":379187512993718482571.10,"billDate":"2024-01-31","dueDate":null,"locked":false,'
    b'"dtCreated":"2024-02-01T12:00:00.123456Z","lineItems":[{"id":"l1","subtotal":1.50,"quantity":1E+2,'
    b'"additional":{"k":0.10}},{"id":"l2","subtotal":-0.00}],"new":1}'
)
BILL = Bill.from_json(RAW)


def exact(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def every_model() -> list[type[Model]]:
    found = (getattr(models, name) for name in models.__all__ if name != "Model")
    return [each for each in found if isinstance(each, type) and issubclass(each, Model)]


def test_a_dict_has_every_field_with_its_exact_value() -> None:
    fields = BILL.to_dict()
    assert list(fields) == list(Bill.__struct_encode_fields__)
    assert fields["billTotal"] == Decimal("379187512993718482571.10")
    assert fields["billDate"] == date(2024, 1, 31)
    assert fields["dtCreated"] == datetime(2024, 2, 1, 12, 0, 0, 123456, UTC)
    assert fields["dueDate"] is None
    assert fields["accountId"] is None  # what is null and what is missing are one to a model
    assert type(fields["lineItems"][0]) is dict
    assert fields["lineItems"][0]["subtotal"].as_tuple() == Decimal("1.50").as_tuple()
    assert BILL.to_dict(use_api_names=False)["line_items"][1]["id"] == "l2"
    short = BILL.to_dict(exclude_none=True)
    assert "dueDate" not in short
    assert "quantity" not in short["lineItems"][1]
    fields["lineItems"].clear()
    assert BILL.line_items is not None
    assert len(BILL.line_items) == 2


def test_a_dict_for_json_is_written_by_any_json_library_without_rounding() -> None:
    fields = json.loads(json.dumps(BILL.to_dict(mode="json")))
    assert fields["billTotal"] == "379187512993718482571.10"
    assert fields["billDate"] == "2024-01-31"
    assert fields["dtCreated"] == "2024-02-01T12:00:00.123456Z"
    assert fields["locked"] is False
    assert fields["dueDate"] is None


def test_json_has_numbers_digit_for_digit_and_reads_back_as_the_same() -> None:
    text = BILL.to_json()
    assert '"billTotal":379187512993718482571.10,' in text
    assert '"subtotal":-0.00' in text
    assert '"quantity":1E+2' in text
    assert '"dueDate":null' in text
    assert Bill.from_json(text) == Bill.from_json(text.encode()) == BILL
    assert Bill.from_json(BILL.to_json(indent=2)) == BILL
    assert "\n  " in BILL.to_json(indent=2)
    assert exact(BILL.to_json(exclude_none=True, use_api_names=False))["bill_total"] == BILL.bill_total
    with pytest.raises(ValueError, match="not an amount"):
        Bill(bill_total=Decimal("NaN")).to_json()


def test_json_that_is_no_such_model_is_an_error_by_its_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"`\$\.billTotal`"):
        Bill.from_json('{"billTotal":"Infinity"}')
    with pytest.raises(msgspec.DecodeError):
        Bill.from_json("{")


def test_what_the_service_sent_goes_round_as_it_came() -> None:
    sent = exact(RAW)
    back = exact(BILL.to_json(exclude_none=True))
    del sent["new"], sent["dueDate"]
    assert back == sent


@pytest.mark.parametrize("kind", every_model(), ids=lambda kind: kind.__name__)
def test_every_model_has_the_same_methods_and_is_no_key_by_declaration(kind: type[Model]) -> None:
    empty = kind()
    assert kind.from_json(empty.to_json()) == empty
    assert set(empty.to_dict().values()) <= {None}
    assert not isinstance(empty, Hashable)
    with pytest.raises(TypeError, match="unhashable"):
        hash(empty)


def test_a_copy_can_be_changed_and_the_original_cannot() -> None:
    other = BILL.replace(currency="NZD")
    assert (other.currency, BILL.currency, other.bill_total) == ("NZD", None, BILL.bill_total)
    with pytest.raises(TypeError, match="currncy"):
        BILL.replace(currncy="NZD")
    with pytest.raises(AttributeError):
        BILL.currency = "NZD"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(BILL)) == copy.deepcopy(BILL) == copy.copy(BILL) == BILL


def test_a_repr_fits_on_a_screen_and_says_what_there_is() -> None:
    item = {"id": "l", "description": "d" * 500, "subtotal": Decimal("1.50")}
    texts = dict.fromkeys(("accountId", "accountCode", "timezone", "billJobId", "createdBy", "lockedBy"), "t" * 90)
    fields = {"id": "b1", "currency": "USD", "billTotal": Decimal("1.50"), "lineItems": [item] * 42, **texts}
    dates = dict.fromkeys(("createdDate", "dtCreated", "dtLastModified", "dtLocked"), "2024-01-01T00:00:00Z")
    bill = Bill.from_json(encode_body({**fields, **dates}))
    shown = repr(bill)
    assert shown.startswith("Bill(id='b1', ")
    for part in ("currency='USD'", "bill_total=Decimal('1.50')", "line_items=[42 items]", "and 2 more)"):
        assert part in shown
    assert len(shown) < 1000
    assert repr(Bill(id="b1")) == "Bill(id='b1')"
    assert repr(Bill()) == "Bill()"
    assert bill.line_items is not None
    assert len(repr(bill.line_items[0])) < 200


def test_a_repr_shows_no_secret() -> None:
    webhook = WebhookDestination.from_json(
        '{"id":"w","credentials":{"type":"M3TER_SIGNED_REQUEST","secret":"hush","apiKey":"k"}}'
    )
    assert "hush" not in repr(webhook) + repr(webhook.credentials)


async def test_what_web_frameworks_ask_for_is_exact() -> None:
    assert vars(BILL)["billTotal"] == "379187512993718482571.10"
    transport = FakeTransport(lambda _: answer(RAW))
    # it wants newer versions of some libraries than the oldest that this package takes
    app = pytest.importorskip("fastapi").FastAPI()

    @app.get("/bare")
    async def bare():  # type: ignore[no-untyped-def]
        async with client(transport) as m3ter:
            return await m3ter.bills.retrieve("b1")

    @app.get("/any")  # type: ignore[untyped-decorator]
    async def anything() -> Any:
        return {"bills": [BILL]}

    async def one() -> Any:
        return BILL

    async def many() -> Any:
        return [BILL]

    one.__annotations__["return"] = Bill
    many.__annotations__["return"] = list[Bill]
    app.get("/one")(one)
    app.get("/many")(many)

    expected = BILL.to_dict(mode="json")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as web:
        assert (await web.get("/one")).json() == expected
        assert (await web.get("/many")).json() == [expected]
        assert (await web.get("/bare")).json() == expected
        assert (await web.get("/any")).json() == {"bills": [expected]}
        document = (await web.get("/openapi.json")).json()
    answers = document["paths"]["/one"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert {"id", "billTotal", "lineItems"} <= set(answers["properties"])
    assert "$ref" not in json.dumps(answers)
    assert "subtotal" in json.dumps(answers["properties"]["lineItems"])


@pytest.mark.parametrize("kind", every_model(), ids=lambda kind: kind.__name__)
def test_every_model_is_a_type_to_pydantic(kind: type[Model]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    empty = kind()
    assert adapter.validate_python(empty) is empty
    assert adapter.validate_python({}) == adapter.validate_json("{}") == empty
    assert json.loads(adapter.dump_json(empty)) == empty.to_dict()
    schema = adapter.json_schema(mode="serialization")
    assert schema["title"] == kind.__name__
    assert "$ref" not in json.dumps(schema)


def test_pydantic_reads_exactly_and_refuses_by_place() -> None:
    adapter = TypeAdapter(Bill)
    assert adapter.validate_python(BILL.to_dict()) == BILL
    assert adapter.validate_python(BILL.to_dict(mode="json")).bill_total == BILL.bill_total
    assert adapter.dump_python(BILL)["billTotal"] == BILL.bill_total
    with pytest.raises(ValidationError, match="billTotal"):
        adapter.validate_python({"billTotal": []})


def test_models_need_no_pydantic() -> None:
    program = (
        "import sys\nsys.modules['pydantic_core'] = sys.modules['pydantic'] = None\n"
        "from m3ter_async.models import Bill\n"
        "print(Bill.from_json('{\"billTotal\":1.50}').to_json(exclude_none=True))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == '{"billTotal":1.50}\n'
