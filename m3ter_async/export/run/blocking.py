"""Calls that would hold up the event loop, and what their failures mean for an export."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from ..errors import ExportError
from ..places.bucket import MissingObject, StoreError
from ..places.place import Place, Rival

T = TypeVar("T")


async def in_child(place: Place, call: Callable[[], Awaitable[T]]) -> T:
    """Wait for what a child process does with files of this machine.

    Raises:
        ExportError: The disk failed.
    """
    try:
        return await call()
    except OSError as error:
        raise ExportError(f"cannot write {error.filename or place.shown()}: {error.strerror or error}") from error


async def in_thread(place: Place, call: Callable[[], T], limiter: anyio.CapacityLimiter | None = None) -> T:
    """Run a call that works on a place in a thread; it is seen to its end whoever is cancelled meanwhile.

    Raises:
        ExportError: The disk or the store failed, or another export has the place by now.
    """
    try:
        return await anyio.to_thread.run_sync(call, limiter=limiter)
    except (OSError, ExportError) as error:
        amiss = error.resumable is False if isinstance(error, ExportError) else isinstance(error, MissingObject)
        if amiss and not isinstance(error, Rival):  # somebody else may have changed what is amiss
            with anyio.CancelScope(shield=True):
                await in_thread(place, place.see_no_rival, limiter)
        if isinstance(error, ExportError):
            raise
        if isinstance(error, StoreError):
            raise ExportError(f"{error.strerror} ({error.filename})") from error
        raise ExportError(f"cannot write {error.filename or place.shown()}: {error.strerror or error}") from error
