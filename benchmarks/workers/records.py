"""What the hand-written loop decodes into: every field that the contract gives a bill, amounts as Decimal."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct, field


class Record(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """What all records share. Without cycles they need no garbage collector, which saves a third of the decoding."""

    id: str | None = None
    version: int | None = None


class CurrencyConversion(Struct, frozen=True, gc=False, kw_only=True):
    from_: str = field(name="from")
    to: str
    multiplier: Decimal | None = None


class Band(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    pricing_band_id: str | None = None
    lower_limit: Decimal | None = None
    fixed_price: Decimal | None = None
    unit_subtotal: Decimal | None = None
    unit_price: Decimal | None = None
    band_units: Decimal | None = None
    band_quantity: Decimal | None = None
    band_subtotal: Decimal | None = None
    credit_type_id: str | None = None
    converted_band_subtotal: Decimal | None = None


class LineItem(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    id: str | None = None
    product_id: str | None = None
    product_name: str | None = None
    product_code: str | None = None
    accounting_product_id: str | None = None
    accounting_product_name: str | None = None
    accounting_product_code: str | None = None
    aggregation_id: str | None = None
    compound_aggregation_id: str | None = None
    counter_id: str | None = None
    charge_id: str | None = None
    segment: dict[str, str] | None = None
    group: dict[str, str] | None = None
    meter_id: str | None = None
    plan_id: str | None = None
    plan_group_id: str | None = None
    commitment_id: str | None = None
    balance_id: str | None = None
    description: str | None = None
    quantity: Decimal | None = None
    units: Decimal | None = None
    unit: str | None = None
    subtotal: Decimal | None = None
    currency: str | None = None
    conversion_rate: Decimal | None = None
    converted_subtotal: Decimal | None = None
    credit_type_id: str | None = None
    line_item_type: str | None = None
    pricing_id: str | None = None
    child_account_id: str | None = None
    child_account_code: str | None = None
    usage_per_pricing_band: list[Band] | None = None
    service_period_start_date: datetime | None = None
    service_period_end_date: datetime | None = None
    referenced_bill_id: str | None = None
    referenced_line_item_id: str | None = None
    reason_id: str | None = None
    contract_id: str | None = None
    average_unit_price: Decimal | None = None
    sequence_number: int | None = None
    additional: dict[str, Any] | None = None


class Bill(Record, frozen=True, gc=False, kw_only=True, rename="camel"):
    account_id: str | None = None
    account_code: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    start_date_time_utc: datetime | None = field(name="startDateTimeUTC", default=None)
    end_date_time_utc: datetime | None = field(name="endDateTimeUTC", default=None)
    bill_date: date | None = None
    due_date: date | None = None
    billing_frequency: str | None = None
    bill_frequency_interval: int | None = None
    timezone: str | None = None
    currency: str | None = None
    locked: bool | None = None
    created_date: datetime | None = None
    status: str | None = None
    bill_job_id: str | None = None
    currency_conversions: list[CurrencyConversion] | None = None
    last_calculated_date: datetime | None = None
    line_items: list[LineItem] | None = None
    purchase_order_number: str | None = None
    external_invoice_reference: str | None = None
    external_invoice_date: date | None = None
    json_statement_generated: bool | None = None
    csv_statement_generated: bool | None = None
    statement_stale: bool | None = None
    bill_total: Decimal | None = None
    sequential_invoice_number: str | None = None
    dt_created: datetime | None = None
    dt_last_modified: datetime | None = None
    created_by: str | None = None
    last_modified_by: str | None = None
    dt_approved: datetime | None = None
    approved_by: str | None = None
    dt_locked: datetime | None = None
    locked_by: str | None = None


class Transaction(Record, frozen=True, gc=False, kw_only=True, rename="camel"):
    description: str | None = None
    amount: Decimal | None = None
    paid: Decimal | None = None
    currency_paid: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    transaction_type_id: str | None = None
    applied_date: datetime | None = None
    transaction_date: datetime | None = None
    dt_created: datetime | None = None
    dt_last_modified: datetime | None = None
    created_by: str | None = None
    last_modified_by: str | None = None


class BillJob(Record, frozen=True, gc=False, kw_only=True, rename="camel"):
    last_date_in_billing_period: date | None = None
    billing_frequency: str | None = None
    bill_frequency_interval: int | None = None
    bill_date: date | None = None
    external_invoice_date: date | None = None
    due_date: date | None = None
    account_ids: list[str] | None = None
    bill_ids: list[str] | None = None
    target_currency: str | None = None
    currency_conversions: list[CurrencyConversion] | None = None
    timezone: str | None = None
    year_epoch: date | None = None
    month_epoch: date | None = None
    week_epoch: date | None = None
    day_epoch: date | None = None
    status: str | None = None
    total: int | None = None
    pending: int | None = None
    type: str | None = None
    dt_created: datetime | None = None
    dt_last_modified: datetime | None = None
    created_by: str | None = None
    last_modified_by: str | None = None


class BillTotal(Struct, frozen=True, gc=False, rename="camel"):
    """The few fields that a report of totals reads; the rest is skipped undecoded."""

    id: str
    currency: str
    bill_total: Decimal
