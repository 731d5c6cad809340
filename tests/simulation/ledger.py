"""What the program asked for and what left the client for it: the facts that invariants compare."""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass, field

from m3ter_async.transports.protocol import Request

from .service import Answer


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its way.

    Attributes:
        began: When its first byte may have left; None while it certainly did not.
        answer: What the service said, whether or not that ever came back.
        delivered: Whether the client got that answer.
        whole: Whether it got the answer as it was said.
        over: When the transport was through with it.
    """

    request: Request
    at: float
    org: str
    login: bool
    action: Action | None
    began: float | None = None
    answer: Answer | None = None
    delivered: bool = False
    whole: bool = True
    over: float | None = None

    @property
    def status(self) -> int | None:
        """The status that the client was given."""
        return self.answer.status if self.answer is not None and self.delivered else None

    def __str__(self) -> str:
        url = self.request.url.partition("://")[2].partition("/")[2]
        return f"{self.request.method} /{url}"


@dataclass(slots=True, eq=False)
class Action:
    """One thing that the program does.

    Attributes:
        kind: What it is: ``call`` sends one request and its repeats, ``listing``, ``map``, ``wait``, ``ingest`` more.
        name: What it writes, by the name that the service knows it by.
        writes: Whether it changes something.
        deadline: When it must be over at the latest, in the world's seconds.
        parent: In whose fetch function or loop it runs.
        patience: Seconds from its begin in which it may go on trying.
        interactive: Whether somebody waits for it.
    """

    number: int
    kind: str
    what: str
    org: str
    begun: float
    deadline: float = math.inf
    name: str = ""
    writes: bool = False
    parent: Action | None = None
    patience: float = 120.0
    retries: int = 5
    interactive: bool = False
    ended: float | None = None
    exchanges: list[Exchange] = field(default_factory=list)

    def __str__(self) -> str:
        return f"#{self.number} {self.what}"

    @property
    def last(self) -> Exchange | None:
        """The latest request, logins not counted."""
        return self.exchanges[-1] if self.exchanges else None

    @property
    def effective_deadline(self) -> float:
        """The least of its own and of those in whose work it runs."""
        return self.deadline if self.parent is None else min(self.deadline, self.parent.effective_deadline)

    def statuses(self) -> set[int]:
        """All that was answered to it."""
        return {each.status for each in self.exchanges if each.status is not None}


ACTION: ContextVar[Action | None] = ContextVar("ACTION", default=None)
"""Whose work the running task does."""
