"""Numbers to the last digit: the sandbox's arithmetic, and JSON in and out."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Final

import msgspec

# Wide enough that no product or sum in the sandbox is ever rounded, whatever context the caller has set.
EXACT: Final = Context(prec=80)
ZERO: Final = Decimal("0.00")
ONE: Final = Decimal(1)
SMALLEST_CHARGE: Final = Decimal("1e-13")
DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def charge(quantity: Decimal, price: Decimal) -> Decimal:
    """A product, which a service that charges for it rounds to 13 decimals."""
    exact = quantity if price is ONE else EXACT.multiply(quantity, price)
    places = exact.as_tuple().exponent
    return exact if isinstance(places, int) and places >= -13 else EXACT.quantize(exact, SMALLEST_CHARGE)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; zero is written with two decimals."""
    result = ZERO
    for amount in amounts:
        result = EXACT.add(result, amount)
    return result
