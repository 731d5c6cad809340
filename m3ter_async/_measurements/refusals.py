"""What a refused request says of the measurements in it."""

from __future__ import annotations

import re
from typing import TypeAlias

from ..errors import APIStatusError
from .ingest_outcomes import OnRefused

Item: TypeAlias = tuple[bytes, int, OnRefused | None]
"""The JSON of a measurement, its place among the rows, and who is told if the service refuses it."""

# The service's firewall answers 403 to large bodies, and to texts that look like SQL.
_LARGE = 256_000  # bytes
_LIKE_SQL = re.compile(
    rb"\b(?:select|insert\s+into|update|delete\s+from|drop|union|alter|exec)\b|--|/\*|;|'\s*(?:or|and)\b", re.IGNORECASE
)


def of_content(error: BaseException, body: bytes, *, others_accepted: bool) -> bool:
    """Whether a request was refused for what it holds, so that a part of it may be accepted.

    Args:
        body: Of the request.
        others_accepted: Whether requests of the same kind were accepted: then it is no matter of permission.
    """
    if not isinstance(error, APIStatusError):
        return False
    if error.status == 403:
        return others_accepted or len(body) > _LARGE or _LIKE_SQL.search(body) is not None
    return error.status in (400, 413, 422)


class Halving:
    """The measurements of one request, which is sent in parts where the service refuses it for its content."""

    def __init__(self, items: list[Item]) -> None:
        self._parts = [items]  # the next one last
        self._bad: list[tuple[Item, APIStatusError]] = []
        self._suspects: list[tuple[Item, APIStatusError]] = []
        self._any_accepted = False
        self._in_a_row = 0
        # halving comes to a measurement alone in as many steps as there are bits
        self._most_in_a_row = 2 * len(items).bit_length() + 2

    def next(self) -> list[Item] | None:
        """What to send now; None at the end."""
        return self._parts[-1] if self._parts else None

    def accepted(self) -> None:
        """What was sent now is accepted."""
        self._parts.pop()
        self._any_accepted, self._in_a_row = True, 0
        self._bad += self._suspects
        self._suspects = []

    def refused(self, error: APIStatusError) -> bool:
        """What was sent now is refused; False where it seems that everything is."""
        items = self._parts[-1]
        self._in_a_row += 1
        forbidden = error.status == 403  # a matter of permission, as long as nothing is accepted
        if forbidden and self._in_a_row > self._most_in_a_row:
            return False
        self._parts.pop()
        if len(items) > 1:
            half = len(items) // 2
            self._parts += [items[half:], items[:half]]
        elif forbidden and not self._any_accepted:
            self._suspects.append((items[0], error))
        else:
            self._bad.append((items[0], error))
        return True

    def take_bad(self) -> list[tuple[Item, APIStatusError]]:
        """Measurements that were refused alone, with the answer to each; they are handed over once."""
        bad, self._bad = self._bad, []
        return bad

    @property
    def doubt(self) -> APIStatusError | None:
        """The answer to a measurement of which nobody knows whether it is bad, or all are forbidden."""
        return self._suspects[0][1] if self._suspects else None

    def left(self) -> list[Item]:
        """What is neither accepted nor known to be bad."""
        return [item for item, _ in self._suspects] + [item for part in reversed(self._parts) for item in part]
