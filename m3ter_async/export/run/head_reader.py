"""The heads of records, read side by side; what cannot be read is cut smaller, down to a day or a record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import aclosing

from ...client import AsyncM3ter
from ...errors import APIError
from ..slices.slice import Slice, read_slice
from .judgement import Judge, certain
from .side_by_side import together
from .standing import Standing

_READERS = 8


class HeadReader:
    """One look at the heads of a resource.

    Args:
        client: Reads them.
        resource: Its name.
        see: Is told of each record; of one that is read again, again.

    Attributes:
        unread: Days and records that could not be read, and why.
    """

    def __init__(self, client: AsyncM3ter, resource: str, see: Callable[[bytes], None]) -> None:
        self._client = client
        self._resource = resource
        self._see = see
        self._judge = Judge(client, {resource: Standing()})
        self._waiting: deque[tuple[Slice, bool]] = deque()
        self.unread: list[tuple[Slice, str]] = []

    async def read(self, slices: Iterable[Slice]) -> None:
        """Read slices.

        Raises:
            APIError: Nothing at all can be read, or it is the service's failure whatever is asked for.
        """
        self._waiting += [(each, False) for each in slices]
        await together(*[self._work] * min(_READERS, len(self._waiting)))
        if self.unread and not await self._judge.answers(self._resource):
            raise self._judge.first(self._resource)

    async def _work(self) -> None:
        while self._waiting:
            slice, last = self._waiting.popleft()
            try:
                async with aclosing(read_slice(self._client, slice)) as pages:
                    async for page in pages:
                        self._judge.answered(self._resource, slice)
                        for record in page.records:
                            self._see(record)
            except APIError as error:
                await self._failed(slice, error, last=last)

    async def _failed(self, slice: Slice, error: APIError, *, last: bool) -> None:
        if not await self._judge.is_its_own(self._resource, error):
            raise error
        if pieces := slice.pieces():
            self._waiting.extend((each, False) for each in pieces)
        elif last or certain(error):
            self.unread.append((slice, str(error)))
        else:
            self._waiting.append((slice, True))
