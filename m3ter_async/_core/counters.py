"""The numbers of a client."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..stats import Stats


@dataclass(slots=True)
class Counters:
    """The numbers while they change."""

    calls: int = 0
    failures: int = 0
    requests: int = 0
    responses: int = 0
    retries: int = 0
    logins: int = 0
    login_failures: int = 0
    pauses: int = 0
    paused_seconds: float = 0.0
    address_pauses: int = 0
    waits: int = 0
    waited_seconds: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0
    in_flight: int = 0

    def snapshot(self, connections: int | None) -> Stats:
        """The numbers as they are now."""
        return Stats(**asdict(self), connections=connections)
