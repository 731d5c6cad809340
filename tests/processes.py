"""Processes that a test starts: none of them outlives its test, and none can keep a test waiting for ever."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def heed_interrupts() -> None:
    """Let SIGINT have its effect here and in every process started from here.

    A shell without job control starts its background jobs with SIGINT ignored, and an ignored signal stays ignored in
    all their children: a test that interrupts one would wait for ever. A handler, unlike that, is not inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def running(words: Sequence[str], *, seconds: float = 60, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process for the block, which waits for its end.

    It is killed where the block fails, and after so many seconds in any case.
    """
    with subprocess.Popen(words, text=True, **options) as process:
        limit = threading.Timer(seconds, process.kill)
        limit.start()
        try:
            yield process
            process.wait()
        finally:
            limit.cancel()
            process.kill()  # has no effect on one that has ended
