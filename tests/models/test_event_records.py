"""An event's record is a model, by the event's name."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from m3ter_async.models import Account, AccountPlan, Bill, Event
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports import HttpxTransport

from ..export.support import sandbox_client


def event(name: object, about: object) -> Event:
    return Event.from_json(json.dumps({"id": "e", "eventName": name, "m3terEvent": about}))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("billing.bill.created", Bill),
        ("configuration.account.updated", Account),
        ("configuration.account_plan.deleted", AccountPlan),
        ("configuration.accountplan.deleted", AccountPlan),
    ],
)
def test_the_name_of_an_event_says_what_its_record_is(name: str, kind: type) -> None:
    record = event(name, {"eventData": {"newDto": {"id": "x"}}}).record
    assert type(record) is kind
    assert isinstance(record, (Bill, Account, AccountPlan))
    assert record.id == "x"


def test_amounts_of_a_record_are_exact() -> None:
    text = '{"id":"e","eventName":"billing.bill.updated","m3terEvent":{"eventData":{"newDto":%s}}}'
    record = Event.from_json(text % '{"id":"b","billTotal":1.10000000000000000000000000001}').record
    assert isinstance(record, Bill)
    assert record.bill_total == Decimal("1.10000000000000000000000000001")


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("billing.new_thing.created", {"eventData": {"newDto": {"id": "x"}}}),
        ("bill", {"eventData": {"newDto": {"id": "x"}}}),
        (None, {"eventData": {"newDto": {"id": "x"}}}),
        ("billing.bill.created", {"eventData": {"newDto": None}}),
        ("billing.bill.created", {"eventData": None}),
        ("billing.bill.created", {}),
        ("billing.bill.created", None),
        ("billing.bill.created", "text"),
        ("ingest.validation.failure", {"new": {"getDownloadUrl": "https://example.com"}}),
    ],
)
def test_where_the_name_is_new_or_nothing_came_the_record_is_none(name: Any, about: Any) -> None:
    assert event(name, about).record is None


def test_a_record_of_another_kind_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="billTotal"):
        _ = event("billing.bill.created", {"eventData": {"newDto": {"id": "x", "billTotal": []}}}).record


async def test_the_record_of_an_event_is_what_reading_it_gives() -> None:
    with Sandbox(bills=30) as sandbox:
        async with sandbox_client(sandbox, HttpxTransport()) as m3ter:
            bill = await anext(aiter(m3ter.bills.list(status="PENDING")))
            await m3ter.bills.update_status(bill.id, status="APPROVED")
            newest = await anext(aiter(m3ter.events.list()))
            assert newest.record == await m3ter.bills.retrieve(bill.id)
