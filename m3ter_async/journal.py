"""What happens on the way of a call, noted in one place for all who want to know."""

from __future__ import annotations

from .auth import LOGIN
from .failures import Failure
from .operation import Operation, Response
from .stats import Counters


class Journal:
    """Keeps the numbers of a client, for all its views."""

    def __init__(self) -> None:
        self.counters: Counters = Counters()

    def entry(self, operation: Operation[object]) -> Entry:
        """Begin to note what happens to one call."""
        return Entry(self, operation)


class Entry:
    """What happens to one call, from its begin to its end; each method is named after what it is told of.

    Attributes:
        attempts: How often the request was sent so far.
    """

    __slots__ = ("_counters", "_login", "attempts")

    def __init__(self, journal: Journal, operation: Operation[object]) -> None:
        self._counters = counters = journal.counters
        self._login = operation.id == LOGIN.id
        self.attempts = 0
        if not self._login:
            counters.calls += 1

    def waited(self, seconds: float) -> None:
        """The call waited for its turn under the rate limit."""
        self._counters.waits += 1
        self._counters.waited_seconds += seconds

    def sent(self, content: bytes | None) -> None:
        """The request is being sent; `received` must follow."""
        self.attempts += 1
        counters = self._counters
        counters.requests += 1
        counters.in_flight += 1
        if content is not None:
            counters.bytes_sent += len(content)

    def received(self, outcome: Response | Failure | None) -> None:
        """The exchange is over, with None if it was cancelled."""
        counters = self._counters
        counters.in_flight -= 1
        if isinstance(outcome, Response):
            counters.responses += 1
            counters.bytes_received += len(outcome.content)

    def paused(self, begins: bool, seconds: float) -> None:
        """A 429 stopped all calls of an organization, or (`begins` is False) made that last for more seconds."""
        self._counters.pauses += begins
        self._counters.paused_seconds += seconds

    def again(self) -> None:
        """The request will be sent again."""
        self._counters.retries += 1

    def succeeded(self) -> None:
        """The call has its answer."""
        if self._login:
            self._counters.logins += 1

    def failed(self) -> None:
        """The call ends in an error."""
        if self._login:
            self._counters.login_failures += 1
        else:
            self._counters.failures += 1
