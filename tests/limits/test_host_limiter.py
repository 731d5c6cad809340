"""One limit for all processes of a host: never too many, nobody left out, and a file that survives whatever happens."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from m3ter_async.errors import ConfigurationError
from m3ter_async.limits import HostLimiter, LocalLimiter, RateLimit
from m3ter_async.limits.shared_file import SIZE

fcntl = pytest.importorskip("fcntl")

HOST = "https://api.m3ter.com"
START = 1_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m3ter.limit"


def limits(path: Path, processes: int, organization: str = "org") -> list[RateLimit]:
    """The same limit as so many processes see it: each has opened the file for itself."""
    return [HostLimiter(path).limit("configuration", organization, HOST) for _ in range(processes)]


def played(
    shared: Sequence[RateLimit],
    seconds: float,
    *,
    bulk: Sequence[bool] | None = None,
    eager: int | None = None,
    step: float = 0.001,
) -> list[list[float]]:
    """When each passed, where each tries again as soon as it was told to, in virtual time."""
    passed: list[list[float]] = [[] for _ in shared]
    next_try = [START + number * step / 10 for number in range(len(shared))]
    end = START + seconds
    while True:
        number = min(range(len(shared)), key=next_try.__getitem__)
        now = next_try[number]
        if now >= end:
            return passed
        wait = shared[number].take(now, bulk=bool(bulk and bulk[number]))
        if not wait:
            passed[number].append(now)
        next_try[number] = now + (step / 10 if number == eager else max(wait, step))


def most_in_a_second(times: Sequence[float]) -> int:
    ordered = sorted(times)
    return max(
        sum(when <= each < when + 1 for each in ordered[place : place + 100]) for place, when in enumerate(ordered)
    )


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_no_second_ever_sees_more_than_the_rate_and_hardly_anything_is_left_unused(path: Path, processes: int) -> None:
    passed = played(limits(path, processes), 10)
    together = [each for times in passed for each in times]
    assert most_in_a_second(together) <= 50
    assert len(together) >= 0.95 * 10 * 50


def test_of_eight_processes_none_gets_less_than_half_of_its_share(path: Path) -> None:
    passed = played(limits(path, 8), 20)
    share = sum(map(len, passed)) / 8
    assert min(map(len, passed)) > share / 2
    # also where one asks ten times as often as it is told to
    passed = played(limits(path, 8, "another"), 20, eager=0)
    share = sum(map(len, passed)) / 8
    assert min(map(len, passed)) > share / 2


def test_what_one_process_leaves_the_others_use(path: Path) -> None:
    busy, idle = limits(path, 2)
    assert idle.take(START) == 0.0
    assert len(played([busy], 10)[0]) >= 0.95 * 10 * 50 - 2


def test_organizations_have_limits_of_their_own_and_share_the_window_of_the_address(path: Path) -> None:
    first, second = HostLimiter(path, rate=256), HostLimiter(path, rate=256)
    passed = 0
    for step in range(200):
        for limiter, organization in ((first, "a"), (second, "b")):
            limit = limiter.limit("configuration", organization, HOST)
            passed += sum(limit.take(START + step) == 0.0 for _ in range(120))
    assert passed == 20_000
    assert first.limit("configuration", "c", HOST).take(START + 200) > 50
    assert first.limit("ingest", "c", HOST).take(START + 200) == 0.0
    assert first.limit("configuration", "c", "https://elsewhere").take(START + 200) == 0.0
    assert first.limit("configuration", "c", HOST).take(START + 302) == 0.0


def test_one_that_comes_late_with_the_time_of_the_second_before_loses_no_count(path: Path) -> None:
    limiter = HostLimiter(path, rate=256)
    limit = limiter.limit("ingest", "org", HOST)
    passed = sum(limit.take(START + step / 2 - step % 2) == 0.0 for step in range(500) for _ in range(100))
    assert passed == 5_000


def test_a_pause_holds_for_all_and_after_it_all_begin_slowly(path: Path) -> None:
    one, other = limits(path, 2)
    one.pause(START, 5.0)
    assert other.paused(START + 1) == pytest.approx(4.0)
    assert other.take(START + 1) == pytest.approx(4.0)
    passed = sum(other.take(START + 5.01) == 0.0 for _ in range(60))
    assert passed == 24
    assert sum(one.take(START + 20) == 0.0 for _ in range(60)) == 49


def test_requests_that_somebody_waits_for_pass_before_bulk_ones_of_other_processes(path: Path) -> None:
    shared = limits(path, 4)
    passed = played(shared, 10, bulk=[True, True, True, False])
    alone = played(limits(path, 1, "alone"), 10)[0]
    assert len(passed[3]) > 0.9 * len(alone)  # as if there were no others
    assert sum(map(len, passed[:3])) > 5  # and those are not shut out
    # room is left for one that comes now and then, as much as it used of late: as in one process
    bulk, one = limits(path, 2, "now and then")
    waits: list[float] = []
    now = START
    while now < START + 8:
        while bulk.take(now, bulk=True) == 0.0:
            pass
        waits.append(one.take(now))
        now += 0.1
    assert max(waits[-20:]) < 0.5 < max(waits[:20])


def test_a_process_that_was_killed_while_it_waited_holds_up_nobody(path: Path) -> None:
    killed, other = limits(path, 2)
    while killed.take(START) == 0.0:
        pass
    assert killed.take(START) > 0  # it waits, and never comes back
    assert len(played([other], 10)[0]) >= 0.95 * 9 * 50


def test_bytes_that_a_killed_process_left_are_no_reason_to_wait_for_ever(path: Path) -> None:
    (limit,) = limits(path, 1)
    assert limit.take(START) == 0.0
    data = bytearray(path.read_bytes())
    for seed in range(20):
        spoilt = bytearray(data)
        for place in range(2_000, 8_000, 97 + seed):
            spoilt[place] = (place * 31 + seed) % 256
        path.write_bytes(bytes(64) + bytes(spoilt[64:]))
        (limit,) = limits(path, 1)
        assert limit.take(START + 400 + 400 * seed) == 0.0


def test_a_file_from_before_the_machine_was_started_begins_anew(path: Path) -> None:
    (limit,) = limits(path, 1)
    limit.pause(START, 300)
    data = bytearray(path.read_bytes())
    data[12:28] = bytes(16)  # another start of the machine, in which the clock stood elsewhere
    path.write_bytes(bytes(data))
    (limit,) = limits(path, 1)
    assert limit.take(START) == 0.0


def test_what_the_file_holds_names_nobody_and_nobody_else_may_read_it(path: Path) -> None:
    (limit,) = limits(path, 1, "the-organization")
    limit.take(START)
    assert b"the-organization" not in path.read_bytes()
    assert b"api.m3ter.com" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match=r"m3ter\.limit is not a file of limits"):
        HostLimiter(path)
    assert path.read_bytes() == b"precious"
    path.write_bytes(b"notours!" + bytes(SIZE - 8))
    with pytest.raises(ConfigurationError, match="is not a file of limits"):
        HostLimiter(path)
    path.write_bytes(b"m3terlim" + (99).to_bytes(4, "little") + bytes(SIZE - 12))
    with pytest.raises(ConfigurationError, match="another version of this package"):
        HostLimiter(path)
    path.unlink()
    HostLimiter(path)
    with pytest.raises(ConfigurationError, match="is kept for 50 requests a second, not for 20"):
        HostLimiter(path, rate=20)
    with pytest.raises(ConfigurationError, match="cannot be used: No such file or directory"):
        HostLimiter(tmp_path / "no" / "such" / "folder")
    with pytest.raises(ConfigurationError, match="cannot be used: Is a directory"):
        HostLimiter(tmp_path)
    with pytest.raises(ConfigurationError, match="a rate from 1 to 256"):
        HostLimiter(path, rate=0.5)


def test_one_that_is_closed_says_so_and_a_pickled_one_opens_the_file_again(path: Path) -> None:
    limiter = HostLimiter(path)
    limit = limiter.limit("configuration", "org", HOST)
    again = pickle.loads(pickle.dumps(limiter))
    while limit.take(START) == 0.0:
        pass
    assert again.limit("configuration", "org", HOST).take(START) > 0
    limiter.close()
    with pytest.raises(ConfigurationError, match="is closed"):
        limit.take(START)


def test_after_a_fork_both_processes_keep_the_limit_together(path: Path) -> None:
    limit = HostLimiter(path).limit("configuration", "org", HOST)
    assert limit.take(START) == 0.0
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            passed = sum(limit.take(START) == 0.0 for _ in range(30))
            os.write(writer, bytes([passed]))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    (passed,) = os.read(reader, 1)
    rest = sum(limit.take(START + 0.2) == 0.0 for _ in range(60))
    assert passed + rest == 48


HOLD = """
import fcntl, os, sys, time
one = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(one, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_that_is_held_delays_a_request_and_not_the_event_loop_and_ends_with_its_process(path: Path) -> None:
    (limit,) = limits(path, 1)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        began = time.monotonic()
        assert limit.take(START) > 0
        assert time.monotonic() - began < 0.5
        other.send_signal(signal.SIGKILL)
    assert limit.take(START) == 0.0


def test_it_holds_as_much_as_a_local_one_less_what_requests_may_be_late(path: Path) -> None:
    local = played([LocalLimiter().limit("configuration", "org", HOST)], 10)[0]
    shared = played(limits(path, 1), 10)[0]
    assert 0.95 * len(local) <= len(shared) <= len(local)
