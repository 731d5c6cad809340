"""The way of one call: limit, token, transport, retry, decode, put together in this one place."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import anyio
from msgspec import UNSET

from ..errors import APIError, ClientClosedError, ConfigurationError, M3terError
from ..stats import Stats
from ..transports.protocol import Request, Response, Transport, TransportError
from ..version import __version__
from .admission import Admission, NoTurnInTime, PausedTooLong, Turn
from .auth import LOGIN, LOGIN_BODY, Grant, NoTokenInTime, Token, TokenManager, read_grant
from .background import ELSEWHERE, Background
from .call import Call
from .clock import Clock
from .decoding import Unreadable, decode
from .encoding import encode_body, encode_path, encode_query
from .instrumentation import Entry, Hook, Journal
from .operation import Operation
from .outcomes import Failure, FailureReader, held_back, too_late
from .rate_limits import Limits, pause_after
from .redaction import Secret
from .retry import RetryBudgets
from .settings import Settings
from .waits import ClosedWhileWaiting, Waits

T = TypeVar("T")
R = TypeVar("R")

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"m3ter-async/{__version__}",
}

in_bulk: ContextVar[bool] = ContextVar("in_bulk", default=False)
"""Whether the present code is part of bulk work, such as a function given to ``map()``."""


class Pipeline:
    """What all views of a client share, and the settings of one view.

    Args:
        hosts: The base URL of each of the contract's servers, without a slash at the end.
        credentials: The access key id and the API secret, to log in with.
        token: An access token from elsewhere.
        hooks: What is called with each event.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        hosts: Mapping[str, str],
        credentials: tuple[Secret, Secret] | None,
        token: Secret | None,
        limits: Limits,
        max_in_flight: int,
        clock: Clock,
        settings: Settings,
        hooks: tuple[Hook, ...],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.background: Background = Background()
        self.waits: Waits = Waits(clock)
        self.admission: Admission = Admission(max_in_flight, clock, self.waits)
        self.admission.expect(settings.org_id)
        self._transport = transport
        self._hosts = hosts
        self._limits = limits
        self._budgets = RetryBudgets()
        self._tokens = TokenManager(
            self._login, credentials, fixed=token, clock=clock, background=self.background, waits=self.waits
        )
        self._failures = FailureReader(self._tokens.secrets, clock.wall)
        self._journal = Journal(hooks, clock, lambda text: self._failures.redactor().text(text))

    def view(self, settings: Settings) -> Pipeline:
        """The same connections, token, limits and budget under other settings."""
        other = copy.copy(self)
        other.settings = settings
        self.admission.expect(settings.org_id)
        return other

    def stats(self) -> Stats:
        """The numbers of all views."""
        return self._journal.counters.snapshot(getattr(self._transport, "connections", None))

    async def aclose(self) -> None:
        """End what goes on beside the calls, then the transport. From here on nothing is sent."""
        if not self.background.at_home():
            raise ConfigurationError(ELSEWHERE)
        self.waits.close()
        with anyio.CancelScope(shield=True):
            await self.background.aclose()
            await self._transport.aclose()

    def prepare(
        self, operation: Operation[Any], path: Mapping[str, str], query: Mapping[str, Any], body: Any = UNSET
    ) -> Call:
        """Fill in an operation; every bad argument raises here, before anything is sent."""
        target = encode_path(operation.path, {"orgId": self.settings.org_id, **path})
        organization, gate = self.settings.org_id, None
        if target.startswith("/organizations/"):
            gate = self._limits.gate(operation.scope, target.split("/", 3)[2])
            organization = gate.organization
        version = getattr(body, "version", None)
        if isinstance(body, Mapping):
            version = cast("Mapping[str, Any]", body).get("version")
        return Call(
            operation,
            target,
            encode_query(query) if query else "",
            None if body is UNSET else encode_body(body),
            repeatable=operation.repeat in ("read", "safe")
            or (operation.repeat == "versioned" and isinstance(version, int)),
            organization=organization,
            gate=gate,
        )

    async def call(
        self, operation: Operation[T], path: Mapping[str, str], query: Mapping[str, Any], body: Any = UNSET
    ) -> T:
        """One call, its answer decoded whole."""

        def read(response: Response) -> T:
            if operation.answer in (None, type(None)) or (operation.answer is Any and not response.content.strip()):
                return cast("T", None)
            return decode(operation.decoder, response.content)

        return await self.run(self.prepare(operation, path, query, body), read)

    async def run(self, call: Call, read: Callable[[Response], R]) -> R:
        """Send `call` until an answer can be read, or until its time, the policy or safety says stop.

        Args:
            read: Makes the value out of an answer with a 2xx status, or raises `Unreadable`.

        Raises:
            APIError: The last failure.
        """
        host = "" if call.bare else self._hosts[call.operation.server]
        entry = Entry(self._journal, call.operation, host, call.path, call.query)
        # fixed here: the least of what the settings and the caller's own scope allow
        attempts = _Attempts(self.clock.now() + min(self.settings.total, self.clock.left()))
        try:
            return await self._run(call, read, entry, attempts)
        except APIError as error:
            # a write that ends like this may have taken effect in an attempt before
            error.outcome_unknown = attempts.doubt and call.operation.writes
            if error.path == call.path:
                error.attempts = entry.attempts
            entry.failed(error)
            raise

    async def _run(self, call: Call, read: Callable[[Response], R], entry: Entry, attempts: _Attempts) -> R:
        login = call.operation.id == LOGIN.id
        renewed = False
        while True:
            try:
                turn, token = await self._turn(call, entry, attempts)
            except APIError as unsent:
                # what was answered is the answer, and not that there was no time or no client left to ask again
                last = attempts.last
                if last is None or (unsent.path != call.path and last.status != 403):
                    raise
                last.out_of_time = unsent.out_of_time
                raise last from None
            began = self.clock.now()
            try:
                outcome = await self._send(call, entry, token, attempts.deadline)
            finally:
                if turn is not None:
                    self.admission.leave(turn)
            if isinstance(outcome, Response):
                status = outcome.status
                if status in (401, 403) and token is not None and not renewed:
                    renewed = True
                    if await self._another(token, status, attempts.deadline):
                        refused = self._failures.refused(call.operation.method, call.path, outcome, keep=True).error
                        refused.attempts = entry.attempts
                        if status == 403:  # told, if it is not asked again: it may be about permissions
                            attempts.last = refused
                        entry.again(0.0, refused)
                        continue
                if attempts.doubt and status == 404 and call.operation.method == "DELETE":
                    gone = call.gone(read)  # one before took effect; this is no answer of the service
                    self._succeeded(call, token)
                    entry.succeeded(gone)
                    return cast("R", gone)
                if 200 <= status < 300:
                    try:
                        value = read(outcome)
                    except Unreadable as cause:
                        failure = self.unreadable(call, outcome, cause)
                    else:
                        self._succeeded(call, token)
                        entry.succeeded(value)
                        return value
                else:
                    shown = not login or b"access_token" not in outcome.content
                    failure = self._reader(call).refused(call.operation.method, call.path, outcome, keep=shown)
            else:
                failure = outcome
            attempts.failed(failure, self.clock.now() - began)
            smaller = call.smaller() if failure.heavy and call.smaller is not None else None
            if smaller is not None:
                call = smaller
                attempts.anew()
            delay = self._delay(call, entry, failure, attempts, other=smaller is not None)
            if login:
                self._tokens.told(failure.error, None if delay is None else self.clock.now() + delay)
            if delay is None:
                raise failure.error
            attempts.last = failure.error
            failure.error.attempts = entry.attempts
            entry.again(delay, failure.error)
            with suppress(ClosedWhileWaiting):  # the next turn says so
                await self.waits.sleep(delay)
            attempts.spent += delay

    async def _another(self, token: Token, status: int, deadline: float) -> bool:
        """Whether there is another token for a call that was refused under this one."""
        if status == 401:
            return self._tokens.refused(token)
        try:
            return await self._tokens.suspected(token, deadline)
        except ClosedWhileWaiting:
            return False

    def _succeeded(self, call: Call, token: Token | None) -> None:
        self._budgets.of(call.organization).refill()
        if token is not None:
            token.worked = True

    def masked(self, data: bytes) -> bytes:
        """What a server sent, with the client's secrets masked."""
        return self._failures.redactor().clean(data, 16 * len(data))

    def failed_later(self) -> None:
        """Count a call as failed whose answer was read, and only then turned out to be of no use."""
        self._journal.counters.failures += 1

    def _reader(self, call: Call) -> FailureReader:
        if not call.secrets:
            return self._failures
        return FailureReader(lambda: (*self._tokens.secrets(), *call.secrets), self.clock.wall)

    def unreadable(self, call: Call, response: Response, cause: Unreadable) -> Failure:
        """What an answer is that cannot be read, also where that is seen only after `run` had returned."""
        keep = call.operation.id != LOGIN.id
        return self._reader(call).unreadable(call.operation.method, call.path, response, cause, keep=keep)

    async def _turn(self, call: Call, entry: Entry, attempts: _Attempts) -> tuple[Turn | None, Token | None]:
        """Wait until `call` may be sent: for a token that is good, a place in flight, and a pass of the rate limit.

        Place and pass come last, in the moment before sending. A login goes without all three, since those who hold a
        place may wait for that very login; a presigned URL takes no token.
        """
        method, path = call.operation.method, call.path
        if self.waits.closed:
            raise self._closed_error(call)
        if not self.background.at_home():
            raise ClientClosedError(ELSEWHERE, method=method, path=path)
        if call.operation.id == LOGIN.id:
            self._tokens.sent_at = self.clock.now()
            return None, None
        began, waited_for = self.clock.now(), "a login"
        try:
            token = None if call.bare else self._tokens.current() or await self._log_in(attempts)
            waited_for = "its turn"
            turn = self._new_turn(call, attempts)
            if self.admission.enter_now(turn):
                return turn, token
            await self._queue(call, entry, turn)
        except PausedTooLong as pause:
            raise held_back(method, path, pause.seconds) from None
        except (NoTokenInTime, NoTurnInTime):
            raise too_late(method, path, self.clock.now() - began, waited_for) from None
        except ClosedWhileWaiting:
            raise self._closed_error(call) from None
        # one that ended in the queue is sent all the same: its refusal brings a new one, as any other would
        return turn, None if call.bare else self._tokens.current() or token

    async def _log_in(self, attempts: _Attempts) -> Token:
        policy = self.settings.policy
        patient = policy.max_retries > 0 and (self.settings.patient or in_bulk.get())
        left = policy.total - attempts.spent if patient else -math.inf
        return await self._tokens.get(attempts.deadline, self.clock.now() + left)

    def _new_turn(self, call: Call, attempts: _Attempts) -> Turn:
        patience = self.settings.policy.total - attempts.spent
        bulk = self.settings.bulk or in_bulk.get()
        return Turn(call.gate, call.organization, bulk, attempts.deadline, patience)

    async def _queue(self, call: Call, entry: Entry, turn: Turn) -> None:
        began = self.clock.now()
        if call.gate is not None and (seconds := call.gate.address_wait(began)):
            entry.address_limited(seconds)
        try:
            await self.admission.enter(turn)
        finally:
            entry.waited(self.clock.now() - began)

    def _closed_error(self, call: Call) -> APIError:
        return ClientClosedError("this client is closed", method=call.operation.method, path=call.path)

    async def _send(self, call: Call, entry: Entry, token: Token | None, deadline: float) -> Response | Failure:
        """Send `call` once, unless its time is over or the client closed."""
        method, path = call.operation.method, call.path
        if self.waits.closed:
            raise self._closed_error(call)
        left = deadline - self.clock.now()
        if left <= 0:
            raise too_late(method, path, 0.0, "the moment to send it")
        request = call.bare() if call.bare else self._request(call, token)
        if not request.streamed:
            request.timeout = min(request.timeout, left)
        try:
            entry.sent(request)
            response = await self._within(left, request)
        except TransportError as error:
            failure = self._reader(call).broken(request.method, path, error)
        except Exception as error:
            if request.streamed or isinstance(error, M3terError):  # of the caller's own file, or of its own words
                entry.lost(error)
                raise
            # of a transport of the caller's own: its class says nothing of the outcome
            failure = self._reader(call).raw(request.method, path, error)
        except BaseException as error:
            entry.lost(error)
            raise
        else:
            entry.answered(response)
            return response
        entry.lost(failure.error)  # not while `error` is handled, which may hold what a server echoed
        return failure

    async def _within(self, left: float, request: Request) -> Response:
        # a caller's own scope needs no second one; but a streamed exchange has no time limit of its own
        if left == math.inf or (self.settings.total == math.inf and not request.streamed):
            return await self._transport.send(request)
        with anyio.move_on_after(left):
            return await self._transport.send(request)
        raise TransportError("no answer before the call's time was over", timeout=True)

    def _request(self, call: Call, token: Token | None) -> Request:
        operation, settings = call.operation, self.settings
        headers = {"Authorization": self._tokens.basic() if token is None else token.header, **_HEADERS}
        if call.content is not None:
            headers["Content-Type"] = "application/json"
        url = self._hosts[operation.server] + call.path
        if call.query:
            url += "?" + call.query
        return Request(operation.method, url, headers, call.content, settings.timeout, settings.max_bytes)

    def _delay(self, call: Call, entry: Entry, failure: Failure, attempts: _Attempts, *, other: bool) -> float | None:
        """Seconds until the next attempt, or None if there is none; a 429 slows all calls down, not just this one.

        Args:
            other: Whether it asks for something else than the attempt that failed.
        """
        now = self.clock.now()
        if failure.throttled and call.gate is not None and not call.operation.busy:
            entry.paused(*call.gate.pause(now, pause_after(failure.retry_after)))
            self.admission.pause_changed(call.gate)
        policy = self.settings.policy
        same = not other and (failure.verdict == "final" or policy.max_retries == 0)
        if same or (failure.doubt and not call.repeatable):
            return None
        patient = failure.waits or self.settings.patient or in_bulk.get()
        if attempts.counted > policy.max_retries and not patient:
            return None
        left, chance, spent = attempts.deadline - now, self.clock.random(), attempts.spent
        delay = policy.delay(attempts.failures, spent, failure.retry_after, chance, left)
        if delay is not None and not failure.throttled:
            budget = self._budgets.of(call.organization)
            delay = max(delay, budget.wait(now))
            if spent + delay > policy.total or delay >= left:
                delay = None
            else:
                budget.spend(now)
        failure.error.out_of_time = delay is None
        return delay

    async def _login(self) -> Grant:
        return await self.run(Call(LOGIN, LOGIN.path, content=LOGIN_BODY), read_grant)


class _Attempts:
    """What a call has behind it, and how long it may go on.

    Attributes:
        deadline: When it ends at the latest, in monotonic seconds.
        failures: How often it failed.
        counted: How many of these may have taken effect: these are bounded by a number, the others by time alone.
        doubt: Whether one of them may have taken effect.
        last: What went wrong last.
        spent: Seconds of sending and backing off: waiting for one's turn is no failure.
    """

    __slots__ = ("counted", "deadline", "doubt", "failures", "last", "spent")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.spent = 0.0
        self.failures = self.counted = 0
        self.doubt = False
        self.last: APIError | None = None

    def anew(self) -> None:
        """Another question is asked: neither the tries nor the time of the last one count against it."""
        self.failures, self.counted, self.spent = 1, 0, 0.0

    def failed(self, failure: Failure, seconds: float) -> None:
        """Note an attempt that failed after so many seconds."""
        self.failures += 1
        self.counted += not failure.waits
        self.doubt = self.doubt or failure.doubt
        self.spent += seconds
