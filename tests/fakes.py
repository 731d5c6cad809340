"""A transport without a wire and a clock without waits, for tests of everything above them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio.lowlevel
import msgspec

from m3ter_async import AsyncM3ter, TransportError
from m3ter_async._core.clock import Clock
from m3ter_async.transports.protocol import Request, Response

KEY, SECRET, TOKEN, ORG = "key-of-the-tests", "secret-of-the-tests", "token-of-the-tests", "org-1"

Answer = Response | TransportError
Handler = Callable[[Request], "Answer | Awaitable[Answer]"]


def answer(body: Any = None, status: int = 200, **headers: str) -> Response:
    """A response; `body` is JSON text as bytes, or anything that becomes JSON."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(status, {name.replace("_", "-").lower(): value for name, value in headers.items()}, content)


def grant(token: str = TOKEN, expires_in: float = 18_000) -> Response:
    """What a login answers."""
    return answer({"access_token": token, "token_type": "Bearer", "expires_in": expires_in, "scope": None})


class FakeTransport:
    """Answers logins by itself and everything else by `handler`, or by a list of answers in turn.

    Attributes:
        requests: All requests but logins, in order.
        logins: The logins.
    """

    def __init__(self, handler: Handler | Sequence[Answer], *, login: Handler | None = None) -> None:
        if not callable(handler):
            answers = list(handler)

            def handler(_: Request) -> Answer:
                return answers.pop(0)

        self._handler: Handler = handler
        self._login: Handler = login or (lambda _: grant())
        self.requests: list[Request] = []
        self.logins: list[Request] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = 0

    async def send(self, request: Request) -> Response:
        is_login = request.url.endswith("/oauth/token")
        (self.logins if is_login else self.requests).append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await anyio.lowlevel.checkpoint()  # as a wire would
            result = (self._login if is_login else self._handler)(request)
            if not isinstance(result, (Response, TransportError)):
                result = await result
        finally:
            self.in_flight -= 1
        if isinstance(result, TransportError):
            raise result
        if request.into is not None and 200 <= result.status < 300:
            await request.into(bytes(result.content))
            return Response(result.status, result.headers, b"")
        return result

    async def aclose(self) -> None:
        self.closed += 1


class FakeClock(Clock):
    """Time that passes only in `sleep`, at once; `random` gives what it is told.

    Attributes:
        sleeps: Every wait, in seconds.
    """

    def __init__(self, *, chance: float = 0.5) -> None:
        self.time = 1_000.0
        self.chance = chance
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0 + self.time

    def random(self) -> float:
        return self.chance

    def left(self) -> float:
        return math.inf  # a caller's deadline is in real time

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
        await anyio.lowlevel.checkpoint()


def client(transport: FakeTransport, clock: Clock | None = None, **options: Any) -> AsyncM3ter:
    """A client over a fake transport; without waits, unless it is given a clock of its own."""
    options = {"api_key": KEY, "api_secret": SECRET, "org_id": ORG, **options}
    return AsyncM3ter(**options, transport=transport, _clock=clock or FakeClock())


class TickingClock(FakeClock):
    """A clock under which everything takes its time: a millisecond from each look at it to the next."""

    def now(self) -> float:
        self.time += 0.001
        return self.time
