"""One page of a listing, as it was fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FeedPage:
    """A page, split into its records and no further unless the reader has decoded it at once.

    Undecoded records are views of one body, which lives until the last of them is dropped.

    Attributes:
        records: The records or the JSON of each, the last one first, so that handing one out is a ``pop()``.
        decoded: Which of the two.
        token: What fetched this page; None is the first.
        next_token: What fetches the next; None is the end.
        headers: Those of its answer.
        mark: What no other page of the same pass has.
        size: How many records were asked for.
        rows: In a listing by offset, what its records are known by, in their order.
        bad: Whether one of its records could not be decoded.
    """

    records: list[Any]
    decoded: bool
    token: str | None
    next_token: str | None
    headers: Mapping[str, str] = field(repr=False)
    mark: bytes
    size: int | None = None
    rows: list[bytes] = field(default_factory=list[bytes])
    bad: bool = False

    def behind(self, at: int, known: int) -> FeedPage:
        """What comes behind its first `known` rows, at least one, as the page that begins there; it began `at`."""
        del self.records[-known:], self.rows[:known]
        self.token = str(at + known)
        return self
