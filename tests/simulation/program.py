"""What the program does with the client: single calls, listings, maps, measurements, jobs, from many tasks at once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio

from m3ter_async import APIError, IngestError, JobError, JobTimeoutError

from .actions import Doer, View
from .invariants import EPSILON
from .ledger import Action
from .outcomes import ProgramError, passing
from .service import Job

_LAST_LOOK = 5.0  # seconds that a wait for a job may look on when its time is over
_NO_SCOPE = ("none", math.inf)
_CALLS = ("read", "charge", "again", "update", "delete", "head", "forbidden", "missing", "start")
_SHARES = (30, 30, 4, 12, 8, 4, 6, 6, 4)
_MAPS = ("calm", "left", "fails", "nested", "closes")


class Program(Doer):
    """The tasks of one world."""

    async def work(self, count: int) -> None:
        """One task's actions, one after the other."""
        chance = self.chance
        acts: list[Callable[[], Awaitable[None]]] = [self.call, self.listing, self.map, self.ingest, self.wait]
        for _ in range(count):
            await anyio.sleep(chance.choice((0.0, chance.uniform(0, 0.1), chance.uniform(0, 3))))
            act = chance.choices(acts, (55, 15, 15, 8, 7))[0]
            await act()

    # --- one call ------------------------------------------------------------------------------------------------

    async def call(self) -> None:
        await self.one_call(self.view(), scope=self.scope())

    async def one_call(
        self,
        view: View,
        *,
        kinds: tuple[str, ...] = _CALLS,
        parent: Action | None = None,
        scope: tuple[str, float] = _NO_SCOPE,
        interactive: bool = False,
    ) -> Any:
        """Make one call, and give what came of it: its error is raised again."""
        what = self.chance.choices(kinds, _SHARES[: len(kinds)])[0]
        slot = self.chance.choice((None, 0.0, 60.0, 300.0)) if what == "start" else None
        number = next(self.world.numbers)
        action = Action(
            number,
            "call",
            f"{what} {view.org}",
            view.org,
            self.world.now,
            deadline=self.world.now + view.bound,
            name={"delete": f"gone-{number}"}.get(what, f"{what}-{number}"),
            writes=what in ("charge", "again", "update", "delete", "start"),
            parent=parent,
            patience=view.patience if slot is None else slot,
            retries=view.retries,
            interactive=interactive,
        )
        value, error, _ = await self.perform(action, self._act(what, view, action, slot), scope)
        if what == "read" and error is None and value is not None and not value.id.startswith("entity"):
            self.world.fail("an answer is what the service said", f"{action}: {value.id}")
        if error is not None and parent is not None:
            raise error
        return value

    def _act(self, what: str, view: View, action: Action, slot: float | None) -> Callable[[], Awaitable[Any]]:
        client, name = view.client, action.name
        entity = f"entity-{self.chance.randint(0, 2)}"
        if what in ("forbidden", "missing"):
            return lambda: client.accounts.retrieve(f"{what}-{entity}")
        if what == "charge":
            return lambda: client.balances.transactions.create("main", amount=1, description=name)
        if what == "start":
            return lambda: client.bill_jobs.create(timezone=name, wait_for_slot=slot)
        if what == "again":
            path = "/organizations/{orgId}/balances/main/transactions"
            return lambda: client.request("POST", path, body={"description": name}, repeatable=True)
        if what == "update":
            stored = self.world.service.entities.get((view.org, entity))
            version = 1 if stored is None else stored.version
            return lambda: client.accounts.update(entity, name=name, code="c", email_address="e@e", version=version)
        if what == "delete":
            return lambda: client.accounts.delete(name)
        if what == "head":
            method = self.chance.choice(("HEAD", "OPTIONS"))
            return lambda: client.request(method, f"/organizations/{{orgId}}/accounts/{entity}")
        return lambda: client.accounts.retrieve(entity)

    # --- listings ------------------------------------------------------------------------------------------------

    async def listing(self) -> None:
        view = self.view()
        resource = self.chance.choice(("accounts", "bills"))
        expected = self.world.service.rows[view.org, resource]
        how = self.chance.choice(("all", "all", "left", "dropped", "pages", "limit"))
        action = Action(next(self.world.numbers), "listing", f"{how} {resource} {view.org}", view.org, self.world.now)
        rows: list[str] = []
        stop = self.chance.randint(0, 12)

        async def act() -> None:
            listing = getattr(view.client, resource).list()
            if how == "limit":
                rows.extend(row.id for row in await listing.collect(limit=stop))
                return
            source = listing.pages() if how == "pages" else aiter(listing)
            while True:
                began, failed = self.world.now, True
                try:
                    got = await anext(source)
                    failed = False
                except StopAsyncIteration:
                    failed = False
                    return
                finally:
                    self._step_in_time(action, view, began, failed)
                rows.extend(row.id for row in (got.data if how == "pages" else (got,)))
                if how in ("left", "dropped") and len(rows) > stop:
                    break
                await anyio.sleep(self.chance.choice((0.0, 0.0, 0.3)))
            if how == "left":
                await source.aclose()

        _, error, cancelled = await self.perform(action, act, self.scope())
        whole = error is None and not cancelled and how in ("all", "pages")
        wanted = expected[:stop] if how == "limit" and error is None and not cancelled else expected[: len(rows)]
        if rows != (expected if whole else wanted):
            self.world.fail("every row once and in order", f"{action} gave {rows}, the service holds {expected}")

    def _step_in_time(self, action: Action, view: View, began: float, failed: bool) -> None:
        took = self.world.now - began
        # a call for each page: of empty ones there are several in a step, and one that failed may not have left
        step = [each for each in action.exchanges if each.over is None or each.over >= began]
        pages = {each.request.url for each in step}
        answered = {each.request.url for each in step if each.status == 200 and each.whole}
        calls = max(1, len(pages), len(answered) + failed)
        calls += bool(self.world.setup.cancels_at)  # a page ahead that was cancelled is asked for anew
        if took > view.bound * calls + EPSILON:
            self.world.fail(
                "no call returns later than its deadline", f"a page of {action} took {took:.3f} s of {view.bound:g}"
            )

    # --- maps ----------------------------------------------------------------------------------------------------

    async def map(self) -> None:
        view, chance = self.view(), self.chance
        await self.one_map(
            view,
            count=chance.choice((0, 1, 5, 30)),
            concurrency=chance.choice((1, 3, 50)),
            scope=self.scope(),
            fate=chance.choices(_MAPS, (50, 20, 15, 10, 5 if self.world.setup.kind == "close" else 0))[0],
        )

    async def one_map(
        self,
        view: View,
        *,
        count: int,
        concurrency: int,
        scope: tuple[str, float] = _NO_SCOPE,
        fate: str = "calm",
        parent: Action | None = None,
        kinds: tuple[str, ...] = ("read", "charge"),
    ) -> BaseException | None:
        """Map over numbers; `fate` says what is special."""
        chance = self.chance
        collect, ordered = chance.random() < 0.5, chance.random() < 0.5
        action = Action(
            next(self.world.numbers), "map", f"map {fate} {view.org}", view.org, self.world.now, parent=parent
        )
        turn = chance.randint(0, 5)

        async def fetch(item: int) -> int:
            if fate == "fails" and item == turn:
                raise ProgramError("of fetch")
            if fate == "closes" and item == turn:
                await self.world.close()
            if fate == "nested" and item % 3 == 0:
                await self.one_map(view, count=3, concurrency=2, parent=action)
            await self.one_call(view, kinds=kinds, parent=action)
            return item

        given: list[int] = []

        async def act() -> None:
            results = view.client.map(
                range(count), fetch, concurrency=concurrency, ordered=ordered, errors="collect" if collect else "raise"
            )
            async for item, result in results:
                given.append(item)
                if isinstance(result, BaseException) and not isinstance(result, (APIError, ProgramError)):
                    kind = type(result).__name__
                    self.world.fail("nothing but a documented exception comes out", f"{action} gave {kind}: {result}")
                if fate == "left" and len(given) > turn:
                    break

        _, error, cancelled = await self.perform(action, act, scope)
        if len(set(given)) < len(given) or (ordered and given != list(range(len(given)))):
            self.world.fail("every result once and in order", f"{action} gave {given}")
        if error is None and not cancelled and fate != "left" and len(given) < count:
            self.world.fail("every result once and in order", f"{action} gave {len(given)} results of {count}")
        return error

    # --- measurements and jobs -----------------------------------------------------------------------------------

    async def ingest(self) -> None:
        view, chance = self.view(), self.chance
        number = next(self.world.numbers)
        action = Action(number, "ingest", f"ingest {view.org}", view.org, self.world.now)
        count, taken, unsent = chance.choice((1, 3, 8)), list[str](), set[str | None]()
        now = datetime(2025, 1, 1, tzinfo=UTC)

        async def act() -> None:
            async with view.client.ingest(
                max_age=chance.choice((0.1, 1.0)), concurrency=chance.choice((1, 4))
            ) as ingest:
                for index in range(count):
                    taken.append(
                        await ingest.send(uid=f"{number}-{index}", meter="m", account="a", ts=now, measure={"n": 1})
                    )
                    await anyio.sleep(chance.choice((0.0, 0.4, 2.0)))

        _, error, _ = await self.perform(action, act, self.scope())
        if isinstance(error, IngestError):
            unsent = {each.uid for each in (*error.unsent, *(each.row for each in error.refused))}
        self.world.measurements.append((action, [uid for uid in taken if uid not in unsent]))

    async def wait(self) -> None:
        view, chance = self.view(), self.chance
        timeout = chance.choice((0.0, 5.0, 60.0, 300.0))
        await self.one_wait(view, timeout, self.scope())

    async def one_wait(self, view: View, timeout: float, scope: tuple[str, float] = _NO_SCOPE) -> BaseException | None:
        """Wait for a job that ends in one of several ways."""
        world, chance = self.world, self.chance
        number = next(world.numbers)
        state = chance.choice(("COMPLETE", "COMPLETE", "CANCELLED", "FAILED", "EXPLODED", "RUNNING"))
        job = Job(world.now + chance.choice((0.0, 3.0, 50.0, 500.0)), state)
        world.service.jobs[f"job-{number}"] = job
        action = Action(number, "wait", f"wait {timeout:g} s for {state} {view.org}", view.org, world.now)
        began = world.now
        value, error, cancelled = await self.perform(
            action, lambda: view.client.bill_jobs.wait(f"job-{number}", timeout=timeout), scope
        )
        if cancelled:
            return None
        if world.now > began + timeout + _LAST_LOOK + EPSILON:
            world.fail("no wait() goes on after its time", f"{action} took {world.now - began:.1f} s")
        attempts = error.attempts if isinstance(error, APIError) else math.inf
        if (
            timeout > 0
            and attempts <= view.retries > 0
            and passing(error)
            and world.closing_at is None
            and "is closed" not in str(error)
        ):
            world.fail("wait() keeps on until its own time is over", f"{action} ended in {error}")
        if error is None and (state != "COMPLETE" or world.now < job.ends):
            world.fail("what is told of a job is true", f"{action} ended in {value}")
        answers = [each.answer.body for each in action.exchanges if each.answer and each.status == 200 and each.whole]
        seen = any(b"EXPLODED" in each for each in answers)
        if isinstance(error, JobTimeoutError) and seen:
            world.fail("what is told of a job is true", f"{action} waited on, in a state that is not known: {error}")
        if isinstance(error, JobTimeoutError) and world.now < began + timeout - EPSILON:
            world.fail("what is told of a job is true", f"{action} ended after {world.now - began:.1f} s: {error}")
        if isinstance(error, JobError) and not isinstance(error, JobTimeoutError) and state in ("COMPLETE", "RUNNING"):
            world.fail("what is told of a job is true", f"{action} ended in {type(error).__name__}: {error}")
        return error
