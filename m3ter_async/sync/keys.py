"""What a record is known by and what it held: its id, packed, and a digest of its fields."""

from __future__ import annotations

import re
from collections.abc import Set
from hashlib import blake2b
from typing import NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Raw

Key: TypeAlias = bytes | str
"""An id as it is kept: the 16 bytes of a UUID, else its text."""

DIGEST = 16  # bytes

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # what is written in another way stays a text
_fields = msgspec.json.Decoder(dict[str, Raw])
_id = msgspec.json.Decoder(str | int)


LINES = frozenset(("lineItems",))
"""What a bill has more than its head."""


class Unkeyed(Exception):
    """A record that cannot be told from others: it is no object, or has no id."""


class Print(NamedTuple):
    """What is kept of a record.

    Attributes:
        id: Its id.
        digest: Of its fields.
        settled: Whether it is locked, and so does not change as long as it is.
    """

    id: str
    digest: bytes
    settled: bool


def pack(id: str) -> Key:
    """An id as it is kept."""
    return bytes.fromhex(id.replace("-", "")) if _UUID.fullmatch(id) else id


def unpack(key: Key) -> str:
    """The id that is kept so."""
    return key if isinstance(key, str) else str(UUID(bytes=key))


def print_of(record: bytes, without: Set[str] = frozenset()) -> Print:
    """What is kept of a record.

    Args:
        record: Its JSON.
        without: Fields that do not count. The order of the others does not matter, and how each is written does.

    Raises:
        Unkeyed: It has no id.
    """
    try:
        fields = _fields.decode(record)
        id = str(_id.decode(fields["id"]))
        id.encode()
    except KeyError:
        raise Unkeyed("it has no id") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Unkeyed(str(error) or "nested too deeply") from None
    if id in ("", ".", ".."):
        raise Unkeyed(f"{id!r} is no id: nothing can be asked for by it")
    made = blake2b(digest_size=DIGEST)
    for name in sorted(fields.keys() - without):
        made.update(b'%b":%b\n' % (name.encode(), bytes(fields[name])))
    return Print(id, made.digest(), bytes(fields.get("locked", b"")) == b"true")
