"""One operation of the service: what is fixed about it, whatever is sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from ..events import Scope
from .decoding import Decoder, decoder

T = TypeVar("T")

Repeat = Literal["safe", "versioned", "never"]
# The ids of what is an operation of no contract: a path that somebody wrote by hand, and a presigned URL.
BY_HAND = "request"
PRESIGNED = "presigned"
_REPEAT_BY_METHOD: dict[str, Repeat] = {"GET": "safe", "DELETE": "safe", "PUT": "versioned"}


@dataclass(frozen=True, eq=False)
class Operation(Generic[T]):
    """What is fixed about one operation of the contract.

    Attributes:
        id: Its name in the contract, such as ``ListBills``.
        method: The HTTP method.
        path: The path with its parameters in braces; ``{orgId}`` is the client's organization.
        answer: The type of the answer; of one record, where the answer is a list of pages.
        repeat: Whether it may be sent again when nobody knows if it took effect: ``safe`` always, ``versioned`` where
            its body carries the version it expects to replace, ``never`` where a second one would count twice. Left
            out, it goes by the method: GET and DELETE are safe, a PUT is versioned, anything else is sent once.
        page: How its pages follow each other: by ``nextToken`` (``token``), by ``fromDocument`` (``offset``), by
            ``nextToken`` if it is a page at all and not the only record itself (``either``), or None for no pages.
        page_size: The largest page the service gives.
        scope: Which of the service's rate limits it counts against.
        busy: True where a 429 speaks of this one operation (ten bill jobs at once) and not of the request rate.
        server: Which host it lives on.
    """

    id: str
    method: str
    path: str
    answer: Any
    repeat: Repeat | None = None
    page: Literal["token", "offset", "either"] | None = None
    page_size: int | None = None
    scope: Scope = "configuration"
    busy: bool = False
    server: Literal["api", "ingest"] = "api"

    def __post_init__(self) -> None:
        if self.repeat is None:
            object.__setattr__(self, "repeat", _REPEAT_BY_METHOD.get(self.method, "never"))

    @property
    def writes(self) -> bool:
        """Whether it may change anything; a POST that is safe to repeat only reads."""
        return self.method != "GET" and not (self.method == "POST" and self.repeat == "safe")

    @cached_property
    def decoder(self) -> Decoder[T]:
        """Made at the first call and kept: a large answer's decoder takes a millisecond to make."""
        return decoder(self.answer)
