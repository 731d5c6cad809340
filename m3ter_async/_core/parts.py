"""What all calls of a client share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..transports.protocol import Response, Transport
from .admission import Admission
from .auth import LOGIN, TokenManager
from .background import Background
from .call import Call
from .clock import Clock
from .decoding import Unreadable
from .instrumentation import Journal
from .outcomes import Failure, FailureReader
from .retry import RetryBudget
from .waits import Waits


@dataclass(slots=True, eq=False)
class Parts:
    """The parts that the calls of all views of a client work with; `budget` is for calls outside any organization."""

    transport: Transport
    hosts: Mapping[str, str]
    clock: Clock
    background: Background
    waits: Waits
    admission: Admission
    tokens: TokenManager
    budget: RetryBudget
    failures: FailureReader
    journal: Journal

    def reader(self, call: Call) -> FailureReader:
        """What makes failures of the answers to `call`, with its secrets masked too."""
        if not call.secrets:
            return self.failures
        return FailureReader(lambda: (*self.tokens.secrets(), *call.secrets), self.clock.wall)

    def unreadable(self, call: Call, response: Response, cause: Unreadable) -> Failure:
        """The failure of an answer that cannot be read."""
        keep = call.operation.id != LOGIN.id
        return self.reader(call).unreadable(call.operation.method, call.path, response, cause, keep=keep)
