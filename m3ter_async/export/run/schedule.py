"""Who reads what next: slices wait here, and a long one is shared out when there is nothing else left to read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import anyio
import msgspec

from ..slices.listings import PAGE_SIZE, Listing
from ..slices.slice import Slice, Window


@dataclass(frozen=True)
class Plan:
    """A page of parents that slices are to be made of; None is the first.

    Attributes:
        listing: What is read of each parent.
        token: The page.
        last: Whether it was tried before, and is not to be tried again by this run.
    """

    listing: Listing
    token: str | None
    last: bool = False


@dataclass(frozen=True)
class Read:
    """A slice to be read.

    Attributes:
        listing: Of its resource.
        slice: The slice.
        last: Whether it was tried before, and is not to be tried again by this run.
    """

    listing: Listing
    slice: Slice
    last: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """What no other slice of the run goes by."""
        return self.listing.resource, self.slice.id

    @property
    def asked(self) -> Slice:
        """The slice with the size of pages that is asked for now."""
        rest = {name: value for name, value in self.slice.arguments.items() if name != PAGE_SIZE}
        size = self.listing.arguments.get(PAGE_SIZE)
        return msgspec.structs.replace(self.slice, arguments=rest if size is None else {**rest, PAGE_SIZE: size})


Work: TypeAlias = Read | Plan


class Schedule:
    """The work of one export, handed out to a fixed number of workers.

    Args:
        workers: How many there are.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._slices: deque[Read] = deque()
        self._plans: deque[Plan] = deque()
        self._busy = 0
        self._idle = 0
        self._changed = anyio.Event()

    def add(self, work: Iterable[Work]) -> None:
        """Put work at the end."""
        for each in work:
            if isinstance(each, Read):
                self._slices.append(each)
            else:
                self._plans.append(each)
        self._wake()

    async def take(self) -> Work | None:
        """The next piece of work, or None once all is done. `done` has to follow."""
        while True:
            # parents are asked for when few slices are left, so that neither workers nor slices pile up
            if self._plans and len(self._slices) < self._workers:
                self._busy += 1
                return self._plans.popleft()
            if self._slices:
                self._busy += 1
                return self._slices.popleft()
            if not self._busy:
                return None
            self._idle += 1
            try:
                await self._changed.wait()
            finally:
                self._idle -= 1

    def done(self) -> None:
        """A piece of work that was taken is done, and what follows from it was added."""
        self._busy -= 1
        self._wake()

    def drop(self, resource: str) -> None:
        """Hand out nothing more of a resource."""
        self._slices = deque(each for each in self._slices if each.listing.resource != resource)
        self._plans = deque(each for each in self._plans if each.listing.resource != resource)
        self._wake()

    def cut(self, window: Window, pages: int, seen: list[date]) -> list[Window] | None:
        """How to share out a slice that is being read, or None to go on with it.

        What was read of it is read again, so it is done only where those who have nothing to do make up for that.

        Args:
            window: Its days.
            pages: Pages read of it so far; there are more.
            seen: The oldest and the newest date of its records on the latest page.
        """
        if not self._idle or self._slices or self._plans:
            return None
        readers = self._idle + 1
        # lists come newest first, so how far the dates went down tells about how much is left; else as much as is done
        left = float(pages)
        if window.days and window.end is not None and seen:
            passed = (window.end - min(seen)).days / window.days
            if 0.0 < passed < 1.0:
                left = pages * (1.0 - passed) / passed
        if (pages + left) / readers + 1 >= left:
            return None
        windows = window.split(2 * readers, seen)
        return windows if len(windows) > 1 else None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
