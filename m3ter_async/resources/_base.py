"""What every resource stands on: it hands an operation and its arguments to the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET

if TYPE_CHECKING:
    from ..operation import Operation
    from ..pagination import Paginator
    from ..pipeline import Pipeline

T = TypeVar("T")
_NOTHING: Mapping[str, Any] = {}


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

    def _list(
        self,
        operation: Operation[T],
        path: Mapping[str, str] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = UNSET,
    ) -> Paginator[T]:
        """A listing, not yet asked for; the operation's `answer` is one record."""
        from ..pagination import paginate

        return paginate(self._pipeline, operation, path, query, body)
