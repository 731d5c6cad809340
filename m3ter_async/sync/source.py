"""What a sync asks the service for, beside listings: its time, the locks, and single records by id."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from re import findall
from typing import Any

from .._core.operation import Operation
from .._paging.iteration import Page
from ..client import AsyncM3ter
from ..errors import APIStatusError, NotFoundError
from ..export.slices.listings import Listing, paginator
from ..resources._base import camel
from ..transports.protocol import Response
from .change import SyncNote

_LOCKS: Operation[Any] = Operation("GetBillConfig", "GET", "/organizations/{orgId}/billconfig", Any)
_NOT_HERE = frozenset((400, 403, 404, 405, 501))


@dataclass(frozen=True)
class Beginning:
    """What is asked first.

    Attributes:
        now: The time of the service, or None where it sends none.
        locks: A digest of what decides which bills are locked, or None where it was not told.
        notes: What is missing.
    """

    now: datetime | None
    locks: str | None = None
    notes: tuple[SyncNote, ...] = ()


async def begin(client: AsyncM3ter, listing: Listing) -> Beginning:
    """Ask for the time of the service, and for bills for the date up to which they are locked.

    ``GET /organizations/{orgId}/billconfig``, or a page of one record.

    Raises:
        APIError: The service failed.
    """
    notes: list[SyncNote] = []
    locks: str | None = None
    if listing.method != "bills.list":
        return Beginning(None)
    try:
        response = await answer(client, _LOCKS, {}, {})
        locks = blake2b(response.content, digest_size=8).hexdigest()
    except APIStatusError as error:
        if error.status not in _NOT_HERE:
            raise
        text = f"the service did not tell up to which date bills are locked ({error.status})"
        notes.append(SyncNote("no_locks", 1, text))
        query = {"pageSize": 1, "excludeLineItems": True}
        response = await answer(client, listing.operation, {}, query)
    now = time_of(response)
    if now is None:
        text = "the service did not send its time: the next sync looks at everything"
        notes.append(SyncNote("no_time", 1, text))
    return Beginning(now, locks, tuple(notes))


async def answer(
    client: AsyncM3ter, operation: Operation[Any], path: Mapping[str, str], query: Mapping[str, Any]
) -> Response:
    """What an operation answers, as it came.

    Raises:
        APIError: The call failed.
    """
    pipeline = client._pipeline
    return await pipeline.run(pipeline.prepare(operation, path, query), lambda response: response)


def time_of(response: Response) -> datetime | None:
    """When the service answered, by its own clock; None where it does not say."""
    try:
        found = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


async def page_of(client: AsyncM3ter, listing: Listing, **arguments: str) -> Page[bytes]:
    """The first page of a listing with these arguments besides its own."""
    return await paginator(client, listing.method, {**listing.arguments, **arguments}, None).raw()


def by_id(client: AsyncM3ter, listing: Listing) -> Operation[Any] | None:
    """The operation that gives one record of a listing by its id, or None where there is none.

    What is not listed under a parent any more may be there under another: only its own path tells.
    """
    owner: Any = client
    for part in listing.method.split(".")[:-1]:
        owner = getattr(owner, part)
    path = listing.operation.path
    values: list[Any] = list(vars(sys.modules[type(owner).__module__]).values())
    operations: list[Operation[Any]] = [value for value in values if isinstance(value, Operation)]
    for value in operations:
        if value.method != "GET" or value.page is not None:
            continue
        above, _, last = value.path.rpartition("/")
        if last != "{id}" or value.answer is not listing.operation.answer:
            continue
        if above == path or (listing.parent is None and path.startswith(f"{above}/") and "{" not in path[len(above) :]):
            return value
    return None


class ById:
    """Asks for single records.

    Args:
        client: Of the organization.
        operation: What gives one.
        listing: What they are of.
    """

    def __init__(self, client: AsyncM3ter, operation: Operation[Any], listing: Listing) -> None:
        self._client = client
        self._operation = operation
        self._fixed = {camel(name): value for name, value in listing.arguments.items()}
        self._parent = None if listing.parent_argument is None else camel(listing.parent_argument)

    async def __call__(self, parent: str, id: str) -> bytes | None:
        """The JSON of a record, or None where there is none.

        Raises:
            APIError: The service failed; nothing is known of the record.
        """
        path = {**self._fixed, "id": id}
        if self._parent is not None:
            path[self._parent] = parent
        wanted = findall(r"\{(\w+)\}", self._operation.path)
        path = {name: value for name, value in path.items() if name in wanted}
        try:
            return bytes((await answer(self._client, self._operation, path, {})).content)
        except NotFoundError:
            return None
