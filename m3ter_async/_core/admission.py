"""Who may send next: a place in flight and a pass of the rate limit are given together, or neither is.

Calls that somebody waits for go before bulk calls. In each of these two lanes organizations take turns, and within
one organization it is first come, first served.
"""

from __future__ import annotations

import math
from collections import deque

import anyio

from .clock import Clock
from .rate_limits import Gate
from .waits import Waits

_BULK_LEAVES = 10  # one place in so many is never taken by bulk calls


class PausedTooLong(Exception):
    """The service asked to be left alone for longer than the call can wait; `seconds` are left of that."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class NoTurnInTime(Exception):
    """The call's deadline came before its turn."""


class Turn:
    """A call that wants to be sent, or is being sent.

    Attributes:
        gate: Whose passes it needs; None for a call outside any organization.
        organization: Whose share of the places it takes.
        bulk: Whether it lets all others go first.
        deadline: When it is of no use any more, in monotonic seconds.
        patience: The longest pause after a 429 that it sits out, in seconds.
        granted: Whether it holds a place.
    """

    __slots__ = ("bulk", "deadline", "error", "gate", "gone", "granted", "news", "organization", "patience")

    def __init__(self, gate: Gate | None, organization: str, bulk: bool, deadline: float, patience: float) -> None:
        self.gate: Gate | None = gate
        self.organization: str = organization
        self.bulk: bool = bulk
        self.deadline: float = deadline
        self.patience: float = patience
        self.granted: bool = False
        self.gone: bool = False
        self.error: Exception | None = None
        self.news: anyio.Event | None = None


class _Queue:
    """The turns that wait at one gate."""

    __slots__ = ("lanes",)

    def __init__(self) -> None:
        self.lanes: tuple[deque[Turn], deque[Turn]] = (deque(), deque())  # others, bulk

    def __bool__(self) -> bool:
        return bool(self.lanes[0] or self.lanes[1])


