"""The way of one call: limit, token, transport, retry, decode, put together in this one place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import anyio
from msgspec import UNSET

from ..errors import APIConnectionError, APIError, ConfigurationError
from ..stats import Stats
from ..transports.protocol import Request, Response, Transport, TransportError
from ..version import __version__
from .auth import LOGIN, LOGIN_BODY, Grant, Token, TokenManager, read_grant
from .background import ELSEWHERE, Background, TaskAbandoned
from .call import Call
from .clock import Clock
from .decoding import Unreadable, decode
from .encoding import encode_body, encode_path, encode_query
from .instrumentation import Entry, Hook, Journal
from .operation import Operation
from .outcomes import Failure, FailureReader, held_back
from .rate_limits import Limits, Paused
from .redaction import Secret
from .retry import RetryBudget
from .settings import Settings

T = TypeVar("T")
R = TypeVar("R")

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"m3ter-async/{__version__}",
}
# After a 429 without Retry-After: the service refuses for the rest of the second in which the limit was passed.
_PAUSE = 1.0
# No limit of the service looks back further than this: whoever asks for more is not believed.
_LONGEST_PAUSE = 300.0


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
        self._transport = transport
        self._hosts = hosts
        self._limits = limits
        self._slots = anyio.Semaphore(max_in_flight, fast_acquire=True)
        self._budget = RetryBudget()
        self._closed = [False]  # a list, so that views see it too
        self._tokens = TokenManager(self._login, credentials, fixed=token, clock=clock, background=self.background)
        self._failures = FailureReader(self._tokens.secrets, clock.wall)
        self._journal = Journal(hooks, clock, lambda text: self._failures.redactor().text(text))

    def view(self, settings: Settings) -> Pipeline:
        """The same connections, token, limits and budget under other settings."""
        other = copy.copy(self)
        other.settings = settings
        return other

    def stats(self) -> Stats:
        """The numbers of all views."""
        return self._journal.counters.snapshot(getattr(self._transport, "connections", None))

    async def aclose(self) -> None:
        """End what goes on beside the calls, then the transport."""
        if not self.background.at_home():
            raise ConfigurationError(ELSEWHERE)
        self._closed[0] = True
        with anyio.CancelScope(shield=True):
            await self.background.aclose()
            await self._transport.aclose()

    def prepare(
        self, operation: Operation[Any], path: Mapping[str, str], query: Mapping[str, Any], body: Any = UNSET
    ) -> Call:
        """Fill in an operation; every bad argument raises here, before anything is sent."""
        target = encode_path(operation.path, {"orgId": self.settings.org_id, **path})
        gate = None
        if target.startswith("/organizations/"):
            gate = self._limits.gate(operation.scope, target.split("/", 3)[2])
        version = getattr(body, "version", None)
        if isinstance(body, Mapping):
            version = cast("Mapping[str, Any]", body).get("version")
        return Call(
            operation,
            target,
            encode_query(query) if query else "",
            None if body is UNSET else encode_body(body),
            repeatable=operation.repeat == "safe" or (operation.repeat == "versioned" and isinstance(version, int)),
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
        """Send `call` until an answer can be read, or until the policy, the budget or safety says stop.

        Args:
            read: Makes the value out of an answer with a 2xx status, or raises `Unreadable`.

        Raises:
            APIError: The last failure.
        """
        method = call.operation.method
        host = "" if call.bare else self._hosts[call.operation.server]
        entry = Entry(self._journal, call.operation, host, call.path, call.query)
        failed = 0
        elapsed = 0.0  # seconds spent sending and backing off: waiting for one's turn is no failure
        doubt = renewed = False
        while True:
            try:
                token = await self._turn(call, entry, elapsed)
            except APIError as unsent:
                # a write that does not get to its next attempt may have taken effect in one before
                unsent.outcome_unknown = doubt and call.operation.writes
                if unsent.path == call.path:
                    unsent.attempts = entry.attempts
                entry.failed(unsent)
                raise
            began = self.clock.now()
            try:
                outcome = await self._send(call, entry, token)
            finally:
                if call.operation.id != LOGIN.id:
                    self._slots.release()
            if isinstance(outcome, Response):
                status = outcome.status
                if status in (401, 403) and token and not renewed and self._tokens.replace(token, status):
                    renewed = True
                    entry.again(0.0, self._failures.refused(method, call.path, outcome, keep=True).error)
                    continue
                if doubt and status == 404 and method == "DELETE":
                    outcome, status = call.gone(), 200
                if 200 <= status < 300:
                    try:
                        value = read(outcome)
                    except Unreadable as cause:
                        outcome = self.unreadable(call, outcome, cause)
                    else:
                        self._budget.refill()
                        entry.succeeded(value)
                        return value
                else:
                    shown = call.operation.id != LOGIN.id or b"access_token" not in outcome.content
                    outcome = self._reader(call).refused(method, call.path, outcome, keep=shown)
            failed += 1
            doubt = doubt or outcome.doubt
            if outcome.heavy and call.smaller is not None and (smaller := call.smaller()) is not None:
                # another question than the one that failed: neither its tries nor its time count against this one
                call, failed, elapsed, began, outcome.verdict = smaller, 0, 0.0, self.clock.now(), "refused"
            delay = self._delay(call, entry, outcome, failed, elapsed + self.clock.now() - began)
            error = outcome.error
            error.attempts = entry.attempts
            if delay is None:
                error.outcome_unknown = doubt and call.operation.writes
                entry.failed(error)
                raise error
            entry.again(delay, error)
            await self.clock.sleep(delay)
            elapsed += self.clock.now() - began

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
        """What an answer comes to that cannot be read, be it only after `run` had returned."""
        keep = call.operation.id != LOGIN.id
        return self._reader(call).unreadable(call.operation.method, call.path, response, cause, keep=keep)

    async def _turn(self, call: Call, entry: Entry, elapsed: float) -> Token | None:
        """Wait until `call` may be sent: for a token that is good, a place in flight, and a pass of the rate limit.

        The pass comes last, in the moment before sending, but nobody holds a place while waiting for it: an
        organization at its limit must not keep the calls to others waiting. A login goes without all three, since
        those who hold a place may wait for that very login; a presigned URL takes no token.
        """
        if self._closed[0]:
            raise self._closed_error(call)
        if not self.background.at_home():
            raise APIConnectionError(ELSEWHERE, method=call.operation.method, path=call.path)
        if call.operation.id == LOGIN.id:
            return None
        while True:
            try:
                token = None if call.bare else self._tokens.current() or await self._tokens.get()
            except TaskAbandoned:
                raise self._closed_error(call) from None
            if not self._place_now():
                await self._slots.acquire()
            gate = call.gate
            if gate is None or gate.pass_now():
                return token
            self._slots.release()
            began = self.clock.now()
            try:
                await gate.wait_to_pass(min(self.settings.policy.total - elapsed, self.clock.left()))
            except Paused as pause:
                raise held_back(call.operation.method, call.path, pause.seconds) from None
            finally:
                entry.waited(self.clock.now() - began)
            if self._place_now():
                # one that ended in the queue is sent all the same: its refusal brings a new one, as any other would
                return self._tokens.current() or token

    def _place_now(self) -> bool:
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def _closed_error(self, call: Call) -> APIConnectionError:
        return APIConnectionError("this client is closed", method=call.operation.method, path=call.path)

    async def _send(self, call: Call, entry: Entry, token: Token | None) -> Response | Failure:
        """Send `call` once."""
        request = call.bare() if call.bare else self._request(call, token)
        try:
            entry.sent(request)
            response = await self._transport.send(request)
        except TransportError as error:
            failure = self._reader(call).broken(request.method, call.path, error)
        except BaseException as error:
            entry.lost(error)
            raise
        else:
            entry.answered(response)
            return response
        entry.lost(failure.error)  # not while `error` is handled, which may hold what a server echoed
        return failure

    def _request(self, call: Call, token: Token | None) -> Request:
        operation, settings = call.operation, self.settings
        headers = {"Authorization": self._tokens.basic() if token is None else token.header, **_HEADERS}
        if call.content is not None:
            headers["Content-Type"] = "application/json"
        url = self._hosts[operation.server] + call.path
        if call.query:
            url += "?" + call.query
        return Request(operation.method, url, headers, call.content, settings.timeout, settings.max_bytes)

    def _delay(self, call: Call, entry: Entry, failure: Failure, failed: int, elapsed: float) -> float | None:
        """Seconds until the next attempt, or None if there is none; a 429 slows all calls down, not just this one."""
        if failure.throttled and call.gate is not None and not call.operation.busy:
            wanted = _PAUSE if failure.retry_after is None else min(failure.retry_after, _LONGEST_PAUSE)
            entry.paused(*call.gate.pause(wanted))
        if failure.verdict == "final" or (failure.verdict == "doubtful" and not call.repeatable):
            return None
        chance, left = self.clock.random(), self.clock.left()
        delay = self.settings.policy.delay(failed, elapsed, failure.retry_after, chance, left)
        if delay is not None and not failure.throttled and not self._budget.spend():
            failure.error.reason += "; not repeated, since too many calls of this client failed of late"
            return None
        return delay

    async def _login(self) -> Grant:
        return await self.run(Call(LOGIN, LOGIN.path, content=LOGIN_BODY), read_grant)
