"""The run of one export: workers read slices, each into parts of its own, until nothing is left to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import ParamSpec, TypeVar

import anyio

from ...client import AsyncM3ter
from ...errors import APIError
from ...transports.network import Described
from ..errors import ExportError
from ..formats.layout import Layout
from ..slices.listings import Listing
from ..slices.planning import first_slices
from ..slices.slice import Position, Slice
from .blocking import in_thread
from .child_desk import with_children
from .desks import FEW, Desk, LocalDesk, LocalPart, Part
from .entries import Finished, Planned, Retried, Split
from .exported_ids import find_twice, forget
from .files import look_over
from .judgement import Judge, certain
from .losses import Losses
from .manifest import Manifest
from .parents import ParentPages
from .parts import OpenPart, enter
from .progress import Tally
from .rewriting import drop
from .schedule import Plan, Read, Schedule
from .schema_file import write_schema
from .settling import settle
from .side_by_side import together
from .standing import Standing
from .workers import Worker

T = TypeVar("T")
P = ParamSpec("P")

# So many slices for each worker to begin with, where both ends of the dates are known.
_SLICES_EACH = 4


class Run:
    """One run of an export, the first or one that goes on.

    Args:
        client: Reads the slices.
        manifest: What was done so far.
        listings: By resource.
        layouts: By resource.
        concurrency: How many slices are read side by side.
        tally: Is told of what is read.
        network: By what child processes reach the service; None where there are none.
        processes: How many there are.
    """

    def __init__(
        self,
        client: AsyncM3ter,
        manifest: Manifest,
        listings: Mapping[str, Listing],
        layouts: Mapping[str, Layout],
        concurrency: int,
        tally: Tally,
        *,
        network: Described | None = None,
        processes: int = 1,
    ) -> None:
        self.client = client
        self.manifest = manifest
        self.schedule: Schedule = Schedule(concurrency)
        self.tally = tally
        self.judge: Judge = Judge(client, manifest.resources)
        self.restarted: set[tuple[str, str, int]] = set()
        self._listings = listings
        self.layouts = layouts
        self._concurrency = concurrency
        self._network = network
        self._processes = processes
        self._desks: Sequence[Desk] = ()
        self.losses: Losses = Losses(self)
        # one thread: several would only take turns at the interpreter, each with memory of its own
        self._thread = anyio.CapacityLimiter(1)
        threads = manifest.place.threads
        self.uploads: ThreadPoolExecutor | None = None if threads == 1 else ThreadPoolExecutor(threads, "m3ter-uploads")
        self._numbers: dict[str, Iterator[int]] = {}
        self._passing: dict[str, list[str]] = {name: [] for name in listings}
        self._given_up: dict[str, APIError] = {}
        self.parents: ParentPages = ParentPages(self, concurrency)

    async def run(self) -> None:
        """Read all that is left, and count it.

        Raises:
            APIError: The service failed.
            ExportError: The disk failed, or what was finished before is not there any more.
        """
        try:
            if self._network is None:
                await self._run_at([LocalDesk(self, ahead=self._concurrency <= FEW)] * self._concurrency)
            else:
                await with_children(self, self._network, self._processes, self._concurrency, self._run_at)
        finally:
            if self.uploads is not None:
                self.uploads.shutdown(wait=False)

    async def _run_at(self, desks: Sequence[Desk]) -> None:
        self._desks = desks
        await self._run()

    async def _run(self) -> None:
        await self.blocking(look_over, self.manifest, self.layouts, ids=True)
        for resource, listing in self._listings.items():
            self._numbers[resource] = count(self.manifest.resources[resource].last_number + 1)
            await self._begin(resource, listing)
        await self._read_planned()
        for resource, listing in self._listings.items():
            await self._complete(resource, listing)
        await self.blocking(look_over, self.manifest, self.layouts, ids=True)
        await self.blocking(write_schema, self.manifest.place, self.layouts)
        records = {name: self.manifest.resources[name].records for name in self._listings}
        await self.blocking(self.manifest.append, Finished(records))
        if not any(each.aside for each in self.manifest.resources.values()):
            await self.blocking(forget, self.manifest.place)

    async def read_more(self, listing: Listing, slices: Sequence[Slice], units: Sequence[str] = ()) -> None:
        """Read some slices more, and units that were set aside.

        Raises:
            APIError: The service failed.
        """
        resource = listing.resource
        if units:
            await self.blocking(self.manifest.append, Retried(resource, units))
        await self.blocking(self.manifest.append, Planned(resource, slices))
        every = [*slices, *(self.standing(resource).slices[name] for name in units)]
        self.tally.planned(resource, every)
        self.schedule.add(Read(listing, each) for each in every)
        await self._read_planned()

    async def _read_planned(self) -> None:
        await self._read_all()
        await self._try_again()
        for error in self._given_up.values():
            raise error

    async def _read_all(self) -> None:
        await together(*[Worker(self, desk).work for desk in self._desks])
        while (suspect := self.losses.next()) is not None:
            self.schedule.add([suspect])
            await together(Worker(self, self._desks[0], alone=True).work)
        for resource in self._listings:
            await self.answers(resource)

    async def answers(self, resource: str) -> bool:
        """Whether anything of a resource can be read; else it is given up for this run."""
        if self.is_given_up(resource):
            return False
        if not await self.judge.answers(resource):
            self.give_up(resource)
            return False
        return True

    def is_given_up(self, resource: str) -> bool:
        """Whether nothing more of a resource is read by this run."""
        return resource in self._given_up

    def give_up(self, resource: str) -> None:
        """Read nothing more of a resource of which nothing can be read; the others go on."""
        self._given_up.setdefault(resource, self.judge.first(resource))
        self.schedule.drop(resource)

    async def is_its_own(self, resource: str, error: APIError) -> bool:
        """Whether a failure is that of one parent or slice; else the resource is given up for this run.

        Raises:
            APIError: It is the service's failure, whatever is asked for.
        """
        if not self.is_given_up(resource) and await self.judge.is_its_own(resource, error):
            return True
        self.give_up(resource)
        return False

    async def _begin(self, resource: str, listing: Listing) -> None:
        """Schedule what is left of a resource, and what an earlier run set aside."""
        standing = self.manifest.resources[resource]
        self.tally.begin(resource, standing)
        if standing.aside:
            again = Retried(resource, list(standing.units), parents=standing.unplanned is not None)
            await self.blocking(self.manifest.append, again)
        if not standing.planned and listing.parent is None:
            slices = first_slices(listing, _SLICES_EACH * self._concurrency)
            await self.blocking(self.manifest.append, Planned(resource, slices))
        more = listing.parent is not None and (not standing.planned or standing.next_parents is not None)
        if more and standing.named:
            await self.parents.look_up(resource)
        self.tally.planned(resource, standing.slices.values(), last=not more)
        self.schedule.add(Read(listing, each) for each in standing.slices.values())
        if more:
            self.schedule.add([Plan(listing, standing.next_parents)])

    async def _try_again(self) -> None:
        """Read once more what failed with something that may be over by now."""
        for resource, listing in self._listings.items():
            standing = self.manifest.resources[resource]
            passing, self._passing[resource] = self._passing[resource], []
            names = [name for name in passing if name in standing.units]
            parents = resource in self.parents.passing and standing.unplanned is not None
            if resource in self._given_up or not (names or parents):
                continue
            await self.blocking(self.manifest.append, Retried(resource, names, parents=parents))
            slices = [standing.slices[name] for name in names]
            self.tally.planned(resource, slices)
            self.schedule.add(Read(listing, each, last=True) for each in slices)
            if parents:
                await self.parents.look_up(resource)
                self.schedule.add([Plan(listing, standing.next_parents, last=True)])
        await self._read_all()

    async def _complete(self, resource: str, listing: Listing) -> None:
        """Count a resource that was read."""
        standing = self.manifest.resources[resource]
        if not standing.whole:
            raise ExportError(f"{len(standing.slices)} slices of {resource} were not read; this is a bug, resume")
        if self.layouts[resource].head is not None:
            await settle(self, listing, self.layouts[resource])
        elif twice := await self.blocking(find_twice, self.manifest.place, list(standing.parts.values())):
            layout, number = self.layouts[resource], partial(self.number, resource)
            fewer = await self.blocking(drop, self.manifest, resource, layout, twice, number, twice=True)
            self.tally.void(resource, fewer)
        there = {file.table for part in standing.parts.values() for file in part.files}
        if missing := set(self.layouts[resource].tables) - there:  # a header is of more use than no file
            await self.finish(self.open_part(listing), missing)

    def may_pass(self, resource: str, unit: str, error: APIError) -> None:
        """A unit was set aside for the time being."""
        if not certain(error):
            self._passing[resource].append(unit)

    async def restart_parent(self, listing: Listing, slice: Slice, position: Position) -> Position:
        """Forget what was read of the parent that a slice stands in the middle of; returns where that leaves it."""
        start = Position(position.parent)
        fewer = await self.blocking(self._drop_begun, listing.resource, slice, start)
        self.tally.void(listing.resource, fewer)
        return start

    def _drop_begun(self, resource: str, slice: Slice, start: Position) -> int:
        # looked up where nobody replaces parts meanwhile
        dropped = self.manifest.resources[resource].begun(slice)
        number = partial(self.number, resource)
        positions = {slice.id: start}
        return drop(self.manifest, resource, self.layouts[resource], dropped, number, positions=positions)

    async def replace(self, work: Read, slices: list[Slice], *, last: bool = False) -> None:
        """Have others read a slice that has parts of its own, and forget what was read of it."""
        resource = work.listing.resource
        void = [part for part in list(self.standing(resource).parts.values()) if work.slice.id in part.slices]
        await self.blocking(self.manifest.append, Split(resource, work.slice.id, slices))
        self.tally.void(resource, sum(each.records for each in void))
        await self.blocking(self.manifest.place.remove, [file.path for each in void for file in each.files])
        self.tally.planned(resource, slices, instead_of=work.slice.weight)
        self.schedule.add(Read(work.listing, each, last=last) for each in slices)

    def standing(self, resource: str) -> Standing:
        """What is done of a resource."""
        return self.manifest.resources[resource]

    def number(self, resource: str) -> int:
        """A number that no part of the resource has; any thread may ask for one."""
        return next(self._numbers[resource])

    def open_part(self, listing: Listing) -> LocalPart:
        """The next part of a resource, written by this process."""
        resource, record = listing.resource, listing.operation.answer
        place = self.manifest.place
        part = OpenPart(place, resource, self.layouts[resource], self.number(resource), record, place.most)
        return LocalPart(self, part)

    async def finish(self, part: Part, headers: Iterable[str] = ()) -> None:
        """Finish a part and enter it, or leave nothing of it.

        Args:
            headers: Tables that get a file even if it has no row.
        """
        with anyio.CancelScope(shield=True):
            sealed = await part.seal(headers)
            await self.blocking(enter, self.manifest, sealed)

    async def blocking(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what would hold up the event loop; it is seen to its end whoever is cancelled meanwhile.

        Raises:
            ExportError: The disk or the store failed, or another export has the place by now.
        """
        return await in_thread(self.manifest.place, partial(call, *args, **kwargs), self._thread)
