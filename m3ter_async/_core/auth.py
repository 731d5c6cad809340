"""The access token: fetched once for all who wait, renewed before it ends, replaced when it is refused."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from ..errors import APIError, ConfigurationError
from ..transports.protocol import Response
from .background import Background, Task
from .clock import Clock
from .decoding import Unreadable, decode
from .operation import Operation
from .redaction import Secret, basic, fits_a_header

_RENEW_AHEAD = 300.0  # seconds; for short-lived tokens a tenth of their life
_FRESH = 60.0
_REMEMBERED = 16  # tokens


class Grant(msgspec.Struct, frozen=True):
    """What the token call answers. `expires_in` is in seconds; without it the token is used until it is refused."""

    access_token: str
    expires_in: float | None = None

    def __repr__(self) -> str:
        return "Grant([redacted])"


LOGIN: Operation[Grant] = Operation("GenerateToken", "POST", "/oauth/token", Grant, repeat="safe")
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
        fresh_until: Until then a 403 speaks of permissions, after it perhaps of the token's age.
        renew_at: From then on a new one is fetched, while this one is still used.
        ends: From then on it is not used.
    """

    __slots__ = ("ends", "fresh_until", "header", "renew_at")

    def __init__(self, value: str, issued: float, life: float) -> None:
        self.header: Secret = Secret(f"Bearer {value}")
        self.fresh_until: float = issued + min(_FRESH, life / 10)
        self.renew_at: float = issued + life - min(_RENEW_AHEAD, life / 10)
        self.ends: float = issued + life


class TokenManager:
    """One token for all calls of a client.

    The login runs in the background and belongs to no call: any number of callers wait for the same one, and one
    of them being cancelled is nothing to the others. Its failure is theirs as well.

    Args:
        login: Makes the token call.
        credentials: The access key id and the API secret; None where there is only a fixed token, which is used until
            the service refuses it.
        fixed: A token from elsewhere.
    """

    def __init__(
        self,
        login: Callable[[], Awaitable[Grant]],
        credentials: tuple[Secret, Secret] | None,
        *,
        fixed: str | None = None,
        clock: Clock,
        background: Background,
    ) -> None:
        self._login = login
        self._credentials = credentials
        self._clock = clock
        self._background = background
        self._token = None if fixed is None else Token(fixed, clock.now(), math.inf)
        self._known = deque([] if self._token is None else [self._token.header], maxlen=_REMEMBERED)
        self._renewal: Task[Token] | None = None

    def current(self) -> Token | None:
        """The token to send now, if there is one that is still good; near its end a new one is sent for."""
        token = self._token
        if token is None:
            return None
        now = self._clock.now()
        if now >= token.ends:
            return None
        if now >= token.renew_at:
            self._renew()
        return token

    async def get(self) -> Token:
        """A token from the login that is under way or begins now, for those who find none that is good."""
        try:
            return await self._renew().wait()
        except APIError as error:
            raise copy.copy(error) from None  # each of those who waited adds a traceback of its own

    def _renew(self) -> Task[Token]:
        if self._renewal is None:
            self._renewal = self._background.start(self._fetch)
        return self._renewal

    async def _fetch(self) -> Token:
        try:
            issued = self._clock.now()  # before the call: a slow answer must not lengthen the token's life
            grant = await self._login()
            life = math.inf if grant.expires_in is None else max(0.0, grant.expires_in)
            self._token = token = Token(grant.access_token, issued, life)
            self._known.append(token.header)
            return token
        except APIError:
            if (old := self._token) is not None:
                # the old one still serves: ask again when half of what is left of it is gone
                old.renew_at = (self._clock.now() + old.ends) / 2
            raise
        finally:
            self._renewal = None

    def replace(self, token: Token, status: int) -> bool:
        """Whether a call that was answered 401 or 403 under `token` is worth sending again with another one.

        A 403 on a fresh token is about permissions; on an older one it may be how the service says that it ended.
        """
        if token is not self._token:
            return True  # another call was refused before and got a new one
        if self._credentials is None or (status == 403 and self._clock.now() < token.fresh_until):
            return False
        self._token = None
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
