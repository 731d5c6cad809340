"""What a client tells of its calls, as values that hold no secret.

Pass ``AsyncM3ter(on_event=...)`` a function, or several, to be told. It is called at once, in the task of the call
(so context variables are the caller's), for each of these; it should be quick. Whatever it raises is logged and
changes nothing for the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = [
    "AddressLimitReached",
    "Answer",
    "CallInfo",
    "Event",
    "LoggedIn",
    "LoginFailed",
    "RateLimitPaused",
    "RequestFailed",
    "RequestSent",
    "ResponseReceived",
    "RetryScheduled",
    "Scope",
    "SharedLimitChanged",
]

Scope: TypeAlias = Literal["configuration", "ingest", "explorer", "usage_query"]
"""Which of the service's rate limits a call counts against."""


@dataclass(frozen=True, slots=True)
class CallInfo:
    """The call that an event belongs to, the same in all its events. Each page of a listing is a call, so is a login.

    Attributes:
        id: Its number, unique in this process.
        operation: Its name in the contract, such as ``ListBills``; ``GenerateToken`` is a login, ``request`` a call
            of any path by ``client.request()``.
        method: The HTTP method.
        template: The path with its parameters in braces; None where it was written by hand, for ``request()``.
        path: The path as it is called, percent-encoded, without host and query.
        url: Host, path and query, in which every value is masked but for pages, states, flags and dates.
    """

    id: int
    operation: str
    method: str
    template: str | None
    path: str
    url: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the answer to a call came with, as `AsyncM3ter.answers` collects it.

    Attributes:
        call: The call.
        attempts: How often the request was sent.
        status: The HTTP status.
        headers: The headers by their names in lower case, with secrets of the client masked.
        request_id: What the service calls this request, or None.
        seconds: From sending the last attempt to the last byte of its answer.
    """

    call: CallInfo
    attempts: int
    status: int
    headers: Mapping[str, str] = field(repr=False)
    request_id: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """What all events have.

    Attributes:
        call: The call that it belongs to.
        attempt: How often the request was sent so far, counted from 1.
    """

    call: CallInfo
    attempt: int

    def __str__(self) -> str:
        text = self._text()
        # what a server says may hold line ends, which in a log would begin a line of its own making
        return f"{self.call.method} {self.call.path}: {text if text.isprintable() else repr(text)}"

    def _text(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class RequestSent(Event):
    """A request is about to be sent; `ResponseReceived` or `RequestFailed` follows.

    Attributes:
        body_bytes: The size of its body.
    """

    body_bytes: int

    def _text(self) -> str:
        return f"attempt {self.attempt}, {self.body_bytes} bytes"


@dataclass(frozen=True, slots=True)
class ResponseReceived(Event):
    """A response was read to its end, whatever its status.

    Attributes:
        status: The HTTP status.
        seconds: From sending to the last byte.
        body_bytes: The size of its body, decompressed.
        wire_bytes: The size of its body as it was transferred, or None where that is not known.
        request_id: What the service calls this request, or None; always None for a login that succeeds.
    """

    status: int
    seconds: float
    body_bytes: int
    wire_bytes: int | None
    request_id: str | None

    def _text(self) -> str:
        text = f"{self.status}, {self.body_bytes} bytes in {self.seconds:.3f} s"
        return f"{text} [request id {self.request_id}]" if self.request_id else text


@dataclass(frozen=True, slots=True)
class RequestFailed(Event):
    """No whole response came.

    Attributes:
        error: ``connection``, ``timeout``, ``too_large`` (see ``max_response_bytes``), ``cancelled`` by the caller,
            or else the name of the exception.
        reason: The same in words.
        seconds: From sending to the failure.
    """

    error: str
    reason: str
    seconds: float

    def _text(self) -> str:
        return f"{self.reason} after {self.seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """The request will be sent again.

    Attributes:
        delay: After so many seconds, to which a pause of the rate limit may add.
        reason: What was wrong with this attempt.
        status: Its HTTP status, or None where there was no response.
        request_id: What the service calls this attempt, or None.
    """

    delay: float
    reason: str
    status: int | None
    request_id: str | None

    def _text(self) -> str:
        return f"{self.reason}; again in {self.delay:.2f} s"


@dataclass(frozen=True, slots=True)
class RateLimitPaused(Event):
    """The service answered 429, so that no call of this scope to this organization is sent for a while.

    More 429s within a pause may make it longer; they are no events of their own.

    Attributes:
        scope: Which of the service's rate limits it is.
        seconds: How long.
    """

    scope: Scope
    seconds: float

    def _text(self) -> str:
        return f"429, so all {self.scope} calls to this organization pause for {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class AddressLimitReached(Event):
    """All that the service allows an address is used up, so that no call of this scope is sent for a while.

    It holds for all organizations and for all clients of this process. It is told once for each such while.

    Attributes:
        scope: Which of the service's rate limits it is.
        seconds: How long, at the least.
    """

    scope: Scope
    seconds: float

    def _text(self) -> str:
        return f"all {self.scope} requests of this address are used up: the next goes out in {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class SharedLimitChanged(Event):
    """The limit that this client shares with others (`RedisLimiter`) is kept in this process for now, or shared again.

    It is told once for each change, by the next call that waits for its turn.

    Attributes:
        shared: Whether it is shared again; else this process keeps to a fixed share of it.
    """

    shared: bool

    def _text(self) -> str:
        if self.shared:
            return "the rate limit is shared again"
        return "the shared rate limit cannot be used: this process keeps to a fixed share of it"


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    """A login brought an access token.

    Attributes:
        expires_in: Its life in seconds, or None where the service does not say.
    """

    expires_in: float | None

    def _text(self) -> str:
        return "logged in" if self.expires_in is None else f"logged in for {self.expires_in:.0f} s"


@dataclass(frozen=True, slots=True)
class LoginFailed(Event):
    """A login was given up. Calls go on as long as there is a token that is still good.

    Attributes:
        reason: What was wrong with its last attempt.
        status: The HTTP status of that, or None where there was no response.
    """

    reason: str
    status: int | None

    def _text(self) -> str:
        return f"the login failed: {self.reason}"
