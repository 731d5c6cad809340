"""A client that is dropped and was not closed is named, with the line that made it and the mend."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from types import FrameType

from ..transports.protocol import Transport

_PACKAGE = f"{Path(__file__).resolve().parent.parent}{os.sep}"
_watched: dict[int, Transport] = {}


def caller() -> tuple[str, int]:
    """The file and line outside this package that is being run."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


class Forgotten:
    """Warns, once nothing uses a client any more, if it was not closed and has something open.

    Python shows a ``ResourceWarning`` in its development mode and in tests; otherwise nothing is said.

    Args:
        transport: What has something open, if its `opened` is true. `abandon` lets go of it.
        made_at: The file and line that made the client.

    """

    __slots__ = ("_closed", "_made_at", "_process", "_transport")

    def __init__(self, transport: Transport, made_at: tuple[str, int]) -> None:
        self._transport = transport
        if hasattr(transport, "abandon"):
            # kept out of what is collected with the client: what is collected together ends in any order
            _watched[id(self)] = transport
        self._made_at = made_at
        self._process = os.getpid()
        self._closed = False

    def closed(self) -> None:
        """Note that the client was closed."""
        self._closed = True
        _watched.pop(id(self), None)

    def __del__(self) -> None:
        _watched.pop(id(self), None)
        # in a child process, what is open belongs to the parent
        if self._closed or os.getpid() != self._process or not getattr(self._transport, "opened", False):
            return
        text = (
            "a client of m3ter was never closed: make it with 'async with AsyncM3ter() as m3ter:', "
            "or call 'await m3ter.aclose()' at the end"
        )
        filename, line = self._made_at
        if abandon := getattr(self._transport, "abandon", None):
            abandon()  # its library would warn as well, and can name neither the client nor the mend
        warnings.warn_explicit(text, ResourceWarning, filename or "<unknown>", line or 1, source=self)