class Admission:
    """The places in flight of a client, and the queues for them.

    Where there are several organizations each has a share of the places, with one share left for the next that comes,
    so that those that hang leave room for the others. Bulk calls leave a tenth.

    Args:
        places: The most requests in flight at once.
    """

    def __init__(self, places: int, clock: Clock, waits: Waits) -> None:
        self._places = self._free = places
        self._for_bulk = places - (max(1, places // _BULK_LEAVES) if places > 1 else 0)
        self._clock = clock
        self._waits = waits
        self._bulk = 0
        self._held: dict[str, int] = {}
        self._organizations: set[str] = set()
        self._queues: dict[Gate | None, _Queue] = {}
        self._leader: Turn | None = None
        self._alarm: anyio.CancelScope | None = None
        self._alarm_at = math.inf

    @property
    def free(self) -> int:
        """How many places nobody holds."""
        return self._free

    def expect(self, organization: str) -> None:
        """Keep room for an organization, from now on."""
        self._organizations.add(organization)

    def enter_now(self, gate: Gate | None, organization: str, bulk: bool) -> bool:
        """Take a place and a pass, if that is possible without waiting and without overtaking anybody."""
        if self._queues:
            queue = self._queues.get(gate)
            if queue is not None and (queue.lanes[0] or (bulk and queue.lanes[1])):
                return False
        if not self._has_place(organization, bulk):
            return False
        if gate is not None and gate.take(self._clock.now(), bulk=bulk):
            return False
        self._occupy(organization, bulk)
        return True

    async def enter(self, turn: Turn) -> None:
        """Wait for a place and a pass. Whoever is cancelled meanwhile takes nothing.

        Raises:
            PausedTooLong: The gate is paused for longer than the call can wait.
            NoTurnInTime: The deadline came first.
            ClosedWhileWaiting: The client was closed.
        """
        self._check_pause(turn)
        turn.news = anyio.Event()
        queue = self._queues.setdefault(turn.gate, _Queue())
        queue.lanes[turn.bulk].append(turn)
        try:
            with self._waits.until(turn.deadline):
                while not turn.granted and turn.error is None:
                    await self._step(turn)
            if not turn.granted:
                raise turn.error or NoTurnInTime
        except BaseException:
            turn.gone = True
            if turn.granted:
                self.leave(turn.organization, turn.bulk)
            raise
        finally:
            if self._leader is None:
                self._name_leader()

    async def _step(self, turn: Turn) -> None:
        """Wait for news; one of those who wait also keeps the time for all."""
        wait = self._look_again()
        if turn.granted or turn.error is not None:
            return
        if self._leader is not None:
            assert turn.news is not None
            await turn.news.wait()
            turn.news = anyio.Event()
            return
        self._leader = turn
        try:
            self._alarm_at = self._clock.now() + wait
            with anyio.CancelScope() as self._alarm:
                await (anyio.sleep_forever() if wait == math.inf else self._clock.sleep(wait))
        finally:
            self._leader = self._alarm = None

    def leave(self, organization: str, bulk: bool) -> None:
        """Give a place back."""
        self._free += 1
        self._bulk -= bulk
        held = self._held[organization] - 1
        if held:
            self._held[organization] = held
        else:
            del self._held[organization]
        if self._queues:
            self._look_again()

    def pause_changed(self, gate: Gate) -> None:
        """Tell those who wait at a gate that it was paused: some cannot wait for so long."""
        queue = self._queues.get(gate)
        for turn in (*queue.lanes[0], *queue.lanes[1]) if queue else ():
            try:
                self._check_pause(turn)
            except PausedTooLong as error:
                self._refuse(turn, error)

    def _check_pause(self, turn: Turn) -> None:
        if turn.gate is not None:
            now = self._clock.now()
            pause = turn.gate.paused(now)
            if pause > 0 and (pause > turn.patience or now + pause > turn.deadline):
                raise PausedTooLong(pause)

    def _has_place(self, organization: str, bulk: bool) -> bool:
        if self._free <= 0 or (bulk and self._bulk >= self._for_bulk):
            return False
        known = len(self._organizations)
        if known < 2:
            return True
        held = self._held.get(organization, 0)
        active = len(self._held) + (held == 0)
        return held * min(known, active + 1) < self._places

    def _occupy(self, organization: str, bulk: bool) -> None:
        self._free -= 1
        self._bulk += bulk
        self._held[organization] = self._held.get(organization, 0) + 1

    def _refuse(self, turn: Turn, error: Exception) -> None:
        turn.error = error
        self._tell(turn)

    def _tell(self, turn: Turn) -> None:
        if turn is self._leader and self._alarm is not None:
            self._alarm.cancel()
        elif turn.news is not None:
            turn.news.set()

    def _name_leader(self) -> None:
        """Wake one of those who wait, to keep the time."""
        for queue in self._queues.values():
            for lane in queue.lanes:
                for turn in lane:
                    if not turn.gone and turn.error is None and turn.news is not None:
                        turn.news.set()
                        return

    def _look_again(self) -> float:
        """Let in whoever can be, and have the one who keeps the time wake up early enough."""
        wait = self._dispatch()
        if self._alarm is not None and self._clock.now() + wait < self._alarm_at:
            self._alarm.cancel()
        return wait

    def _dispatch(self) -> float:
        """Let in whoever can be; the seconds until a pass comes back that somebody waits for."""
        soonest = math.inf
        if not self._free:  # a pass is of no use without a place, and who gives one back looks here again
            return soonest
        for lane in (0, 1):
            waiting: list[Gate | None] = [gate for gate, queue in self._queues.items() if queue.lanes[lane]]
            while waiting and self._free:
                again: list[Gate | None] = []
                for gate in waiting:  # one each, so that they take turns
                    granted, wait = self._admit_one(gate, lane)
                    soonest = min(soonest, wait)
                    if granted:
                        again.append(gate)
                waiting = again
        return soonest

    def _admit_one(self, gate: Gate | None, lane: int) -> tuple[bool, float]:
        """Let the first of a queue in: whether that was done, and else the seconds until there is a pass."""
        queue = self._queues.get(gate)
        if queue is None:
            return False, math.inf
        now = self._clock.now()
        turns = queue.lanes[lane]
        while turns and self._is_over(turns[0], now):
            turns.popleft()
        turn = turns[0] if turns else None
        if turn is None:
            if not queue:
                del self._queues[gate]
            return False, math.inf
        if not self._has_place(turn.organization, turn.bulk):
            return False, math.inf
        try:
            if gate is not None and (wait := gate.take(now, bulk=turn.bulk)):
                return False, wait
        except Exception as error:  # noqa: BLE001  a limiter may be anybody's code
            # this may run at the end of another call, which has its answer: only the turn that asked for a pass fails
            turns.popleft()
            self._refuse(turn, error)
            return True, 0.0
        turns.popleft()
        if not queue:
            del self._queues[gate]
        else:  # behind the others
            self._queues[gate] = self._queues.pop(gate)
        turn.granted = True
        self._occupy(turn.organization, turn.bulk)
        self._tell(turn)
        return True, 0.0

    def _is_over(self, turn: Turn, now: float) -> bool:
        if turn.error is None and turn.deadline <= now:
            self._refuse(turn, NoTurnInTime())
        return turn.gone or turn.error is not None
