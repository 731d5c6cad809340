"""Flat tables of many records at once: no value is looked at by itself, so what is done with each is done in C.

Records are read a few at a time, so that their values are still in the processor's cache when they are put into their
columns; Arrow gets the values of all columns of one kind in one go. What does not surely fit is left to `batches`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import accumulate, chain
from typing import Any

import msgspec
from msgspec.structs import astuple

from .arrays import TYPES, amounts, apart
from .fitting import Unfit
from .pyarrow_import import pa, pc
from .shapes import Reader
from .tables import Kind, Table
from .written import Batches, Written

_FEW = 192 * 1024  # bytes of JSON whose values fit into a cache
_BETWEEN = b"\x1e"  # what JSON does not have between its tokens, nor in its texts
_MOST_LEFT = 4  # one of so many records may not fit


class Together:
    """Makes the record batches of flat tables.

    Args:
        table: The first table; its shape is of nobody else.
        schemas: Of all tables.
    """

    def __init__(self, table: Table, schemas: Mapping[str, Any]) -> None:
        self._table = table
        self._schemas = schemas
        self._reader: Reader | None = None

    def __call__(self, records: Sequence[bytes]) -> tuple[Batches, list[int]] | None:
        """The batches of records, and the places of those that they are without because they do not fit.

        Returns:
            None where records have to be looked at to find those.
        """
        if self._reader is None:
            self._reader = self._opened(next(_few(records), ()))
        kept, left = list(range(len(records))), set[int]()
        try:
            while len(left) <= len(records) // _MOST_LEFT:
                kept = [place for place in kept if place not in left]
                try:
                    return self._made([records[place] for place in kept], self._reader.decode), sorted(left)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    if isinstance(error, msgspec.ValidationError) and self._reader.learn(str(error)):
                        continue
                    unreadable = {place for place in kept if not _readable(records[place], self._reader)}
                    if not unreadable:
                        return None
                    left |= unreadable
                except Unfit as error:
                    if not error.places:
                        return None
                    left |= {kept[place] for place in error.places}
        except (pa.ArrowInvalid, OverflowError):
            pass
        return None

    def _opened(self, records: Sequence[bytes]) -> Reader:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._table.shape.expect(list(map(msgspec.json.decode, records)))
        return Reader(self._table.shape)

    def _made(self, records: Sequence[bytes], decode: Callable[[bytes], Any]) -> Batches:
        first = _Sheet(self._table)
        unknown: Counter[str] = Counter()
        for some in _few(records):
            rows = list(map(decode, some))
            first.take(rows)
            if self._table.shape.knows_more:
                self._table.shape.count(rows, unknown)
        sheets = list(first.walk())
        first.finish()
        tables = {each.table.name: [each.batch(self._schemas[each.table.name])] for each in sheets}
        below = {each.table.name: each.counts for each in sheets if each.table.nested}
        return Batches(tables, Written(below=below, unknown=dict(unknown)))


def _readable(record: bytes, reader: Reader) -> bool:
    """Whether a record can be read, if not as of now then by what is learned of it."""
    try:
        reader.decode(record)
    except msgspec.ValidationError as error:
        return reader.learn(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _few(records: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    totals = list(accumulate(map(len, records)))
    start = done = 0
    while start < len(records):
        end = max(bisect_right(totals, done + _FEW, start), start + 1)
        yield records[start:end]
        start, done = end, totals[end - 1]


class _Sheet:
    """The values of one table.

    Attributes:
        table: The table.
        rows: How many it has.
        counts: For each record how many rows are its own.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows = 0
        self.counts: list[int] = []
        self._columns: list[tuple[Kind, list[Any]]] = [(each.kind, []) for each in table.columns]
        self._extras: list[Sequence[str | None]] = []
        self._sizes = [0]
        self._placed: list[Any] = []
        self._own: list[Any] = []
        self._children = {name: _Sheet(child) for name, child in table.children.items()}
        columns = zip(table.columns, self._columns, strict=True)
        takers = {column.name: _taker(kind, values) for column, (kind, values) in columns}
        takers |= {name: child.take_lists for name, child in self._children.items()}
        self._takers = [takers[name] for name in table.shape.names]

    def walk(self) -> Iterator[_Sheet]:
        """The sheet and all below it."""
        yield self
        for child in self._children.values():
            yield from child.walk()

    def take(self, rows: Sequence[Any]) -> None:
        """Append rows that were read."""
        self.rows += len(rows)
        columns: list[Any] = list(zip(*map(astuple, rows), strict=True))
        for take, values in zip(self._takers, columns, strict=False):
            take(values)
        if self.table.shape.knows_more:
            self._extras.append(self.table.shape.extras(rows))

    def take_lists(self, lists: Sequence[Sequence[Any] | None]) -> None:
        """Append the rows in lists, each of which is in a row of the table above."""
        known = [each or () for each in lists]
        self._sizes += map(len, known)
        self.take(list(chain.from_iterable(known)))

    def finish(self, above: Sequence[Any] = (), rows_above: int = 0, ends: Any = None) -> None:
        """Make the arrays of it and of all below it.

        Args:
            above: The columns that say of the rows in the table above where they are.
            rows_above: How many those are.
            ends: For each record how many rows are in the table above up to it and with it; None where it is one each.

        Raises:
            Unfit: Something does not fit its column, or whether it does cannot be said without a closer look. Its
                places are those of records.
            ArrowInvalid: Likewise.
            OverflowError: Likewise.
        """
        if self.table.nested:
            sizes = self._sizes if len(self._sizes) > 1 else [0] * (rows_above + 1)  # the lists may not have come
            totals = pc.cumulative_sum(pa.array(sizes, pa.int32()))
            parents = pc.list_parent_indices(pa.ListArray.from_arrays(totals, pa.nulls(self.rows)))
            places = pc.subtract(_from_0(self.rows.bit_length()).slice(0, self.rows), totals.take(parents))
            self._placed = [*(each.take(parents) for each in above), places.cast(TYPES["integer"])]
            ends = totals if ends is None else totals.take(ends)
            self.counts = pc.pairwise_diff(ends)[1:].to_pylist()
        try:
            self._own = _arrays([*self._columns, ("text", self._extras)], self.rows)
        except Unfit as error:
            rows = [place % self.rows for place in error.places]
            until = None if ends is None else ends.to_pylist()
            records = rows if until is None else [bisect_right(until, row) - 1 for row in rows]
            raise Unfit("", error.why, records) from None
        ids = [own for own, each in zip(self._own, self.table.columns, strict=False) if each.name == "id"]
        below = len(self.table.above)
        for child in self._children.values():
            child.finish([*self._placed[:below], *ids, *self._placed[below:]], self.rows, ends)

    def batch(self, schema: Any) -> Any:
        """The whole of it."""
        return pa.RecordBatch.from_arrays([*self._placed, *self._own], schema=schema)


