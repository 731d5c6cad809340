"""What a client has done so far, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """A client's numbers at one moment, all its views counted together. All but the last two only grow.

    Requests that are neither answered nor in flight were lost: the connection failed, the time ran out, the caller
    was cancelled.

    Attributes:
        calls: Calls begun; a page of a listing is one, a login is none.
        failures: Calls that ended in an error, cancelled ones not counted.
        requests: HTTP requests sent, those of logins and repeats among them.
        responses: HTTP responses read to the end, whatever their status.
        retries: Requests that were sent again, or are about to be.
        logins: Access tokens fetched.
        login_failures: Logins that were given up.
        pauses: How often a 429 stopped all calls of an organization.
        paused_seconds: Seconds of those pauses, summed over organizations, the rest of a present one included.
        address_pauses: How often all that the service allows an address was used up, which stops all organizations.
        waits: How often a call waited for its turn under a rate limit or in a pause.
        waited_seconds: Seconds of those waits, summed over calls.
        bytes_sent: Bytes of request bodies.
        bytes_received: Bytes of response bodies, decompressed.
        in_flight: Requests that are being exchanged now.
        connections: Connections open now, idle ones included; None where the transport cannot tell, such as one
            around a session or client of yours.
    """

    calls: int
    failures: int
    requests: int
    responses: int
    retries: int
    logins: int
    login_failures: int
    pauses: int
    paused_seconds: float
    address_pauses: int
    waits: int
    waited_seconds: float
    bytes_sent: int
    bytes_received: int
    in_flight: int
    connections: int | None
