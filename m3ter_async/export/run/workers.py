"""A worker of an export: it reads one slice after the other into parts that are its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import anyio
import msgspec

from ...errors import APIError
from ..slices.listings import Listing
from ..slices.slice import START, Position, Slice, SlicePage
from .child_process import ChildDied
from .desks import Desk, Part
from .entering import Entering
from .entries import Unit
from .judgement import certain, gone, only, refused
from .offsets import is_offset, last_read, still_before
from .page_dates import dates
from .schedule import Plan, Read

if TYPE_CHECKING:
    from .run import Run


class Worker:
    """Reads one slice after the other into parts that are its own.

    Slices share a part, so that short ones do not come to a file each. Only one that may still be replaced by others
    has a part of its own, which can be dropped.

    Args:
        run: What it works for.
        desk: Where it reads and writes.
        alone: Whether nobody else works meanwhile: then a slice that its process dies of is known, and after each
            parent a part is finished.
    """

    def __init__(self, run: Run, desk: Desk, *, alone: bool = False) -> None:
        self._run = run
        self._desk = desk
        self._alone = alone
        self._shared: Part | None = None
        self._own: Part | None = None
        self._lost: dict[tuple[str, str], Read] = {}  # what was in parts that could not be finished
        self._entering = Entering(run)
        self._at: Position | None = START  # where the slice stands that is being read

    async def work(self) -> None:
        """Work until there is nothing left; what was read before an error or a cancellation is kept."""
        try:
            while True:
                await self._take_all()
                try:
                    await self._finish_shared()
                    return
                except ChildDied:
                    await self._read_again()
        finally:
            try:
                try:
                    await self._finish_last(self._finish_own)
                finally:
                    await self._finish_last(self._finish_shared)
            finally:
                await self._entering.done()

    async def _finish_last(self, finish: Callable[[], Awaitable[None]]) -> None:
        with suppress(ChildDied):  # what was lost while this stops is read by the next run
            await finish()

    async def _take_all(self) -> None:
        run = self._run
        while (work := await run.schedule.take()) is not None:
            try:
                if isinstance(work, Plan):
                    await run.parents.plan(work)
                else:
                    await self._read_whole(work)
            finally:
                run.schedule.done()

    async def _read_whole(self, work: Read) -> None:
        """Read a slice, or have it read again if the process that reads it dies."""
        if self._shared is not None and not self._shared.alive:
            await self._read_again()
        ended = False
        try:
            await self._desk.begin(work.listing)
            await self._read(work)
            ended = True
            if self._alone:
                await self._finish_shared()
        except ChildDied as error:
            if self._alone:
                await self._lose_parts()
                if ended:
                    self._run.tally.reopened(work.listing.resource, work.slice)
                await self._run.losses.alone(work, error)
            else:
                await self._read_again(work)

    async def _read_again(self, work: Read | None = None) -> None:
        """Have all read again that is in parts which a process did not finish, and what it was reading."""
        lost = await self._lose_parts()
        ended = set(lost)
        if work is not None:
            ended.discard(work.name)
            lost[work.name] = work
        self._run.losses.again(lost.values(), ended)

    async def _lose_parts(self) -> dict[tuple[str, str], Read]:
        lost: dict[tuple[str, str], Read] = {}
        with anyio.CancelScope(shield=True):
            parts, self._own, self._shared = (self._own, self._shared), None, None
            for part in parts:
                await self._lose(part)
            await self._entering.done()  # where a slice is read on is said by what is entered
            lost, self._lost = self._lost, {}
        return lost

    async def _lose(self, part: Part | None) -> None:
        if part is not None:
            self._run.tally.void(part.resource, part.records)
            self._lost.update(part.works)
            await part.discard()

    async def _read(self, work: Read) -> None:
        """Read a slice to its end, or as far as it can be read."""
        self._at = self._run.standing(work.listing.resource).position(work.slice)
        while (start := self._stands()) is not None:
            try:
                if await self._has_moved(work, start) or await self._pages(work, start):
                    return
            except APIError as error:
                if await self._failed(work, self._stands() or start, error):
                    return
        await self._finish_own()
        self._run.tally.ended(work.listing.resource, work.slice)

    def _stands(self) -> Position | None:
        return self._at

    async def _has_moved(self, work: Read, start: Position) -> bool:
        """Whether a position names another place by now; then the slice is read anew by others."""
        run = self._run
        if not is_offset(work.listing, start):
            return False
        last = await run.blocking(last_read, run.manifest, work.listing.resource, work.slice)
        if await still_before(run.client, work.slice, start, last):
            return False
        return await self._restart(work, start)

    async def _pages(self, work: Read, start: Position) -> bool:
        """Read a slice from a position on; True if the rest of it is for others."""
        slice = work.slice
        pages = 0
        async with aclosing(self._desk.pages(work.asked, start)) as stream:
            while True:
                async with self._desk.room.one_page():
                    page = await anext(stream, None)
                    if page is None:
                        self._at = None
                        return False
                    pages += 1
                    short = pages == 1 and start == START and page.position is None
                    own = slice.parent_argument is None and not short
                    if await self._take(work, page, pages, own=own):
                        return True

    async def _take(self, work: Read, page: SlicePage, pages: int, *, own: bool) -> bool:
        """Put a page into a part; True if the rest of its slice is for others."""
        run, window = self._run, work.slice.window
        part = await self._part(work.listing, own=own)
        part.works[work.name] = work
        size = await part.add(work.slice, page)
        self._desk.room.seen(size)
        self._at = page.position
        run.judge.answered(work.listing.resource, only(work.slice, page.parent))
        run.tally.page(work.listing.resource, len(page.records), size)
        if window is not None and page.position is not None and not work.last:
            windows = run.schedule.cut(window, pages, dates(page))
            if windows is not None:
                await self._replace(work, work.slice.cut(windows))
                return True
        page.records.clear()  # whoever handed out the page holds on to it until the next one has come
        await part.convert()
        if part.full or (self._alone and not own and page.position is not None and page.position.token is None):
            await (self._finish_own() if own else self._finish_shared())
        return False

    async def _failed(self, work: Read, at: Position, error: APIError) -> bool:
        """What becomes of a slice that cannot be read on; True if it is out of the worker's hands."""
        run, slice, resource = self._run, work.slice, work.listing.resource
        place = (resource, slice.id, at.parent)
        if refused(error) and at.token is not None and place not in run.restarted:
            run.restarted.add(place)
            return await self._restart(work, at)
        if slice.parent_argument is not None:
            after = Position(at.parent + 1) if at.parent + 1 < len(slice.parents) else None
            parent = slice.parents[at.parent]
            if gone(error):
                run.judge.answered(resource, only(slice, parent))
                await self._pass_over(work, after, lost=parent)
            elif not await run.is_its_own(resource, error):
                return True
            else:
                alone = len(slice.parents) == 1
                name = slice.id if alone else f"{slice.id}-{at.parent}"
                one = msgspec.structs.replace(slice, id=name, parents=[parent])
                unit = Unit(one, Position(0, at.token), str(error), error.status)
                if not work.last:
                    run.may_pass(resource, name, error)
                await self._pass_over(work, at if alone else after, unit=unit)
            self._at = after
            return False
        if not await run.is_its_own(resource, error):
            return True
        pieces = slice.pieces() if work.last or certain(error) else []
        if pieces:
            # only the day or the record that cannot be read shall be missing; what was read is given up only if the
            # service answers
            if not await run.answers(resource):
                return True
            await self._replace(work, pieces, last=True)
            return True
        if not work.last:
            run.may_pass(resource, slice.id, error)
        await self._pass_over(work, at, unit=Unit(slice, at, str(error), error.status))
        self._at = None
        return False

    async def _restart(self, work: Read, at: Position) -> bool:
        """Read anew what a page token was refused in the middle of."""
        await self._finish_own()
        await self._finish_shared()
        await self._entering.done()
        if work.slice.parent_argument is None:
            anew = msgspec.structs.replace(work.slice, id=f"{work.slice.id}.0")
            self._run.restarted.add((work.listing.resource, anew.id, 0))
            await self._replace(work, [anew], last=work.last)
            return True
        with anyio.CancelScope(shield=True):
            self._at = await self._run.restart_parent(work.listing, work.slice, at)
        return False

    async def _pass_over(
        self, work: Read, after: Position | None, *, unit: Unit | None = None, lost: str | None = None
    ) -> None:
        part = await self._part(work.listing, own=work.slice.parent_argument is None)
        part.works[work.name] = work
        await part.pass_over(work.slice, after, unit=unit, gone=lost)
        if part.full:
            await self._finish_shared()

    async def _part(self, listing: Listing, *, own: bool) -> Part:
        if own:
            self._own = self._own or await self._desk.open_part(listing)
            return self._own
        if self._shared is not None and self._shared.resource != listing.resource:
            await self._finish_shared()
        self._shared = self._shared or await self._desk.open_part(listing)
        return self._shared

    async def _replace(self, work: Read, slices: list[Slice], *, last: bool = False) -> None:
        """Have others read the slice in pieces, and forget what this one brought."""
        run = self._run
        with anyio.CancelScope(shield=True):
            part, self._own = self._own, None
            if part is not None:
                run.tally.void(work.listing.resource, part.records)
                await part.discard()
            await self._entering.done()  # what the slice has brought is entered before others are read in place of it
            await run.replace(work, slices, last=last)

    async def _finish_own(self) -> None:
        part, self._own = self._own, None
        await self._finish(part)

    async def _finish_shared(self) -> None:
        part, self._shared = self._shared, None
        await self._finish(part)

    async def _finish(self, part: Part | None) -> None:
        if part is not None:
            with anyio.CancelScope(shield=True):
                try:
                    await (self._entering.finish(part) if part.sound else part.discard())
                except ChildDied:
                    await self._lose(part)
                    raise
