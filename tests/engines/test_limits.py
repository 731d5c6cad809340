"""One limit for many processes, against a service that refuses the request which is one too many."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.engines.conftest import free_port, redis_server
from tests.limits.service import Counting, Lateness, counting

ROOT = Path(__file__).resolve().parents[2]
ORGANIZATIONS = ("o1", "o2")
RATE = 50


@pytest.fixture(params=["file", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What the processes share."""
    if request.param == "file":
        return str(tmp_path / "m3ter.limit")
    url: str = request.getfixturevalue("redis_url")
    return url


class Workers:
    """Processes that ask as often as they are let through."""

    def __init__(self, url: str, where: str, seconds: float, lanes: Sequence[str], backend: str = "asyncio") -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  `working` closes it
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.limits.worker", backend, lane, url, where, str(seconds), *ORGANIZATIONS],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
            )
            for lane in lanes
        ]

    def go(self) -> float:
        """Let all begin at once; when that was."""
        for each in self.processes:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n", self.said()
        began = time.monotonic()
        for each in self.processes:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        return began

    def ends(self, of: slice = slice(None)) -> list[tuple[int, list[str]]]:
        """The passes of each, and as what its failed calls ended."""
        found: list[tuple[int, list[str]]] = []
        for each in self.processes[of]:
            out, _ = each.communicate(timeout=120)
            passed, *failures = out.split() or ["-1", self.said()]
            found.append((int(passed), failures))
        return found

    def said(self) -> str:
        """What they wrote to stderr."""
        self.errors.seek(0)
        return self.errors.read()


@contextmanager
def working(
    url: str, where: str, seconds: float, lanes: Sequence[str] = ("others",) * 8, backend: str = "asyncio"
) -> Iterator[Workers]:
    workers = Workers(url, where, seconds, lanes, backend)
    try:
        yield workers
    finally:
        for each in workers.processes:
            each.kill()
            each.communicate()
        workers.errors.close()


def most_refused(late: Lateness, seen: Counting, *, strict: bool = True) -> int:
    """None; where the machine itself holds requests up for longer than limiters allow for, some.

    Args:
        late: How late a thread of this process was, which says little of the others.
        seen: What came in.
        strict: False where it is about something else than how exactly the rate is kept.
    """
    passed = sum(map(len, seen.times.values()))
    print(f"{len(seen.refused)} of {passed} refused; the machine was late by {late.most * 1000:.0f} ms")
    return 0 if strict and late.most < 0.01 else 8 + passed // 50


def least(late: Lateness, part: float = 0.95) -> float:
    """So many requests a second pass, where not each refusal of a machine that is late makes all pause."""
    return RATE * (part if late.most < 0.01 else 0.3)


def rates(seen: Counting, begin: float, end: float) -> list[float]:
    """Requests a second of each organization that were let through."""
    return [sum(begin <= each < end for each in seen.times[name]) / (end - begin) for name in ORGANIZATIONS]


def test_eight_processes_use_the_limit_of_two_organizations_and_none_is_refused(where: str) -> None:
    with counting(RATE) as (url, seen), Lateness() as late, working(url, where, 12) as workers:
        began = workers.go()
        ends = workers.ends()
        assert all(set(failures) <= {"RateLimitError"} for _, failures in ends)
        assert len(seen.refused) <= most_refused(late, seen)
        found = rates(seen, began + 1, began + 11)
        print("requests a second:", found, "passes:", [passed for passed, _ in ends])
        assert min(found) >= least(late)
        passes = [passed for passed, _ in ends]
        assert min(passes) >= sum(passes) / 8 / 2


def test_processes_that_are_killed_hold_up_nobody(where: str) -> None:
    with counting(RATE) as (url, seen), Lateness() as late, working(url, where, 12) as workers:
        began = workers.go()
        for number, process in enumerate(workers.processes[:6]):
            time.sleep(max(0.0, began + 1.0 + number / 3 - time.monotonic()))
            process.kill()
        ends = workers.ends(slice(6, None))
        assert all(set(failures) <= {"RateLimitError"} for _, failures in ends)
        assert len(seen.refused) <= most_refused(late, seen)
        assert min(rates(seen, began + 5, began + 11)) >= least(late)


def test_requests_that_somebody_waits_for_come_first_whichever_process_they_are_of(where: str) -> None:
    lanes = ["bulk", "bulk", "bulk", "others"]
    with counting(RATE) as (url, seen), Lateness() as late, working(url, where, 10, lanes) as workers:
        workers.go()
        *bulk, others = [passed for passed, _ in workers.ends()]
        print("bulk:", bulk, "others:", others)
        assert others > sum(bulk) * (3 if late.most < 0.01 else 1)
        assert len(seen.refused) <= most_refused(late, seen)


def test_it_works_on_trio(where: str) -> None:
    pytest.importorskip("httpx")
    with (
        counting(RATE) as (url, seen),
        Lateness() as late,
        working(url, where, 5, ["others"] * 2, backend="trio") as workers,
    ):
        began = workers.go()
        assert all(set(failures) <= {"RateLimitError"} for _, failures in workers.ends())
        assert len(seen.refused) <= most_refused(late, seen, strict=False)
        assert min(rates(seen, began + 1, began + 4)) >= least(late, 0.7)


def test_without_redis_each_keeps_to_its_share_says_so_once_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as first, counting(RATE) as (url, seen), Lateness() as late:
        where = first.enter_context(redis_server(tmp_path, port))
        with working(url, where, 21, ["others"] * 4) as workers:
            began = workers.go()
            time.sleep(3)
            first.close()
            time.sleep(max(0.0, began + 9 - time.monotonic()))
            with redis_server(tmp_path, port):
                ends = workers.ends()
            said = workers.said()
    assert all(set(failures) <= {"RateLimitError"} for _, failures in ends)
    assert said.count("cannot be reached") == said.count("is shared again") == 4
    gone = rates(seen, began + 5, began + 8)
    assert min(gone) > RATE / 2
    assert max(gone) <= RATE
    assert len(seen.refused) <= most_refused(late, seen, strict=False)
    assert min(rates(seen, began + 18, began + 20)) >= least(late, 0.7)  # after a slow start
