"""Where a worker reads pages and writes parts by a child process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

import anyio
import msgspec

from ...client import AsyncM3ter
from ...transports.network import Described
from ..slices.listings import Listing
from ..slices.slice import Position, Slice, SlicePage, read_slice
from .blocking import in_child
from .child_messages import Add, Clear, Convert, Discard, Open, Order, PassOver, Seal, Start, State
from .child_process import Child, ChildDied
from .children import Children, ChildTransport, Post
from .desks import FEW, Desk
from .entries import Unit
from .files import stem_of
from .memory_budget import Room
from .parts import Sealed, drafts_of

if TYPE_CHECKING:
    from .run import Run
    from .schedule import Read

_numbers = count(1)


class ChildPart:
    """A part that a child writes; whatever it is asked raises `ChildDied` once that is gone."""

    def __init__(self, run: Run, post: Post, child: Child, desk: int, listing: Listing) -> None:
        self._run = run
        self._place = run.manifest.place
        self._post = post
        self._child = child
        self._desk = desk
        self._name = next(_numbers)
        self._state = State(0, 0, sound=True, full=False, ripe=False)
        self._sound = True
        self._left = False  # whether the child has no more to do with it
        self._drafts: Mapping[str, str] = {}
        self.resource: str = listing.resource
        self.works: dict[tuple[str, str], Read] = {}

    async def open(self) -> None:
        """Begin it."""
        run, place = self._run, self._place
        number = run.number(self.resource)
        names = drafts_of(self.resource, run.layouts[self.resource], stem_of(number, place.mark))
        self._drafts = await run.blocking(lambda: {name: str(place.draft(name).absolute()) for name in names})
        await self._child.call(
            Open(self._name, self.resource, number, place.mark, place.most, self._drafts), type(None)
        )

    @property
    def records(self) -> int:
        """As `OpenPart.records`."""
        return self._state.records

    @property
    def sound(self) -> bool:
        """As `OpenPart.sound`."""
        return self._sound and self._state.sound

    @property
    def full(self) -> bool:
        """As `OpenPart.full`."""
        return self._state.full

    @property
    def alive(self) -> bool:
        """Whether the process that writes it is there."""
        return self._child.alive

    async def _changed(self, order: Order) -> State:
        # not sound while nobody knows what became of it
        self._sound = False
        self._state = await in_child(self._place, lambda: self._child.call(order, State))
        self._sound = True
        return self._state

    async def add(self, slice: Slice, page: SlicePage) -> int:
        """As `OpenPart.add`."""
        order = Add(self._name, self._desk, slice, page.records, page.parent, page.position)
        return (await self._changed(order)).size

    async def pass_over(
        self, slice: Slice, after: Position | None, *, unit: Unit | None = None, gone: str | None = None
    ) -> None:
        """As `OpenPart.pass_over`."""
        await self._changed(PassOver(self._name, slice, after, unit, gone))

    async def convert(self) -> None:
        """Write what is waiting, if that is enough."""
        if self._state.ripe:
            await self._changed(Convert(self._name))

    async def seal(self, headers: Iterable[str] = ()) -> Sealed:
        """As `OpenPart.seal`."""
        self._left = True
        sealed = await in_child(self._place, lambda: self._child.call(Seal(self._name, list(headers)), Sealed))
        self._post.brought()
        return sealed

    async def discard(self) -> None:
        """As `OpenPart.discard`; of one whose process died, what that has left."""
        if not self._left:
            self._left = True
            with suppress(ChildDied):
                await in_child(self._place, lambda: self._child.call(Discard(self._name), type(None)))
                return
        await self._run.blocking(self._discard_drafts)

    def _discard_drafts(self) -> None:
        for name in self._drafts:
            self._place.discard(name)


class ChildDesk:
    """Has a child read and write for one worker.

    Args:
        post: Where the child is.
    """

    def __init__(self, run: Run, post: Post, *, ahead: bool) -> None:
        self._run = run
        self._post = post
        self._ahead = ahead
        self._number = next(_numbers)
        self._child: Child | None = None
        self._transport = ChildTransport(self._number, self._now)
        self._client = _over(run.client, self._transport)
        self.room: Room = post.room

    def _now(self) -> Child:
        assert self._child is not None
        return self._child

    async def begin(self, listing: Listing) -> None:
        """Have the child there.

        Raises:
            ExportError: It cannot be started.
        """
        self._child = await self._post.child()
        self._transport.page = listing.operation.page or ""
        await self._child.call(Clear(self._number), type(None))

    def pages(self, slice: Slice, start: Position) -> AsyncGenerator[SlicePage]:
        """The pages of a slice, with stubs in place of their records: the child names the parents in these."""
        return read_slice(self._client, msgspec.structs.replace(slice, parent_key=None), start, ahead=self._ahead)

    async def open_part(self, listing: Listing) -> ChildPart:
        """The next part of a resource."""
        part = ChildPart(self._run, self._post, self._now(), self._number, listing)
        await part.open()
        return part


def _over(client: AsyncM3ter, transport: ChildTransport) -> AsyncM3ter:
    """A view of a client whose calls go over another transport: login, limits, repeats and events are the client's."""
    view = client.with_options()
    view._pipeline = view._pipeline.over(transport)
    return view


async def with_children(
    run: Run, network: Described, processes: int, workers: int, work: Callable[[Sequence[Desk]], Awaitable[None]]
) -> None:
    """Do work at desks of child processes, which have ended when this returns.

    Args:
        network: By what the processes reach the service.
        processes: How many there are.
        workers: How many desks there are.
        work: What to do.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        assert run.manifest.begun is not None
        children = Children(Start(run.manifest.begun, network), processes, group)
        ahead = workers <= FEW * processes
        posts = [children.posts[number % processes] for number in range(workers)]
        try:
            await work([ChildDesk(run, post, ahead=ahead) for post in posts])
        except Exception as error:  # noqa: BLE001  kept out of the group, which would wrap it
            failure = error
        finally:
            await children.end()
    if failure is not None:
        raise failure
