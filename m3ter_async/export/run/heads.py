"""What stands in a record but for its line items, as a digest: to tell whether it is still as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import msgspec
from msgspec import Raw

from ..slices.listings import Listing
from .exported_ids import SIZE

# What records lack where only their heads are asked for.
_LISTS: Mapping[str, frozenset[str]] = {"bills.list": frozenset(("lineItems",))}

_fields = msgspec.json.Decoder(dict[str, Raw])


def check_settles(listing: Listing) -> None:
    """See that what was written of a listing can be compared with what is there.

    Raises:
        ValueError: It cannot.
    """
    if not listing.by_ids or "id" not in getattr(listing.operation.answer, "__struct_encode_fields__", ()):
        raise ValueError(
            f"settle is for listings that can be asked for ids, such as bills, and without ids of your own: "
            f"{listing.resource} cannot be settled, leave out settle or export it by itself"
        )


class Head:
    """Makes the digests for one listing."""

    def __init__(self, listing: Listing) -> None:
        self._lists = _LISTS.get(listing.method, frozenset())

    def __call__(self, record: bytes) -> bytes:
        """The digest of a record, whole or without its line items; the order of its fields is of no account."""
        made = blake2b(digest_size=SIZE)
        try:
            fields = _fields.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            made.update(record)
            return made.digest()
        for name in sorted(fields.keys() - self._lists):
            made.update(msgspec.json.encode(name))
            made.update(fields[name])
        return made.digest()
