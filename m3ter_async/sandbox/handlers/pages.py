"""Lists in pages, behind opaque tokens."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Final

import msgspec

from m3ter_async.sandbox.call_context import Call, World
from m3ter_async.sandbox.contract import Field, Row
from m3ter_async.sandbox.handlers.filters import filters
from m3ter_async.sandbox.refusal import Refusal

Walk = Callable[["int | None"], Iterable[tuple[int, Row]]]

# The contract declares only the largest page; an answer without `pageSize` takes this many, or the largest if fewer.
DEFAULT_PAGE_SIZE: Final = 100


def page(world: World, call: Call, walk: Walk, shape: Callable[[Row], Row]) -> Row:
    """One page of the rows that pass the call's filters, with the token of the next."""
    cursor = _Cursor(world, call)
    after, shown_empty = cursor.read()
    if world.empty_pages and not shown_empty and cursor.chance(after, 7):
        return {"data": [], "nextToken": cursor.token(after, True)}
    largest = int(call.route.query["pageSize"].maximum or DEFAULT_PAGE_SIZE)
    size: int = call.query.get("pageSize", min(largest, DEFAULT_PAGE_SIZE))
    passes = filters(world, call)
    found: list[tuple[int, Row]] = []
    # A token that counts rows is wrong by as many as came or went before it, as with a service that pages by offsets.
    passed = (after or 0) if world.counting else 0
    rows = ((place, row) for place, row in walk(None if world.counting else after) if all(test(row) for test in passes))
    for number, (place, row) in enumerate(islice(rows, passed, passed + size + 1)):
        found.append((passed + number + 1 if world.counting else place, row))
    declared = world.fields(call.route.answer)
    answer: Row = {"data": [_declared(shape(row), declared) for _, row in found[:size]]}
    if len(found) > size:
        answer["nextToken"] = cursor.token(found[size - 1][0], False)
    else:
        answer.update(cursor.end())
    return answer


def _declared(row: Row, fields: Mapping[str, Field]) -> Row:
    """A list shows what it declares, which for some entities is less than what there is."""
    return row if row.keys() <= fields.keys() else {name: value for name, value in row.items() if name in fields}


def numbered(rows: list[Row]) -> Walk:
    """Rows that are at hand as a list: the place is the index."""
    return lambda after: list(enumerate(rows))[0 if after is None else after + 1 :]


class _Cursor:
    """The token of one list: a place in it, signed together with the operation, its path and its filters."""

    def __init__(self, world: World, call: Call) -> None:
        self._given: str | None = call.query.get("nextToken")
        # The size of a page may change on the way, the filters may not.
        kept = {name: value for name, value in call.query.items() if name not in ("nextToken", "pageSize")}
        self._list = msgspec.json.encode([world.seed, call.route.operation, call.path, kept], order="sorted")

    def _hash(self, *words: object) -> str:
        return blake2b(self._list + repr(words).encode(), digest_size=9).hexdigest()

    def read(self) -> tuple[int | None, bool]:
        """The place the given token stands for, and whether an empty page was shown there."""
        if self._given is None:
            return None, False
        try:
            text = urlsafe_b64decode(self._given.encode()).decode()
            place, shown, _ = text.split(".")
            after, shown_empty = None if place == "start" else int(place), shown == "1"
        except ValueError:
            raise Refusal(400, "nextToken: not a token of this service") from None
        if self._given != self.token(after, shown_empty):
            raise Refusal(400, "nextToken: of another list or other filters")
        return after, shown_empty

    def token(self, after: int | None, shown_empty: bool) -> str:
        """The token that goes on after a place."""
        text = f"{'start' if after is None else after}.{int(shown_empty)}.{self._hash(after, shown_empty)}"
        return urlsafe_b64encode(text.encode()).decode()

    def chance(self, after: int | None, one_in: int) -> bool:
        """Whether this place was picked: one in `one_in` is, and always the same ones for a seed."""
        return int(self._hash("chance", after), 16) % one_in == 0

    def end(self) -> Row:
        """One of the three ways in which a last page says that it is the last."""
        ends: tuple[Row, ...] = ({}, {"nextToken": None}, {"nextToken": ""})
        return ends[int(self._hash("end"), 16) % 3]
