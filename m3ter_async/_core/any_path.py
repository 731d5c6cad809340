"""The method of the client that calls any path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from msgspec import UNSET

from .operation import BY_HAND, Operation
from .retry import Repeat, repeat_of
from .settings import plain_path

if TYPE_CHECKING:
    from .pipeline import Pipeline

T = TypeVar("T")


class AnyPath:
    """A method of the client."""

    _pipeline: Pipeline

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = UNSET,
        type: type[T],
        repeatable: bool | None = None,
    ) -> T: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = UNSET,
        repeatable: bool | None = None,
    ) -> Any: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = UNSET,
        type: Any = Any,
        repeatable: bool | None = None,
    ) -> Any:
        """Call any path, with the login, limits, retries and errors of every other call.

        Args:
            method: The HTTP method.
            path: From the root, such as ``/organizations/{orgId}/anything``; ``{orgId}`` is filled in.
            query: Query parameters, encoded here.
            body: A struct, mapping or sequence, sent as JSON.
            type: What the answer decodes to; by default plain dicts and lists, with `Decimal` for fractions.
            repeatable: Whether it may be sent again when nobody knows if it took effect. By default only GET,
                HEAD, OPTIONS, DELETE and a PUT with a ``version`` in its body are.
        """
        if not (method.isascii() and method.isalpha()):
            raise ValueError(f"{method!r} is not an HTTP method")
        repeat: Repeat | None = None
        if repeatable is not None:
            repeat = ("read" if repeat_of(method.upper()) == "read" else "safe") if repeatable else "never"
        operation: Operation[Any] = Operation(
            BY_HAND, method.upper(), plain_path(path), type, repeat=repeat, takes=None
        )
        return await self._pipeline.call(operation, {}, query or {}, body)
