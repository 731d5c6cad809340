"""What is not decoded exactly is an error, however it is spelled: compared with a look at each value."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_async.models._exactness import Data, Decoder

MANY_DIGITS = re.compile(r"\.[0-9]{6}0*[1-9]")


class Line(msgspec.Struct):
    text: str | None = None
    amount: Decimal | None = None
    at: datetime | None = None


class Bill(msgspec.Struct):
    lines: list[Line]
    total: Decimal | None = None


def is_exact(bill: Bill, plain: dict[str, Any]) -> bool:
    amounts = [bill.total, *(line.amount for line in bill.lines)]
    moments = [line.get("at") for line in plain["lines"]]
    return all(amount is None or amount.is_finite() for amount in amounts) and not any(
        MANY_DIGITS.search(moment or "") for moment in moments
    )


def escaped(text: str, which: set[int]) -> str:
    """The JSON of a text, in which some characters are escapes."""
    quoted = (json.dumps(one)[1:-1] for one in text)
    return '"' + "".join(f"\\u{ord(text[n]):04x}" if n in which else one for n, one in enumerate(quoted)) + '"'


ESCAPES = st.sets(st.integers(0, 40), max_size=3)
LOOKALIKES = ["Nancy", "Infinity War", "nan", "-inf", "2024-01-01T00:00:00.1234567Z", "5:12.3456789", "a\\b", '"NaN"']
TEXTS = st.builds(escaped, st.sampled_from(LOOKALIKES) | st.text(max_size=8), ESCAPES)
SPELLINGS = st.sampled_from(["NaN", "nan", "-NAN", "sNaN12", "Infinity", "+inf", " inf ", "n_an", "1.5", "-0", "1e5"])
AMOUNTS = (
    st.builds(escaped, SPELLINGS, ESCAPES)
    | st.sampled_from(["null", "0", "12.3456789", "59.00000000001", "1e400", "-0.0"])
    | st.integers().map(str)
)
MOMENTS = st.builds(
    lambda between, fraction, zone, which: escaped(f"2024-02-29{between}23:59:58{fraction}{zone}", which),
    st.sampled_from("Tt "),
    st.just("") | st.text("019", min_size=1, max_size=9).map(lambda digits: f".{digits}"),
    st.sampled_from(["Z", "z", "+01:00", "-00:30", ""]),
    ESCAPES,
)
LINES = st.builds('{{"text":{},"amount":{},"at":{}}}'.format, TEXTS, AMOUNTS, MOMENTS | st.just("null"))
AS = {"bytes": str.encode, "text": str, "bytearray": lambda text: bytearray(text, "utf-8"), "raw": msgspec.Raw}


@pytest.mark.parametrize("form", AS)
@given(lines=st.lists(LINES, max_size=4), total=AMOUNTS)
def test_whatever_is_not_exact_is_an_error_and_nothing_else_is(form: str, lines: list[str], total: str) -> None:
    text = f'{{"lines":[{",".join(lines)}],"total":{total}}}'
    bill = msgspec.json.decode(text, type=Bill)
    make: Any = AS[form]
    data: Data = make(text)
    if is_exact(bill, json.loads(text)):
        assert Decoder(Bill).decode(data) == bill
    else:
        with pytest.raises(msgspec.ValidationError, match=r"not a finite number|finer than a microsecond"):
            Decoder(Bill).decode(data)


@pytest.mark.parametrize(
    "moment",
    [
        "2024-01-01T00:00:00.0000001Z",
        "2024-01-01t00:00:00.0000001z",
        "2024-01-01 00:00:00.0000001Z",
        "2024-01-01\\u005400:00:00.0000001Z",
        "2024-01-01T00\\u003a00:00.0000001Z",
        "2024-01-01T00:00:00\\u002e0000001Z",
        "2024-01-01T00:00:00\\u002E0000001Z",
        "2024-01-01T00:00:00.000000\\u0031Z",
    ],
)
def test_a_moment_is_not_rounded_however_it_is_written(moment: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="finer than a microsecond"):
        Decoder(datetime).decode(f'"{moment}"')
