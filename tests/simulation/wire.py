"""The wire between the client and the service: a transport that delays, loses and breaks what it carries."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from m3ter_async.transports.protocol import Request, Response, TransportError
from m3ter_async.transports.stage import connect_within

from .ledger import ACTION, Exchange
from .service import Answer, Service

if TYPE_CHECKING:
    from .invariants import Watch

FAULTS = (
    "unreachable",  # no connection, for certain
    "connect_hang",  # the connection is never made
    "reset_before",
    "reset_after",  # the effect is there, the answer is not
    "silent_before",
    "silent_after",
    "error_before",
    "error_after",  # a 5xx of a gateway, behind which the request took effect
    "throttled",
    "broken",  # an answer that is not JSON, after the effect
    "slow",
    "raw_before",
    "raw_after",  # an exception of some library, which no transport should let through
)


@dataclass(slots=True)
class Outage:
    """Some minutes in which requests have one fate; `org` is an organization, ``login``, or None for all."""

    begins: float
    ends: float
    org: str | None
    fate: str

    def hits(self, now: float, where: str) -> bool:
        return self.begins <= now < self.ends and self.org in (None, where)


@dataclass(slots=True)
class Weather:
    """What may happen on the wire.

    Attributes:
        latency: Seconds that an exchange takes at the most, where nothing is wrong.
        faults: The probability of each fault.
        login: The same for logins.
        connect: The probability that a connection has to be made first.
        owned: Whether closing the client breaks what is under way, as with a session of its own.
    """

    latency: float = 0.2
    faults: dict[str, float] = field(default_factory=dict)
    login: dict[str, float] = field(default_factory=dict)
    connect: float = 0.2
    outages: list[Outage] = field(default_factory=list)
    owned: bool = True


class Wire:
    """A transport whose other end is a `Service`.

    What takes effect does so at the moment when the request arrives, whatever has become of the client by then.

    Attributes:
        holding: While set, answers wait until so many requests are in flight: a proof that all places are there.
    """

    def __init__(
        self, service: Service, weather: Weather, watch: Watch, chance: random.Random, now: Callable[[], float]
    ) -> None:
        self._service = service
        self._weather = weather
        self._watch = watch
        self._chance = chance
        self._now = now
        self._numbers = itertools.count()
        self._travelling: list[tuple[float, int, Exchange, Answer | None]] = []
        self._closed = anyio.Event()
        self.holding: tuple[int, anyio.Event] | None = None
        self.in_flight = 0

    async def send(self, request: Request) -> Response:
        login = "/oauth/token" in request.url
        org = "login" if login else request.url.split("/")[4]
        exchange = Exchange(request, self._now(), org, login, ACTION.get())
        self.in_flight += 1
        self._watch.leaves(exchange)
        try:
            answer = await self._exchange(exchange)
        except BaseException as error:
            self._watch.lost(exchange, error)
            raise
        else:
            exchange.delivered = True
            self._watch.answered(exchange, answer)
        finally:
            self.in_flight -= 1
            exchange.over = self._now()
        return Response(answer.status, dict(answer.headers), answer.body)

    async def aclose(self) -> None:
        self._watch.transport_closed()
        if self._weather.owned:
            self._closed.set()
        await anyio.lowlevel.checkpoint()

    def deliver(self) -> None:
        """Let everything take effect that has arrived by now."""
        now = self._now()
        while self._travelling and self._travelling[0][0] <= now:
            at, _, exchange, instead = heapq.heappop(self._travelling)
            exchange.answer = self._service.handle(exchange.request, at)
            if instead is not None:
                exchange.answer = instead

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self._weather = Weather(owned=self._weather.owned)

    def _fate(self, org: str) -> str:
        now, weather = self._now(), self._weather
        for outage in weather.outages:
            if outage.hits(now, org):
                return outage.fate
        drawn = self._chance.random()
        for fate, share in (weather.login if org == "login" else weather.faults).items():
            drawn -= share
            if drawn < 0:
                return fate
        return "fine"

    async def _exchange(self, exchange: Exchange) -> Answer:
        request, chance = exchange.request, self._chance
        fate, up, down = self._fate(exchange.org), *self._latency()
        ends = exchange.at + request.timeout
        connecting = chance.uniform(0, self._weather.latency) if chance.random() < self._weather.connect else 0.0
        if fate == "connect_hang":
            connecting = math.inf
        if connecting or fate == "unreachable":
            bound = connect_within(request.timeout)
            await self._sleep(exchange, min(connecting, bound))
            if connecting > bound:
                raise TransportError("no connection in time", sent=False, timeout=True)
            if fate == "unreachable":
                raise TransportError("connection refused", sent=False)
        if fate == "raw_before":
            exchange.began = self._now()  # as far as anybody can tell
            raise OSError(24, "Too many open files")
        exchange.began = self._now()
        if fate == "slow":
            down += chance.choice((1.0, 5.0, 30.0))
        if fate not in ("reset_before", "silent_before", "error_before", "throttled"):
            instead = Answer(chance.choice((500, 502, 503, 504))) if fate == "error_after" else None
            heapq.heappush(self._travelling, (self._now() + up, next(self._numbers), exchange, instead))
        duration = math.inf if fate.startswith("silent") else up + down
        left = ends - self._now()
        await self._sleep(exchange, min(duration, left))
        if duration > left:
            raise TransportError("no answer in time", timeout=True)
        self.deliver()
        if fate == "raw_after":
            raise ValueError("a library is surprised")
        if fate.startswith("reset"):
            raise TransportError("connection reset")
        if self.holding is not None and exchange.action is not None:
            await self._hold(ends)
        if fate == "error_before":
            exchange.answer = Answer(chance.choice((500, 502, 503, 504)))
        elif fate == "throttled":
            exchange.answer = self._service.throttled(chance.choice((1.0, 2.0, 5.0)))
        answer = exchange.answer
        assert answer is not None
        if fate == "broken" and answer.status == 200:
            exchange.whole = False
            return Answer(200, answer.body[: len(answer.body) // 2])
        return answer

    def _latency(self) -> tuple[float, float]:
        whole = self._chance.uniform(0.001, self._weather.latency)
        return whole / 2, whole / 2

    async def _hold(self, ends: float) -> None:
        assert self.holding is not None
        wanted, together = self.holding
        if self.in_flight >= wanted:
            together.set()
        with anyio.move_on_after(ends - self._now()):
            await together.wait()

    async def _sleep(self, exchange: Exchange, seconds: float) -> None:
        """Let time pass; closing a session of the client's own breaks what it carries."""
        if not self._weather.owned:
            await anyio.sleep(seconds)
            return
        if self._closed.is_set():
            raise TransportError("the session is closed", sent=exchange.began is not None)
        with anyio.move_on_after(seconds):
            await self._closed.wait()
            raise TransportError("the session was closed", sent=exchange.began is not None)
