"""One operation of the service: what is fixed about it, whatever is sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from ..events import Scope
from .arguments import Arguments
from .decoding import Decoder, decoder
from .retry import Repeat, repeat_of

T = TypeVar("T")

# The ids of what is an operation of no contract: a path that somebody wrote by hand, and a presigned URL.
BY_HAND = "request"
PRESIGNED = "presigned"


@dataclass(frozen=True, eq=False)
class Operation(Generic[T]):
    """What is fixed about one operation of the contract.

    Attributes:
        id: Its name in the contract, such as ``ListBills``.
        method: The HTTP method.
        path: The path with its parameters in braces; ``{orgId}`` is the client's organization.
        answer: The type of the answer; of one record, where the answer is a list of pages.
        repeat: What it does, and so whether it may be sent again when nobody knows if it took effect: ``read`` changes
            nothing; ``safe`` changes something, but a second one changes nothing more; ``versioned`` is safe where its
            body carries the version that it expects to replace; ``never``: a second one would count twice. Left out,
            it goes by the method (`retry.repeat_of`).
        page: How its pages follow each other: by ``nextToken`` (``token``), by ``fromDocument`` (``offset``), by
            ``nextToken`` if it is a page at all and not the only record itself (``either``), or None for no pages.
        page_size: The largest page the service gives.
        scope: Which of the service's rate limits it counts against.
        busy: True where a 429 speaks of this one operation (ten bill jobs at once) and not of the request rate.
        server: Which host it lives on.
        takes: What its arguments may be (`arguments.Arguments`); None where nothing is known of them.
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
    takes: str | None = ""

    def __post_init__(self) -> None:
        if self.repeat is None:
            object.__setattr__(self, "repeat", repeat_of(self.method))

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.repeat != "read" and repeat_of(self.method) != "read"

    @cached_property
    def arguments(self) -> Arguments | None:
        """What `takes` says, with the size of a page; read at the first call and kept."""
        if self.takes is None:
            return None
        return Arguments(self.takes if self.page_size is None else f"{self.takes} pageSize:int(1,{self.page_size})")

    @cached_property
    def decoder(self) -> Decoder[T]:
        """Made at the first call and kept: a large answer's decoder takes a millisecond to make."""
        return decoder(self.answer)
