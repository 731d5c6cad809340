"""Positions in listings by offset, which name another place once records before them came or went."""

from __future__ import annotations

from ...client import AsyncM3ter
from ..slices.listings import PAGE_SIZE, Listing, paginator
from ..slices.slice import Position, Slice
from .exported_ids import digest_of, last_digest
from .manifest import Manifest


def is_offset(listing: Listing, position: Position) -> bool:
    """Whether a position is one that may name another place by now."""
    return listing.operation.page == "offset" and position.token is not None


def last_read(manifest: Manifest, resource: str, slice: Slice) -> bytes | None:
    """What is kept of the id of the record that was read last of a slice, or None where nothing is. Blocking."""
    parts = [part for part in manifest.resources[resource].parts.values() if slice.id in part.slices and part.taken]
    return last_digest(manifest.place, parts[-1]) if parts else None


async def still_before(client: AsyncM3ter, slice: Slice, position: Position, last: bytes | None) -> bool:
    """Whether the record before a position is the one that was read last.

    Raises:
        APIError: The service failed.
    """
    if last is None or position.token is None or not int(position.token):
        return False
    before = str(int(position.token) - 1)
    page = await paginator(client, slice.method, {**slice.arguments, PAGE_SIZE: "1"}, before).raw()
    return bool(page.data) and digest_of(None, page.data[0]) == last
