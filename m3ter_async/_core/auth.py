"""The access token: fetched once for all who wait, renewed before it ends, replaced when it is refused."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import anyio
import msgspec

from ..errors import APIError, APIStatusError, ConfigurationError
from ..transports.protocol import Response
from .background import Background, Task, TaskAbandoned
from .clock import Clock
from .decoding import Unreadable, decode
from .operation import Operation
from .redaction import Secret, basic, fits_a_header
from .retry import verdict
from .waits import Waits

_RENEW_AHEAD = 300.0  # seconds; for short-lived tokens a tenth of their life
_SUSPECT = 60.0  # seconds between two logins that only a 403 asked for
_REMEMBERED = 16  # tokens
# Seconds without a login after one that failed, doubled with each: for refused credentials, and for anything else.
_FIRST_REST, _LONGEST_REST, _LONGEST_OUTAGE_REST = 1.0, 60.0, 8.0


class Grant(msgspec.Struct, frozen=True):
    """What the token call answers. `expires_in` is in seconds; without it the token is used until it is refused."""

    access_token: str
    expires_in: float | None = None

    def __repr__(self) -> str:
        return "Grant([redacted])"


LOGIN: Operation[Grant] = Operation("GenerateToken", "POST", "/oauth/token", Grant, repeat="read")
LOGIN_BODY = b'{"grant_type":"client_credentials"}'


def read_grant(response: Response) -> Grant:
    """What a login answers, out of its response.

    Raises:
        Unreadable: It is something else.
    """
    # the body is emptied before anything is raised: a traceback with its local variables would show the token
    body, response.content = response.content, b""
    try:
        grant = decode(LOGIN.decoder, body)
    except Unreadable as error:
        fault = error
    else:
        if fits_a_header(grant.access_token):
            return grant
        fault = Unreadable("not the text of a token", "$.access_token")
    del body
    raise fault.with_traceback(None)


class Token:
    """An access token and what is known of its life, in monotonic seconds.

    Attributes:
        header: The value of the ``Authorization`` header.
        renew_at: From then on a new one is fetched, while this one is still used.
        ends: From then on it is not used.
        worked: Whether any call succeeded under it.
    """

    __slots__ = ("ends", "header", "renew_at", "worked")

    def __init__(self, value: str, issued: float, life: float) -> None:
        self.header: Secret = Secret(f"Bearer {value}")
        self.renew_at: float = issued + life - min(_RENEW_AHEAD, life / 10)
        self.ends: float = issued + life
        self.worked: bool = False


def _lasts(error: APIError) -> bool:
    """Whether a login would fail again: credentials that are refused, and not an outage."""
    return error.status is not None and not 200 <= error.status < 300 and verdict(error.status) == "final"


class NoTokenInTime(Exception):
    """The login had not ended when the call's deadline came."""


