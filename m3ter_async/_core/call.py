"""One call that is ready to be sent: an operation with its arguments filled in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ..transports.protocol import Request, Response
from .encoding import encode_body
from .operation import Operation
from .rate_limits import Gate


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

    def gone(self) -> Response:
        """The answer to a DELETE whose repeat found nothing: one before took effect, and this is what is gone."""
        return Response(200, {}, b'{"id":%b}' % encode_body(unquote(self.path.rpartition("/")[2])))
