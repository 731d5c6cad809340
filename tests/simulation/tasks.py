"""The tasks of the running event loop that nobody of the world has begun."""

from __future__ import annotations

import asyncio
from collections import Counter

import sniffio
import trio


def leftovers() -> Counter[str]:
    """How many tasks there are of each name, the running one and those of its task groups left out."""
    if sniffio.current_async_library() == "trio":
        root = trio.lowlevel.current_root_task()
        assert root is not None
        main = trio.lowlevel.current_task()
        nurseries = root.child_nurseries
        tasks = [task for nursery in nurseries for task in nursery.child_tasks if task is not main]
        return Counter(task.name for task in tasks if "main" not in task.name.lower())
    return Counter(
        task.get_coro().__qualname__  # type: ignore[union-attr]
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
    )


def cancel_foreign() -> None:
    """Cancel the tasks that the client has begun by itself, in the order in which they were made."""
    tasks = [task for task in asyncio.all_tasks() if "m3ter_async" in _file(task) and "tests" not in _file(task)]
    for task in sorted(tasks, key=hash):
        task.cancel()


def _file(task: asyncio.Task[object]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return "" if code is None else str(code.co_filename)
