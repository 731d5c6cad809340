"""From bytes to values, with one kind of error whatever the bytes are."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_PATH = re.compile(r" - at `(\$[^`]*)`$")


class Unreadable(Exception):
    """An answer that is not what was asked for.

    Attributes:
        reason: What is wrong with it.
        json_path: Where in the answer, or None where it is no JSON at all.
        passing: True where asking again may help: a gateway's page, a cut body.
    """

    def __init__(self, reason: str, json_path: str | None = None, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.json_path = json_path
        self.passing = passing


def decoder(answer: Any) -> msgspec.json.Decoder[Any]:
    """A JSON decoder that keeps every number exact, also where the contract leaves the type open."""
    return msgspec.json.Decoder(answer, float_hook=Decimal)


def decode(decoder: msgspec.json.Decoder[T], data: bytes | bytearray | msgspec.Raw, at: str = "$") -> T:
    """Decode one value.

    Args:
        decoder: Made by `decoder`.
        data: JSON.
        at: Where `data` stands in the answer, for the error.

    Raises:
        Unreadable: It is not JSON, or not of the decoder's type.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        reason = str(error)
        where = _PATH.search(reason)
        path = at + where[1][1:] if where else at
        raise Unreadable(_PATH.sub("", reason), path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"not JSON ({error})", passing=True) from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ArithmeticError as error:
        raise Unreadable(f"a number that has no exact value here ({type(error).__name__})", at) from None
