"""Values of one kind as an Arrow array, exact or refused: what Arrow would take in silence is proven to fit first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from .amounts import DIGITS, FITS, PLAIN, SCALE, SHORT, exactly
from .fitting import Unfit, shown
from .pyarrow_import import pa, pc
from .tables import Kind, texts

TYPES: Mapping[Kind, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "number": pa.decimal128(DIGITS, SCALE),
    "date": pa.date32(),
    "instant": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}
# made once: to make a scalar of a value, Arrow looks whether pandas is there, each time
_SHORT = pa.scalar(SHORT, pa.int32())
_NULL, _MISSING = pa.scalar("null", pa.string()), pa.scalar(None, pa.string())


def array(kind: Kind, values: Sequence[Any], where: str) -> Any:
    """The values of a column.

    Args:
        kind: What they are.
        values: As they were read.
        where: How to name the column in an error.

    Raises:
        Unfit: One of them does not fit the column's type.
    """
    try:
        return _array(kind, values)
    except Unfit as error:
        raise Unfit(where, error.why) from None
    except (pa.ArrowInvalid, OverflowError):
        raise Unfit(where, f"{_culprit(kind, values)} does not fit {TYPES[kind]}") from None


def _array(kind: Kind, values: Sequence[Any]) -> Any:
    if kind == "number":
        return _amounts(values)
    if kind == "json":
        return pa.array(texts(values), TYPES[kind])
    if kind in ("date", "instant"):
        return pa.array(values, pa.string()).cast(TYPES[kind])
    return pa.array(values, TYPES[kind])


def _amounts(values: Sequence[Raw]) -> Any:
    lines = b"\n".join(values)
    if not lines.translate(None, PLAIN):
        return amounts(lines, b"\n", len(values))
    return pa.array(list(map(exactly, values)), pa.string()).cast(TYPES["number"])


def amounts(text: bytes, between: bytes, count: int) -> Any:
    """Amounts from their digits.

    Arrow's cast from text to decimals overflows without an error, so it only gets what was proven to fit.

    Args:
        text: All of them, as they stand in the JSON.
        between: What is between two of them.
        count: How many there are.

    Raises:
        Unfit: Some do not fit, and which, or they cannot be told apart.
        ArrowInvalid: One of them is no amount.
    """
    found = apart(text, between, count)
    if text.translate(None, PLAIN) or not _fit(found):
        odd = pc.fill_null(pc.invert(pc.match_substring_regex(found, FITS)), False)
        plain = _exactly(found.filter(odd).to_pylist(), pc.indices_nonzero(odd).to_pylist())
        found = pc.replace_with_mask(found, odd, pa.array(plain, pa.string()))
    return found.cast(TYPES["number"])


def _exactly(texts: Sequence[str], places: Sequence[int]) -> list[str | None]:
    found: list[str | None] = []
    wrong: list[int] = []
    why = ""
    for text, place in zip(texts, places, strict=True):
        try:
            found.append(exactly(Raw(text.encode())))
        except Unfit as error:
            wrong.append(place)
            why = why or error.why
    if wrong:
        raise Unfit("", why, wrong)
    return found


def _fit(found: Any) -> bool:
    """Whether numbers without an exponent fit for sure: if they are short, or their point is where it should be."""
    sizes = pc.binary_length(found)
    longer = pc.greater(sizes, _SHORT)
    long = found.filter(longer)
    if not len(long):
        return True
    points = pc.find_substring(long, ".")
    decimals = pc.subtract(sizes.filter(longer), points)
    return bool(
        pc.min(points).as_py() > 0 and pc.max(points).as_py() <= SHORT and pc.max(decimals).as_py() <= SCALE + 1
    )


def apart(text: bytes, between: bytes, count: int) -> Any:
    """What stands in a text, None where that is null; with the arguments and errors of `amounts`."""
    if not count:
        return pa.array([], pa.string())
    try:
        found = pc.split_pattern(pa.array([text.decode()], pa.string()), between.decode()).values
    except UnicodeDecodeError as error:
        raise Unfit("", f"{shown(error.object)} is no UTF-8") from None
    if len(found) != count:
        raise Unfit("", "too many values")
    nulls = pc.equal(found, _NULL)
    return pc.if_else(nulls, _MISSING, found) if pc.any(nulls).as_py() else found


def _culprit(kind: Kind, values: Sequence[Any]) -> str:
    """The first value that does not fit."""
    for value in values:
        try:
            _array(kind, [value])
        except (pa.ArrowInvalid, OverflowError):
            return shown(str(value))
    return "a value"
