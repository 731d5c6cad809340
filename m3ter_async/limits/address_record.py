"""The window per address in the file of a host's limits."""

from __future__ import annotations

import math
import mmap
from struct import Struct

from .shared_file import ADDRESS, ADDRESS_SIZE, ADDRESSES, ADDRESSES_AT, COUNT, SECONDS

_COUNTS = Struct(f"<{SECONDS}I")
_LATE = 10  # seconds by which somebody may come after others with a time from before theirs


class AddressRecord:
    """The passes of one address, counted by the second.

    Args:
        memory: The file.
        key: Its name.
        now: The time.
        size: How many passes there are in 300 seconds.
    """

    def __init__(self, memory: mmap.mmap, key: bytes, now: float, size: int) -> None:
        self._memory = memory
        self._key = key
        self._size = size
        self._at = self._find(now)

    def _find(self, now: float) -> int:
        oldest, at = math.inf, ADDRESSES_AT
        for number in range(ADDRESSES):
            place = ADDRESSES_AT + number * ADDRESS_SIZE
            key, used, _, _ = ADDRESS.unpack_from(self._memory, place)
            if key == self._key:
                return place
            if key == bytes(16):
                used = -math.inf
            if used < oldest:
                oldest, at = used, place
        self._memory[at : at + ADDRESS_SIZE] = bytes(ADDRESS_SIZE)
        ADDRESS.pack_into(self._memory, at, self._key, now, int(now), 0)
        return at

    def wait(self, now: float) -> float:
        """Seconds until there is a pass again; 0 where there is one."""
        second, total = self._now(now)
        if total < self._size:
            return 0.0
        counts = self._at + ADDRESS.size
        for back in range(SECONDS - 1, 0, -1):  # the oldest first
            (count,) = COUNT.unpack_from(self._memory, counts + (second - back) % SECONDS * COUNT.size)
            if count:
                return float(SECONDS - back)
        return 1.0

    def take(self, now: float) -> None:
        """Count a pass."""
        second, total = self._now(now)
        place = self._at + ADDRESS.size + second % SECONDS * COUNT.size
        (count,) = COUNT.unpack_from(self._memory, place)
        COUNT.pack_into(self._memory, place, count + 1)
        ADDRESS.pack_into(self._memory, self._at, self._key, now, second, total + 1)

    def _now(self, now: float) -> tuple[int, int]:
        """The second that is counted, and how many passes count in it, after those that are too old were taken off."""
        if self._memory[self._at : self._at + 16] != self._key:
            self._at = self._find(now)
        second = int(now)
        key, used, last, total = ADDRESS.unpack_from(self._memory, self._at)
        if second <= last < second + _LATE:
            return int(last), int(total)
        counts = self._at + ADDRESS.size
        gone = second - last
        if not 0 < gone < SECONDS:
            self._memory[counts : counts + SECONDS * COUNT.size] = bytes(SECONDS * COUNT.size)
        else:
            for each in range(last + 1, second + 1):
                COUNT.pack_into(self._memory, counts + each % SECONDS * COUNT.size, 0)
        total = sum(_COUNTS.unpack_from(self._memory, counts))
        ADDRESS.pack_into(self._memory, self._at, key, used, second, total)
        return second, int(total)
