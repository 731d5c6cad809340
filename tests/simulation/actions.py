"""One action of the program, under a scope of its own, and what came of it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from m3ter_async import AsyncM3ter

from .invariants import EPSILON
from .ledger import ACTION, Action
from .outcomes import ended
from .setup import HAS_BULK, HAS_TOTAL_TIMEOUT

if TYPE_CHECKING:
    from .world import World

_SCOPES = ("none", "deadline", "cancel", "steps", "native", "timeout")


@dataclass(slots=True)
class View:
    """A client's view, and what it promises.

    Attributes:
        bound: Seconds for a call as a whole.
        patience: Seconds in which it may be repeated.
    """

    client: AsyncM3ter
    org: str
    bound: float
    patience: float
    retries: int


class Doer:
    """Does actions of one world."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance

    def view(self, *, plain: bool = False, org: str | None = None) -> View:
        """A view with options that are drawn; a plain one has only another organization."""
        setup, chance = self.world.setup, self.chance
        options: dict[str, Any] = {"org_id": org or chance.choice(setup.orgs)}
        if not plain and chance.random() < 0.4:
            if chance.random() < 0.5:
                options["timeout"] = chance.choice((0.1, 2.0, 30.0))
            if chance.random() < 0.5:
                options["max_retry_time"] = chance.choice((0.5, 4.0, 100.0))
            if chance.random() < 0.3:
                options["max_retries"] = chance.choice((0, 1, 8))
            if HAS_TOTAL_TIMEOUT and chance.random() < 0.5:
                options["total_timeout"] = chance.choice((0.5, 4.0, 100.0))
            if HAS_BULK and chance.random() < 0.2:
                options["bulk"] = True
        told = {**setup.bounds, **options}
        return View(
            self.world.client.with_options(**options),
            options["org_id"],
            min(told.get("max_retry_time", math.inf), told.get("total_timeout", math.inf)),
            told.get("max_retry_time", 120.0),
            told.get("max_retries", setup.max_retries),
        )

    def scope(self) -> tuple[str, float]:
        """What ends an action before its time, if anything does, and after how many seconds or steps."""
        chance = self.chance
        how = chance.choices(_SCOPES, (50, 20, 10, 10, 5, 5))[0]
        if self.world.backend == "trio" and how in ("native", "timeout"):
            how = "cancel"
        if how == "steps":
            return how, chance.randint(0, 12)
        return how, math.inf if how == "none" else chance.choice((0.0, 0.05, 0.5, 2.0, 5.0, chance.uniform(0, 20)))

    async def perform(
        self,
        action: Action,
        act: Callable[[], Awaitable[Any]],
        scope: tuple[str, float] = ("none", math.inf),
    ) -> tuple[Any, BaseException | None, bool]:
        """Do it.

        Returns:
            Its value, its error, and whether its scope ended it.
        """
        world = self.world
        how, after = scope
        if how not in ("none", "steps"):
            action.deadline = min(action.deadline, world.now + after)
        world.begins(action, f"{how} {after:.3f}")
        reset = ACTION.set(action)
        value: Any = None
        error: BaseException | None = None
        cancelled = False
        try:
            value, cancelled = await self._under(how, after, act)
        except TimeoutError as raised:
            error = raised
            cancelled = how in ("deadline", "timeout") and world.now >= action.deadline - EPSILON
        except Exception as raised:  # noqa: BLE001  whatever it is, it is judged
            error = raised
        except BaseException as raised:
            if not world.aborting and action.parent is None:
                world.fail("nothing but a documented exception comes out", f"{action} ended in {type(raised).__name__}")
            action.ended = world.now
            raise
        finally:
            ACTION.reset(reset)
            world.running.discard(action)
            _let_go(error)
        ended(world, action, value, error, cancelled=cancelled)
        return value, error, cancelled

    async def _under(self, how: str, after: float, act: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
        if how == "none":
            return await act(), False
        if how == "deadline":
            with anyio.fail_after(after):
                return await act(), False
        if how == "timeout":
            async with asyncio.timeout(after):
                return await act(), False
        if how == "native":
            return await self._native(after, act)
        with anyio.CancelScope() as scope:
            self.world.chaos.start_soon(self._cancel, scope, how, after)
            return await act(), False
        return None, True

    async def _cancel(self, scope: anyio.CancelScope, how: str, after: float) -> None:
        if how == "steps":
            for _ in range(int(after)):
                await anyio.lowlevel.checkpoint()
        else:
            await anyio.sleep(after)
        scope.cancel()

    async def _native(self, after: float, act: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
        """As a web framework does it: a task that is cancelled from outside, once."""

        async def work() -> Any:
            return await act()

        loop = asyncio.get_running_loop()
        task = loop.create_task(work())
        asked = False

        def cancel() -> None:
            nonlocal asked
            asked = not task.done()
            task.cancel()

        timer = loop.call_later(after, cancel)
        try:
            return await task, False
        except asyncio.CancelledError:
            if not asked:
                raise
            return None, True
        finally:
            timer.cancel()
            task.cancel()


def _let_go(error: BaseException | None) -> None:
    """Drop the frames of an error: with them it would keep an iterator alive that its caller has dropped."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
