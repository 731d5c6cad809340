"""Whose failure it is: that of one parent or slice, which is set aside, or that of the service.

It is the service's failure where nothing of a resource can be read: then the run reads no more of it, keeps what was
read, and ends with that failure. Where something that could be read before can still be read, it is the unit's own.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from ...client import AsyncM3ter
from ...errors import APIError, AuthenticationError, RateLimitError
from ..slices.listings import IDS, PAGE_SIZE, paginator
from ..slices.slice import Slice
from .standing import Standing

_WITNESSES = 2  # that are asked whether the service answers: what fails may be of one of them
_IN_A_ROW = 3  # failures before the service is asked whether it answers at all
_REFUSALS = {400, 404, 410, 422}  # what a page token that is too old is answered with
_GONE = {404, 410}


class _Resources(Protocol):
    def __getitem__(self, resource: str, /) -> Standing: ...


def refused(error: APIError) -> bool:
    """Whether a page token that a request began with may be what was refused."""
    return error.status in _REFUSALS


def gone(error: APIError) -> bool:
    """Whether there is no such thing."""
    return error.status in _GONE


def certain(error: APIError) -> bool:
    """Whether the same request will be answered in the same way."""
    return error.status is not None and 400 <= error.status < 500 and error.status not in (408, 425, 429)


def only(slice: Slice, parent: str | None) -> Slice:
    """A slice with one of its parents."""
    return slice if parent is None else msgspec.structs.replace(slice, parents=(parent,))


class Judge:
    """Tells failures of units from failures of the service.

    Args:
        client: Asks the service.
        resources: Where the export stands.
    """

    def __init__(self, client: AsyncM3ter, resources: _Resources) -> None:
        self._client = client
        self._resources = resources
        self._failed: dict[str, int] = {}
        self._first: dict[str, APIError] = {}
        self._witness: dict[str, Slice] = {}

    def answered(self, resource: str, witness: Slice) -> None:
        """The service answered: something of a resource was read, or is not there."""
        self._failed.pop(resource, None)
        self._witness.setdefault(resource, witness)

    async def is_its_own(self, resource: str, error: APIError) -> bool:
        """Something of a resource could not be read: whether that may be laid to it alone.

        Raises:
            APIError: It is the service's failure, whatever is asked for.
        """
        if isinstance(error, (AuthenticationError, RateLimitError)):
            raise error
        self._first.setdefault(resource, error)
        self._failed[resource] = self._failed.get(resource, 0) + 1
        return self._failed[resource] < _IN_A_ROW or await self.answers(resource)

    async def answers(self, resource: str) -> bool:
        """Whether, after failures, something can be read of a resource."""
        if not self._failed.get(resource):
            return True
        asked: list[Slice] = []
        for witness in (self._witness.get(resource), *self._resources[resource].witnesses):
            if witness is None or witness in asked:
                continue
            if await self._answers(witness):
                self._failed.pop(resource, None)
                return True
            asked.append(witness)
            if len(asked) == _WITNESSES:
                break
        return False

    def first(self, resource: str) -> APIError:
        """The first failure of a resource."""
        return self._first[resource]

    async def _answers(self, witness: Slice) -> bool:
        """Whether something that could be read before can still be read."""
        arguments = {**witness.arguments, PAGE_SIZE: "1"}
        if witness.parent_argument is not None:
            arguments[witness.parent_argument] = witness.parents[0]
        if witness.ids:
            arguments[IDS] = ",".join(witness.ids)
        try:
            await paginator(self._client, witness.method, arguments, None).raw()
        except APIError as error:
            return gone(error)  # that one is not there any more, and the service says so
        return True
