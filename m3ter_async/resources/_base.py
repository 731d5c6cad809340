"""The base class of all resources: it passes an operation and its arguments to the pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from msgspec import UNSET

from .._core.decoding import decoder
from .._core.encoding import as_date, as_datetime
from .._core.operation import Operation
from ..transports.protocol import Response

if TYPE_CHECKING:
    from typing import Self

    from .._core.pipeline import Pipeline
    from .._paging.paginator import Paginator

T = TypeVar("T")
_NOTHING: Mapping[str, Any] = {}

Changes: TypeAlias = Mapping[str, Any] | None
Change: TypeAlias = Callable[[T], Changes | Awaitable[Changes]]
"""The function that `edit` takes: it gets the stored object and returns arguments of `update`; it may be async."""
Progress: TypeAlias = Callable[[T], object]
"""The function that `wait` takes: it gets the job each time it is read, and may be async."""

_object = decoder(dict[str, Any])


class Fields:
    """The fields of an update's body, as the generator prints them: ``name bill_epoch:date from_=from``.

    After a colon comes the kind of the field: ``date`` and ``datetime`` are encoded as in `update`; ``anew`` has to be
    given with every change, because the value in an answer cannot be written back.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _known(self) -> dict[str, tuple[str, str]]:
        """Name on the wire and kind, by name in Python."""
        found: dict[str, tuple[str, str]] = {}
        for entry in self._text.split():
            field, _, kind = entry.partition(":")
            name, _, wire = field.partition("=")
            found[name] = (wire or camel(name), kind)
        return found

    def merge(self, stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the update: the stored fields that can be written, with `changes`.

        Raises:
            TypeError: A change names no field, or a field that has to be given is missing.
        """
        known = self._known
        if "version" in changes:
            raise TypeError("edit() sends the version that it read; leave 'version' out of the changes")
        if unknown := sorted(map(str, set(changes) - set(known))):
            from difflib import get_close_matches  # only where something is misspelled

            near = get_close_matches(unknown[0], known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"edit() got a change of {unknown[0]!r}, which update() does not take{hint}")
        body: dict[str, Any] = {}
        for name, (wire, kind) in known.items():
            if name in changes:
                value = changes[name]
                body[wire] = as_date(value) if kind == "date" else as_datetime(value) if kind == "datetime" else value
            elif kind == "anew":
                raise TypeError(f"edit() needs {name!r} among the changes: what is read of it cannot be written back")
            elif stored.get(wire) is not None:
                body[wire] = stored[wire]
        if stored.get("version") is not None:
            body["version"] = stored["version"]
        return body


class Resource:
    """A namespace of the API; made by the client."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def _call(
        self,
        operation: Operation[T],
        path: Mapping[str, str] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = UNSET,
    ) -> T:
        """One call, one answer."""
        return await self._pipeline.call(operation, path, query, body)

    def _patient(self, seconds: float | None) -> Self:
        """The same resource, trying again for so many seconds what was refused for certain."""
        from .._jobs.waiting import patient

        return self if seconds is None else type(self)(patient(self._pipeline, seconds))

    def _list(
        self,
        operation: Operation[T],
        path: Mapping[str, str] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = UNSET,
    ) -> Paginator[T]:
        """A listing, not yet asked for; the operation's `answer` is one record."""
        from .._paging.paginator import paginate

        return paginate(self._pipeline, operation, path, query, body)

    async def _edit(
        self,
        read: Operation[T],
        write: Operation[T],
        fields: Fields,
        change: Change[T],
        attempts: int,
        path: Mapping[str, str] = _NOTHING,
    ) -> T:
        """Read, change, write with the version that was read; all of it again after a conflict."""
        from .._core.decoding import decode
        from ..errors import ConflictError

        if attempts < 1:
            raise ValueError(f"attempts must be 1 or more, not {attempts}")

        def both(response: Response) -> tuple[T, dict[str, Any]]:
            # the JSON beside the model: it has what the model does not know, and must not be lost
            return decode(read.decoder, response.content), decode(_object, response.content)

        while True:
            model, stored = await self._pipeline.run(self._pipeline.prepare(read, path, _NOTHING), both)
            changes = change(model)
            if isawaitable(changes):
                changes = await changes
            if changes is not None and not isinstance(changes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"a change must be a mapping or None, not {type(changes).__name__}")
            given = {name: value for name, value in (changes or _NOTHING).items() if value is not UNSET}
            if not given:
                return model
            attempts -= 1
            try:
                return await self._call(write, path, body=fields.merge(stored, given))
            except ConflictError as conflict:
                # in doubt, the conflict may be with this very change, written by an attempt before
                if conflict.outcome_unknown or not attempts:
                    raise

    async def _by_code(
        self,
        operation: Operation[T],
        code: str,
        noun: str,
        path: Mapping[str, str] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
    ) -> T:
        """The one record of a listing that has this code."""
        from ..errors import APIResponseValidationError, NotFoundError

        if not isinstance(code, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"code must be a str, not {type(code).__name__}")
        if not code:
            raise ValueError("code must not be empty")
        query = {**query, "codes": [code]}
        place = self._pipeline.prepare(operation, path, query).path
        found: T | None = None
        async for record in self._list(operation, path, query):
            if getattr(record, "code", None) != code:
                continue
            if found is not None:
                raise APIResponseValidationError(
                    f"more than one {noun} has the code {code!r}", method="GET", path=place
                )
            found = record
        if found is None:
            raise NotFoundError(f"no {noun} has the code {code!r}", method="GET", path=place, status=404)
        return found


def camel(name: str) -> str:
    """A Python name as it is on the wire."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
