"""Amounts as text: what an amount is, and which of them fit a column of 20 digits and 18 decimals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from msgspec import Raw

from .fitting import Unfit, shown

DIGITS, SCALE = 38, 18
_WHOLE = DIGITS - SCALE
PLAIN = b"-.0123456789,\nnul"
"""What numbers without an exponent, null, and the breaks between them are made of."""
FITS = rf"^-?[0-9]{{1,{_WHOLE}}}(\.[0-9]{{1,{SCALE}}})?$"
"""A number that surely fits."""
SHORT = _WHOLE
"""So many characters without an exponent always fit: there are no more digits, on either side of the point."""
_AMOUNT = re.compile(rb'("?)([-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)\1')


def spellings(values: Sequence[Raw]) -> list[str | None]:
    """The digits of amounts as they were sent, be it as numbers or in quotes; None for null.

    Raises:
        Unfit: One of them is no amount.
    """
    joined = b"\n".join(values)
    if not joined.translate(None, PLAIN + b"eE+"):
        # without quotes and letters a value of JSON can only be a number; true and false have letters that are not here
        return [None if value == "null" else value for value in joined.decode().split("\n")] if values else []
    return list(map(spelling, values))


def spelling(value: Raw) -> str | None:
    """The digits of one amount as they were sent.

    Raises:
        Unfit: It is no amount.
    """
    text = bytes(value)
    if text == b"null":
        return None
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise Unfit("", f"{shown(text)} is no amount")
    return found[2].decode()


def exactly(value: Raw) -> str | None:
    """An amount without an exponent, and with no more decimals than there is room for.

    Raises:
        Unfit: It is no amount, or has a digit that there is no room for.
    """
    text = spelling(value)
    if text is None:
        return None
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except ArithmeticError:  # an exponent beyond all bounds
        raise _too_long(text) from None
    if not isinstance(exponent, int):
        raise _too_long(text)
    every = "".join(map(str, digits))
    kept = every.rstrip("0")
    exponent += len(every) - len(kept)
    kept = kept.lstrip("0")
    if not kept:
        return "0"
    if exponent < -SCALE or len(kept) + exponent > _WHOLE:
        raise _too_long(text)
    if exponent >= 0:
        plain = kept + "0" * exponent
    else:
        kept = kept.rjust(1 - exponent, "0")
        plain = f"{kept[:exponent]}.{kept[exponent:]}"
    return f"-{plain}" if sign else plain


def _too_long(text: str) -> Unfit:
    return Unfit("", f"{shown(text)} does not fit decimal128({DIGITS}, {SCALE})")
