"""What all commands say in the same way: failures in one line, and the exit status that goes with them.

0 is success, 1 a failure of the service or of the job, 2 a command line that cannot be followed, 128 and the number
of a signal where one ended it.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import TextIO

PROGRAM = "m3ter-async"


class CommandFailed(Exception):
    """What ends a command: its text is the line that is shown, `status` what the process exits with."""

    def __init__(self, text: str, status: int = 2) -> None:
        super().__init__(one_line(text))
        self.status = status


def one_line(text: str) -> str:
    """`text` without line breaks, and without what a terminal would obey: some of it comes from a server."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def as_text(argument: str) -> str:
    """An argument as it was typed, in UTF-8: where the place has another encoding, Python has escaped its bytes."""
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # half of a pair, which Windows has in names of files
        return argument.encode("utf-8", "replace").decode()


def complain(text: str) -> None:
    """Show a line of ours on stderr."""
    note(f"{PROGRAM}: {text}")


def note(line: str) -> None:
    """Write a line to stderr."""
    tell(sys.stderr, f"{line}\n")


def tell(stream: TextIO | None, text: str) -> None:
    """Write what is not the result of a command but about it; where it cannot be written, the work goes on.

    Nobody may read it any more, the terminal or the disk may be gone, or the stream was closed from the start.
    """
    if stream is None:
        return
    try:
        put(stream, text)
        stream.flush()
    except OSError:
        silence(stream)
    except ValueError:  # of a stream that was closed since
        return


def put(stream: TextIO | None, text: str) -> None:
    """Write a text, in which escapes stand for what the stream's encoding does not have.

    Raises:
        OSError: It cannot be written.
    """
    if stream is None:  # it was closed before Python started
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


class Telling:
    """A stream for those who write by themselves, to which writing never fails.

    Args:
        stream: Where it goes.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if that is possible."""
        tell(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Its descriptor."""
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        """What characters it can show."""
        return (self._stream.encoding if self._stream is not None else "") or "utf-8"


def quoted(words: Sequence[str]) -> str:
    """A command line that is shown, to be pasted into a shell of this place.

    On Windows these are double quotes, which both cmd.exe and PowerShell take.
    """
    return " ".join(map(_quoted_on_windows, words)) if _platform() == "win32" else shlex.join(words)


def _platform() -> str:
    """What runs here; asked for each time, and not known to type checkers, which would leave out the rest."""
    return sys.platform


def _quoted_on_windows(word: str) -> str:
    if re.fullmatch(r"[\w.:/\\=+-]+", word):
        return word
    # as the C runtime reads it: a quote has a backslash before it, and backslashes before a quote are doubled
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", inner) + '"'


@contextmanager
def warnings_to(tell: Callable[[str], None], details: Callable[[str], None] | None = None) -> Generator[None]:
    """Hand what the client warns of to `tell`, a line each; logging would write it to stderr as it is.

    Args:
        tell: Takes a warning.
        details: Takes a line for all else that happens, each request and answer; None asks for none of it.
    """
    import logging

    from ..events import LoginFailed

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = one_line(record.getMessage())
            if record.levelno < logging.WARNING:
                if details is not None:
                    details(line)
            elif not any(isinstance(each, LoginFailed) for each in record.args or ()):  # the calls will fail with it
                tell(line)

    log = logging.getLogger("m3ter_async")
    level, wanted = log.level, logging.WARNING if details is None else logging.DEBUG
    handler = Handler(wanted)
    log.addHandler(handler)
    if details is not None:
        log.setLevel(wanted)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


def silence(stream: TextIO | None) -> None:
    """Let what is left in a broken stream go nowhere: Python would complain of it at its end."""
    if stream is None:
        return
    with suppress(OSError, ValueError):  # which a stream raises that is no file, or closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def near(name: str, names: Iterable[str]) -> str:
    """A hint at the names most like `name`, or nothing."""
    close = get_close_matches(name, names, 3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
