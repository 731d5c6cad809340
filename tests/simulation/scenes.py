"""What the program does in the worlds in which only one thing is special."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import anyio

from m3ter_async import APIError

from .actions import View
from .program import Program

if TYPE_CHECKING:
    from .world import World


async def small_calls(program: Program, count: int) -> None:
    """Somebody who makes a small call now and then, and waits for it, with an organization that is well."""
    world = program.world
    view = program.view(plain=True, org=world.setup.orgs[0])
    await program.one_call(view, kinds=("read",))  # after which there is a token
    for _ in range(count):
        await anyio.sleep(program.chance.uniform(0.2, 4.0))
        await program.one_call(view, kinds=("read", "charge"), interactive=True)


async def bulk(program: Program, kind: str) -> None:
    """A large piece of work beside them; where all is well but for half a minute, it may not fail."""
    chance = program.chance
    await anyio.sleep(chance.uniform(0, 1))
    if kind == "hung":
        view = program.view(plain=True, org="org-1")
        scope = ("deadline", 100.0)
        await program.one_map(view, count=60, concurrency=60, scope=scope, kinds=("read",))
        return
    view = program.view(plain=True)
    if kind == "bulk":
        await program.one_map(view, count=200, concurrency=200, kinds=("read",))
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_outlasts, program, view)
        tasks.start_soon(_waits_on, program, view)


async def _outlasts(program: Program, view: View) -> None:
    for _ in range(5):
        error = await program.one_map(view, count=20, concurrency=4, kinds=("read",))
        if isinstance(error, APIError):
            program.world.fail("unattended work outlasts a short outage", f"a map ended in {error}")
            return


async def _waits_on(program: Program, view: View) -> None:
    error = await program.one_wait(view, 1800.0)
    if isinstance(error, APIError):
        program.world.fail("unattended work outlasts a short outage", f"wait(timeout=1800) ended in {error}")


async def crowd(program: Program) -> None:
    """Many reads at one moment: they go out as fast as limit and places allow, none much later than its turn."""
    world, setup = program.world, program.world.setup
    view = program.view(plain=True, org=setup.orgs[0])
    await program.one_call(view, kinds=("read",))
    count, began = program.chance.choice((30, 120)), world.now
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(partial(program.one_call, view, kinds=("read",)))
    turns = max(count / (setup.rate_limit or math.inf), count * setup.weather.latency / 2 / setup.max_connections)
    allowed = 1.3 * turns + 1.5
    if world.now - began > allowed:
        program.world.fail(
            "a crowd goes as fast as it may", f"{count} reads took {world.now - began:.2f} s, not {allowed:.2f} s"
        )
    # each once: what was refused is sent again later
    first = list(dict.fromkeys(each.action.number for each in world.watch.exchanges if each.action is not None))
    if first != sorted(first) and world.backend == "asyncio":
        program.world.fail("first come, first served", f"calls left in the order {first}")


async def healed_read(program: Program, view: View) -> None:
    """A read that has to succeed, since nothing is wrong."""
    value = await program.one_call(view, kinds=("read",))
    if value is None:
        program.world.fail("once all is well, everything works", "a read failed: see the end of the events")


async def close_as_planned(world: World) -> None:
    """Close the client while work goes on."""
    at = world.setup.closes_at
    await anyio.sleep(math.inf if at is None else at)
    await world.close()