@cache
def _from_0(bits: int) -> Any:
    """The numbers from 0 on, so many that they have up to so many bits."""
    return pa.array(range(2**bits), pa.int32())


def _taker(kind: Kind, values: list[Any]) -> Callable[[Sequence[Any]], object]:
    if kind == "number":
        return lambda some: values.append(b",".join(some))
    if kind == "json":
        return lambda some: values.append(_BETWEEN.join(some))
    return values.append


def _arrays(columns: Sequence[tuple[Kind, list[Any]]], rows: int) -> list[Any]:
    """The arrays of columns, those of one kind made together."""
    alike = defaultdict[Kind, list[int]](list)
    for place, (kind, values) in enumerate(columns):
        if values:
            alike[kind].append(place)
    missing = {kind: pa.nulls(rows, type_) for kind, type_ in TYPES.items()}
    found = [missing[kind] for kind, _ in columns]
    for kind, places in alike.items():
        whole = _whole(kind, rows * len(places), chain.from_iterable(columns[place][1] for place in places))
        for number, place in enumerate(places):
            found[place] = whole.slice(number * rows, rows)
    return found


def _whole(kind: Kind, rows: int, values: Iterator[Any]) -> Any:
    if kind == "number":
        return amounts(b",".join(values), b",", rows)
    if kind == "json":
        return apart(_BETWEEN.join(values), _BETWEEN, rows)
    if kind in ("date", "instant"):
        return pa.array(list(chain.from_iterable(values)), pa.string()).cast(TYPES[kind])
    return pa.array(list(chain.from_iterable(values)), TYPES[kind])
