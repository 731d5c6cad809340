"""Where a worker reads pages and writes parts: in this process, or as in `child_desk`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Protocol

from ..slices.listings import Listing
from ..slices.slice import Position, Slice, SlicePage, read_slice
from .entries import Unit
from .memory_budget import Room
from .parts import OpenPart, Sealed

if TYPE_CHECKING:
    from .run import Run
    from .schedule import Read

# With more workers than this in one process, none reads a page ahead: it would only cost memory.
FEW = 4


class Part(Protocol):
    """A part that is being written, as `OpenPart`.

    Attributes:
        works: What it holds pages of, by their names.
    """

    works: dict[tuple[str, str], Read]

    @property
    def resource(self) -> str: ...  # noqa: D102  (as there)

    @property
    def records(self) -> int: ...  # noqa: D102

    @property
    def sound(self) -> bool: ...  # noqa: D102

    @property
    def full(self) -> bool: ...  # noqa: D102

    @property
    def alive(self) -> bool:
        """Whether the process that writes it is there."""
        ...

    async def add(self, slice: Slice, page: SlicePage) -> int: ...  # noqa: D102

    async def pass_over(  # noqa: D102
        self, slice: Slice, after: Position | None, *, unit: Unit | None = None, gone: str | None = None
    ) -> None: ...

    async def convert(self) -> None:
        """Write what is waiting, if that is enough."""
        ...

    async def seal(self, headers: Iterable[str] = ()) -> Sealed: ...  # noqa: D102

    async def discard(self) -> None: ...  # noqa: D102


class Desk(Protocol):
    """Where one worker reads and writes.

    Attributes:
        room: For its pages.
    """

    room: Room

    async def begin(self, listing: Listing) -> None:
        """Be ready to read a slice."""
        ...

    def pages(self, slice: Slice, start: Position) -> AsyncGenerator[SlicePage]:
        """The pages of a slice."""
        ...

    async def open_part(self, listing: Listing) -> Part:
        """The next part of a resource."""
        ...


class LocalPart:
    """A part that this process writes."""

    alive: bool = True

    def __init__(self, run: Run, part: OpenPart) -> None:
        self._run = run
        self._part = part
        self.resource: str = part.resource
        self.works: dict[tuple[str, str], Read] = {}

    @property
    def records(self) -> int:
        """As `OpenPart.records`."""
        return self._part.records

    @property
    def sound(self) -> bool:
        """As `OpenPart.sound`."""
        return self._part.sound

    @property
    def full(self) -> bool:
        """As `OpenPart.full`."""
        return self._part.full

    async def add(self, slice: Slice, page: SlicePage) -> int:
        """As `OpenPart.add`."""
        return self._part.add(slice, page)

    async def pass_over(
        self, slice: Slice, after: Position | None, *, unit: Unit | None = None, gone: str | None = None
    ) -> None:
        """As `OpenPart.pass_over`."""
        self._part.pass_over(slice, after, unit=unit, gone=gone)

    async def convert(self) -> None:
        """Write what is waiting, if that is enough."""
        if self._part.ripe:
            await self._run.blocking(self._part.convert)

    async def seal(self, headers: Iterable[str] = ()) -> Sealed:
        """As `OpenPart.seal`."""
        return await self._run.blocking(self._part.seal, headers)

    async def discard(self) -> None:
        """As `OpenPart.discard`."""
        await self._run.blocking(self._part.discard)


class LocalDesk:
    """Reads and writes in this process, as all workers of a run do together."""

    def __init__(self, run: Run, *, ahead: bool) -> None:
        self._run = run
        self._ahead = ahead
        self.room: Room = Room()

    async def begin(self, listing: Listing) -> None:
        """Nothing is to be done."""

    def pages(self, slice: Slice, start: Position) -> AsyncGenerator[SlicePage]:
        """The pages of a slice."""
        return read_slice(self._run.client, slice, start, ahead=self._ahead)

    async def open_part(self, listing: Listing) -> LocalPart:
        """The next part of a resource."""
        return self._run.open_part(listing)
