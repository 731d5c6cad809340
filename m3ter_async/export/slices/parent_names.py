"""The name of its parent in a child's record: always there, and once, whatever the record says of it."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from ...resources._base import camel
from .listings import Listing

_fields = msgspec.json.Decoder(dict[str, Raw])


def parent_key(listing: Listing) -> str | None:
    """The name under which a record of `listing` has its parent's id, or None where there is no parent."""
    if listing.parent is None or listing.parent_argument is None:
        return None
    name = camel(listing.parent_argument)
    if name == "id":  # that is the record's own
        name = f"{listing.parent.table.removesuffix('s')}Id"
    return name


def parent_column(listing: Listing) -> str | None:
    """The same where the models do not name that field, so that a table needs a column more for it."""
    key = parent_key(listing)
    return None if key in getattr(listing.operation.answer, "__struct_encode_fields__", ()) else key


def parent_field(listing: Listing) -> str | None:
    """The column of a table that has it, whether the models name that field or not."""
    from ..._tabular.tables import snake

    key = parent_key(listing)
    if key is None:
        return None
    record = listing.operation.answer
    names = dict(zip(record.__struct_encode_fields__, record.__struct_fields__, strict=True))
    return str(names.get(key, snake(key))).rstrip("_")


class ParentName:
    """Names the parent in its children.

    Args:
        key: The field.
        parent: The id.

    Attributes:
        contradicted: How many records named another parent themselves.
    """

    def __init__(self, key: str, parent: str) -> None:
        self._key = key
        self._folded = key.casefold()
        self._value = msgspec.json.encode(parent)
        self._opening = b"{%b:%b" % (msgspec.json.encode(key), self._value)
        self._sought = b'"%b"' % self._folded.encode()
        self.contradicted: int = 0

    def into(self, record: bytes) -> bytes:
        """The record with its parent's id; what is no object stays as it is."""
        if record[:1] != b"{":
            return record
        times = record.lower().count(self._sought)
        if times or b"\\u00" in record:  # a key may be spelled in escapes
            return self._replaced(record, times)
        return self._added(record)

    def _added(self, record: bytes) -> bytes:
        rest = record[1:].lstrip()
        return self._opening + (b"," + rest if rest != b"}" else rest)

    def _replaced(self, record: bytes, times: int) -> bytes:
        try:
            fields = _fields.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._added(record)  # of two fields with one name the first may be taken, and it is the right one
        own = {name: bytes(value) for name, value in fields.items() if name.casefold() == self._folded}
        if not own:
            return self._added(record)
        if any(value not in (self._value, b"null") for value in own.values()):
            self.contradicted += 1
        if own == {self._key: self._value} and times == 1:
            return record
        kept = {name: value for name, value in fields.items() if name not in own}
        rest = [b"%b:%b" % (msgspec.json.encode(name), bytes(value)) for name, value in kept.items()]
        return b",".join([self._opening, *rest]) + b"}"
