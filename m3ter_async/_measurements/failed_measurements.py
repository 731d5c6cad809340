"""Measurements that failed validation: the events that tell of them, with what their files hold."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import UNSET

from .._core.decoding import Unreadable, decode, decoder
from .._core.encoding import as_datetime
from .._core.identity import secret
from .._core.pipeline import Pipeline
from .._jobs.presigned_urls import download
from ..errors import APIResponseValidationError, NotFoundError
from ..models._base import dt
from ..models.events import Event
from ..resources.events import Events
from ..resources.usage import Usage

_EVENT = "ingest.validation.failure"
_any = decoder(Any)


@dataclass(frozen=True, slots=True)
class IngestFailure:
    """A measurement that was accepted and failed validation later.

    Attributes:
        event: The event that told of it.
        record: What the event's file has of it: the measurement, and what is wrong with it. The contract does not say
            in which fields, so it is decoded as it stands, numbers exactly. None if there is no file any more.
    """

    event: Event
    record: Any


class IngestFailures(AsyncIterator[IngestFailure]):
    """The failures of a time, event by event; made by `AsyncM3ter.ingest_failures`.

    An error does not end it: its next step tries the same event again. An event that cannot be decoded is told by a
    `RecordError`; the next step goes on behind it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        events: Events,
        usage: Usage,
        *,
        since: datetime | date | str | None,
        until: datetime | date | str | None,
        include_actioned: bool,
    ) -> None:
        self._pipeline = pipeline
        self._usage = usage
        self._since = _moment("since", since)
        self._until = _moment("until", until)
        actioned = True if include_actioned else UNSET
        self._events = aiter(events.list(event_name=_EVENT, include_actioned=actioned))
        self._event: Event | None = None
        self._records: Iterator[Any] | None = None

    async def __anext__(self) -> IngestFailure:
        while True:
            event = self._event
            if event is None:
                event = await anext(self._events)
                if event.event_name != _EVENT or not self._within(event.event_time):
                    continue
                self._event = event
            if self._records is None:  # also after an error: the event is not passed over
                self._records = iter(await self._fetch(event))
            for record in self._records:
                return IngestFailure(event, record)
            self._event = self._records = None

    async def aclose(self) -> None:
        """Stop the page of events that is under way; dropping the iterator has the same effect."""
        await self._events.aclose()

    def _within(self, when: datetime | None) -> bool:
        if when is None:
            return True  # rather one too many than one less
        return (self._since is None or when >= self._since) and (self._until is None or when < self._until)

    async def _fetch(self, event: Event) -> list[Any]:
        """The records of an event's file; just None, where there is no such file."""
        file = _file(event.m3ter_event)
        if file is None:
            return [None]
        try:
            url = (await self._usage.get_failed_ingest_download_url(file=file)).url
            content = await download(self._pipeline, secret(url))
        except NotFoundError:
            return [None]
        try:
            records: object = decode(_any, content)
        except Unreadable as cause:
            reason = f"the file of event {event.id} cannot be read: {cause.reason}"
            raise APIResponseValidationError(reason, method="GET", path=file, body=content[:65_536]) from None
        return cast("list[object]", records) if isinstance(records, list) else [records]


def _file(about: object) -> str | None:
    """The name of the file, from the link that an event has at some depth."""
    if not isinstance(about, Mapping):
        return None
    fields = cast("Mapping[str, object]", about)
    link = fields.get("getDownloadUrl")
    if isinstance(link, str):
        # the link is one to the API, or just the path of the file
        return parse_qs(urlsplit(link).query).get("file", [link])[0]
    return next(filter(None, map(_file, fields.values())), None)


def _moment(name: str, value: datetime | date | str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = msgspec.convert(as_datetime(value), dt.datetime)
    except (ValueError, msgspec.ValidationError) as error:
        raise ValueError(f"{name}: {error}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{name}={value!r} has no time zone")
    return moment


for _public in (IngestFailure, IngestFailures):
    _public.__module__ = "m3ter_async"  # where users import it from
