"""Exports with several processes: in all forms, killed again and again, stopped and gone on with."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from m3ter_async.export import ExportError, export
from m3ter_async.sandbox import Sandbox

from ..export.buckets import MemoryBucket, downloaded, place
from ..export.served import Served, children, none_left
from ..export.support import FORMS, Form, content, sandbox_client
from ..export.test_export_processes import bills, reach, wait_for_children
from ..processes import running

_ROUNDS = 20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    with none_left():
        yield


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_several_processes_bring_the_rows_of_one_in_each_form(tmp_path: Path, form: Form) -> None:
    found: list[object] = []
    with Sandbox(seed=5, bills=150) as sandbox:
        for processes in (1, 2):
            async with sandbox_client(sandbox) as m3ter:
                resources = ["bills", "balances.transactions", "bills.search", "accounts"]
                out = tmp_path / str(processes)
                report = await export(m3ter, resources, out, processes=processes, **form.options)
            found.append((content(report), report.bytes, report.pages, report.notes))
    assert found[0] == found[1]


async def test_processes_that_all_die_end_the_export_with_a_word_on_it(tmp_path: Path) -> None:
    with Served(bills()) as service:
        service.deadly = lambda url: True
        async with service.client() as m3ter:
            with pytest.raises(ExportError, match="died one after the other"):
                await export(
                    m3ter,
                    ["bills"],
                    tmp_path / "out",
                    processes=2,
                    concurrency=8,
                    since="2020-01-01",
                    until="2024-03-01",
                )


def test_what_was_read_before_ctrl_c_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    command = shutil.which("m3ter-async", path=str(Path(sys.executable).parent))
    words = [command] if command else [sys.executable, "-m", "m3ter_async"]
    words += f"export bills --out {tmp_path / 'out'} --quiet --since 2020-01-01 --until 2026-01-01".split()
    with Sandbox(seed=5, bills=60, latency=0.1) as slow:
        with running([*words, "--processes", "2"], env=reach(slow), stderr=subprocess.PIPE) as process:
            wait_for_children(process.pid)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        done = subprocess.run([*words, "--processes", "3", "--resume"], env=reach(slow), timeout=60, check=False)
        assert done.returncode == 0
    names = [line for path in (tmp_path / "out" / "bills").rglob("*.ndjson") for line in path.read_bytes().splitlines()]
    assert len(names) == len(set(names)) == 60


async def test_processes_write_what_one_puts_into_a_store(tmp_path: Path) -> None:
    objects: dict[str, bytes] = {}
    with Served(bills()) as service:
        async with service.client() as m3ter:
            store = place(MemoryBucket(objects))
            days = {"since": "2024-01-01", "until": "2024-03-01"}
            report = await export(m3ter, ["bills"], store, processes=2, **days)  # type: ignore[arg-type]
    assert report.records == {"bills": 50}
    found = content(downloaded(report, objects, tmp_path))
    assert len(set(found["bills", "bills"])) == 50


async def test_an_export_settles_by_several_processes_too(tmp_path: Path) -> None:
    found: list[object] = []
    with Sandbox(seed=5, bills=150) as sandbox:
        for processes in (1, 2):
            async with sandbox_client(sandbox) as m3ter:
                out = tmp_path / str(processes)
                report = await export(m3ter, ["bills"], out, processes=processes, settle=True, format="parquet")
            found.append((content(report), report.notes))
    assert found[0] == found[1]


def test_a_full_disk_is_told_as_such_and_gone_on_with(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "m3ter_async", "export", "bills", "--quiet", "--out", str(tmp_path / "out")]
    days = ["--since", "2020-01-01", "--until", "2026-01-01", "--processes", "2"]
    with Sandbox(seed=5, bills=90) as sandbox:
        with running([*command, *days], env=reach(sandbox), stderr=subprocess.PIPE, preexec_fn=small_files) as process:
            _, told = process.communicate()
        assert process.returncode == 1
        assert "cannot write" in told
        assert "File too large" in told
        more = ["--resume", "--processes", "2"]
        assert subprocess.run([*command, *more], env=reach(sandbox), timeout=60, check=False).returncode == 0
    rows = [line for path in (tmp_path / "out" / "bills").rglob("*.ndjson") for line in path.read_bytes().splitlines()]
    assert len(rows) == len(set(rows)) == 90


def test_every_row_is_there_once_whatever_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "m3ter_async", "export", "bills", "--quiet"]
    days = ["--since", "2020-01-01", "--until", "2026-01-01", "--format", "ndjson", "--processes", "2"]
    chance = random.Random(7)
    with Sandbox(seed=5, bills=90, latency=0.03) as slow:
        for number in range(_ROUNDS):
            out = tmp_path / str(number)
            words = [*command, "--out", str(out)]
            more = days
            with running([*words, *more], env=reach(slow)) as process:
                found = wait_for_children(process.pid)
                time.sleep(chance.uniform(0.0, 1.2))
                with suppress(ProcessLookupError):  # it may have ended by itself
                    os.kill(chance.choice(found), signal.SIGKILL)
                if chance.random() < 0.5:
                    time.sleep(chance.uniform(0.0, 0.5))
                    process.kill()
                status = process.wait(60)
            if status:
                assert status == -signal.SIGKILL
                begun = (out / "manifest.jsonl").exists() and (out / "manifest.jsonl").stat().st_size
                more = ["--resume", "--processes", "3"] if begun else days
                assert subprocess.run([*words, *more], env=reach(slow), timeout=60, check=False).returncode == 0
            files = sorted((out / "bills").rglob("*"))
            rows = [line for path in files if path.is_file() for line in path.read_bytes().splitlines()]
            assert len(rows) == len(set(rows)) == 90
            assert not [path for path in files if path.name.endswith(".tmp")]
    assert children() == []
