"""Killed anywhere, nothing is lost and nothing is there twice."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from m3ter_async.export import ExportReport
from m3ter_async.sandbox import Sandbox

from .job import INTERRUPTED, Job, read, run, shelf, start
from .support import FORMS, Form, content, files, lines

DAYS = {"since": "2024-01-01", "until": "2024-05-01"}
# what is killed while it is being started ends with the second: nobody was told of it
KILLED = {-signal.SIGKILL, 255}


def finished(job: Job) -> ExportReport:
    """Go on with an export in this process, to its end."""
    report: ExportReport = anyio.run(read(replace(job, backend="asyncio")))
    assert files(job.out) == sorted(file.path.relative_to(job.out).as_posix() for file in report.files)
    return report


@pytest.fixture(scope="module")
def slow() -> Iterator[Sandbox]:
    """A sandbox that takes its time, so that there is time to kill who reads it."""
    with Sandbox(seed=5, bills=90, latency=0.015) as sandbox:
        yield sandbox


def reach(sandbox: Sandbox) -> dict[str, str]:
    names = ("api_key", "api_secret", "org_id")
    return {**{name: getattr(sandbox, name) for name in names}, "base_url": sandbox.url}


def hit(job: Job, sign: signal.Signals, after: float) -> int | None:
    """Run a job, send a signal after so many seconds, and give its exit status."""
    process = start(job)
    process.join(after)
    if process.exitcode is None and process.pid is not None:
        os.kill(process.pid, sign)
    process.join(60)
    code = process.exitcode
    process.close()
    return code


def timed(job: Job) -> float:
    """The seconds that a job takes from its begin."""
    process = start(job)
    began = time.monotonic()
    process.join(60)
    took = time.monotonic() - began
    assert process.exitcode == 0
    process.close()
    return took


def test_an_export_that_is_killed_at_random_moments_ends_with_the_same_rows(
    slow: Sandbox, folder: Path, form: Form
) -> None:
    chance = random.Random(str(form))
    options: dict[str, Any] = {"since": "2022-01-01", "until": "2026-01-01"}
    if form == FORMS["zstd"]:
        options = {"resources": ["bills", "balances.transactions"]}
    whole = Job(folder / "whole", form, reach(slow), options)
    took = timed(whole)
    expected = content(finished(whole))

    def kill(number: int) -> int:
        after = took * (number + chance.random()) / 3
        for attempt in range(20):
            job = replace(whole, out=folder / f"{number}-{attempt}")
            codes = [hit(job, signal.SIGKILL, after), hit(job, signal.SIGKILL, after * chance.random())]
            assert set(codes) <= {0, *KILLED}
            assert run(job) == 0
            assert content(finished(job)) == expected
            if any(codes):
                return sum(map(bool, codes))
            after /= 2  # it was done before
        return 0

    with ThreadPoolExecutor(3) as pool:
        kills = list(pool.map(kill, range(3)))
    assert 0 not in kills


@pytest.mark.parametrize("name", ["ndjson", "parquet"])
def test_an_export_that_is_killed_in_any_step_of_finishing_a_part_ends_with_the_same_rows(
    folder: Path, name: str
) -> None:
    expected = content(finished(Job(folder / "whole", FORMS[name], options=dict(DAYS))))

    def kill(step: int) -> int | None:
        job = Job(folder / str(step), FORMS[name], options=dict(DAYS), die_at=step)
        code = run(job)
        assert code in {0, *KILLED}
        assert content(finished(job)) == expected
        return code

    # of Parquet, which has three files a part, every fifth step
    steps = range(26) if name == "ndjson" else range(0, 80, 5)
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(kill, steps))
    assert sum(map(bool, codes)) > 10


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_killed_in_any_step_it_ends_with_each_row_once_in_the_files_or_aside(folder: Path, name: str) -> None:
    """Some rows come twice, some fit no column, some parents fail: parts are replaced, and a file is shared by all."""
    options: dict[str, Any] = {"resources": ["balances.transactions"]}
    whole = Job(folder / "whole", FORMS[name], options=options, odd=True)
    report = ended(whole)
    assert report.records == {"balances.transactions": 7 * 11}
    assert {note.kind for note in report.notes} == {"record", "twice", "gone", "parent"}
    expected = content(report)

    def kill(step: int) -> int | None:
        job = replace(whole, out=folder / str(step), die_at=step)
        code = run(job)
        assert code in {0, *KILLED}
        again = ended(job)
        assert content(again) == expected
        assert aside(job.out) == aside(whole.out) != []
        assert {note.kind: note.count for note in again.notes} == {note.kind: note.count for note in report.notes}
        return code

    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(kill, range(0 if name == "csv" else 4, 160, 8)))
    assert sum(map(bool, codes)) > 12


def ended(job: Job) -> ExportReport:
    """Go on with an export in this process, to its end."""
    report: ExportReport = anyio.run(read(replace(job, die_at=None)))
    return report


def aside(out: Path) -> list[str]:
    """What was set aside, without the place where it stood."""
    lines = (out / "aside" / "balances.transactions.ndjson").read_text().splitlines()
    return sorted(json.dumps(json.loads(line)["record"]) for line in lines)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_interrupt_stops_cleanly_and_the_export_can_be_gone_on_with(
    slow: Sandbox, folder: Path, backend: str
) -> None:
    options = {"since": "2022-01-01", "until": "2026-01-01"}
    whole = Job(folder / "whole", FORMS["ndjson"], reach(slow), options, backend)
    took = timed(whole)
    expected = content(finished(whole))
    for number in range(3):
        code = 0
        after = took * (number + 1) / 4
        while code != INTERRUPTED:
            assert after > 0.001, "no interrupt came in time"
            job = replace(whole, out=folder / f"{number}-{after}")
            code = hit(job, signal.SIGINT, after) or 0
            assert code in (0, INTERRUPTED)
            assert not [path for path in job.out.rglob("*") if path.suffix == ".tmp"]
            assert run(job) == 0
            assert content(finished(job)) == expected
            after /= 2  # it was done before


def test_a_full_disk_is_one_error_and_what_was_finished_stays(folder: Path, form: Form) -> None:
    """One bill in forty is too large for a file."""
    job = Job(folder / "out", form, options=dict(DAYS), limit=25_000)
    assert run(job) == 1
    error = json.loads((folder / "error.json").read_text())
    assert error.startswith("cannot write")
    kept = files(job.out)
    assert kept
    assert not [name for name in kept if name.endswith(".tmp")]
    assert finished(job).records == {"bills": 40}
    assert set(kept) <= set(files(job.out))


@pytest.mark.parametrize(
    "limit",
    [0, 20, 300, 1_000],
)
def test_a_disk_that_is_full_for_the_journal_is_one_error(folder: Path, limit: int) -> None:
    job = Job(folder / "out", FORMS["ndjson"], options=dict(DAYS), limit=limit)
    code = run(job)
    assert code == 1
    assert json.loads((folder / "error.json").read_text()).startswith("cannot write")
    report = finished(job)
    assert sorted(lines(report, "bills", "bills")) == sorted(map(encoded, cast("list[Any]", shelf().lists["bills"])))


def encoded(row: object) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode()
