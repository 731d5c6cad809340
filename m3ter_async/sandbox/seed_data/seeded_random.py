"""Seeded draws: the only source of chance in the sandbox, the same on every Python version."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

from m3ter_async.sandbox.exact_numbers import EXACT

T = TypeVar("T")


class Draw(Random):
    """A random generator that uses nothing but `random()` and `getrandbits()`: Python keeps those two stable."""

    def below(self, limit: int) -> int:
        """An integer from 0 up to, and without, `limit`."""
        return int(self.random() * limit)

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[int(self.random() * len(choices))]

    def uuid(self) -> str:
        """An id in the shape of a version 4 UUID."""
        digits = f"{self.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def decimal(self, whole: int, places: int) -> Decimal:
        """An amount above zero and up to `whole`, with `places` decimals, the last of them never zero."""
        scaled = self.below(whole) * 10**places + self.below(10**places)
        return EXACT.scaleb(Decimal(scaled - scaled % 10 + 1 + self.below(9)), -places)


def draw(seed: int, *place: int) -> Draw:
    """The generator of one place in the data; the places are independent of each other."""
    state = seed & 0xFFFF_FFFF_FFFF_FFFF
    for number in place:
        state = state << 32 | (number & 0xFFFF_FFFF)
    return Draw(state)
