"""The file of a host's limits: what is in it and where. Whoever reads or writes it holds its lock.

A process may be killed between two writes. So nothing in it refers to anything else that must fit: a time that cannot
be is taken for none.
"""

from __future__ import annotations

import math
import mmap
from hashlib import blake2b
from struct import Struct

VERSION = 1
LIMITS = 256  # organizations, times the scopes that they are called in
OWNERS = 64  # processes; all beyond share the last place
ADDRESSES = 16  # hosts, times the scopes that have a window per address
RING = 256  # passes of which the times are kept; no rate is larger
SECONDS = 301  # of which the passes of an address are counted

_HEADER = Struct("<8sI16sd")  # magic, version, boot, rate
_MAGIC = b"m3terlim"
_OWNER = Struct("<8sd")  # token, last seen
_KEY = Struct("<16sd")  # of a limit, and when it was last used
# paused until, start, started, passes, bulk passes, somebody waits until, somebody waits who is no bulk until
_STATE = Struct("<dddQQdd")
_TIME = Struct("<d")
ADDRESS = Struct("<16sdQQ")  # key, last used, the second that is counted now, passes in all seconds
COUNT = Struct("<I")

_OWNERS_AT = 64
_LIMITS_AT = _OWNERS_AT + OWNERS * _OWNER.size
_RING_AT = _KEY.size + _STATE.size
_BULK_AT = _RING_AT + RING * _TIME.size
_WHOSE_AT = _BULK_AT + RING * _TIME.size
_WAITING_AT = _WHOSE_AT + RING
_LIMIT_SIZE = _WAITING_AT + OWNERS * _TIME.size
ADDRESSES_AT = _LIMITS_AT + LIMITS * _LIMIT_SIZE
ADDRESS_SIZE = ADDRESS.size + SECONDS * COUNT.size
SIZE = ADDRESSES_AT + ADDRESSES * ADDRESS_SIZE

_STALE = 60.0  # seconds after which a process that was not seen has lost its place
_OLD = 301.0  # seconds after which a limit that was not used can be forgotten


def key_of(*words: str) -> bytes:
    """The name of a limit in the file, which tells nobody whose it is."""
    return blake2b("\0".join(words).encode(), digest_size=16).digest()


class Fault(Exception):
    """The file is not one of this version, or of another rate; the text says so."""


def check(memory: mmap.mmap, boot: bytes, rate: float, now: float) -> None:
    """Begin a file that is new, was left from before the machine started, or by those who kept another rate.

    Raises:
        Fault: It belongs to something else.
    """
    magic, version, began, kept = _HEADER.unpack_from(memory)
    if magic not in (_MAGIC, bytes(8)):
        raise Fault("is not a file of limits")
    if magic == _MAGIC and version != VERSION:
        raise Fault("is of another version of this package: remove it when no process uses it")
    if magic == _MAGIC and began == boot:
        if kept == rate:
            return
        if any(now - _STALE < seen <= now + 1 for _, seen in _OWNER.iter_unpack(memory[_OWNERS_AT:_LIMITS_AT])):
            raise Fault(
                f"is kept for {kept:g} requests a second, not for {rate:g}: pass all who share it one rate=,"
                f" or try again {_STALE:g} seconds after the last of them has ended"
            )
    memory[:] = bytes(SIZE)
    _HEADER.pack_into(memory, 0, _MAGIC, VERSION, boot, rate)


def own_place(memory: mmap.mmap, token: bytes, now: float) -> int:
    """The place of a process among those who share the file; a free one if it has none yet."""
    free = OWNERS - 1
    for place in range(OWNERS - 2, -1, -1):
        known, seen = _OWNER.unpack_from(memory, _OWNERS_AT + place * _OWNER.size)
        if known == token:
            free = place
            break
        if known == bytes(8) or not now - _STALE < seen <= now + 1:
            free = place
    seen_now(memory, free, token, now)
    return free


def seen_now(memory: mmap.mmap, place: int, token: bytes, now: float) -> None:
    """Note that a process is alive."""
    _OWNER.pack_into(memory, _OWNERS_AT + place * _OWNER.size, token, now)


def leave(memory: mmap.mmap, place: int) -> None:
    """Note that a process keeps the limits no more."""
    _OWNER.pack_into(memory, _OWNERS_AT + place * _OWNER.size, bytes(8), 0.0)


