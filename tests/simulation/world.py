"""One world: the client and everything around it, from its seed to the verdict."""

from __future__ import annotations

import gc
import itertools
import random
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from m3ter_async import AsyncM3ter, ClientClosedError
from m3ter_async.transports.protocol import Transport

from . import clock
from .actions import View
from .invariants import Watch
from .ledger import Action
from .outcomes import claims_hold
from .program import Program
from .scenes import bulk, close_as_planned, crowd, healed_read, small_calls
from .service import KEY, SECRET, Service
from .setup import Setup, draw
from .tasks import cancel_foreign, leftovers
from .wire import Wire

_LIMIT = 20_000.0  # seconds after which a world is ended, and after which it is ended by force
_FORCE = 1_000.0
_HANGS = "nothing hangs for ever"
_LONGEST_CALL = 900.0
_HEALED = 400.0  # seconds after which every pause, back-off and window is over


class World:
    """A client in its surroundings.

    Args:
        wrap: Puts something between the client and the wire, to see whether what it does is found.
        kind: The client's class, to see the same of one that does something wrong.

    Attributes:
        failures: What did not hold: the rule, and what broke it.
        chaos: Where whatever disturbs the program runs.
        claims: What was told of writes.
        measurements: By action, those that were taken and not told as unsent.
        running: Actions that have not ended.
        closing_at: When `aclose()` was called.
    """

    chaos: TaskGroup
    client: AsyncM3ter

    def __init__(
        self,
        seed: int,
        backend: str,
        wrap: Callable[[Wire], Transport] = lambda wire: wire,
        kind: type[AsyncM3ter] = AsyncM3ter,
    ) -> None:
        self._wrap = wrap
        self._kind = kind
        self.seed = seed
        self.backend = backend
        self.setup: Setup = draw(seed)
        self.lines: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.claims: list[tuple[Action, str]] = []
        self.measurements: list[tuple[Action, list[str]]] = []
        self.running: set[Action] = set()
        self.numbers = itertools.count(1)
        self.closing_at: float | None = None
        self.closers = 0
        self.aborting = False
        self._virtual: Any = None
        self._clock: clock.VirtualClock

    # --- what others see and say ---------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        now: float = self._virtual.now
        return now

    @property
    def digest(self) -> str:
        """Tells one course of events from another."""
        return blake2b("\n".join(self.lines).encode(), digest_size=16).hexdigest()

    def log(self, what: str, who: object, more: object) -> None:
        """Note an event."""
        text = str(more) if not isinstance(more, BaseException) else f"{type(more).__name__}: {more}"
        self.lines.append(f"{self.now:10.4f} {what} {who or ''} {text if more is not None else ''}")

    def fail(self, rule: str, text: str) -> None:
        """A rule does not hold."""
        if self._virtual.ended and rule != _HANGS:  # what comes of ending a world by force breaks any rule
            return
        self.log("BREAKS", rule, text)
        self.failures.append((rule, text))

    def begins(self, action: Action, scope: str) -> None:
        self.running.add(action)
        self.log("begins", action, f"in {action.parent} under {scope}")

    async def close(self) -> None:
        """Close the client; only the first call counts."""
        if self.closing_at is None:
            self.closing_at = self.now
            self.log("closes", None, None)
        began = self.now
        self.closers += 1
        await self.client.aclose()
        self.closers -= 1
        self.log("closed", None, None)
        if self.now > began + 1.0:
            self.fail("aclose() returns at once", f"it took {self.now - began:.1f} s")

    # --- its life ------------------------------------------------------------------------------------------------

    def run(self) -> World:
        """From the beginning to the end."""
        stuck = clock.run(
            f"{self.seed}/{self.backend}", self.backend, self._main, self._complains, eager=self.setup.eager
        )
        if stuck is not None:
            self.fail(_HANGS, f"{stuck}; {self._unfinished()}")
        return self

    def _complains(self, text: str) -> None:
        if not self.aborting:
            self.fail("no error goes to nobody", text)

    async def _main(self, virtual: Any) -> None:
        self._virtual = virtual
        virtual.limit = _LIMIT + _FORCE
        setup, self._clock = self.setup, clock.VirtualClock(virtual, self._chance("client"), self.setup.skew)
        self.service = Service(setup.rules, setup.orgs, self._chance("service"), self._clock.service_wall)
        if setup.fixed_token == "given":
            self.service.tokens["given"] = 30.0
        self.watch = Watch(self)
        self.wire = Wire(self.service, setup.weather, self.watch, self._chance("wire"), lambda: virtual.now)
        options = setup.client_options()
        self.client = self._kind(KEY, SECRET, transport=self._wrap(self.wire), _clock=self._clock, **options)
        before = leftovers()
        async with anyio.create_task_group() as self.chaos:
            self.chaos.start_soon(self._watchdog)
            await self._live()
            self.chaos.cancel_scope.cancel()
        if not self.aborting:
            gc.collect()
            await anyio.sleep(1.0)
            if left := leftovers() - before:
                self.fail("no task is left over", ", ".join(sorted(left)))

    async def _live(self) -> None:
        setup = self.setup
        program = Program(self, self._chance("program"))
        for at in setup.revokes_at:
            self.chaos.start_soon(self._revoke, at)
        for at in setup.cancels_at if self.backend == "asyncio" else ():
            self.chaos.start_soon(self._cancel_tasks, at)
        if setup.closes_at is not None:
            self.chaos.start_soon(close_as_planned, self)
        async with anyio.create_task_group() as tasks:
            for _ in range(setup.tasks):
                if setup.small_call_bound is None:
                    tasks.start_soon(program.work, setup.actions)
                else:
                    tasks.start_soon(small_calls, program, setup.actions)
            if setup.kind in ("bulk", "hung", "outage"):
                tasks.start_soon(bulk, program, setup.kind)
            elif setup.kind == "crowd":
                tasks.start_soon(crowd, program)
        if setup.closes_at is None and self.closing_at is None:
            await self._healed(program)
        await self.close()
        await self._after_close()
        self.wire.deliver()
        await anyio.sleep(200.0)  # whatever is still on its way arrives
        self.wire.deliver()
        claims_hold(self)
        for action, uids in self.measurements:
            if lost := [uid for uid in uids if not self.service.uids[uid]]:
                self.fail("no measurement is lost in silence", f"{action}: {lost} were neither sent nor told as unsent")
        if self.client.stats().in_flight:
            self.fail("every place comes back", f"in_flight is {self.client.stats().in_flight} at the end")

    async def _healed(self, program: Program) -> None:
        """Once nothing goes wrong any more, everything works again, with all that the client may use at once."""
        rules = self.setup.rules
        if not rules.good_credentials:
            return
        self.wire.calm()
        rules.others, rules.token_life, rules.told_life = [0], 18_000.0, 18_000.0
        await anyio.sleep(_HEALED)
        wanted = self.setup.max_connections
        together = anyio.Event()
        options: dict[str, Any] = {"timeout": 300.0, "max_retry_time": 120.0, "max_retries": 5}
        if "total_timeout" in self.setup.bounds:
            options["total_timeout"] = 300.0
        client = self.client.with_options(**options)
        views = [View(client.with_options(org_id=org), org, 300.0, 120.0, 5) for org in self.setup.orgs]
        await program.one_call(views[0], kinds=("read",))
        self.wire.holding = wanted, together
        async with anyio.create_task_group() as tasks:
            for view in views * wanted:  # from all of them, so that none has to leave room for another
                tasks.start_soon(healed_read, program, view)
        self.wire.holding = None
        if not together.is_set():
            self.fail("every place comes back", f"{wanted} calls were never in flight together, once all was well")

    async def _after_close(self) -> None:
        try:
            await self.client.accounts.retrieve("entity-0")
        except ClientClosedError:
            return
        except Exception as error:  # noqa: BLE001  whatever it is, it is judged
            self.fail("a closed client says so", f"a call on it ended in {error!r}")
        else:
            self.fail("a closed client says so", "a call on it succeeded")

    async def _revoke(self, at: float) -> None:
        await anyio.sleep(at)
        self.wire.deliver()
        self.service.revoke()
        self.log("revokes", None, None)

    async def _cancel_tasks(self, at: float) -> None:
        """As some do at a reload: cancel every task but one's own."""
        await anyio.sleep(at)
        for _ in range(self._chance(f"cancel {at}").randint(0, 8)):  # before the first step of some task, perhaps
            await anyio.lowlevel.checkpoint()
        cancel_foreign()
        self.log("cancels", None, None)

    async def _watchdog(self) -> None:
        await anyio.sleep(_LIMIT)
        self.fail(_HANGS, f"after {_LIMIT:g} s: {self._unfinished()}")
        self.aborting = True
        self.chaos.cancel_scope.cancel()

    def _unfinished(self) -> str:
        running = sorted(self.running, key=lambda action: action.number)
        what = [f"{action} since {action.begun:.1f}" for action in running]
        if self.closers:
            what.append(f"{self.closers} calls of aclose()")
        return ", ".join(what) or "nothing of the program runs"

    def statuses(self, org: str) -> set[int]:
        """All that was answered for an organization."""
        return {each.status for each in self.watch.exchanges if each.org == org and each.status is not None}

    def _chance(self, of: str) -> random.Random:
        return random.Random(f"{self.seed}/{of}")
