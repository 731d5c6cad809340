"""A file of limits whatever is done to it, and a limiter whatever it raises."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from m3ter_async import ConfigurationError
from m3ter_async.events import AddressLimitReached, Event, Scope
from m3ter_async.limits import HostLimiter, LocalLimiter, RateLimit
from m3ter_async.limits.shared_file import SIZE
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client

pytest.importorskip("fcntl")

HOST = "https://api.m3ter.com"
HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'r+b'); fcntl.flock(f, 2); print(flush=True); time.sleep(60)"


def limit(limiter: HostLimiter) -> RateLimit:
    return limiter.limit("configuration", "org", HOST)


def passed(limit: RateLimit, tries: int = 60) -> int:
    now = time.monotonic()
    return sum(limit.take(now) == 0 for _ in range(tries))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process holds the file's lock, as one does that was stopped within a pass."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m3ter.limit"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python says that of threads and fork, rightly
def test_a_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_held(path: Path) -> None:
    shared = limit(HostLimiter(path))
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            shared.take(time.monotonic())

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(50):
            child = os.fork()
            if child == 0:
                signal.alarm(5)
                shared.take(time.monotonic())
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


def test_a_lock_that_was_held_at_a_fork_does_not_outlive_the_parent_in_a_child(path: Path) -> None:
    code = (
        "import fcntl, os, sys, time\n"
        "from m3ter_async.limits import HostLimiter\n"
        f"limiter = HostLimiter({str(path)!r})\n"
        "fcntl.flock(limiter._descriptor, fcntl.LOCK_EX)\n"
        "child = os.fork()\n"
        "if child:\n"
        "    print(child, flush=True); os.kill(os.getpid(), 9)\n"
        "time.sleep(60)\n"
    )
    done = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    child = int(done.stdout.readline())
    try:
        assert done.wait(20) == -signal.SIGKILL
        time.sleep(0.2)  # the child may still be on its way out of fork()
        assert passed(limit(HostLimiter(path)), 1) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        done.stdout.close()


def test_those_whose_file_was_removed_meet_in_the_new_one(path: Path) -> None:
    first = limit(HostLimiter(path))
    first.take(time.monotonic())
    path.unlink()
    second = limit(HostLimiter(path))
    assert passed(second) + passed(first) <= 50


@pytest.mark.parametrize("size", [0, 100, SIZE - 1, SIZE + 1])
def test_a_file_that_another_cut_kills_nobody(path: Path, size: int) -> None:
    code = (
        "import os, sys, time\n"
        "from m3ter_async import ConfigurationError\n"
        "from m3ter_async.limits import HostLimiter\n"
        f"limit = HostLimiter({str(path)!r}).limit('configuration', 'org', {HOST!r})\n"
        "limit.take(time.monotonic())\n"
        f"os.truncate({str(path)!r}, {size})\n"
        "try: print(limit.take(time.monotonic()))\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("0.0" if size == 0 else "version of this package") in done.stdout


def test_a_pause_waits_for_no_lock_and_is_not_lost(path: Path) -> None:
    one, other = limit(HostLimiter(path)), limit(HostLimiter(path))
    now = time.monotonic()
    one.take(now), other.take(now)
    with held(path):
        one.pause(now, 30.0)
        assert time.monotonic() - now < 0.5
        assert one.paused(now) == 30.0
        assert one.take(now) == 30.0
    assert one.take(now) == pytest.approx(30.0)  # and tells the others
    assert other.take(now) == pytest.approx(30.0)


def test_a_lock_that_nobody_lets_go_of_is_told_once_and_bounds_what_opens_the_file(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = limit(HostLimiter(path))
    shared.take(time.monotonic())
    with held(path):
        assert shared.take(time.monotonic()) > 0
        with pytest.raises(ConfigurationError, match="is locked by another process"):
            HostLimiter(path)  # which waits longer than it takes to be told
        with caplog.at_level(logging.WARNING, "m3ter_async"):
            assert shared.take(time.monotonic()) > 0
            assert shared.take(time.monotonic()) > 0
    assert len(caplog.messages) == 1
    assert "no request is sent" in caplog.text
    assert passed(shared, 1) == 1


def test_the_room_of_a_file_is_taken_when_it_is_made(path: Path) -> None:
    HostLimiter(path)
    assert path.stat().st_blocks * 512 >= SIZE


def test_a_rate_can_change_when_nobody_keeps_the_old_one(path: Path) -> None:
    with HostLimiter(path, rate=50) as old:
        passed(limit(old), 1)
        with pytest.raises(ConfigurationError, match="one rate="):
            HostLimiter(path, rate=40)
    path.unlink()
    HostLimiter(path, rate=50).close()
    assert passed(limit(HostLimiter(path, rate=40))) <= 40


def test_a_file_is_for_its_user_alone(path: Path) -> None:
    path.touch()
    path.chmod(0o666)
    HostLimiter(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    path.touch(0o666)
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        HostLimiter(path)


@pytest.mark.parametrize("given", [None, 3, "", b"x"])
def test_what_is_no_path_is_refused_by_its_name(given: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^path="):
        HostLimiter(given)  # type: ignore[arg-type]


def test_what_is_no_file_is_refused_and_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ConfigurationError, match="is not a file"):
        HostLimiter(path)
    with pytest.raises(ConfigurationError, match="/dev/null is not a file"):
        HostLimiter("/dev/null")


async def test_a_window_per_address_that_is_used_up_is_told_where_it_is_shared_too(path: Path) -> None:
    told: list[Event] = []
    limiter = HostLimiter(path)
    async with client(FakeTransport(lambda _: answer({"data": []})), limiter=limiter, on_event=told.append) as m3ter:
        now = m3ter._pipeline.parts.clock.now()
        for number in range(450):  # organizations of other processes use it up
            other = limiter.limit("configuration", str(number), HOST)
            for _ in range(49):
                if number * 49 < 20_000:
                    other.take(now)
        await m3ter.accounts.list()
    assert sum(isinstance(each, AddressLimitReached) for each in told) == 1


class Breaking:
    """A limit that lets so many pass and then raises, as one whose file is gone does."""

    def __init__(self, passes: int) -> None:
        self._passes = passes

    def limit(self, scope: Scope, organization: str, host: str) -> RateLimit:
        return self

    def take(self, now: float, *, bulk: bool = False) -> float:
        self._passes -= 1
        if self._passes < 0:
            raise ConfigurationError("no limit any more")
        return 0.0

    def paused(self, now: float) -> float:
        return 0.0

    def pause(self, now: float, seconds: float) -> None:
        pass


async def test_a_limiter_that_breaks_fails_the_call_that_waits_and_no_other() -> None:
    arrived, go_on = anyio.Event(), anyio.Event()

    async def slow(_: Request) -> Response:
        arrived.set()
        await go_on.wait()
        return answer({"id": "1"})

    outcomes: dict[str, object] = {}
    async with client(FakeTransport(slow), limiter=Breaking(1), max_connections=1) as m3ter:

        async def create(name: str) -> None:
            try:
                outcomes[name] = (await m3ter.request("POST", "/organizations/{orgId}/x", body={}))["id"]
            except ConfigurationError as error:
                outcomes[name] = str(error)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create, "sent")
                await arrived.wait()
                tasks.start_soon(create, "waits")
                await anyio.wait_all_tasks_blocked()
                go_on.set()
    assert outcomes == {"sent": "1", "waits": "no limit any more"}


def test_a_local_limiter_is_a_limiter_too() -> None:
    assert passed(LocalLimiter().limit("configuration", "org", "https://hard.cases")) == 50
