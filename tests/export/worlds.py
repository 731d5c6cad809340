"""Worlds of an export, each by its seed: a service that changes, a disk that fails, runs that stop or are killed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from m3ter_async import APIError, AsyncM3ter
from m3ter_async.export import ExportError, ExportProgress, ExportReport, export
from m3ter_async.export.slices import planning
from m3ter_async.transports.protocol import Request

from ..fakes import Answer, FakeTransport, client
from ..simulation import clock
from .accounts import Accounts, account
from .failing_disk import FailingDisk
from .job import has_begun, small_parts
from .restless import Restless, Temper
from .support import FORMS, MEMORY, Form

T = TypeVar("T")
CHILDREN = "balances.transactions"
BACKENDS = ("asyncio", "trio")
_RUNS = 40
_FATES = ("pages", "requests", "full", "fails", "dies", "dies", "rival", "calm")
_DISTURBED = 8  # runs that are stopped, killed or have a disk that fails
_FLAKY = 15


class _Then(datetime):
    """Tells that it is the day of the world, on which open ends of dates are guessed to be, whatever day it is."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _Then:
        return cls(2025, 3, 1, 9, tzinfo=tz)


@dataclass(frozen=True)
class Plan:
    """What is exported in a world, and how."""

    form: Form
    resource: str
    settle: bool
    since: str | None
    until: str | None
    temper: Temper


@dataclass
class Verdict:
    """What a world came to.

    Attributes:
        runs: How many runs it took.
        ends: How they ended.
        accounts: How what is in the files compares with what the service held.
        broken: What did not hold.
        happened: What was asked for, and how runs ended, in order.
    """

    seed: int
    backend: str
    plan: Plan
    runs: int = 0
    ends: list[str] = field(default_factory=lambda: [])
    accounts: Accounts = field(default_factory=Accounts)
    broken: list[str] = field(default_factory=lambda: [])
    happened: list[str] = field(default_factory=lambda: [])

    @property
    def digest(self) -> str:
        """Tells one course of events from another."""
        told = [*self.happened, repr(self.accounts), *self.broken]
        return blake2b("\n".join(told).encode(), digest_size=16).hexdigest()

    @property
    def command(self) -> str:
        """How it is had again."""
        return f"python -m tests.export --seed {self.seed} --backend {self.backend}"


def draw(seed: int) -> Plan:
    """What a seed stands for."""
    chance = random.Random(f"{seed}/plan")
    bills = chance.random() < 0.65
    settle = bills and chance.random() < 0.4
    dated = bills and chance.random() < 0.7
    ends = chance.choice(["2025-04-01", "2025-04-01", "2025-02-01", None])
    temper = Temper(
        bills=chance.choice([0, 3, 20, 40, 70]) if bills else 0,
        balances=0 if bills else chance.randint(1, 40),
        most=chance.choice([3, 12, 25]),
        page=chance.randint(2, 9),
        during=chance.choice([0.0, 0.1, 0.3, 0.6]),
        faults=chance.choice([0.0, 0.0, 0.03, 0.1]),
        doubles=chance.choice([0.0, 0.02, 0.1]),
        ages=chance.random() < 0.5,
        refusal=chance.choice([400, 404, 410, 422]),
        # without dates nobody can read around what is wrong
        wrongs=chance.random() < 0.7 and (dated or not bills),
        unlocked=bills and chance.random() < 0.2,
    )
    return Plan(
        chance.choice(list(FORMS.values())),
        "bills" if bills else CHILDREN,
        settle,
        "2024-03-01" if dated else None,
        ends if dated else None,
        temper,
    )


Between = Callable[[Request, Answer], Answer]


def judge(seed: int, backend: str, between: Between = lambda _, answered: answered) -> Verdict:
    """Live through one world.

    Args:
        between: What becomes of answers on their way, to see whether that is found.
    """
    verdict = Verdict(seed, backend, draw(seed))
    with TemporaryDirectory(dir=MEMORY) as name, pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        patch.setattr(planning, "datetime", _Then)
        _World(verdict, Path(name, "out"), between).live(patch)
    return verdict


