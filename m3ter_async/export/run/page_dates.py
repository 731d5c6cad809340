"""The dates of the bills on a page, as far as they are easily had."""

from __future__ import annotations

from datetime import date

import msgspec

from ..slices.slice import SlicePage


def dates(page: SlicePage) -> list[date]:
    """The dates of the first and the last record of a page, which are likely to be its newest and its oldest."""
    return [day for record in (page.records[:1] + page.records[-1:]) if (day := _date(record)) is not None]


class _Dated(msgspec.Struct, rename="camel"):
    bill_date: date | None = None


_dated = msgspec.json.Decoder(_Dated)


def _date(record: bytes) -> date | None:
    try:
        return _dated.decode(record).bill_date
    except (msgspec.DecodeError, UnicodeDecodeError):  # nothing to guess from; whether it can be kept is not asked here
        return None
