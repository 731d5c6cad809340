"""The words in which the generator prints what a value may be, and the check that each of them stands for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache

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
    text_like,
    whole,
)

_KINDS: dict[str, Check] = {
    "text": text,
    "int": whole,
    "int32": bounded(whole, -(2**31), 2**31 - 1),
    "number": amount,
    "bool": flag,
    "date": day,
    "moment": moment,
    "scalar": scalar,
    "any": anything,
    # Where the contract leaves room, as with what is a letter, these take more than it does.
    "code": text_like(
        r"[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?",
        "must neither begin nor end with white space, nor hold control characters or any white space but spaces",
    ),
    "identifier": text_like(
        r"([^\W\d]|[$])([^\W\d]|[$0-9])*",
        "must consist of letters, digits 0 to 9, _ and $, and not begin with a digit",
    ),
    "dashed": text_like(r"[a-zA-Z0-9_-]*", "must consist of the letters a to z, digits, _ and -"),
    "role": text_like(r"arn:aws:iam::[0-9]+:role/.*", "must be like 'arn:aws:iam::123456789012:role/name'"),
    "email": text_like(r"(.+@[^@\s]+)?", "must be like 'name@example.com'"),
}
_NUMBERS = ("int", "int32", "number")
_BOUNDS = re.compile(r"\((>?)(-?\d*),(-?\d*)\)$")


def split(words: str) -> dict[str, str]:
    """The word for each name: ``pageSize:int(1,100) billDate:date`` has two."""
    return {name: word for name, _, word in (each.partition(":") for each in words.split())}


@lru_cache(maxsize=512)
def check_of(word: str, model: Callable[[str], Check]) -> Check:
    """The check that a word stands for: ``text(1,80)``, ``number(>0,)``, ``[date]``, ``{scalar}(,100)``, ``any``.

    Bounds are those of a number, else of a length; a name that begins with a capital is a model's.

    Args:
        word: The word.
        model: The check of a model, by its name.
    """
    bounds = _BOUNDS.search(word)
    bare = word[: bounds.start()] if bounds else word
    unit = "characters"
    if bare.startswith("["):
        check, unit = list_of(check_of(bare[1:-1], model)), "items"
    elif bare.startswith("{"):
        check, unit = map_of(check_of(bare[1:-1], model)), "fields"
    else:
        check = model(bare) if bare[0].isupper() else _KINDS[bare]
    if bounds is None:
        return check
    above, least, most = bounds.groups()
    highest = int(most) if most else math.inf
    if bare in _NUMBERS:
        return bounded(check, int(least) if least else -math.inf, highest, above=bool(above))
    return sized(check, int(least or 0), highest, unit)
