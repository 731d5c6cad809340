"""Records as tables: which columns the rows of a listing have, and how JSON becomes those columns.

Amounts, free-form maps and whatever is no plain value are taken from the JSON as the text that they are there: nothing
is computed on the way, so nothing can be rounded. Fields that the models do not name are in the column ``_extra`` of
the table whose rows have them, as a JSON object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate, chain, repeat
from operator import attrgetter
from types import UnionType
from typing import Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import Raw

from ..models._base import dt
from .fitting import Unfit, shown
from .shapes import Member, Shape

Kind = Literal["text", "integer", "boolean", "number", "date", "instant", "json"]

NULL = Raw(b"null")
EXTRA = "_extra"
_KINDS: Mapping[type, Kind] = {
    str: "text",
    int: "integer",
    bool: "boolean",
    Decimal: "number",
    dt.date: "date",
    dt.datetime: "instant",
}
# How a field of each kind is read: dates and date-times as text, what has to stay exact as it stands in the JSON.
READ: Mapping[Kind, Any] = {"text": str, "integer": int, "boolean": bool, "date": str, "instant": str}
# Lists that are tables of their own.
_CHILDREN: Mapping[tuple[str, str], str] = {
    ("Bill", "line_items"): "line_items",
    ("BillLineItem", "usage_per_pricing_band"): "pricing_bands",
    ("LineItem", "band_usage"): "pricing_bands",
}


@dataclass(frozen=True)
class Column:
    """A column of a table; its `name` is that of the model's field."""

    name: str
    kind: Kind

    @property
    def title(self) -> str:
        """What it is called in a file."""
        return self.name.rstrip("_")


@dataclass
class Table:
    """The rows of one kind of record, and of the lists in it that are tables of their own.

    Attributes:
        name: Of the table.
        columns: What its rows have, in order, the lists that are tables left out.
        shape: What its rows are read into: a field for each column, and for each child a list of its rows.
        above: The ids, and the places where there are any, of the rows that a row of this table lies in.
        nested: Whether it lies in another; then each row has its place there, counted from 0.
        children: The tables below, by the field that holds them.
    """

    name: str
    columns: Sequence[Column]
    shape: Shape
    above: Sequence[Column] = ()
    nested: bool = False
    children: Mapping[str, Table] = field(default_factory=lambda: {})

    @property
    def header(self) -> list[Column]:
        """All columns of the table: those that say where a row lies first, what no model names last."""
        place = [Column("position", "integer")] if self.nested else []
        return [*self.above, *place, *self.columns, Column(EXTRA, "text")]

    def walk(self) -> Iterator[Table]:
        """The table and all below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()


def flat(
    record: type[Any],
    name: str,
    parent: str | None = None,
    above: Sequence[Column] | None = None,
    *,
    lean: bool = False,
) -> Table:
    """The tables for records of a struct: plain values in columns, other tables for the lists that have rows.

    Args:
        record: The struct that the records decode to.
        name: What to call the table.
        parent: A key, as it stands in the JSON, that names the parent of a record before all else.
        above: Where this is a table below another, what says in which rows of those above it lies.
        lean: Whether the rows have no place for a field before it is known to come.
    """
    columns: list[Column] = []
    members: list[Member] = []
    children: dict[str, Table] = {}
    if parent is not None:
        columns.append(Column(snake(parent), "text"))
        members.append(Member(snake(parent), parent, str | None))
    model = msgspec.structs.fields(record)
    one = name.removesuffix("s")
    below = [*(above or ())]
    if any(each.name == "id" for each in model):
        below.append(Column(f"{one}_id", "text"))
    if above is not None:
        below.append(Column(f"{one}_position", "integer"))
    for each in model:
        kind, items = kind_of(each.type)
        title = _CHILDREN.get((record.__name__, each.name))
        if title is not None and items is not None:
            child = children[each.name] = flat(items, title, above=below, lean=lean)
            members.append(Member(each.name, each.encode_name, inner=child.shape, many=True))
            continue
        columns.append(Column(each.name, kind))
        members.append(plain(each.name, each.encode_name, kind))
    return Table(name, columns, Shape(name, members, lean=lean), above or (), above is not None, children)


def plain(name: str, wire: str, kind: Kind) -> Member:
    """A field that is read as a plain value, or as it stands in the JSON."""
    return Member(name, wire, READ[kind] | None) if kind in READ else Member(name, wire, Raw, NULL)


def kind_of(type_: Any) -> tuple[Kind, type[Any] | None]:
    """How values of a model's field are kept, and the struct of its items where it is a list of structs."""
    bare = without_none(type_)
    items = get_args(bare)
    if len(items) == 1 and isinstance(items[0], type) and issubclass(items[0], msgspec.Struct):
        return "json", items[0]
    return _KINDS.get(bare, "json"), None


def without_none(type_: Any) -> Any:
    """What a field is if it is not None; itself where that is one of several types."""
    if get_origin(type_) in (Union, UnionType):
        members = [member for member in get_args(type_) if member is not type(None)]
        return members[0] if len(members) == 1 else type_
    return type_


def snake(name: str) -> str:
    """A name of the JSON as it is called in Python."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


Columns: TypeAlias = list[Sequence[Any]]


class InTable(NamedTuple):
    """What some records are in one table.

    Attributes:
        table: The table.
        columns: In the order of its header.
        ends: For each record, how many rows of the table are there up to its own; None where that is one for each.
    """

    table: Table
    columns: Columns
    ends: Sequence[int] | None

    @property
    def counts(self) -> list[int] | None:
        """The rows of each record; None where each has one."""
        if self.ends is None:
            return None
        return [end - start for start, end in zip([0, *self.ends], self.ends, strict=False)]


def split(table: Table, rows: Sequence[Any]) -> Iterator[InTable]:
    """What rows that were read are in `table` and in the tables below it."""
    return _split(table, rows, [], [], None)


def _split(
    table: Table, rows: Sequence[Any], above: Columns, position: Columns, ends: Sequence[int] | None
) -> Iterator[InTable]:
    own: Columns = [list(map(attrgetter(column.name), rows)) for column in table.columns]
    yield InTable(table, [*above, *position, *own, table.shape.extras(rows)], ends)
    ids = [values for column, values in zip(table.columns, own, strict=True) if column.name == "id"]
    for name, child in table.children.items():
        lists: list[Any] = [items or () for items in map(attrgetter(name), rows)]
        counts = list(map(len, lists))
        carried: Columns = [_repeated(values, counts) for values in (*above, *ids, *position)]
        places = list(chain.from_iterable(map(range, counts)))
        totals = list(accumulate(counts))
        below = totals if ends is None else [totals[end - 1] if end else 0 for end in ends]
        yield from _split(child, list(chain.from_iterable(lists)), carried, [places], below)


def _repeated(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return list(chain.from_iterable(map(repeat, values, counts)))


def texts(values: Iterable[Raw]) -> list[str | None]:
    """What was taken from the JSON as it stands there, as text; None for null.

    Raises:
        Unfit: It is no UTF-8.
    """
    try:
        return [None if value == b"null" else value.decode() for value in map(bytes, values)]
    except UnicodeDecodeError as error:
        raise Unfit("", f"{shown(error.object)} is no UTF-8") from None
