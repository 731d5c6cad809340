"""The id of a record, read without the rest of it."""

from __future__ import annotations

import re

import msgspec

# The id stands first in most records, at the most behind that of the parent: then nothing of the rest has to be read.
_FIRST = re.compile(rb'\{(?:"\w+":"[^"\\]*",)?"id":"([^"\\]+)"')


class _Identified(msgspec.Struct):
    id: str | int | None = None


_decoder = msgspec.json.Decoder(_Identified)


def id_of(record: bytes) -> bytes | None:
    """The id of a record, or None where it has none that can be read."""
    found = _FIRST.match(record)
    if found is not None:
        return found[1]
    try:
        name = _decoder.decode(record).id
        return None if name is None else str(name).encode()
    except (msgspec.DecodeError, UnicodeError):
        return None
