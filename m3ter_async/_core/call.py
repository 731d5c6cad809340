"""One call that is ready to be sent: an operation with its arguments filled in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from ..transports.protocol import Request, Response
from .decoding import Unreadable
from .encoding import encode_body
from .operation import Operation
from .rate_limits import Gate

R = TypeVar("R")


@dataclass(slots=True)
class Call:
    """An operation with its arguments filled in, ready to be sent any number of times.

    Attributes:
        repeatable: Whether it may be sent again when nobody knows if it took effect.
        organization: Whose limits and share of the client it uses.
        gate: Where it waits for its turn under the rate limit.
        bare: Makes the request of each attempt, where the URL is presigned: no login goes with it.
        secrets: What of that URL must not be seen.
        smaller: Makes the call for half as much, to be sent where this one was too much; None where that is all.
    """

    operation: Operation[Any]
    path: str
    query: str = ""
    content: bytes | None = None
    repeatable: bool = True
    organization: str = ""
    gate: Gate | None = None
    bare: Callable[[], Request] | None = None
    secrets: tuple[str, ...] = ()
    smaller: Callable[[], Call | None] | None = None

    def gone(self, read: Callable[[Response], R]) -> R | None:
        """What a DELETE gives whose repeat found nothing: one before took effect, and its answer was lost.

        No server has said this, so no error of reading it can be blamed on one, and none is raised.

        Returns:
            The caller's type with nothing but the id, as far as the path has it; None where its type needs more.
        """
        name, id = (text.rpartition("/")[2] for text in (self.operation.path, self.path))
        # an operation of the contract names its parameters; a path by hand ends with what it deletes
        known = encode_body({"id": unquote(id)}) if name in ("{id}", id) else b"{}"
        try:
            return read(Response(200, {}, known))
        except Unreadable:
            return None
