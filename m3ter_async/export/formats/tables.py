"""Records as tables: which columns the rows of a listing have, and how JSON becomes those columns.

Amounts, free-form maps and whatever is no plain value are taken from the JSON as the text that they are there: nothing
is computed on the way, so nothing can be rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, repeat
from operator import attrgetter
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import Raw

from ...models._base import dt
from ..errors import ExportError

Kind = Literal["text", "integer", "boolean", "number", "date", "instant", "json"]

NULL = Raw(b"null")
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
_PLAIN = re.compile(r"[-+.0-9eE\nnul]*")  # what numbers and null are made of
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
        row: A struct with a field for each column, and for each child a list of its rows.
        above: The ids, and the places where there are any, of the rows that a row of this table lies in.
        nested: Whether it lies in another; then each row has its place there, counted from 0.
        children: The tables below, by the field of `row` that holds them.
    """

    name: str
    columns: Sequence[Column]
    row: type[Any]
    above: Sequence[Column] = ()
    nested: bool = False
    children: Mapping[str, Table] = field(default_factory=lambda: {})

    @property
    def header(self) -> list[Column]:
        """All columns of the table, those that say where a row lies first."""
        return [*self.above, *([Column("position", "integer")] if self.nested else []), *self.columns]

    def walk(self) -> Iterator[Table]:
        """The table and all below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()


def flat(record: type[Any], name: str, extra: str | None = None, above: Sequence[Column] | None = None) -> Table:
    """The tables for records of a struct: plain values in columns, other tables for the lists that have rows.

    Args:
        record: The struct that the records decode to.
        name: What to call the table.
        extra: A key, as it stands in the JSON, that the records have before all else.
        above: Where this is a table below another, what says in which rows of those above it lies.
    """
    columns: list[Column] = []
    fields: list[tuple[str, Any, Any]] = []
    children: dict[str, Table] = {}
    if extra is not None:
        columns.append(Column(snake(extra), "text"))
        fields.append((snake(extra), str | None, msgspec.field(default=None, name=extra)))
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
        read: Any = Raw
        if title is not None and items is not None:
            child = children[each.name] = flat(items, title, above=below)
            read = list[child.row] | None  # type: ignore[name-defined]
        else:
            columns.append(Column(each.name, kind))
            if kind in READ:
                read = READ[kind] | None
        default = NULL if read is Raw else None
        fields.append((each.name, read, msgspec.field(default=default, name=each.encode_name)))
    row = msgspec.defstruct(f"{record.__name__}Row", fields, frozen=True, gc=False)
    return Table(name, columns, row, above or (), above is not None, children)


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


def read_rows(decoder: msgspec.json.Decoder[Any], records: Iterable[bytes]) -> list[Any]:
    """The rows of some records.

    Raises:
        ExportError: One is not what its listing promises; the text names it.
    """
    rows: list[Any] = []
    for record in records:
        try:
            rows.append(decoder.decode(record))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = f"a record is not as the contract says: {error} (in {record[:80]!r}...)"
            raise ExportError(reason, resumable=False) from None
    return rows


Columns: TypeAlias = list[Sequence[Any]]


def split(table: Table, rows: Sequence[Any]) -> Iterator[tuple[Table, Columns]]:
    """The columns of `table` and of the tables below it, in the order of their headers, for rows that were read."""
    return _split(table, rows, [], [])


def _split(table: Table, rows: Sequence[Any], above: Columns, position: Columns) -> Iterator[tuple[Table, Columns]]:
    own = [list(map(attrgetter(column.name), rows)) for column in table.columns]
    yield table, [*above, *position, *own]
    ids = [values for column, values in zip(table.columns, own, strict=True) if column.name == "id"]
    for name, child in table.children.items():
        lists: list[Any] = [items or () for items in map(attrgetter(name), rows)]
        counts = list(map(len, lists))
        carried: Columns = [_repeated(values, counts) for values in (*above, *ids, *position)]
        places = list(chain.from_iterable(map(range, counts)))
        yield from _split(child, list(chain.from_iterable(lists)), carried, [places])


def _repeated(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return list(chain.from_iterable(map(repeat, values, counts)))


def texts(values: Iterable[Raw]) -> list[str | None]:
    """What was taken from the JSON as it stands there, as text; None for null.

    Raises:
        ExportError: It is no UTF-8.
    """
    try:
        return [None if value == b"null" else value.decode() for value in map(bytes, values)]
    except UnicodeDecodeError as error:
        raise ExportError(f"{error.object[:80]!r} is no UTF-8", resumable=False) from None


def amounts(values: Sequence[Raw]) -> list[str | None]:
    """The digits of amounts as they were sent; None for null.

    Raises:
        ExportError: One of them is no amount.
    """
    joined = b"\n".join(values).decode(errors="replace")
    found = joined.split("\n")
    if len(found) != len(values) or not _PLAIN.fullmatch(joined):
        return list(map(amount, values))
    return [None if value == "null" else value for value in found]


def amount(value: Raw) -> str | None:
    """The digits of one amount as they were sent, be it as a number or in quotes.

    Raises:
        ExportError: It is no amount.
    """
    try:
        found = msgspec.json.decode(value, type=Decimal | None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ExportError(f"{bytes(value)[:80]!r} is no amount", resumable=False) from None
    return None if found is None else bytes(value).strip(b'"').decode()
