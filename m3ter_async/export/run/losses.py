"""What child processes had not finished when they died: it is read again, and what they die of is found.

A slice that was lost twice is read alone, after all others. One that its process dies of then is cut smaller, down to
a day, a record or a parent, which is set aside.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import msgspec

from ..slices.slice import Position
from .child_process import ChildDied
from .entries import Unit
from .schedule import Read

if TYPE_CHECKING:
    from .run import Run

_MOST = 2  # times that a slice is lost before it is read alone


class Losses:
    """Keeps count of what was lost, for one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._times = Counter[tuple[str, str]]()
        self._suspects: deque[Read] = deque()

    def again(self, lost: Iterable[Read], ended: Collection[tuple[str, str]]) -> None:
        """Have what was lost read again.

        Args:
            lost: What that is.
            ended: Those among it that were taken for read.
        """
        run = self._run
        for each in lost:
            name = each.name
            if name in ended:
                run.tally.reopened(each.listing.resource, each.slice)
            if run.is_given_up(each.listing.resource):
                continue
            self._times[name] += 1
            if self._times[name] < _MOST:
                run.schedule.add([each])
            else:
                self._suspects.append(each)

    def next(self) -> Read | None:
        """A slice to be read alone, or None if there is none."""
        while self._suspects:
            found = self._suspects.popleft()
            if not self._run.is_given_up(found.listing.resource):
                return found
        return None

    async def alone(self, work: Read, error: ChildDied) -> None:
        """What becomes of a slice whose process died while nothing else was read."""
        run, slice, resource = self._run, work.slice, work.listing.resource
        at = run.standing(resource).position(slice)
        if pieces := slice.pieces():
            await run.replace(work, pieces, last=True)
            return
        if slice.parent_argument is None or len(slice.parents) == 1:
            await self._set_aside(work, Unit(slice, at, str(error)), at)
            run.tally.ended(resource, slice)
            return
        one = msgspec.structs.replace(slice, id=f"{slice.id}-{at.parent}", parents=[slice.parents[at.parent]])
        after = Position(at.parent + 1) if at.parent + 1 < len(slice.parents) else None
        await self._set_aside(work, Unit(one, Position(0, at.token), str(error)), after)
        if after is None:
            run.tally.ended(resource, slice)
        else:
            run.schedule.add([work])

    async def _set_aside(self, work: Read, unit: Unit, after: Position | None) -> None:
        part = self._run.open_part(work.listing)
        await part.pass_over(work.slice, after, unit=unit)
        await self._run.finish(part)
