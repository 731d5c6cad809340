"""Some hundred worlds, that each can be had again, and that faults which are put into them are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import anyio
import anyio.lowlevel
import msgspec
import pytest

from m3ter_async import AsyncM3ter, TransportError
from m3ter_async.transports.protocol import Request, Response, Transport

from .run import BACKENDS, judge
from .setup import KINDS, draw
from .wire import Wire
from .world import World

pytestmark = pytest.mark.usefixtures("worlds_alone_are_collected")
_WORLDS = 60
_AGAIN = [next(seed for seed in range(500) if draw(seed).kind == kind) for kind in KINDS]  # one of each
_AGAIN += [seed for seed in range(_WORLDS) if draw(seed).kind in ("close", "logins")][:6]
_AGAIN = sorted(set(_AGAIN))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_promised_holds_in_every_world(backend: str) -> None:
    verdicts = [judge(seed, backend) for seed in range(_WORLDS)]
    broken = [verdict for verdict in verdicts if verdict.failures]
    shown = [f"{verdict.command}\n    {rule}: {text}" for verdict in broken for rule, text in verdict.failures[:1]]
    assert not broken, f"{len(broken)} of {len(verdicts)} worlds broke:\n" + "\n".join(shown[:20])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_gives_the_same_world_again_in_any_process(backend: str) -> None:
    here = {seed: judge(seed, backend).digest for seed in _AGAIN}
    assert here == {seed: judge(seed, backend).digest for seed in _AGAIN}
    assert len(set(here.values())) == len(_AGAIN)

    program = (
        "from tests.simulation.run import judge\n"
        f"for seed in reversed({_AGAIN}): print(seed, judge(seed, {backend!r}).digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout
    assert dict(line.split() for line in said.splitlines()) == {str(seed): digest for seed, digest in here.items()}


class _Between:
    """What stands between a client and the wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._count = 0

    async def send(self, request: Request) -> Response:
        return await self._wire.send(request)

    async def aclose(self) -> None:
        await self._wire.aclose()


class _RepeatsByItself(_Between):
    """As some libraries do, whatever the request is."""

    async def send(self, request: Request) -> Response:
        try:
            return await self._wire.send(request)
        except TransportError:
            return await self._wire.send(request)


class _TakesDoubtForCertainty(_Between):
    async def send(self, request: Request) -> Response:
        try:
            return await self._wire.send(request)
        except TransportError as error:
            error.sent = False
            raise


class _CannotBeCancelled(_Between):
    async def send(self, request: Request) -> Response:
        with anyio.CancelScope(shield=True):
            response = await self._wire.send(request)
        return response


class _LosesARow(_Between):
    async def send(self, request: Request) -> Response:
        response = await self._wire.send(request)
        if "nextToken" in request.url and response.status == 200:
            page = msgspec.json.decode(response.content)
            response.content = msgspec.json.encode({**page, "data": page["data"][1:]})
        return response


class _DropsMeasurements(_Between):
    async def send(self, request: Request) -> Response:
        if request.url.endswith("/measurements"):
            return Response(200, {}, b'{"result":"accepted"}')
        return await self._wire.send(request)


class _NeverComesBack(_Between):
    async def send(self, request: Request) -> Response:
        self._count += 1
        if self._count == 5:
            await anyio.sleep_forever()
        return await self._wire.send(request)


class _HidesRefusals(_Between):
    async def send(self, request: Request) -> Response:
        response = await self._wire.send(request)
        if response.status == 429:
            response.headers = {}
        return response


class _StaysOpen(AsyncM3ter):
    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("rule", "between"),
    [
        ("no write is applied twice", _RepeatsByItself),
        ("no write is applied twice", _TakesDoubtForCertainty),
        ("what is told of an outcome is true", _TakesDoubtForCertainty),
        ("no call returns later than its deadline", _CannotBeCancelled),
        ("every row once and in order", _LosesARow),
        ("no measurement is lost in silence", _DropsMeasurements),
        ("nothing hangs for ever", _NeverComesBack),
        ("nothing leaves while the service asked for a pause", _HidesRefusals),
    ],
)
def test_a_fault_between_client_and_wire_is_found(rule: str, between: Callable[[Wire], Transport]) -> None:
    assert _found(rule, lambda seed: World(seed, "asyncio", between)) is not None


@pytest.mark.parametrize("rule", ["a closed client says so", "nothing leaves after aclose()"])
def test_a_client_that_does_not_close_is_found(rule: str) -> None:
    assert _found(rule, lambda seed: World(seed, "asyncio", kind=_StaysOpen)) is not None


def _found(rule: str, world: Callable[[int], World]) -> int | None:
    """The first seed whose world breaks a rule."""
    for seed in range(_WORLDS):
        if rule in dict(world(seed).run().failures):
            return seed
    return None
