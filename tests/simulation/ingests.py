"""A program that sends measurements until each is accepted or refused: some are bad for good, runs are cut short."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import msgspec

from m3ter_async import APIError, ClientClosedError, FailedBatch, IngestError, RefusedMeasurement, TransportError
from m3ter_async.transports.protocol import Request

from ..fakes import Answer, FakeTransport, answer, client
from . import clock

_BAD = 0.02  # one in fifty is refused, whatever it is sent with
_RUNS = 40
_CALM = 20  # runs after which nothing fails any more but what is bad


class IngestWorld:
    """One program, from its seed to the end.

    Args:
        alter: What becomes of a batch on its way, to see whether that is found.

    Attributes:
        rows: How many measurements there were.
        bad: Those that the service never takes.
        applied: How often it took each.
        refused: Those that were told as refused.
        runs: How many runs it took.
        failures: What did not hold.
    """

    def __init__(self, seed: int, backend: str, alter: Callable[[list[Any]], list[Any]] = list) -> None:
        self._seed, self._backend, self._alter = seed, backend, alter
        self._chance = chance = random.Random(f"{seed}/{backend}/ingests")
        self.rows = chance.choice([1, 7, 60, 200, 1_200])
        uids = [f"u-{number}" for number in range(self.rows)]
        self.bad = {uid for uid in uids if chance.random() < _BAD}
        self._status = chance.choice([400, 413, 422])
        self._faults = chance.choice([0.0, 0.05, 0.3])
        self.applied: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.runs = 0
        self.failures: list[str] = []
        self._left = uids
        self._doubts: Counter[str] = Counter()  # how often nobody could know whether it was taken

    def run(self) -> IngestWorld:
        """From the beginning to the end."""
        stuck = clock.run(f"{self._seed}", self._backend, self._main, self.failures.append)
        if stuck is not None:
            self.failures.append(f"it hangs: {stuck}")
        return self

    async def _main(self, virtual: Any) -> None:
        time = clock.VirtualClock(virtual, self._chance, 0.0)
        while self._left and self.runs < _RUNS and not self.failures:
            self.runs += 1
            if self.runs > _CALM:
                self._faults = 0.0
            await self._one_run(time)
        good = {f"u-{number}" for number in range(self.rows)} - self.bad
        if self._left:
            self.failures.append(f"{self._left[:3]} are never accepted nor refused")
        if lost := good - self.applied.keys():
            self.failures.append(f"{sorted(lost)[:3]} were told as sent, and are not there")
        if self.bad != self.refused.keys() or self.bad & self.applied.keys():
            self.failures.append(f"{len(self.bad)} are bad, and {len(self.refused)} were told as refused")
        if twice := [uid for uid, times in self.applied.items() if times > 1 + self._doubts[uid]]:
            self.failures.append(f"{twice[:3]} were sent again though they had arrived")

    async def _one_run(self, time: clock.VirtualClock) -> None:
        """Send what is left, as far as this run comes, and keep what it tells."""
        chance = self._chance
        left, self._left = self._left, []
        fate = chance.choice(["ends", "ends", "cancelled", "closed", "killed"]) if self.runs <= _CALM else "ends"
        stops_at = chance.randrange(len(left))
        told: list[str] = []
        handed = 0
        m3ter = client(FakeTransport(self._serve), time, max_retries=chance.choice([0, 1, 5]))
        options: dict[str, Any] = {"on_refused": self._told_refused} if chance.random() < 0.5 else {}
        if chance.random() < 0.5:
            options["on_failed"] = lambda failed: told.extend(_uids(failed))
        ingest = m3ter.ingest(concurrency=chance.choice([1, 3]), max_age=chance.choice([0.1, 2.0]), **options)
        with anyio.CancelScope() as scope:
            try:
                async with ingest:
                    for number, uid in enumerate(left):
                        if fate == "closed" and number == stops_at:
                            await m3ter.aclose()
                        elif fate in ("cancelled", "killed") and number == stops_at:
                            scope.cancel()
                        await ingest.send(uid=uid, meter="m", account="a", ts="2025-01-01T00:00:00Z", measure={"n": 1})
                        handed += 1
                        if chance.random() < 0.02:
                            await anyio.sleep(chance.choice([0.0, 0.5, 5.0]))
            except IngestError as error:
                told += [str(each.uid) for each in error.unsent]
                self.refused.update(each.row.uid for each in error.refused)
            except (ClientClosedError, APIError) as error:
                if fate != "closed":
                    self.failures.append(f"a run ended in {error!r}")
        if fate == "killed":  # and what it would have told is lost with it
            self._left = [uid for uid in left if uid not in self.refused]
            self._doubts.update(left)
            return
        if ingest.accepted + ingest.refused + len(told) != handed:
            self.failures.append(f"{handed} were handed in: {ingest.accepted=}, {ingest.refused=}, {len(told)=}")
        self._left = [*told, *left[handed:]]
        await m3ter.aclose()

    def _told_refused(self, refused: RefusedMeasurement) -> None:
        self.refused[refused.row.uid] += 1

    async def _serve(self, request: Request) -> Answer:
        chance = self._chance
        batch = [each["uid"] for each in msgspec.json.decode(request.content or b"{}")["measurements"]]
        self._doubts.update(batch)
        await anyio.sleep(chance.uniform(0, 0.3))
        kind = chance.choice(["503", "refused", "dropped", "after"]) if chance.random() < self._faults else "fine"
        if kind == "refused":
            self._doubts.subtract(batch)
            return TransportError("no connection", sent=False)
        if kind == "503":
            return answer({"message": "try again"}, 503)
        if any(uid in self.bad for uid in batch):
            self._doubts.subtract(batch)
            return answer({"message": "because of what is in it"}, self._status)
        if kind != "dropped":
            self.applied.update(self._alter(batch))
        await anyio.sleep(chance.uniform(0, 0.3))
        if kind in ("dropped", "after"):
            return TransportError("the connection broke")
        self._doubts.subtract(batch)
        return answer({"result": "accepted"})


def _uids(failed: FailedBatch) -> list[str]:
    return [str(each.uid) for each in failed.measurements]
