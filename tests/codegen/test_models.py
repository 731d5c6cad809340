"""What the printed models take from a service that does not keep to its contract."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import m3ter_async.models
from m3ter_async._core.decoding import decoder
from m3ter_async._core.encoding import encode_body
from m3ter_async.models import Bill, BillLineItem, CurrencyConversion, LineItem


def _decode(type_: Any, text: str) -> Any:
    return decoder(type_).decode(text)


def _structs() -> list[type[msgspec.Struct]]:
    values = [getattr(m3ter_async.models, name) for name in m3ter_async.models.__all__]
    return [value for value in values if isinstance(value, type) and issubclass(value, msgspec.Struct)]


def test_unknown_fields_and_unknown_values_decode() -> None:
    bill = _decode(Bill, '{"id": "b", "status": "FROZEN", "mood": {"a": [1]}, "lineItems": [{"lineItemType": "NEW"}]}')
    assert bill.status == "FROZEN"
    assert bill.line_items[0].line_item_type == "NEW"


@pytest.mark.parametrize("struct", _structs(), ids=lambda struct: struct.__name__)
def test_nulls_and_missing_fields_decode_in_every_model(struct: type[msgspec.Struct]) -> None:
    nothing = _decode(struct, "{}")
    names = [field.encode_name for field in msgspec.structs.fields(struct)]
    assert _decode(struct, "{" + ", ".join(f'"{name}": null' for name in names) + "}") == nothing
    assert all(getattr(nothing, name) is None for name in struct.__struct_fields__)


@pytest.mark.parametrize("struct", _structs(), ids=lambda struct: struct.__name__)
def test_every_model_is_frozen_cheap_and_keyword_only(struct: type[msgspec.Struct]) -> None:
    config = struct.__struct_config__
    assert (config.frozen, config.gc, config.omit_defaults, config.forbid_unknown_fields) == (True, False, True, False)
    if struct.__struct_fields__:
        with pytest.raises(TypeError):
            struct(None)


def test_amounts_keep_every_digit() -> None:
    item = _decode(
        BillLineItem,
        '{"subtotal": 0.1000000000000000055511151231257827, "quantity": 12345678901234567890.123, "units": 1e-20,'
        ' "usagePerPricingBand": [{"lowerLimit": 3}]}',
    )
    assert str(item.subtotal) == "0.1000000000000000055511151231257827"
    assert str(item.quantity) == "12345678901234567890.123"
    assert item.units == Decimal("1e-20")
    assert isinstance(item.usage_per_pricing_band[0].lower_limit, Decimal)


def test_a_missing_amount_fails_loudly_instead_of_counting_as_zero() -> None:
    item = _decode(BillLineItem, '{"subtotal": null}')
    with pytest.raises(TypeError):
        Decimal(1) + item.subtotal


def test_custom_fields_stay_exact() -> None:
    balance = _decode(m3ter_async.models.Balance, '{"customFields": {"a": 0.1000000000000000055, "b": 7, "c": "x"}}')
    assert balance.custom_fields == {"a": Decimal("0.1000000000000000055"), "b": 7, "c": "x"}


def test_dates_and_instants() -> None:
    bill = _decode(
        Bill,
        '{"billDate": "2024-02-29", "startDateTimeUTC": "2024-02-01T00:00:00Z",'
        ' "dtCreated": "2024-02-01T10:00:00.123Z", "dtApproved": "2024-02-01T10:00:00.123456Z"}',
    )
    assert bill.bill_date == date(2024, 2, 29)
    assert bill.start_date_time_utc == datetime(2024, 2, 1, tzinfo=UTC)
    assert bill.dt_approved - bill.dt_created == timedelta(microseconds=456)


def test_the_two_shapes_of_a_line_item() -> None:
    assert {"usage_per_pricing_band", "child_account_id"} <= set(BillLineItem.__struct_fields__)
    assert {"band_usage", "bill_id", "json_usage_generated"} <= set(LineItem.__struct_fields__)


def test_names_that_camel_case_does_not_bring_back() -> None:
    token = _decode(m3ter_async.models.BearerAccessToken, '{"access_token": "t", "expires_in": 18000}')
    assert (token.access_token, token.expires_in) == ("t", 18000)
    assert _decode(CurrencyConversion, '{"from": "EUR"}').from_ == "EUR"


def test_a_struct_is_sent_as_it_came_without_what_it_lacks() -> None:
    rate = CurrencyConversion(from_="EUR", to="USD", multiplier=Decimal("1.10000000000000000001"))
    assert encode_body({"a": [rate]}) == b'{"a":[{"from":"EUR","to":"USD","multiplier":1.10000000000000000001}]}'
    assert encode_body({"a": CurrencyConversion(to="USD")}) == b'{"a":{"to":"USD"}}'


def test_the_package_of_models_loads_none_of_them() -> None:
    script = (
        "import sys, m3ter_async.models as models\n"
        "assert set(models.__all__) <= set(dir(models))\n"
        "print(sorted(name for name in sys.modules if name.startswith('m3ter_async.models.')))\n"
        "models.Bill\n"
        "assert 'm3ter_async.models.bills' in sys.modules\n"
        "assert 'm3ter_async.models.balances' not in sys.modules\n"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"
    with pytest.raises(AttributeError, match="Bil"):
        m3ter_async.models.Bil  # type: ignore[attr-defined]  # noqa: B018
