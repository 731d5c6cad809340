"""What must hold whenever something leaves the client or comes back to it; each rule is a method named after it."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from .ledger import Action, Exchange
from .service import Answer

if TYPE_CHECKING:
    from .world import World

# Seconds. Computing takes no time in here: what is left for is rounding.
EPSILON = 1e-6
# A login that failed is not followed by more than so many in so many seconds, whoever asks.
_LOGINS_AFTER_REFUSAL, _LOGINS_AFTER_FAILURE, _LOGIN_WINDOW = 4, 12, 5.0
_LONGEST_PAUSE = 300.0
_SUSPECT = 60.0  # seconds between two logins that only a 403 asked for


class Watch:
    """Sees every request leave and end, and tells the world what breaks a rule.

    Attributes:
        refused_for_good: Tokens that were answered with a 401.
        login_statuses: What was answered to logins.
        exchanges: Every request.
        asked: Seconds for which a 429 asked to be left alone, each time; a second where it did not say.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._paused: dict[str, tuple[float, float]] = {}
        self._logins_in_flight = 0
        self._failed_logins: deque[tuple[float, bool]] = deque()
        self._granted: tuple[str, float, float] | None = None
        self._need = world.setup.fixed_token is None
        self._suspected = self._followed = False
        self._suspect_from = -math.inf
        self.refused_for_good: set[str] = set()
        self.login_statuses: set[int] = set()
        self.exchanges: list[Exchange] = []
        self.asked: list[float] = [1.0]

    # --- what the wire tells -------------------------------------------------------------------------------------

    def leaves(self, exchange: Exchange) -> None:
        """A request was handed to the transport."""
        self._world.log("sends", exchange, exchange.action)
        self.exchanges.append(exchange)
        self.nothing_leaves_after_close(exchange)
        self.places_are_kept()
        if exchange.login:
            self.one_login_at_a_time()
            self.no_login_without_need()
            self.no_storm_of_logins(exchange)
            self._logins_in_flight += 1
            return
        if (action := exchange.action) is not None:
            self.nothing_leaves_after_its_deadline(exchange, action)
            action.exchanges.append(exchange)
            self.small_calls_are_sent_soon(action)
        self.pauses_are_kept(exchange)
        self.rate_is_kept(exchange)

    def answered(self, exchange: Exchange, answer: Answer) -> None:
        """The client gets an answer."""
        self._world.log("gets", exchange, answer.status)
        if exchange.login:
            self._logins_in_flight -= 1
            self.login_statuses.add(answer.status)
            self.asked.append(_wait(answer) or 0.0)
            if answer.status == 200 and exchange.whole:
                grant = msgspec.json.decode(answer.body)
                self._granted = grant["access_token"], exchange.at, grant.get("expires_in", math.inf)
                self._need = self._suspected = self._followed = False
                self._failed_logins.clear()
            else:
                self._failed_logins.append((self._now, 400 <= answer.status < 500 and answer.status != 429))
            return
        token = exchange.request.headers.get("Authorization", "").removeprefix("Bearer ")
        if answer.status == 401:
            self.refused_for_good.add(token)
        if answer.status in (401, 403) and (self._granted is None or token == self._granted[0]):
            # a 403 may mean a token that ended, whatever its age; so each may ask for one login a minute
            if answer.status == 401:
                self._need = True
            elif self._now >= self._suspect_from:
                self._suspected = True
        if answer.status == 429 and (after := _wait(answer)) is not None:
            self.asked.append(after)
            if not (exchange.request.method == "POST" and exchange.request.url.endswith("/billjobs")):
                # (there it may speak of the jobs that run, and not of requests)
                until = max(self._now + min(after, _LONGEST_PAUSE), self._paused.get(_scope(exchange), (0, 0))[1])
                self._paused[_scope(exchange)] = self._now, until

    def lost(self, exchange: Exchange, error: BaseException) -> None:
        """The client gets none."""
        self._world.log("loses", exchange, getattr(error, "reason", type(error).__name__))
        if exchange.login:
            self._logins_in_flight -= 1
            if isinstance(error, Exception):
                self._failed_logins.append((self._now, False))

    def transport_closed(self) -> None:
        """The client closed its transport."""
        self._world.log("closes the transport", None, None)
        if self._world.closing_at is None:
            self._world.fail("the transport is closed by aclose() alone", "it was closed before")

    # --- what must hold ------------------------------------------------------------------------------------------

    def nothing_leaves_after_close(self, exchange: Exchange) -> None:
        closing = self._world.closing_at
        if closing is not None:
            self._world.fail(
                "nothing leaves after aclose()", f"{exchange} left {self._now - closing:.3f} s after it was called"
            )

    def nothing_leaves_after_its_deadline(self, exchange: Exchange, action: Action) -> None:
        each: Action | None = action
        while each is not None:
            if self._now > each.deadline + EPSILON:
                late = self._now - each.deadline
                self._world.fail(
                    "nothing leaves after its caller's deadline", f"{exchange} of {each} left {late:.3f} s late"
                )
            if each.ended is not None and self._now > each.ended + EPSILON:
                late = self._now - each.ended
                self._world.fail(
                    "nothing leaves after its caller has ended", f"{exchange} of {each} left {late:.3f} s after it"
                )
            each = each.parent

    def places_are_kept(self) -> None:
        most = self._world.setup.max_connections + 1  # the login needs none
        if self._world.wire.in_flight > most:
            self._world.fail("max_connections holds", f"{self._world.wire.in_flight} requests in flight")

    def rate_is_kept(self, exchange: Exchange) -> None:
        rate = self._world.setup.rate_limit
        if rate is None:
            return
        sent = self._sent[_scope(exchange)]
        sent.append(self._now)
        while sent[0] <= self._now - 1.0 + EPSILON:
            sent.popleft()
        if len(sent) > max(1, rate):
            self._world.fail("rate_limit holds", f"{len(sent)} requests to {_scope(exchange)} within a second")

    def pauses_are_kept(self, exchange: Exchange) -> None:
        since, until = self._paused.get(_scope(exchange), (0.0, 0.0))
        if since < self._now < until - EPSILON:
            self._world.fail(
                "nothing leaves while the service asked for a pause", f"{exchange} left {until - self._now:.3f} s early"
            )

    def one_login_at_a_time(self) -> None:
        if self._logins_in_flight:
            self._world.fail("one login at a time", f"{self._logins_in_flight} was under way when another left")

    def no_login_without_need(self) -> None:
        if self._need or self._granted is None:
            return
        _, issued, life = self._granted
        if self._now >= issued + life - min(300.0, life / 10) - EPSILON:
            return
        if self._suspected:
            if not self._followed:  # its repeats are no further suspicions
                self._followed, self._suspect_from = True, self._now + _SUSPECT
        else:
            self._world.fail(
                "no login without need",
                f"the token is {self._now - issued:.1f} s old, lives for {life:g} s and was not refused",
            )

    def no_storm_of_logins(self, exchange: Exchange) -> None:
        failed = self._failed_logins
        while failed and failed[0][0] < self._now - _LOGIN_WINDOW:
            failed.popleft()
        refused = sum(by_refusal for _, by_refusal in failed)
        if refused > _LOGINS_AFTER_REFUSAL:
            self._world.fail(
                "refused credentials are not tried in a storm", f"{refused} logins were refused in {_LOGIN_WINDOW:g} s"
            )
        elif len(failed) > _LOGINS_AFTER_FAILURE:
            self._world.fail("logins that fail back off", f"{len(failed)} logins failed in {_LOGIN_WINDOW:g} s")

    def small_calls_are_sent_soon(self, action: Action) -> None:
        """Where nothing is wrong but a bulk of work, or another organization, a small call leaves within a bound."""
        bound = self._world.setup.small_call_bound
        if bound is None or not action.interactive or len(action.exchanges) > 1:
            return
        waited = self._now - action.begun
        if waited > bound:
            self._world.fail(
                "a small call waits no longer than its bound",
                f"{action} waited {waited:.2f} s, the bound is {bound:g} s",
            )

    # --- what others ask -----------------------------------------------------------------------------------------

    def good_token(self) -> bool:
        """Whether the client holds a token that the service takes and never refused."""
        if self._granted is None:
            return False
        token, issued, life = self._granted
        serves = self._world.service.tokens.get(token, 0.0)
        return token not in self.refused_for_good and self._now < min(serves, issued + life)

    def paused_for(self, org: str) -> float:
        """Seconds for which the service asked not to be called."""
        waits = [until - self._now for scope, (_, until) in self._paused.items() if scope.partition("/")[0] == org]
        return max(0.0, *waits, 0.0)

    @property
    def _now(self) -> float:
        return self._world.now


def _scope(exchange: Exchange) -> str:
    return f"{exchange.org}/ingest" if exchange.request.url.endswith("/measurements") else exchange.org


def _wait(answer: Answer) -> float | None:
    """The seconds that a ``Retry-After`` asks for; a date counts from the answer's own."""
    text = answer.headers.get("retry-after")
    if text is None or text.isdecimal():
        return None if text is None else float(text)
    return (parsedate_to_datetime(text) - parsedate_to_datetime(answer.headers["date"])).total_seconds()