class TokenManager:
    """One token for all calls of a client.

    The login runs in the background and belongs to no call: any number of callers wait for the same one, and one
    of them being cancelled is nothing to the others. Its failure is theirs as well. After a failure logins rest for a
    while, longer with each.

    Args:
        login: Makes the token call.
        credentials: The access key id and the API secret; None where there is only a fixed token, which is used until
            the service refuses it.
        fixed: A token from elsewhere.

    Attributes:
        sent_at: When the login was last sent: a slow answer must not lengthen its token's life.
    """

    def __init__(
        self,
        login: Callable[[], Awaitable[Grant]],
        credentials: tuple[Secret, Secret] | None,
        *,
        fixed: str | None = None,
        clock: Clock,
        background: Background,
        waits: Waits,
    ) -> None:
        self._login = login
        self._credentials = credentials
        self._clock = clock
        self._background = background
        self._waits = waits
        self._token = None if fixed is None else Token(fixed, clock.now(), math.inf)
        self._known = deque([] if self._token is None else [self._token.header], maxlen=_REMEMBERED)
        self.sent_at: float = -math.inf
        self._renewal: Task[Token] | None = None
        self._news = anyio.Event()
        self._setback: tuple[APIError, float] | None = None  # what went wrong last, and when it is tried again
        self._failed: APIError | None = None  # the last login, if it failed
        self._failures = 0
        self._rests_until = -math.inf
        self._suspect_from = -math.inf
        self._begun = self._settled = 0  # logins: how many began, and the last of which it was noted what came of it
        self._useless = 0  # tokens in a row under which nothing worked
        self._refused_until = -math.inf

    def current(self) -> Token | None:
        """The token to send now, if there is one that is still good; near its end a new one is sent for."""
        token = self._token
        if token is None:
            return None
        now = self._clock.now()
        if now >= token.ends:
            return None
        if now >= token.renew_at and now >= self._rests_until:
            self._renew()
        return token

    async def get(self, deadline: float, patience: float = 0.0) -> Token:
        """A token from the login that is under way or begins now, for those who find none that is good.

        Args:
            deadline: When the call ends, in monotonic seconds.
            patience: Until when logins are made anew after those that failed for a passing reason.

        Raises:
            APIError: The login failed, or goes on for longer than the caller can wait.
            NoTokenInTime: The deadline came, and nothing had gone wrong so far.
            ClosedWhileWaiting: The client was closed.
        """
        while True:
            now = self._clock.now()
            if not self._under_way() and now < self._rests_until:
                if (failed := self._failed) is not None and (_lasts(failed) or self._rests_until >= deadline):
                    raise copy.copy(failed) if _lasts(failed) else self._set_back(failed, self._rests_until)
                await self._waits.sleep(self._rests_until - now, deadline)
                if self._clock.now() >= deadline:
                    raise NoTokenInTime
                continue
            try:
                return await self._wait(self._renew(), deadline)
            except APIError as error:
                if self._under_way() or _lasts(error) or self._rests_until > patience:
                    error.out_of_time = error.out_of_time or (self._clock.now() < patience and not _lasts(error))
                    raise
            except TaskAbandoned:
                with self._waits.until(deadline):  # closed? if not, somebody cancelled all tasks: begin again
                    await anyio.lowlevel.checkpoint()

    async def _wait(self, login: Task[Token], deadline: float) -> Token:
        while not login.done:
            if self._setback is not None and self._setback[1] >= deadline:
                raise self._set_back(*self._setback)
            news = self._news
            with self._waits.until(deadline) as scope:
                await news.wait()
            if scope.cancelled_caught and not login.done:
                raise NoTokenInTime if self._setback is None else self._set_back(*self._setback)
        try:
            return await login.wait()
        except APIError as error:
            raise copy.copy(error) from None  # each of those who waited adds a traceback of its own

    def _set_back(self, error: APIError, again: float) -> APIError:
        """What went wrong with the login, for a caller who cannot wait until it is made again."""
        error = copy.copy(error)
        error.out_of_time = True
        if isinstance(error, APIStatusError) and error.retry_after is not None:
            error.retry_after = max(0.0, again - self._clock.now())
        return error

    def told(self, error: APIError, again: float | None) -> None:
        """An attempt of the login failed; `again` is when it is made anew, in monotonic seconds."""
        if again is not None:
            self._setback = error, again
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _under_way(self) -> bool:
        return self._renewal is not None and not self._renewal.done

    def _renew(self) -> Task[Token]:
        if self._renewal is None or self._renewal.done:
            self._setback = None
            self._begun = number = self._begun + 1
            self._renewal = self._background.start(lambda: self._fetch(number), ended=partial(self._after, number))
        return self._renewal

    async def _fetch(self, number: int) -> Token:
        try:
            grant = await self._login()
        except APIError as error:
            self._after(number, error)
            raise
        life = math.inf if grant.expires_in is None else max(0.0, grant.expires_in)
        self._token = token = Token(grant.access_token, self.sent_at, life)
        self._known.append(token.header)
        self._after(number, None)
        return token

    def _after(self, number: int, error: BaseException | None) -> None:
        """A login is over, in whatever way: told by who watches it too, since it may not even have begun."""
        if number <= self._settled:
            return
        self._settled, self._setback = number, None
        if error is None:
            self._failed, self._failures, self._rests_until = None, 0, -math.inf
        elif not isinstance(error, TaskAbandoned):
            self._failed = error if isinstance(error, APIError) else None
            self._failures += 1
            longest = _LONGEST_REST if self._failed is not None and _lasts(self._failed) else _LONGEST_OUTAGE_REST
            now = self._clock.now()
            self._rests_until = now + min(longest, _FIRST_REST * 2.0 ** min(self._failures - 1, 30))
            if (old := self._token) is not None:  # it still serves: asked for again when half of what is left is gone
                old.renew_at = math.inf if old.ends == math.inf else (now + old.ends) / 2
        self._tell()

    def refused(self, token: Token) -> bool:
        """Note that a call was answered 401 under `token`; whether it is worth sending again with another one."""
        if token is not self._token:
            return True  # another call was refused before and got a new one
        if self._credentials is None:
            return False
        now = self._clock.now()
        if token.worked:
            self._useless = 0
        elif now < self._refused_until:
            return False  # a new token is refused as well: the 401 is the answer
        else:
            self._useless += 1
            self._refused_until = now + min(_LONGEST_REST, _FIRST_REST * 2.0 ** min(self._useless - 1, 30))
        self._token = None
        return True

    async def suspected(self, token: Token, deadline: float) -> bool:
        """Whether there is another token for a call that was answered 403 under `token`.

        A 403 speaks of permissions, or of a token that ended: a new one is fetched, and the old one serves meanwhile.
        """
        if token is not self._token:
            return self._token is not None
        now = self._clock.now()
        suspect_from = -math.inf if now >= token.ends else self._suspect_from  # at most once a minute, but for its end
        if self._credentials is None or (not self._under_way() and now < max(suspect_from, self._rests_until)):
            return False
        if not self._under_way():
            self._suspect_from = now + _SUSPECT
        try:
            await self._wait(self._renew(), deadline)
        except (APIError, NoTokenInTime, TaskAbandoned):
            return False  # the 403 is what happened to the call
        return True

    def basic(self) -> Secret:
        """The value of the ``Authorization`` header of a login."""
        if self._credentials is None:
            raise ConfigurationError("a login needs api_key= and api_secret=, and this client has only a token")
        return basic(*self._credentials)

    def secrets(self) -> Iterator[str]:
        """What must not be seen in a body that a server sends back: calls under a replaced token may be under way."""
        for header in self._known:
            yield Secret(header.removeprefix("Bearer "))
        if self._credentials is not None:
            yield from (*self._credentials, Secret(self.basic().removeprefix("Basic ")))
