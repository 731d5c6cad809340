"""Two or three clients on one limit, in virtual time: one may die, and the service may ask for a pause."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from m3ter_async import APIError, AsyncM3ter
from m3ter_async.limits import HostLimiter, Limiter, LocalLimiter, ShareLimiter
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from . import clock

KINDS = ("local", "share", "host")
LIMIT = 50
_START = 1_000_000.0  # a file of limits takes a clock that begins at 0 for one of before
_SECONDS = 9.0
_BULK = 8  # tasks of a client that always want to send
_EPSILON = 1e-6


class _Clock(clock.VirtualClock):
    def now(self) -> float:
        return _START + super().now()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(max(seconds, _EPSILON))  # real time moves on by itself, whatever rounding leaves to wait for


@dataclass(frozen=True)
class Crowd:
    """Who shares the limit.

    Attributes:
        clients: How many there are.
        latency: The longest that the service takes.
        every: Seconds between calls that somebody waits for, of each client.
        dies_at: When the first client dies.
        throttled_at: When the service asks for a pause, and for how many seconds.
    """

    kind: str
    clients: int
    latency: float
    every: float
    dies_at: float | None
    throttled_at: tuple[tuple[float, float], ...]


def draw(seed: int) -> Crowd:
    """The world of a seed."""
    chance = random.Random(f"{seed}/crowd")
    pauses = sorted(chance.uniform(0.5, 7) for _ in range(chance.choice([0, 0, 1, 2])))
    return Crowd(
        KINDS[seed % len(KINDS)],
        chance.randint(2, 3),
        chance.choice([0.01, 0.05, 0.1]),
        chance.choice([0.1, 0.3, 1.0]),
        chance.choice([None, chance.uniform(0.1, 4)]),
        tuple((at, float(chance.randint(1, 3))) for at in pauses),
    )


class SharedWorld:
    """One world.

    Args:
        folder: Where a file of limits can be.
        limiter: Puts something else in place of what a client takes, to see whether that is found.

    Attributes:
        failures: What did not hold.
        sent: How many requests there were.
    """

    def __init__(
        self, seed: int, backend: str, folder: Path, limiter: Callable[[Limiter], Limiter] = lambda given: given
    ) -> None:
        self.crowd = draw(seed)
        self.failures: list[str] = []
        self.sent = 0
        self._seed, self._backend = seed, backend
        self._chance = random.Random(f"{seed}/{backend}/shared")
        self._limiter = limiter
        self._local = LocalLimiter(LIMIT)
        self._path = folder / f"{seed}-{backend}.limit"
        self._last: deque[float] = deque()
        self._pauses: list[tuple[float, float, int]] = []
        self._throttles = deque(self.crowd.throttled_at)
        self._dead: set[int] = set()
        self._after_death = 0
        self._virtual: Any = None

    def run(self) -> SharedWorld:
        """From the beginning to the end."""
        stuck = clock.run(f"{self._seed}", self._backend, self._main, self.failures.append)
        if stuck is not None:
            self.failures.append(f"it hangs: {stuck}")
        return self

    @property
    def _now(self) -> float:
        now: float = self._virtual.now
        return now

    async def _main(self, virtual: Any) -> None:
        self._virtual, crowd = virtual, self.crowd
        async with anyio.create_task_group() as tasks:
            for number in range(crowd.clients):
                tasks.start_soon(self._client, number)
        living = crowd.clients - (crowd.dies_at is not None)
        if crowd.dies_at is not None and not crowd.throttled_at:
            rate = LIMIT * (living / crowd.clients if crowd.kind == "share" else 1)
            seconds = int(_SECONDS - crowd.dies_at - 2)  # most leave at the beginning of each
            if self._after_death < 0.85 * rate * seconds:
                self.failures.append(f"{self._after_death} requests in {seconds} s after one died, of {rate:g}/s")

    def _made(self) -> Limiter:
        if self.crowd.kind == "local":
            return self._local
        if self.crowd.kind == "share":
            return ShareLimiter(1, self.crowd.clients, rate=LIMIT)
        return HostLimiter(self._path, rate=LIMIT)

    async def _client(self, number: int) -> None:
        crowd = self.crowd
        transport = FakeTransport(partial(self._serve, number))
        time = _Clock(self._virtual, self._chance, 0.0)
        # a process has one window for all that it sends to a host
        options: dict[str, Any] = {"base_url": f"https://{self._seed}.{self._backend}.example", "max_retries": 5}
        m3ter = client(transport, time, limiter=self._limiter(self._made()), **options)
        dies = crowd.dies_at if number == 0 else None
        async with anyio.create_task_group() as tasks:
            for _ in range(_BULK):
                tasks.start_soon(self._bulk, m3ter.with_options(bulk=True))
            tasks.start_soon(self._small, m3ter)
            await anyio.sleep(_SECONDS if dies is None else dies)
            tasks.cancel_scope.cancel()  # no deadline: a call would know of one
        if dies is not None:  # and whatever it took or waited for stays as it is
            self._dead.add(number)
            return
        await m3ter.aclose()

    async def _bulk(self, m3ter: AsyncM3ter) -> None:
        while True:
            await self._told(partial(m3ter.accounts.retrieve, "bulk"))

    async def _small(self, m3ter: AsyncM3ter) -> None:
        """Calls that somebody waits for: a stretch of the limit at the most, though others send all that they can."""
        crowd = self.crowd
        bound = 1.1 + 3 * crowd.latency
        if crowd.kind == "share":
            bound += 1.0  # of fewer requests each one is a larger part
        while True:
            await anyio.sleep(self._chance.uniform(0, 2 * crowd.every))
            began = self._now
            await self._told(partial(m3ter.accounts.retrieve, "small"))
            if not self._pauses and self._now - began > bound:
                self.failures.append(f"a call that somebody waits for took {self._now - began:.2f} s at {began:.2f}")

    async def _told(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except APIError as error:
            self.failures.append(f"a call failed: {error}")

    async def _serve(self, number: int, request: Request) -> Response:
        now, last = self._now, self._last
        self.sent += 1
        if number in self._dead:
            self.failures.append("a client that is dead sends")
        if self.crowd.dies_at is not None and now > self.crowd.dies_at + 2:
            self._after_death += 1
        last.append(now)
        while last[0] <= now - 1.0 + _EPSILON:
            last.popleft()
        if len(last) > LIMIT:
            self.failures.append(f"{len(last)} requests in the second before {now:.3f}")
        for begin, end, whose in self._pauses:
            if begin + _EPSILON < now < end - _EPSILON and (self.crowd.kind != "share" or whose == number):
                self.failures.append(f"a request at {now:.3f}, in a pause from {begin:.3f} to {end:.3f}")
        await anyio.sleep(self._chance.uniform(0, self.crowd.latency))
        if self._throttles and self._now >= self._throttles[0][0]:
            _, seconds = self._throttles.popleft()
            self._pauses.append((self._now, self._now + seconds, number))
            return answer({"message": "slow down"}, 429, retry_after=f"{seconds:g}")
        return answer({"id": "a", "version": 1})
