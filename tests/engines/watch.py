"""Something that happens in the middle of a reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from m3ter_async.sandbox import Sandbox


@contextmanager
def during(sandbox: Sandbox, requests: int, act: Callable[[], None]) -> Iterator[None]:
    """Do something once so many more pages were asked for."""
    aim = sandbox.requests["ListBills"] + requests
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            if sandbox.requests["ListBills"] >= aim:
                act()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
        assert not thread.is_alive(), "it came too late"
    finally:
        ended.set()
        thread.join()
