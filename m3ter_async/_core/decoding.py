"""From bytes to values, with one kind of error whatever the bytes are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar, cast

import msgspec

from ..models._exactness import Data
from ..models._exactness import Decoder as Decoder

T = TypeVar("T")

_HALF = re.compile("[\ud800-\udfff]")
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


def decoder(answer: Any) -> Decoder[Any]:
    """One for a type."""
    return Decoder(answer)


def decode(decoder: Decoder[T] | msgspec.json.Decoder[T], data: Data, at: str = "$") -> T:
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
        half = _half_a_pair(data, at)
        if half:  # asking again would bring it again
            raise Unreadable("a text with half of a surrogate pair, which is no character", half) from None
        raise Unreadable(f"not JSON ({error})", passing=True) from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ArithmeticError as error:
        raise Unreadable(f"a number that has no exact value here ({type(error).__name__})", at) from None


def _half_a_pair(data: Data, at: str) -> str | None:
    """Where the text stands for whose half of a surrogate pair JSON was not read; None if that is not the reason."""
    from json import loads  # its reader takes such texts

    try:
        text = data if isinstance(data, str) else bytes(data).decode("utf-8", "surrogatepass")
        return next(_halves(loads(text), at), None)
    except (ValueError, RecursionError):
        return None


def _halves(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, str):
        if _HALF.search(value):
            yield at
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield from _halves(item, f"{at}.{name}")
            yield from _halves(name, at)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _halves(item, f"{at}[{index}]")
