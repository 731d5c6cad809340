"""The run of one export: workers read slices, each into parts of its own, until nothing is left to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import date
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
import msgspec

from ...client import AsyncM3ter
from ..errors import ExportError
from ..formats.layout import Layout
from ..slices.listings import Listing
from ..slices.planning import first_slices, parent_slices
from ..slices.slice import START, SlicePage, Window, read_slice
from .exported_ids import check, forget
from .manifest import Finished, Manifest, Planned, Split
from .memory_budget import Room
from .parts import OpenPart, remove_unfinished
from .progress import Tally
from .schedule import Plan, Read, Schedule
from .side_by_side import together

T = TypeVar("T")
P = ParamSpec("P")

# So many slices for each worker to begin with, where both ends of the dates are known.
_SLICES_EACH = 4
# With more workers than this, none reads a page ahead: it would only cost memory.
_FEW = 4


class Run:
    """One run of an export, the first or one that goes on.

    Args:
        client: Reads the slices.
        manifest: What was done so far.
        listings: By resource.
        layouts: By resource.
        concurrency: How many slices are read side by side.
        tally: Is told of what is read.
    """

    def __init__(
        self,
        client: AsyncM3ter,
        manifest: Manifest,
        listings: Mapping[str, Listing],
        layouts: Mapping[str, Layout],
        concurrency: int,
        tally: Tally,
    ) -> None:
        self.client = client
        self.manifest = manifest
        self.schedule: Schedule = Schedule(concurrency)
        self.tally = tally
        self.room: Room = Room()
        self.ahead: bool = concurrency <= _FEW
        self._listings = listings
        self._layouts = layouts
        self._concurrency = concurrency
        # one thread: several would only take turns at the interpreter, each with memory of its own
        self._thread = anyio.CapacityLimiter(1)
        self._numbers: dict[str, int] = {}

    async def run(self) -> None:
        """Read all that is left, and count it.

        Raises:
            APIError: The service failed.
            ExportError: A record cannot be kept, its id came twice, or the disk failed.
        """
        await self.blocking(remove_unfinished, self.manifest, self._layouts)
        for resource, listing in self._listings.items():
            self._numbers[resource] = max(self.manifest.resources[resource].parts, default=-1) + 1
            await self._begin(resource, listing)
        await together(*[_Worker(self).work for _ in range(self._concurrency)])
        for resource, listing in self._listings.items():
            progress = self.manifest.resources[resource]
            if progress.slices or progress.next_parents is not None:
                raise ExportError(f"{len(progress.slices)} slices of {resource} were not read; this is a bug, resume")
            if not progress.parts:  # a header is of more use than no file
                await self.blocking(self.open_part(listing).finish)
            await self.blocking(check, self.manifest.folder, resource, list(progress.parts))
            self.tally.finished(resource)
        records = {name: self.manifest.resources[name].records for name in self._listings}
        await self.blocking(self.manifest.append, Finished(records))
        await self.blocking(forget, self.manifest.folder)

    async def _begin(self, resource: str, listing: Listing) -> None:
        """Schedule what is left of a resource."""
        progress = self.manifest.resources[resource]
        self.tally.begin(resource, progress)
        if not progress.planned and listing.parent is None:
            slices = first_slices(listing, _SLICES_EACH * self._concurrency)
            await self.blocking(self.manifest.append, Planned(resource, slices))
        more = listing.parent is not None and (not progress.planned or progress.next_parents is not None)
        self.tally.planned(resource, progress.slices.values(), last=not more)
        self.schedule.add(Read(listing, each) for each in progress.slices.values())
        if more:
            self.schedule.add([Plan(listing, progress.next_parents)])

    async def plan(self, plan: Plan) -> None:
        """Make slices of a page of parents."""
        listing, resource = plan.listing, plan.listing.resource
        named = self.manifest.resources[resource].named
        slices, token = await parent_slices(self.client, listing, plan.token, first=named, count=2 * self._concurrency)
        if token is not None and token in self.manifest.resources[resource].parents_seen:
            raise ExportError(f"the service gave a page of the parents of {resource} that it gave before")
        await self.blocking(self.manifest.append, Planned(resource, slices, token))
        self.tally.planned(resource, slices, last=token is None)
        self.schedule.add(Read(listing, each) for each in slices)
        if token is not None:
            self.schedule.add([Plan(listing, token)])

    def open_part(self, listing: Listing) -> OpenPart:
        """The next part of a resource."""
        resource = listing.resource
        number = self._numbers[resource]
        self._numbers[resource] += 1
        return OpenPart(self.manifest, resource, self._layouts[resource], number, listing.operation.answer)

    async def blocking(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what would hold up the event loop; it is seen to its end whoever is cancelled meanwhile.

        Raises:
            ExportError: The disk failed.
        """
        try:
            return await anyio.to_thread.run_sync(partial(call, *args, **kwargs), limiter=self._thread)
        except OSError as error:
            where = error.filename or self.manifest.folder
            raise ExportError(f"cannot write {where}: {error.strerror or error}") from error


