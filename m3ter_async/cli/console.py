"""What all commands say in the same way: failures in one line, and the exit status that goes with them.

0 is success, 1 a failure of the service or of the job, 2 a command line that cannot be followed, 128 and the number
of a signal where one ended it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from ..client import AsyncM3ter

PROGRAM = "m3ter-async"


class CommandFailed(Exception):
    """What ends a command: its text is the line that is shown, `status` what the process exits with."""

    def __init__(self, text: str, status: int = 2) -> None:
        super().__init__(one_line(text))
        self.status = status


def one_line(text: str) -> str:
    """`text` without line breaks, and without what a terminal would obey: some of it comes from a server."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def complain(text: str) -> None:
    """Show a line of ours on stderr."""
    note(f"{PROGRAM}: {text}")


def note(line: str) -> None:
    """Write a line to stderr; where nobody reads that any more, the work goes on all the same."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        silence(sys.stderr)


@contextmanager
def warnings_to(tell: Callable[[str], None]) -> Generator[None]:
    """Hand what the client warns of to `tell`, a line each; logging would write it to stderr as it is."""
    import logging

    from ..events import LoginFailed

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not any(isinstance(each, LoginFailed) for each in record.args or ()):  # the calls will fail with it
                tell(one_line(record.getMessage()))

    log, handler = logging.getLogger("m3ter_async"), Handler(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def silence(stream: TextIO) -> None:
    """Let what is left in a broken stream go nowhere: Python would complain of it at its end."""
    with suppress(OSError):  # which a stream raises that is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def near(name: str, names: Iterable[str]) -> str:
    """A hint at the names most like `name`, or nothing."""
    close = get_close_matches(name, names, 3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def connect(org_id: str | None, base_url: str | None) -> AsyncM3ter:
    """A client with the credentials of the environment.

    Raises:
        CommandFailed: They are missing, or cannot be used.
    """
    from ..client import AsyncM3ter
    from ..errors import ConfigurationError

    try:
        return AsyncM3ter(org_id=org_id, base_url=base_url)
    except ConfigurationError as error:
        # the client speaks of its arguments; what a command takes of them are options
        text = re.sub(r"pass api_\w+= or |[,;] (or )?pass (api|allow)_.*", "", str(error))
        text = re.sub(r"\b(org_id|base_url)= ?", lambda found: f"--{found[1].replace('_', '-')} ", text)
        raise CommandFailed(text) from None
