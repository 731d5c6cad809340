"""How one stage is timed: alone, in turn with the others of its part, in CPU time, and the least of some rounds."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable

from m3ter_async import AsyncM3ter
from m3ter_async.transports import Request, Response, Transport

from .measure import TOKEN, Settings

ROUNDS, QUICK_ROUNDS = 7, 2
HEADERS = {"Authorization": f"Bearer {TOKEN}"}

Stage = Callable[[], Awaitable[None]]


class Canned:
    """A transport that answers at once, always the same."""

    keeps_time = True

    def __init__(self, content: bytes | bytearray) -> None:
        self._answer = Response(200, {"content-type": "application/json"}, content)

    async def send(self, request: Request) -> Response:
        """The answer."""
        return self._answer

    async def aclose(self) -> None:
        """Nothing is open."""


def client_of(settings: Settings, transport: Transport, org_id: int) -> AsyncM3ter:
    """A client as the other works have it, over a transport that others use too."""
    return AsyncM3ter(token=TOKEN, org_id=str(org_id), base_url=settings.url, rate_limit=None, transport=transport)


async def least(settings: Settings, stages: dict[str, Stage]) -> dict[str, float]:
    """The least CPU time of each stage, in seconds; its first time, which loads what it needs, does not count."""
    taken: dict[str, list[float]] = {name: [] for name in stages}
    for stage in stages.values():
        await stage()
    for _ in range(QUICK_ROUNDS if settings.task == "quick" else ROUNDS):
        for name, stage in stages.items():
            gc.collect()
            began = time.process_time()
            await stage()
            taken[name].append(time.process_time() - began)
    return {name: min(each) for name, each in taken.items()}