class _Worker:
    """Reads one slice after the other into parts that are its own.

    Slices share a part, so that short ones do not come to a file each. Only one that may still be replaced by others
    has a part of its own, which can be dropped.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._shared: OpenPart | None = None
        self._own: OpenPart | None = None

    async def work(self) -> None:
        """Work until there is nothing left; what was read before an error or a cancellation is kept."""
        run = self._run
        try:
            while (work := await run.schedule.take()) is not None:
                try:
                    await (run.plan(work) if isinstance(work, Plan) else self._read(work))
                finally:
                    run.schedule.done()
        finally:
            try:
                await self._finish_own()
            finally:
                await self._finish_shared()

    async def _read(self, work: Read) -> None:
        run, slice = self._run, work.slice
        start = run.manifest.resources[work.listing.resource].position(slice)
        pages = 0
        async with aclosing(read_slice(run.client, slice, start, ahead=run.ahead)) as stream:
            while True:
                async with run.room.one_page():
                    page = await anext(stream, None)
                    if page is None:
                        break
                    pages += 1
                    short = pages == 1 and start == START and page.position is None
                    if await self._take(work, page, pages, own=slice.window is not None and not short):
                        return
        await self._finish_own()
        run.tally.ended(work.listing.resource, slice)

    async def _take(self, work: Read, page: SlicePage, pages: int, *, own: bool) -> bool:
        """Put a page into a part; True if the rest of its slice is for others."""
        run, window = self._run, work.slice.window
        part = await self._part(work.listing, own=own)
        run.room.seen(part.add(work.slice, page))
        run.tally.page(work.listing.resource, page)
        if window is not None and page.position is not None:
            windows = run.schedule.cut(window, pages, _dates(page))
            if windows is not None:
                await self._share_out(work, windows)
                return True
        page.records.clear()  # whoever handed out the page holds on to it until the next one has come
        if part.ripe:
            await run.blocking(part.convert)
        if part.full:
            await (self._finish_own() if own else self._finish_shared())
        return False

    async def _part(self, listing: Listing, *, own: bool) -> OpenPart:
        if own:
            self._own = self._own or self._run.open_part(listing)
            return self._own
        if self._shared is not None and self._shared.resource != listing.resource:
            await self._finish_shared()
        self._shared = self._shared or self._run.open_part(listing)
        return self._shared

    async def _share_out(self, work: Read, windows: list[Window]) -> None:
        """Have others read the slice in pieces, and forget what this one brought."""
        run, resource = self._run, work.listing.resource
        parts = list(run.manifest.resources[resource].parts.values())
        void = [part for part in parts if work.slice.id in part.slices]
        slices = work.slice.cut(windows)
        with anyio.CancelScope(shield=True):
            await run.blocking(run.manifest.append, Split(resource, work.slice.id, slices))
            part, self._own = self._own, None
            if part is not None:
                run.tally.void(resource, part.records)
                await run.blocking(part.discard)
        run.tally.void(resource, sum(each.records for each in void))
        for each in void:
            for file in each.files:
                (run.manifest.folder / file.path).unlink()
        run.tally.planned(resource, slices, instead_of=work.slice.weight)
        run.schedule.add(Read(work.listing, each) for each in slices)

    async def _finish_own(self) -> None:
        part, self._own = self._own, None
        await self._finish(part)

    async def _finish_shared(self) -> None:
        part, self._shared = self._shared, None
        await self._finish(part)

    async def _finish(self, part: OpenPart | None) -> None:
        if part is not None:
            with anyio.CancelScope(shield=True):
                await self._run.blocking(part.finish if part.sound else part.discard)


def _dates(page: SlicePage) -> list[date]:
    """The dates of the first and the last record of a page, which are likely to be its newest and its oldest."""
    return [day for record in (page.records[:1] + page.records[-1:]) if (day := _date(record)) is not None]


class _Dated(msgspec.Struct, rename="camel"):
    bill_date: date | None = None


_dated = msgspec.json.Decoder(_Dated)


def _date(record: bytes) -> date | None:
    try:
        return _dated.decode(record).bill_date
    except (msgspec.DecodeError, UnicodeDecodeError):  # nothing to guess from; whether it can be kept is not asked here
        return None
