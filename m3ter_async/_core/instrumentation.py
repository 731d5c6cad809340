"""What happens on the way of a call, noted in one place: in the numbers, in the log, and for hooks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from typing import TypeAlias, cast

from ..errors import APIError, APIResponseValidationError, APITimeoutError, ConfigurationError
from ..events import (
    AddressLimitReached,
    CallInfo,
    Event,
    LoggedIn,
    LoginFailed,
    RateLimitPaused,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    SharedLimitChanged,
)
from ..transports.protocol import Request, Response
from .auth import LOGIN
from .clock import Clock
from .counters import Counters
from .operation import BY_HAND, PRESIGNED, Operation
from .outcomes import request_id

Hook: TypeAlias = Callable[[Event], object]

_log = logging.getLogger("m3ter_async")
_log.addHandler(logging.NullHandler())  # where nobody has set up logging, warnings do not go to stderr
_LEVELS: dict[type[Event], int] = {
    RetryScheduled: logging.INFO,
    LoggedIn: logging.INFO,
    RateLimitPaused: logging.WARNING,
    AddressLimitReached: logging.WARNING,
    LoginFailed: logging.WARNING,
}
_numbers = itertools.count(1)
# The query parameters that are shown: pages, states, flags and dates, never an id, a name or a text of somebody's.
_SHOWN = {
    *("pageSize", "fromDocument", "limit", "sortOrder", "status", "billingFrequency", "lineItemType"),
    *("archived", "active", "locked"),
    *("billDate", "billDateStart", "billDateEnd", "dateStart", "dateEnd", "startDate", "endDate"),
}


def hooks(on_event: object) -> tuple[Hook, ...]:
    """The functions to tell of events, checked."""
    if callable(on_event) or not isinstance(on_event, Sequence):
        on_event = (on_event,)
    return tuple(map(_hook, cast("Sequence[object]", on_event)))


def _hook(given: object) -> Hook:
    if not callable(given):
        raise ConfigurationError(f"on_event={given!r} is not a function")
    if iscoroutinefunction(given) or iscoroutinefunction(getattr(given, "__call__", None)):  # noqa: B004
        raise ConfigurationError(f"on_event={given!r} is async; it is called, not awaited, so make it a plain one")
    return given


class Journal:
    """The numbers of a client and those whom it tells of its calls, shared by all its views.

    Args:
        redact: Masks the client's secrets in a text.
    """

    def __init__(self, hooks: tuple[Hook, ...], clock: Clock, redact: Callable[[str], str]) -> None:
        self.counters: Counters = Counters()
        self.hooks: tuple[Hook, ...] = hooks
        self.now: Callable[[], float] = clock.now
        self.redact: Callable[[str], str] = redact

    def tell(self, event: Event) -> None:
        """Log an event and hand it to every hook."""
        _log.log(_LEVELS.get(type(event), logging.DEBUG), "%s", event)
        for hook in self.hooks:
            try:
                hook(event)
            except Exception:  # noqa: BLE001  this is anybody's code
                # raised on, it would make a write that took effect look as if it had failed, to be made once more
                _log.exception("a function of on_event= failed on %s", type(event).__name__)


class HandedOn:
    """Takes the pieces of a body, and counts them: what is handed on and not kept can be counted nowhere else.

    Args:
        into: Gets each piece.

    Attributes:
        size: How many bytes came so far.
    """

    def __init__(self, into: Callable[[bytes], Awaitable[None]]) -> None:
        self._into = into
        self.size = 0

    async def __call__(self, piece: bytes) -> None:
        self.size += len(piece)
        await self._into(piece)


class Entry:
    """What happens to one call, from its begin to its end; each method is named after what it is told of.

    Args:
        host: The base URL that is called.
        query: The query string.

    Attributes:
        attempts: How often the request was sent so far.
    """

    __slots__ = (
        *("_began", "_call", "_counters", "_heard", "_into", "_journal", "_login", "_operation", "_where"),
        *("attempts",),
    )

    def __init__(self, journal: Journal, operation: Operation[object], host: str, path: str, query: str) -> None:
        self._into: object = None
        self._journal = journal
        self._counters = journal.counters
        self._operation = operation
        self._where = host, path, query
        self._call: CallInfo | None = None
        self._began = 0.0
        self._login = operation.id == LOGIN.id
        # whether anybody listens to what happens to every request; otherwise it costs no more than this
        self._heard = journal.hooks or _log.isEnabledFor(logging.DEBUG)
        self.attempts: int = 0
        if not self._login:
            self._counters.calls += 1

    def waited(self, seconds: float) -> None:
        """The call waited for its turn under the rate limit."""
        self._counters.waits += 1
        self._counters.waited_seconds += seconds

    def sent(self, request: Request) -> None:
        """The request is being sent; `answered` or `lost` must follow, whatever this raises."""
        size = 0 if request.content is None else len(request.content)
        if request.pieces is not None:
            size = int(request.headers["Content-Length"])
        counters = self._counters
        counters.requests += 1
        counters.in_flight += 1
        counters.bytes_sent += size
        self.attempts += 1
        self._into = request.into
        if self._heard:
            self._began = self._journal.now()  # for the case that a hook is cancelled
            self._journal.tell(RequestSent(self.info(), self.attempts, size))
            self._began = self._journal.now()

    def answered(self, response: Response) -> None:
        """A whole response came."""
        size = len(response.content) if response.size is None else response.size
        if isinstance(self._into, HandedOn):
            size += self._into.size
        counters = self._counters
        counters.in_flight -= 1
        counters.responses += 1
        counters.bytes_received += size
        if self._heard:
            seconds = self._journal.now() - self._began
            status = response.status
            # a login's answer holds a token that is not known yet, so that it could not be masked; and a presigned
            # URL's holds whatever its host likes
            known = self._operation.id != PRESIGNED and not (self._login and 200 <= status < 300)
            name = request_id(response.headers) if known else None
            self._journal.tell(
                ResponseReceived(
                    self.info(),
                    self.attempts,
                    status,
                    seconds,
                    size,
                    _on_the_wire(response),
                    None if name is None else self._journal.redact(name),
                )
            )

    def lost(self, error: BaseException) -> None:
        """No whole response came: an `APIError`, with its secrets masked, or what cut the call short."""
        self._counters.in_flight -= 1
        if self._heard:
            seconds = self._journal.now() - self._began
            self._journal.tell(RequestFailed(self.info(), self.attempts, *_failure(error), seconds))

    def paused(self, begins: bool, seconds: float) -> None:
        """A 429 stopped all calls of an organization, or (`begins` is False) made that last for more seconds."""
        self._counters.paused_seconds += seconds
        if begins:
            self._counters.pauses += 1
            self._journal.tell(RateLimitPaused(self.info(), self.attempts, self._operation.scope, seconds))

    def address_limited(self, seconds: float) -> None:
        """All requests that the service allows this address are used up for so many seconds."""
        self._counters.address_pauses += 1
        self._journal.tell(AddressLimitReached(self.info(), self.attempts, self._operation.scope, seconds))

    def limit_changed(self, shared: bool) -> None:
        """A limit that is shared with other processes cannot be shared for now, or is again."""
        self._journal.tell(SharedLimitChanged(self.info(), self.attempts, shared))

    def again(self, delay: float, error: APIError) -> None:
        """The request will be sent again."""
        self._counters.retries += 1
        self._journal.tell(
            RetryScheduled(self.info(), self.attempts, delay, error.reason, error.status, error.request_id)
        )

    def succeeded(self, value: object) -> None:
        """The call has its answer."""
        if self._login:
            self._counters.logins += 1
            self._journal.tell(LoggedIn(self.info(), self.attempts, getattr(value, "expires_in", None)))

    def failed(self, error: APIError) -> None:
        """The call ends in an error."""
        if self._login:
            self._counters.login_failures += 1
            self._journal.tell(LoginFailed(self.info(), self.attempts, error.reason, error.status))
        else:
            self._counters.failures += 1

    def info(self) -> CallInfo:
        """What tells this call from others."""
        if self._call is None:
            operation = self._operation
            host, path, query = self._where
            by_hand = operation.id in (BY_HAND, PRESIGNED)
            url = host + path
            if query:  # under a path by hand, a parameter's name says nothing of its value
                url += "?" + _masked(query, set() if by_hand else _SHOWN)
            template = None if by_hand else operation.path
            self._call = CallInfo(next(_numbers), operation.id, operation.method, template, path, url)
        return self._call


def _masked(query: str, shown: set[str]) -> str:
    """A query string, with every value masked but for those of the names in `shown`."""
    parts = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{name}={value if name in shown else 'REDACTED'}" for name, _, value in parts)


def _on_the_wire(response: Response) -> int | None:
    """The size of a body as it was transferred."""
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 20:
        return int(length)
    if response.headers.get("content-encoding"):
        return None
    return len(response.content) if response.size is None else response.size


def _failure(error: BaseException) -> tuple[str, str]:
    """The kind of a failure, and what to say of it."""
    if isinstance(error, APITimeoutError):
        return "timeout", error.reason
    if isinstance(error, APIResponseValidationError):
        return "too_large", error.reason
    if isinstance(error, APIError):
        return "connection", error.reason
    # of anything else only the kind: its text was not looked through for secrets
    kind = type(error).__name__ if isinstance(error, Exception) else "cancelled"
    return kind, kind
