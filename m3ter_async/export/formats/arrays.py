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
    """Amounts from their digits.

    Arrow's cast from text to decimals overflows without an error, so it only gets what was proven to fit.
    """
    if not values:
        return pa.array([], TYPES["number"])
    lines = b"\n".join(values)
    if not lines.translate(None, PLAIN):
        found = pc.split_pattern(pa.array([lines.decode()], pa.string()), "\n").values
        if b"null" in lines:
            found = pc.if_else(pc.equal(found, _NULL), _MISSING, found)
        longest = pc.max(pc.binary_length(found)).as_py() or 0
        if longest <= SHORT or pc.all(pc.match_substring_regex(found, FITS)).as_py():
            return found.cast(TYPES["number"])
    return pa.array(list(map(exactly, values)), pa.string()).cast(TYPES["number"])


def _culprit(kind: Kind, values: Sequence[Any]) -> str:
    """The first value that does not fit."""
    for value in values:
        try:
            _array(kind, [value])
        except (pa.ArrowInvalid, OverflowError):
            return shown(str(value))
    return "a value"
