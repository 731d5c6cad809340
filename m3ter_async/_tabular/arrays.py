"""Values of one kind as an Arrow array, exact or refused: what Arrow would take in silence is proven to fit first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
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
    """Amounts from their digits.

    Arrow's cast from text to decimals overflows without an error, so it only gets what was proven to fit.
    """
    found = _plain_amounts(values)
    return pa.array(list(map(exactly, values)), pa.string()).cast(TYPES["number"]) if found is None else found


def _plain_amounts(values: Sequence[Raw]) -> Any:
    """Amounts of which a look at all of them together proves that they fit; else None."""
    if not values:
        return pa.array([], TYPES["number"])
    lines = b"\n".join(values)
    if lines.translate(None, PLAIN):
        return None
    found = pc.split_pattern(pa.array([lines.decode()], pa.string()), "\n").values
    if b"null" in lines:
        found = pc.if_else(pc.equal(found, _NULL), _MISSING, found)
    long = found.filter(pc.greater(pc.binary_length(found), _SHORT))
    if len(long) and not pc.all(pc.match_substring_regex(long, FITS)).as_py():
        return None
    return found.cast(TYPES["number"])


def amounts_together(columns: Sequence[Sequence[Raw]]) -> list[Any] | None:
    """The arrays of columns of amounts, made in one go; None where some need a closer look, column by column."""
    whole = _plain_amounts(list(chain.from_iterable(columns)))
    if whole is None:
        return None
    ends = list(accumulate(map(len, columns)))
    return [whole.slice(end - len(values), len(values)) for end, values in zip(ends, columns, strict=True)]


def _culprit(kind: Kind, values: Sequence[Any]) -> str:
    """The first value that does not fit."""
    for value in values:
        try:
            _array(kind, [value])
        except (pa.ArrowInvalid, OverflowError):
            return shown(str(value))
    return "a value"