class LimitRecord:
    """One limit in the file.

    Args:
        memory: The file.
        key: Its name.
        now: The time.
        size: How many passes there are in a period.
        period: The seconds after which a pass comes back.
    """

    def __init__(self, memory: mmap.mmap, key: bytes, now: float, size: int, period: float) -> None:
        self._memory = memory
        self._key = key
        self._size = size
        self._period = period
        self._at = self._find(now)

    def _find(self, now: float) -> int:
        oldest, at = math.inf, _LIMITS_AT
        free: int | None = None
        for number in range(LIMITS):
            place = _LIMITS_AT + number * _LIMIT_SIZE
            key, used = _KEY.unpack_from(self._memory, place)
            if key == self._key:
                return place
            if free is None and (key == bytes(16) or not now - _OLD < used <= now + 1):
                free = place
            if used < oldest:
                oldest, at = used, place
        at = at if free is None else free  # where all are in use, the one that was used last of all has to go
        self._memory[at : at + _LIMIT_SIZE] = bytes(_LIMIT_SIZE)
        _KEY.pack_into(self._memory, at, self._key, now)
        return at

    def take(self, now: float, owner: int, *, bulk: bool) -> float:
        """As `RateLimit.take`; who has had more than its share leaves the next pass to those who wait."""
        memory, at = self._memory, self._at
        if memory[at : at + 16] != self._key:
            self._at = at = self._find(now)
        paused, start, started, passes, bulk_passes, waiting, others = _STATE.unpack_from(memory, at + _KEY.size)
        most = self._most(now, start, started)
        wait = max(self._until(paused, now, 301.0), self._busy(at + _RING_AT, passes, most, now))
        if bulk:
            kept = min(most // 2, -(-most // 25) + self._taken_by_others(passes, bulk_passes, now))
            wait = max(wait, self._busy(at + _BULK_AT, bulk_passes, most - kept, now))
            if not wait:
                wait = self._until(others, now, self._period + 1)
        if not wait and now < waiting and self._is_greedy(owner, passes, most, now, bulk=bulk):
            wait = self._period / self._size / 2
        mine = at + _WAITING_AT + owner * _TIME.size
        if wait:
            back = now + wait + _GRACE
            _TIME.pack_into(memory, mine, -back if bulk else back)
            waiting, others = max(waiting, back), others if bulk else back
        else:
            if now < waiting:
                _TIME.pack_into(memory, mine, 0.0)
            place = passes % RING
            _TIME.pack_into(memory, at + _RING_AT + place * _TIME.size, now)
            memory[at + _WHOSE_AT + place] = owner
            if bulk:
                _TIME.pack_into(memory, at + _BULK_AT + bulk_passes % RING * _TIME.size, now)
            passes, bulk_passes = passes + 1, bulk_passes + bulk
            if not bulk:  # who had to wait for this pass most likely comes for the next at once
                others = now + _GRACE if now < others else 0.0
            _KEY.pack_into(memory, at, self._key, now)
        _STATE.pack_into(memory, at + _KEY.size, paused, start, started, passes, bulk_passes, waiting, others)
        return wait

    def paused(self, now: float) -> float:
        """As `RateLimit.paused`."""
        return self._until(_STATE.unpack_from(self._memory, self._at + _KEY.size)[0], now, 301.0)

    def pause(self, now: float, seconds: float) -> None:
        """As `RateLimit.pause`."""
        at = self._at + _KEY.size
        paused, start, started, *rest = _STATE.unpack_from(self._memory, at)
        left = self._until(paused, now, 301.0)
        until = now + max(left, seconds)
        if not left:
            start = max(1.0, self._most(now, start, started) / 2)
        _STATE.pack_into(self._memory, at, until, start, until, *rest)

    def _most(self, now: float, start: float, started: float) -> int:
        if not start or not -301.0 < now - started < 10 * self._period:
            return self._size
        return max(1, min(self._size, int(start + (now - started) / self._period * self._size / 10)))

    def _busy(self, ring: int, passes: int, most: int, now: float) -> float:
        """Seconds until fewer than `most` of the last passes are younger than a period."""
        if passes < most:
            return 0.0
        (oldest,) = _TIME.unpack_from(self._memory, ring + (passes - most) % RING * _TIME.size)
        return self._until(oldest + self._period, now, self._period)

    def _taken_by_others(self, passes: int, bulk_passes: int, now: float) -> int:
        return max(0, self._young(_RING_AT, passes, now) - self._young(_BULK_AT, bulk_passes, now))

    def _young(self, ring: int, passes: int, now: float) -> int:
        """How many of the last passes are younger than a period; they stand in the order of their times."""
        low, high = passes - min(passes, self._size), passes
        while low < high:
            middle = (low + high) // 2
            (when,) = _TIME.unpack_from(self._memory, self._at + ring + middle % RING * _TIME.size)
            if now - self._period < when <= now:
                high = middle
            else:
                low = middle + 1
        return passes - low

    def _is_greedy(self, owner: int, passes: int, most: int, now: float, *, bulk: bool) -> bool:
        """Whether a process has had more than its share of the last passes, while others wait in the same lane."""
        waiting = list(_WAITING.unpack_from(self._memory, self._at + _WAITING_AT))
        waiting[owner] = 0.0
        others = sum(now < (-until if bulk else until) < now + self._period + 1 for until in waiting)
        if not others:
            return False
        last = min(passes, most)
        begin = self._at + _WHOSE_AT
        place = passes % RING
        whose = self._memory[begin : begin + RING]
        window = whose[place - last : place] if place >= last else whose[place - last :] + whose[:place]
        return bool(window.count(owner) > most // (others + 1))

    @staticmethod
    def _until(then: float, now: float, most: float) -> float:
        """Seconds until `then`; 0 where that is over, or so far away that it was never meant."""
        left = then - now
        return left if 0 < left < most + 0.001 else 0.0


_WAITING = Struct(f"<{OWNERS}d")  # until when each process waits; less than 0 where only a bulk request does
_GRACE = 0.05  # seconds that somebody may be late for its next try and still counts as waiting
