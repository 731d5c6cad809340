"""The arguments of an operation: what each may be, and what it is called in Python."""

from __future__ import annotations

import keyword
import math
import re
from functools import lru_cache
from typing import Any

from .argument_kinds import (
    Check,
    amount,
    anything,
    bounded,
    day,
    flag,
    list_of,
    map_of,
    moment,
    scalar,
    sized,
    text,
    whole,
)
from .json_values import Refused
from .nested_arguments import nested

_KINDS: dict[str, Check] = {
    "text": text,
    "int": whole,
    "number": amount,
    "bool": flag,
    "date": day,
    "moment": moment,
    "scalar": scalar,
    "any": anything,
}
_BOUNDS = re.compile(r"\((>?)(-?\d*),(-?\d*)\)$")


class Arguments:
    """What the arguments of an operation may be, as the generator prints it: ``pageSize:int(1,100) billDate:date``.

    What is not named in there is a text of any length.
    """

    def __init__(self, words: str) -> None:
        self._checks = {name: _check_of(kind) for name, _, kind in (word.partition(":") for word in words.split())}

    def checked(self, name: str, value: Any) -> Any:
        """A value as it is to be encoded, `name` being that on the wire.

        Raises:
            TypeError: It is of another kind.
            ValueError: It is out of bounds, or not of this form. Either names the argument as Python does.
        """
        check = self._checks.get(name)
        if check is None:
            if type(value) is str:
                return value
            check = text
        try:
            return check(value)
        except Refused as refused:
            error = refused.named(snake(name))
        raise error


@lru_cache(maxsize=512)
def _check_of(word: str) -> Check:
    """The check that a word stands for: ``text(1,80)``, ``number(>0,)``, ``[date]``, ``{scalar}(,100)``, ``any``.

    Bounds are those of a number, else of a length; a name that begins with a capital is a model's.
    """
    bounds = _BOUNDS.search(word)
    bare = word[: bounds.start()] if bounds else word
    unit = "characters"
    if bare.startswith("["):
        check, unit = list_of(_check_of(bare[1:-1])), "items"
    elif bare.startswith("{"):
        check, unit = map_of(_check_of(bare[1:-1])), "fields"
    else:
        check = nested(bare) if bare[0].isupper() else _KINDS[bare]
    if bounds is None:
        return check
    above, least, most = bounds.groups()
    highest = int(most) if most else math.inf
    if bare in ("int", "number"):
        return bounded(check, int(least) if least else -math.inf, highest, above=bool(above))
    return sized(check, int(least or 0), highest, unit)


def snake(name: str) -> str:
    """A name on the wire as it is in Python: ``startDateTimeUTC`` is ``start_date_time_utc``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^0-9A-Za-z]+", "_", name).strip("_").lower()
    return f"{words}_" if keyword.iskeyword(words) else words
