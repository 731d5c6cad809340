"""How the records of a listing are decoded: a page at once where that is quick, else one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from .._core.decoding import Decoder, Unreadable, decode, decoder

T = TypeVar("T")

# For a page at once its JSON is gone through one time instead of two, but meanwhile no other task gets a turn.
_AT_ONCE = 0.010  # seconds that this may take
_SURELY = 65_536  # bytes that are decoded within that time whatever they are


class _Whole(msgspec.Struct, Generic[T], rename="camel"):
    data: list[T]
    next_token: str | None = None


class Reader(Generic[T]):
    """Decodes records of one type, and learns how quick that is.

    Args:
        type: Anything that msgspec decodes.
        now: Gives monotonic seconds.

    Attributes:
        type: What it decodes to.
    """

    def __init__(self, type: Any, now: Callable[[], float]) -> None:
        self.type: Any = type
        self._record: Decoder[T] = decoder(type)
        self._page: Decoder[_Whole[T]] = decoder(_Whole[type])
        self._now = now
        self._bytes = 0
        self._seconds = 0.0

    def page(self, body: bytes | bytearray) -> tuple[list[T], str | None] | None:
        """All records of a page and its ``nextToken``; None where it must be split first.

        That is so where it would take too long, and where anything in it cannot be decoded: what comes before that
        is still to be handed out.
        """
        quick = self._bytes > 0 and len(body) * self._seconds <= _AT_ONCE * self._bytes
        if len(body) > _SURELY and not quick:
            return None
        began = self._now()
        try:
            page = decode(self._page, body)
        except Unreadable:
            return None
        self._learn(len(body), began)
        return page.data, page.next_token

    def record(self, raw: Raw, size: int) -> T:
        """One record of `size` bytes.

        Raises:
            Unreadable: It is not of this type.
        """
        began = self._now()
        record = decode(self._record, raw)
        self._learn(size, began)
        return record

    def _learn(self, size: int, began: float) -> None:
        self._bytes += size
        self._seconds += self._now() - began


class RawReader(Reader[bytes]):
    """Leaves the records as they are."""

    def __init__(self) -> None:
        """Needs no decoder."""
        self.type = bytes

    def page(self, body: bytes | bytearray) -> None:
        """Never at once: only splitting finds where one record ends."""
        return None

    def record(self, raw: Raw, size: int) -> bytes:
        """The JSON of one record."""
        return bytes(raw)
