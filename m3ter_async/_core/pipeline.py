"""How calls are made: operations filled in, sent by `attempts`, and decoded; and what all views of a client share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar, cast

import anyio
from msgspec import UNSET

from ..errors import ClientClosedError
from ..events import Answer
from ..stats import Stats
from ..transports.protocol import Response, Transport
from .admission import Admission
from .answers import listening
from .attempts import Attempts
from .auth import LOGIN, LOGIN_BODY, Grant, TokenManager, read_grant
from .background import ELSEWHERE, Background
from .call import Call
from .clock import Clock
from .decoding import Unreadable, decode
from .encoding import encode_body, encode_path, encode_query
from .forgotten import Forgotten
from .instrumentation import Hook, Journal
from .operation import Operation
from .outcomes import Failure, FailureReader
from .parts import Parts
from .rate_limits import Gates
from .redaction import Secret
from .retry import RetryBudget
from .settings import Settings
from .waits import Waits

T = TypeVar("T")
R = TypeVar("R")


class Pipeline:
    """What all views of a client share, and the settings of one view.

    Args:
        hosts: The base URL of each of the contract's servers, without a slash at the end.
        credentials: The access key id and the API secret, to log in with.
        token: An access token from elsewhere.
        hooks: What is called with each event.
        made_at: The file and line that made the client.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        hosts: Mapping[str, str],
        credentials: tuple[Secret, Secret] | None,
        token: Secret | None,
        gates: Gates,
        max_in_flight: int,
        clock: Clock,
        settings: Settings,
        hooks: tuple[Hook, ...],
        made_at: tuple[str, int] = ("", 0),
    ) -> None:
        self._forgotten = Forgotten(transport, made_at)
        self.settings = settings
        self.clock = clock
        self.background: Background = Background()
        self.waits: Waits = Waits(clock)
        self._transport = transport
        self._gates = gates
        tokens = TokenManager(
            self._login, credentials, fixed=token, clock=clock, background=self.background, waits=self.waits
        )
        failures = FailureReader(tokens.secrets, clock.wall)
        self.parts: Parts = Parts(
            transport=transport,
            hosts=hosts,
            clock=clock,
            background=self.background,
            waits=self.waits,
            admission=Admission(max_in_flight, clock, self.waits),
            tokens=tokens,
            budget=RetryBudget(),
            failures=failures,
            journal=Journal(hooks, clock, lambda text: failures.redactor().text(text)),
        )
        self.parts.admission.expect(settings.org_id)

    def view(self, settings: Settings) -> Pipeline:
        """The same connections, token, limits and budget under other settings."""
        other = copy.copy(self)
        other.settings = settings
        self.parts.admission.expect(settings.org_id)
        return other

    def over(self, transport: Transport) -> Pipeline:
        """The same, but for calls that go over another transport; logins go over the one that they went over."""
        other = copy.copy(self)
        other.parts = replace(self.parts, transport=transport)
        return other

    def stats(self) -> Stats:
        """The numbers of all views."""
        return self.parts.journal.counters.snapshot(getattr(self._transport, "connections", None))

    def answers(self) -> AbstractContextManager[list[Answer]]:
        """Collects what the answers to the calls of a block came with."""
        return listening(self.parts)

    async def warm_up(self) -> None:
        """Load what the transport has yet to load, and log in.

        Raises:
            APIError: The login failed.
        """
        load = getattr(self._transport, "load", None)
        if load is not None:
            await load()
        await Attempts(self.parts, self.settings, Call(LOGIN, LOGIN.path)).log_in()

    async def aclose(self) -> None:
        """End what goes on beside the calls, then the transport. From here on nothing is sent."""
        if not self.background.at_home():
            raise ClientClosedError(ELSEWHERE, method="", path="")
        self.waits.close()
        self._forgotten.closed()
        with anyio.CancelScope(shield=True):
            await self.background.aclose()
            await self._transport.aclose()

    def prepare(
        self, operation: Operation[Any], path: Mapping[str, Any], query: Mapping[str, Any], body: Any = UNSET
    ) -> Call:
        """Fill in an operation; every bad argument raises here, before anything is sent."""
        known = operation.arguments
        target = encode_path(operation.path, {"orgId": self.settings.org_id, **path}, known)
        organization, gate = self.settings.org_id, None
        if target.startswith("/organizations/"):
            gate = self._gates.gate(operation.scope, target.split("/", 3)[2])
            organization = gate.organization
        version = getattr(body, "version", None)
        if isinstance(body, Mapping):
            version = cast("Mapping[str, Any]", body).get("version")
        return Call(
            operation,
            target,
            encode_query(query, known) if query else "",
            None if body is UNSET else encode_body(body, known),
            repeatable=operation.repeat in ("read", "safe")
            or (operation.repeat == "versioned" and isinstance(version, int)),
            organization=organization,
            gate=gate,
        )

    async def call(
        self, operation: Operation[T], path: Mapping[str, Any], query: Mapping[str, Any], body: Any = UNSET
    ) -> T:
        """One call, its answer decoded whole."""

        def read(response: Response) -> T:
            if operation.answer in (None, type(None)) or (operation.answer is Any and not response.content.strip()):
                return cast("T", None)
            return decode(operation.decoder, response.content)

        return await self.run(self.prepare(operation, path, query, body), read)

    def run(self, call: Call, read: Callable[[Response], R]) -> Coroutine[Any, Any, R]:
        """Send `call` until an answer can be read, or until its time, the policy or safety says stop.

        Args:
            read: Makes the value out of an answer with a 2xx status, or raises `Unreadable`.

        Raises:
            APIError: The last failure.
        """
        return Attempts(self.parts, self.settings, call).run(read)

    def masked(self, data: bytes) -> bytes:
        """What a server sent, with the client's secrets masked."""
        return self.parts.failures.redactor().clean(data, 16 * len(data))

    def failed_later(self) -> None:
        """Count a call as failed whose answer was read, and only then turned out to be of no use."""
        self.parts.journal.counters.failures += 1

    def unreadable(self, call: Call, response: Response, cause: Unreadable) -> Failure:
        """What an answer is that cannot be read, also where that is seen only after `run` had returned."""
        return self.parts.unreadable(call, response, cause)

    async def _login(self) -> Grant:
        return await self.run(Call(LOGIN, LOGIN.path, content=LOGIN_BODY), read_grant)
