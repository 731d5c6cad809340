"""Tasks side by side, of which the first that fails ends the others, and is raised as itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType

import anyio

from ...errors import APIError


async def together(*calls: Callable[[], Awaitable[None]]) -> None:
    """Run all of `calls` to their end.

    Each is a task of a group, so that even a caller who is cancelled by asyncio's own means does not cut off what
    they shield.

    Raises:
        Exception: What the first that failed raised; the others were cancelled, and what they raised at that is only
            told if it was the service's doing.
    """
    failures = _Failures()
    async with anyio.create_task_group() as group:
        failures.scope = group.cancel_scope
        for call in calls:
            group.start_soon(failures.keep, call)
    if failures.kept:
        raise next((each for each in failures.kept if isinstance(each, APIError)), failures.kept[0])


class _Failures:
    """Takes the failures of tasks, in place of the group that they run in; a cancellation is none."""

    scope: anyio.CancelScope

    def __init__(self) -> None:
        self.kept: list[Exception] = []

    async def keep(self, call: Callable[[], Awaitable[None]]) -> None:
        with self:
            await call()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.kept.append(error)
        self.scope.cancel()
        return True
