"""The run: exports that are interrupted and gone on with, beside hundreds of tasks that are cancelled at random."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import anyio
import msgspec
from msgspec import Raw as RawJson

from m3ter_async import APIError, AsyncM3ter, Transport
from m3ter_async._core.clock import Clock
from m3ter_async.export import ExportProgress, export
from m3ter_async.sandbox import Faults, Sandbox

from ..sandbox.raw import Raw

# Every fifth request fails: an error with or without effect, a dropped connection, a cut answer; the login too.
FAULTS = Faults(error_rate=0.1, drop_rate=0.05, cut_rate=0.05, login=True)
TOKEN_SECONDS = 2.0
RESOURCES = {"bills": "/bills", "line_items": "/lineitems", "accounts": "/accounts"}
ASKED_FOR = {"/bills": {"includeBillTotal": "true"}}  # by an export, so that nothing is left out
_HURRY = 25.0


class HurriedClock(Clock):
    """Real time, but for waits: they are 25 times as short."""

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds / _HURRY)


class _Page(msgspec.Struct, rename="camel"):
    data: list[RawJson]
    next_token: str | None = None


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        requests: That the service got.
        interruptions: Of exports, by cancellation or by an error.
        tasks: That ran beside them.
        cancelled: How many of those were cancelled.
        rows: Exported, and compared by digest.
        rows_wrong: Resources whose rows were not digest for digest what the service holds.
        writes: That took effect.
        writes_doubled: That took effect more than once.
        writes_mistold: That took effect though they were reported as refused, or did not though reported as done.
        handles_left: Open files and sockets more than at the start.
        memory: Resident bytes after each round.
    """

    requests: int = 0
    rounds: int = 0
    interruptions: int = 0
    tasks: int = 0
    cancelled: int = 0
    rows: int = 0
    rows_wrong: list[str] = field(default_factory=list)
    writes: int = 0
    writes_doubled: int = 0
    writes_mistold: int = 0
    handles_left: int = 0
    memory: list[int] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether nothing was lost, doubled, mistold or left over."""
        return not (self.rows_wrong or self.writes_doubled or self.writes_mistold or self.handles_left > 0)


async def soak(
    transport: Callable[[], Transport],
    *,
    bills: int,
    tasks: int,
    more: Callable[[Outcome], bool],
    faults: Faults = FAULTS,
    seed: int = 7,
) -> Outcome:
    """Run rounds as long as `more` says so."""
    outcome = Outcome()
    chance = random.Random(seed)
    with Sandbox(seed=seed, bills=bills) as calm:
        content = {name: _digests_of(calm, path) for name, path in RESOURCES.items()}
    handles = _handles()
    while more(outcome):
        with Sandbox(seed=seed, bills=bills, faults=faults, token_seconds=TOKEN_SECONDS) as sandbox:
            client = AsyncM3ter(
                sandbox.api_key,
                sandbox.api_secret,
                sandbox.org_id,
                base_url=sandbox.url,
                transport=transport(),
                rate_limit=None,
                max_retries=20,
                _clock=HurriedClock(),
            )
            async with client as m3ter:
                await _round(m3ter, sandbox, outcome, chance, tasks, content)
            outcome.requests += sum(sandbox.requests.values())
        outcome.rounds += 1
        outcome.memory.append(_resident())
    outcome.handles_left = _handles() - handles
    return outcome


async def _round(
    m3ter: AsyncM3ter,
    sandbox: Sandbox,
    outcome: Outcome,
    chance: random.Random,
    tasks: int,
    content: dict[str, list[bytes]],
) -> None:
    ids = [bill.id for bill in await m3ter.bills.list(exclude_line_items=True).collect(limit=200)]
    posts = _Posts((await m3ter.balances.list()).data[0].id)
    folder = Path(mkdtemp(prefix="soak-"))
    try:
        async with anyio.create_task_group() as group:
            for number in range(tasks):
                group.start_soon(_visitor, m3ter, posts, outcome, random.Random(chance.random()), ids, number)
            await _export(m3ter, folder, outcome, chance)
        for name, expected in content.items():
            rows = _digests_in(folder / name)
            outcome.rows += len(rows)
            if rows != expected:
                outcome.rows_wrong.append(name)
    finally:
        shutil.rmtree(folder)
    applied = sandbox.applied["PostBalanceTransaction"]
    posted = Counter([row.description or "" for row in await m3ter.balances.transactions.list(posts.balance).collect()])
    ours = {text: count for text, count in posted.items() if text.startswith("soak ")}
    outcome.writes += applied
    outcome.writes_doubled += applied - len(ours) + sum(count - 1 for count in ours.values())
    outcome.writes_mistold += len(posts.done - ours.keys()) + len(posts.refused & ours.keys())


async def _export(m3ter: AsyncM3ter, folder: Path, outcome: Outcome, chance: random.Random) -> None:
    """One export to its end, however often it is interrupted."""
    resume = False
    patience = 4
    while True:
        pages = chance.randrange(1, patience)
        scope = anyio.CancelScope()

        def read(progress: ExportProgress, scope: anyio.CancelScope = scope, pages: int = pages) -> None:
            if sum(each.pages for each in progress.resources) >= pages:
                scope.cancel()

        try:
            with scope:
                report = await export(m3ter, list(RESOURCES), folder, resume=resume, concurrency=4, on_progress=read)
                if report.complete:
                    return
        except APIError:
            pass
        outcome.interruptions += 1
        resume = (folder / "manifest.jsonl").exists()
        patience *= 2


@dataclass
class _Posts:
    """Transactions that were posted, by what their caller was told."""

    balance: str
    done: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


async def _visitor(
    m3ter: AsyncM3ter, posts: _Posts, outcome: Outcome, chance: random.Random, ids: list[str], number: int
) -> None:
    """One of many who use the same client, and may be cancelled at any moment."""
    outcome.tasks += 1
    limit = chance.random() * 3.0 if chance.random() < 0.5 else 60.0
    with anyio.move_on_after(limit) as scope:
        await anyio.sleep(chance.random() * 2.0)
        try:
            if number % 4 == 0:
                await _post(m3ter, posts, f"soak {outcome.rounds} {number}")
            elif number % 4 == 1:
                assert (await m3ter.bills.retrieve(bill := chance.choice(ids))).id == bill
            elif number % 4 == 2:
                seen = [bill.id async for bill in m3ter.bills.list(page_size=20, exclude_line_items=True)]
                assert len(seen) == len(set(seen))
            else:
                async for _ in m3ter.bills.list(page_size=20).raw():
                    if chance.random() < 0.01:
                        break
        except APIError:
            pass  # told, which is all that a caller can ask for here
    outcome.cancelled += scope.cancelled_caught


async def _post(m3ter: AsyncM3ter, posts: _Posts, text: str) -> None:
    try:
        await m3ter.balances.transactions.create(posts.balance, amount=Decimal("0.0000000000001"), description=text)
    except APIError as error:
        if not error.outcome_unknown:
            posts.refused.add(text)
        raise
    posts.done.add(text)


def _digests_of(sandbox: Sandbox, path: str) -> list[bytes]:
    """What the service holds, read without any code of the client."""
    raw = Raw(sandbox)
    rows: list[bytes] = []
    token: str | None = None
    while True:
        asked = ASKED_FOR.get(path, {}) | ({"nextToken": token} if token else {})
        answer = raw.ask("GET", path, pageSize=100, **asked)
        page = msgspec.json.decode(answer.content, type=_Page)
        rows += [sha256(record).digest() for record in page.data]
        token = page.next_token
        if not token:
            raw.http.close()
            return sorted(rows)


def _digests_in(folder: Path) -> list[bytes]:
    lines = [line for path in sorted(folder.rglob("*.ndjson")) for line in path.read_bytes().splitlines()]
    return sorted(sha256(line).digest() for line in lines)


def _handles() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def _resident() -> int:
    if not os.path.exists("/proc/self/statm"):
        return 0
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
