"""The attempts of one call: each waits for its turn, is sent, and is judged; then the next begins or the call ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import TypeVar, cast

from ..errors import APIError, ClientClosedError
from ..transports.protocol import Response
from .admission import NoTurnInTime, PausedTooLong, Turn
from .answers import heard, tell
from .auth import LOGIN, NoTokenInTime, Token
from .background import ELSEWHERE
from .call import Call
from .decoding import Unreadable
from .exchange import exchange
from .instrumentation import Entry
from .outcomes import Failure, held_back, too_late
from .parts import Parts
from .rate_limits import pause_after
from .retry import RetryBudget
from .settings import Settings
from .waits import ClosedWhileWaiting

R = TypeVar("R")

in_bulk: ContextVar[bool] = ContextVar("in_bulk", default=False)
"""Whether the present code is part of bulk work, such as a function given to ``map()``."""


class Attempts:
    """The attempts of one call, and what they have brought so far."""

    __slots__ = (
        *("_call", "_deadline", "_entry", "_parts", "_settings"),
        *("_counted", "_doubt", "_failures", "_last", "_spent"),
    )

    def __init__(self, parts: Parts, settings: Settings, call: Call) -> None:
        self._parts = parts
        self._settings = settings
        self._call = call
        host = "" if call.bare else parts.hosts[call.operation.server]
        self._entry = Entry(parts.journal, call.operation, host, call.path, call.query)
        # fixed here: the least of what the settings and the caller's own scope allow
        left = min(settings.total, parts.clock.left())
        self._deadline = math.inf if left == math.inf else parts.clock.now() + left
        self._failures = 0
        self._counted = 0  # failures that may have taken effect: a number bounds these, time alone the others
        self._doubt = False  # whether one of them may have taken effect
        self._last: APIError | None = None
        self._spent = 0.0  # seconds of sending and backing off: waiting for one's turn is no failure

    async def run(self, read: Callable[[Response], R]) -> R:
        """Send the call until an answer can be read, or until its time, the policy or safety says stop.

        Args:
            read: Makes the value out of an answer with a 2xx status, or raises `Unreadable`.

        Raises:
            APIError: The last failure.
        """
        first = self._call
        try:
            return await self._run(read)
        except APIError as error:
            # a write that ends like this may have taken effect in an attempt before
            error.outcome_unknown = self._doubt and first.operation.writes
            if error.path == first.path:
                error.attempts = self._entry.attempts
            self._entry.failed(error)
            raise

    async def _run(self, read: Callable[[Response], R]) -> R:
        parts, entry, login = self._parts, self._entry, self._call.operation.id == LOGIN.id
        bulk = self._settings.bulk or in_bulk.get()
        renewed = False
        while True:
            token = await self._turn(bulk)
            began = parts.clock.now()
            try:
                left = self._time_left(began)
                outcome = await exchange(parts, self._settings, self._call, entry, token, left)
            finally:
                if not login:
                    parts.admission.leave(self._call.organization, bulk)
            if isinstance(outcome, Response):
                if outcome.status in (401, 403) and token is not None and not renewed:
                    renewed = True
                    if await self._another_token(token, outcome.status):
                        refused = self._refused(outcome).error
                        refused.attempts = entry.attempts
                        if outcome.status == 403:  # told, if it is not asked again: it may be about permissions
                            self._last = refused
                        entry.again(0.0, refused)
                        continue
                if self._doubt and outcome.status == 404 and self._call.operation.method == "DELETE":
                    gone = self._call.gone(read)  # one before took effect; this is no answer of the service
                    self._succeeded(gone, token)
                    return cast("R", gone)
                if 200 <= outcome.status < 300:
                    try:
                        value = read(outcome)
                    except Unreadable as cause:
                        failure = parts.unreadable(self._call, outcome, cause)
                    else:
                        self._succeeded(value, token)
                        if heard() and not login:
                            self._tell(outcome, parts.clock.now() - began)
                        return value
                else:
                    failure = self._refused(outcome)
            else:
                failure = outcome
            await self._back_off(failure, parts.clock.now() - began)
            renewed = False  # what is sent later may meet the end of another token

    def _succeeded(self, value: object, token: Token | None) -> None:
        self._budget().refill()
        if token is not None:
            token.worked = True
        self._entry.succeeded(value)

    def _tell(self, response: Response, seconds: float) -> None:
        redactor = None if self._call.bare else self._parts.failures.redactor()
        tell(self._parts, self._entry.info(), self._entry.attempts, response, seconds, redactor)

    def _budget(self) -> RetryBudget:
        gate = self._call.gate
        return self._parts.budget if gate is None else gate.budget

    def _refused(self, response: Response) -> Failure:
        """The failure of an answer with a status that is not a success."""
        call = self._call
        shown = call.operation.id != LOGIN.id or b"access_token" not in response.content
        return self._parts.reader(call).refused(call.operation.method, call.path, response, keep=shown)

    async def _another_token(self, token: Token, status: int) -> bool:
        """Whether there is another token for a call that was refused under this one."""
        if status == 401:
            return self._parts.tokens.refused(token)
        try:
            return await self._parts.tokens.suspected(token, self._deadline)
        except ClosedWhileWaiting:
            return False

    # Before it is sent

    async def log_in(self) -> None:
        """Have a token that is good, and send nothing more.

        Raises:
            APIError: The login failed, or did not end in time.
        """
        self._check_open()
        if self._parts.tokens.current() is None:
            await self._log_in()

    async def _turn(self, bulk: bool) -> Token | None:
        """Wait for a token that is good, a place in flight, and a pass of the rate limit.

        Place and pass come last, in the moment before sending. A login goes without all three, since those who hold a
        place may wait for that very login; a presigned URL takes no token.

        Raises:
            APIError: It may not be sent in its time. What was answered before is told rather than that.
        """
        call, parts = self._call, self._parts
        try:
            self._check_open()
            if call.operation.id == LOGIN.id:
                parts.tokens.sent_at = parts.clock.now()
                return None
            token = None if call.bare else parts.tokens.current() or await self._log_in()
            if parts.admission.enter_now(call.gate, call.organization, bulk):
                return token
            await self._queue(bulk)
        except APIError as unsent:
            last = self._last
            if last is None or (unsent.path != call.path and last.status != 403):
                raise
            last.out_of_time = unsent.out_of_time
        else:
            # one that ended in the queue is sent all the same: its refusal brings a new one, as any other would
            return None if call.bare else parts.tokens.current() or token
        raise last

    def _check_open(self) -> None:
        if self._parts.waits.closed:
            raise self._closed()
        if not self._parts.background.at_home():
            raise ClientClosedError(ELSEWHERE, method=self._call.operation.method, path=self._call.path)

    async def _log_in(self) -> Token:
        call, parts, policy = self._call, self._parts, self._settings.policy
        patient = policy.max_retries > 0 and (self._settings.patient or in_bulk.get())
        began = parts.clock.now()
        left = policy.total - self._spent if patient else -math.inf
        try:
            return await parts.tokens.get(self._deadline, began + left)
        except NoTokenInTime:
            raise too_late(call.operation.method, call.path, parts.clock.now() - began, "a login") from None
        except ClosedWhileWaiting:
            raise self._closed() from None

    async def _queue(self, bulk: bool) -> None:
        call, parts = self._call, self._parts
        began = parts.clock.now()
        if call.gate is not None and (seconds := call.gate.address_wait(began)):
            self._entry.address_limited(seconds)
        patience = self._settings.policy.total - self._spent
        try:
            await parts.admission.enter(Turn(call.gate, call.organization, bulk, self._deadline, patience))
        except PausedTooLong as pause:
            raise held_back(call.operation.method, call.path, pause.seconds) from None
        except NoTurnInTime:
            raise too_late(call.operation.method, call.path, parts.clock.now() - began, "its turn") from None
        except ClosedWhileWaiting:
            raise self._closed() from None
        finally:
            self._entry.waited(parts.clock.now() - began)
            if call.gate is not None and (shared := call.gate.sharing_changed()) is not None:
                self._entry.limit_changed(shared)

    def _closed(self) -> APIError:
        return ClientClosedError("this client is closed", method=self._call.operation.method, path=self._call.path)

    def _time_left(self, now: float) -> float:
        """Seconds until the call must end; what was asked before a wait is asked again after it."""
        if self._parts.waits.closed:
            raise self._closed()
        left = self._deadline - now
        if left <= 0:
            raise too_late(self._call.operation.method, self._call.path, 0.0, "the moment to send it")
        return left

    # After a failure

    async def _back_off(self, failure: Failure, seconds: float) -> None:
        """Wait until the call is worth sending again, after an attempt that took so many seconds.

        Raises:
            APIError: The failure, where it is not sent again.
        """
        parts, error = self._parts, failure.error
        self._failures += 1
        self._counted += not failure.waits
        self._doubt = self._doubt or failure.doubt
        self._spent += seconds
        smaller = self._call.smaller() if failure.heavy and self._call.smaller is not None else None
        if smaller is not None:  # another question: neither the tries nor the time of the last one count against it
            self._call, self._failures, self._counted, self._spent = smaller, 1, 0, 0.0
        delay = self._delay(failure, other=smaller is not None)
        if self._call.operation.id == LOGIN.id:
            parts.tokens.told(error, None if delay is None else parts.clock.now() + delay)
        if delay is None:
            raise error
        self._last = error
        error.attempts = self._entry.attempts
        self._entry.again(delay, error)
        with suppress(ClosedWhileWaiting):  # the next turn says so
            await parts.waits.sleep(delay)
        self._spent += delay

    def _delay(self, failure: Failure, *, other: bool) -> float | None:
        """Seconds until the next attempt, or None if there is none; a 429 slows all calls down, not just this one.

        Args:
            failure: What became of the last attempt.
            other: Whether the next asks for something else.
        """
        call, parts, policy = self._call, self._parts, self._settings.policy
        now = parts.clock.now()
        if failure.throttled and call.gate is not None and not call.operation.busy:
            self._entry.paused(*call.gate.pause(now, pause_after(failure.retry_after)))
            parts.admission.pause_changed(call.gate)
        same = not other and (failure.verdict == "final" or policy.max_retries == 0)
        if same or (failure.doubt and not call.repeatable):
            return None
        patient = failure.waits or self._settings.patient or in_bulk.get()
        if self._counted > policy.max_retries and not patient:
            return None
        left, chance = self._deadline - now, parts.clock.random()
        delay = policy.delay(self._failures, self._spent, failure.retry_after, chance, left)
        if delay is not None and not failure.throttled:
            budget = self._budget()
            delay = max(delay, budget.wait(now))
            if self._spent + delay > policy.total or delay >= left:
                delay = None
            else:
                budget.spend(now)
        failure.error.out_of_time = delay is None
        return delay
