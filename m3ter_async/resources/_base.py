"""The base class of all resources: it passes an operation and its arguments to the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from msgspec import UNSET

from .._core.operation import Operation
from ._editing import Change, Fields, edit, put
from ._editing import camel as camel

if TYPE_CHECKING:
    from typing import Self

    from .._core.pipeline import Pipeline
    from .._paging.paginator import Paginator

T = TypeVar("T")
_NOTHING: Mapping[str, Any] = {}

_SHOWN = 6  # methods in a repr
_FIRST = ("list", "retrieve", "get_by_code", "create", "update", "edit", "delete")


def _in_order(method: str) -> tuple[int, str]:
    """What most have and use stands first."""
    return _FIRST.index(method) if method in _FIRST else len(_FIRST), method


Progress: TypeAlias = Callable[[T], object]
"""The function that `wait` takes: it gets the job each time it is read, and may be async."""


class Resource:
    """A namespace of the API; made by the client."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def __repr__(self) -> str:
        names = [name for name in dir(type(self)) if not name.startswith("_")]
        methods = sorted((name for name in names if callable(getattr(type(self), name))), key=_in_order)
        shown = ", ".join(f"{name}()" for name in methods[:_SHOWN]) or "no methods of its own"
        more = f" and {len(methods) - _SHOWN} more" if len(methods) > _SHOWN else ""
        within = "".join(f", .{name}" for name in names if name not in methods)
        return f"<{type(self).__name__} of {self._pipeline.settings.org_id!r}: {shown}{more}{within}>"

    async def _call(
        self,
        operation: Operation[T],
        path: Mapping[str, Any] = _NOTHING,
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
        path: Mapping[str, Any] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = UNSET,
    ) -> Paginator[T]:
        """A listing, not yet asked for; the operation's `answer` is one record."""
        from .._paging.paginator import paginate

        return paginate(self._pipeline, operation, path, query, body)

    async def _put(
        self,
        read: Operation[T],
        write: Operation[T],
        path: Mapping[str, Any],
        query: Mapping[str, Any] = _NOTHING,
        *,
        body: Mapping[str, Any],
    ) -> T:
        """A replacement with a version, looked at where its answer was lost; `read` reads what `write` replaces."""
        return await put(self._pipeline, read, write, path, body, query)

    async def _edit(
        self,
        read: Operation[T],
        write: Operation[T],
        fields: Fields,
        change: Change[T] | Mapping[str, Any] | None,
        changes: Mapping[str, Any],
        attempts: int,
        path: Mapping[str, Any] = _NOTHING,
    ) -> T:
        """Read, change, write with the version that was read; all of it again after a conflict."""
        return await edit(self._pipeline, read, write, fields, change, changes, attempts, path)

    async def _by_code(
        self,
        operation: Operation[T],
        code: str,
        noun: str,
        path: Mapping[str, Any] = _NOTHING,
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
            id = getattr(record, "id", None)
            # one that moves while the pages are read stands on two of them
            if found is not None and (id is None or getattr(found, "id", None) != id):
                raise APIResponseValidationError(
                    f"more than one {noun} has the code {code!r}", method="GET", path=place
                )
            found = record
        if found is None:
            raise NotFoundError(f"no {noun} has the code {code!r}", method="GET", path=place, status=404)
        return found