class _World:
    def __init__(self, verdict: Verdict, out: Path, between: Between) -> None:
        self._between = between
        self.verdict = verdict
        self.plan = plan = verdict.plan
        self.out = out
        self.synced: dict[int, int] = {}
        self.chance = random.Random(f"{verdict.seed}/{verdict.backend}/runs")
        days = (plan.since or "", plan.until or "~")
        self.service = Restless(verdict.seed, plan.temper, days=days)

    def live(self, patch: pytest.MonkeyPatch) -> None:
        verdict = self.verdict
        patch.setattr(anyio.to_thread, "run_sync", self._run_sync)
        stuck = clock.run(f"{verdict.seed}", verdict.backend, self._main, verdict.broken.append)
        if stuck is not None:
            verdict.broken.append(f"it hangs: {stuck}")

    async def _run_sync(
        self,
        function: Callable[..., T],
        *args: Any,
        abandon_on_cancel: bool = False,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> T:
        """As a thread would, which takes a few turns of the event loop: threads would take another number each time."""
        await checkpoint()
        with anyio.CancelScope(shield=not abandon_on_cancel):
            if limiter is not None:
                await limiter.acquire_on_behalf_of(token := object())
            try:
                for _ in range(self.chance.randrange(4)):
                    await checkpoint()
                result = function(*args)
                for _ in range(self.chance.randrange(3)):
                    await checkpoint()
            finally:
                if limiter is not None:
                    limiter.release_on_behalf_of(token)
        return result

    async def _main(self, virtual: Any) -> None:
        verdict = self.verdict
        time = clock.VirtualClock(virtual, self.chance, 0.0)
        for run in range(_RUNS):
            if run >= _FLAKY:
                self.service.faults = self.service.during = 0.0
            verdict.runs += 1
            report = await self._one_run(time, disturbed=run < _DISTURBED)
            if verdict.broken:
                return
            if report is not None and not self.service.faults:
                verdict.accounts, broken = account(self.service, self.out, report, self.plan.form, self.plan.settle)
                verdict.broken += broken
                return
            if report is not None:
                self.service.faults = 0.0  # what failed by chance is asked for again
            self.service.age += 1
        verdict.broken.append(f"it does not come to an end: {verdict.ends[-4:]}")

    async def _one_run(self, time: clock.VirtualClock, *, disturbed: bool) -> ExportReport | None:
        """One run, begun or gone on with, with what befalls it; the report, where it comes to its end."""
        chance, verdict = self.chance, self.verdict
        fate = chance.choice(_FATES) if disturbed else "calm"
        when = int(chance.choice([6, 30, 150]) * chance.random())
        disk = FailingDisk(
            chance,
            fails_at=when if fate == "fails" else None,
            fails_for=chance.choice([1, 1, 2, 5, 10**9]),
            dies_at=when if fate == "dies" else None,
            room=chance.randrange(4_000) if fate == "full" else None,
            synced=self.synced,
        )
        scope = anyio.CancelScope()
        requests = _Counted(when)
        pages = _Counted(when)

        async def before_request() -> None:
            if requests.is_it() and fate == "requests":
                scope.cancel()
            elif requests.was_it and fate == "rival":
                await self._rival(time)

        def on_progress(_: ExportProgress) -> None:
            if pages.is_it() and fate == "pages":
                scope.cancel()

        self.service.before_request = before_request
        plan = self.plan
        begun = has_begun(self.out)
        options: dict[str, Any] = dict(plan.form.options)
        options |= {"since": plan.since, "until": plan.until, "settle": plan.settle or None}
        options |= {"where": {"locked": False}} if plan.temper.unlocked else {}
        if begun:
            options = {"resume": True}
        m3ter = client(FakeTransport(self._serve), time, rate_limit=None, max_retries=chance.choice([1, 2, 4]))
        report: ExportReport | None = None
        with disk.used(), scope:
            try:
                report = await self._export(m3ter, chance.randint(1, 5), on_progress, options)
                end = "finished"
            except BaseException as error:
                end = self._end(error, fate, disk, scope)
                if isinstance(error, anyio.get_cancelled_exc_class()):
                    raise
        end = end.replace(str(self.out), "OUT")
        verdict.ends.append(f"{fate} {when}: {end}")
        verdict.happened += [*self.service.asked, verdict.ends[-1]]
        self.service.asked.clear()
        return report

    async def _serve(self, request: Request) -> Answer:
        return self._between(request, await self.service.serve(request))

    async def _export(
        self, m3ter: AsyncM3ter, concurrency: int, on_progress: Callable[..., None], options: dict[str, Any]
    ) -> ExportReport:
        return await export(
            m3ter, [self.plan.resource], self.out, concurrency=concurrency, on_progress=on_progress, **options
        )

    async def _rival(self, time: clock.VirtualClock) -> None:
        """Another process goes on with the same export: it is refused, and changes nothing."""
        m3ter = client(FakeTransport(self.service.serve), time, rate_limit=None)
        try:
            await self._export(m3ter, 2, lambda _: None, {"resume": True})
        except ExportError as error:
            if "another export is writing" in str(error):
                return
        self.verdict.broken.append("two exports write to one folder")

    def _end(self, error: BaseException, fate: str, disk: FailingDisk, scope: anyio.CancelScope) -> str:
        """What ended a run; whatever may not is broken."""
        text = f"{type(error).__name__}: {error}"[:300]
        cancelled = isinstance(error, anyio.get_cancelled_exc_class()) and scope.cancel_called
        if cancelled:
            text = "cancelled"
        written = isinstance(error, (ExportError, ValueError)) and str(error).startswith("cannot write")
        fine = disk.dead or cancelled or isinstance(error, APIError) or (written and fate in ("full", "fails"))
        if not fine:
            self.verdict.broken.append(f"a run ended in {text}")
        return "killed" if disk.dead else text


class _Counted:
    """Tells which call of many is the one that something happens at."""

    def __init__(self, number: int) -> None:
        self._left = number + 1
        self.was_it = False

    def is_it(self) -> bool:
        self._left -= 1
        self.was_it = self._left == 0
        return self.was_it
