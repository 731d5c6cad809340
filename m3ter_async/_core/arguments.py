"""The arguments of an operation: what each may be, and what it is called in Python."""

from __future__ import annotations

import keyword
import re
from typing import Any

from .argument_kinds import text
from .argument_words import check_of, split
from .json_values import Refused
from .nested_arguments import nested


class Arguments:
    """What the arguments of an operation may be, as the generator prints it: ``pageSize:int(1,100) billDate:date``.

    What is not named in there is a text of any length.
    """

    def __init__(self, words: str) -> None:
        self._checks = {name: check_of(word, nested) for name, word in split(words).items()}

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


def snake(name: str) -> str:
    """A name on the wire as it is in Python: ``startDateTimeUTC`` is ``start_date_time_utc``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^0-9A-Za-z]+", "_", name).strip("_").lower()
    return f"{words}_" if keyword.iskeyword(words) else words
