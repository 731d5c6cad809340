"""With several processes an export is what it is with one: its rows, notes and limits; and a dead one costs little."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from m3ter_async import AiohttpTransport, AsyncM3ter
from m3ter_async.events import Event, ResponseReceived
from m3ter_async.export import ExportReport, export
from m3ter_async.export.places.store import StorePlace
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import KEY, SECRET, FakeTransport, answer
from ..processes import running
from ..wire import Pair
from .buckets import MemoryBucket, place
from .job import odd_shelf
from .served import Served, children, is_running, none_left
from .support import FORMS, Form, Shelf, bill, content, files, sandbox_client

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")

DAYS: dict[str, Any] = {"since": "2024-01-01", "until": "2024-03-01"}


@pytest.fixture
def anyio_backend() -> str:
    """That the parent may run on trio is held by one test; the children run on asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    with none_left():
        yield


def bills(size: int = 4, **more: Any) -> Shelf:
    rows = [bill(number, f"2024-{1 + number // 25:02d}-{1 + number % 25:02d}", **more) for number in range(50)]
    return Shelf({"bills": rows[::-1]}, size)


@pytest.mark.parametrize("form", [FORMS["zstd"], FORMS["nested"]], ids=["zstd", "nested"])
async def test_several_processes_bring_the_rows_of_one(sandbox: Sandbox, folder: Path, form: Form) -> None:
    found: dict[int, Any] = {}
    for processes in (1, 2):
        async with sandbox_client(sandbox) as m3ter:
            report = await export(
                m3ter,
                ["bills", "balances.transactions", "bills.search"],
                folder / str(processes),
                processes=processes,
                **form.options,
            )
            stats = m3ter.stats()
        found[processes] = (content(report), report.bytes, report.pages, report.notes, stats.logins)
        assert stats.bytes_received > report.bytes
        assert stats.requests == stats.responses > report.pages
        assert files(folder / str(processes)) == sorted(
            file.path.relative_to(folder / str(processes)).as_posix() for file in report.files
        )
    assert found[1] == found[2]


def test_either_event_loop_can_be_the_parents(sandbox: Sandbox, out: Path, pair: Pair) -> None:
    async def run() -> ExportReport:
        async with sandbox_client(sandbox, pair.transport()) as m3ter:
            return await export(m3ter, ["bills"], out, processes=2)

    assert anyio.run(run, backend=pair.backend).records == {"bills": 110}


@pytest.mark.parametrize("form", [FORMS["parquet"], FORMS["csv"]], ids=["parquet", "csv"])
async def test_what_is_odd_is_told_as_by_one_process(folder: Path, form: Form) -> None:
    found: list[Any] = []
    for processes in (1, 2):
        with Served(odd_shelf()) as service:
            async with service.client(max_retries=0) as m3ter:
                out = folder / str(processes)
                report = await export(m3ter, ["balances.transactions"], out, processes=processes, **form.options)
        aside = sorted(line.partition(b'"record"')[2] for line in _aside(out))
        found.append((content(report), sorted(map(_note, report.notes)), aside))
        assert not report.complete
    assert found[0] == found[1]


def _aside(out: Path) -> list[bytes]:
    path = out / "aside" / "balances.transactions.ndjson"
    return path.read_bytes().splitlines() if path.exists() else []


def _note(note: Any) -> tuple[Any, ...]:
    return note.kind, note.count or 0, sorted(note.names)


async def test_a_page_that_is_too_much_is_asked_for_at_half_its_size(out: Path) -> None:
    shelf = bills()

    def service(request: Request) -> Response:
        size = int(request.url.partition("pageSize=")[2].partition("&")[0])
        shelf.size = size
        return answer({"message": "too slow"}, 504) if size > 30 else shelf(request)

    with Served(service) as served:
        async with served.client() as m3ter:
            report = await export(m3ter, ["bills"], out, processes=2)
    assert report.records == {"bills": 50}
    assert report.complete


async def test_a_process_that_is_killed_costs_nothing_but_time(out: Path) -> None:
    with Served(bills()) as service:
        seen: list[str] = []

        def once(url: str) -> bool:
            seen.append(url)
            return len(seen) in (6, 14)

        service.deadly = once
        async with service.client() as m3ter:
            report = await export(m3ter, ["bills"], out, processes=2, concurrency=4, **DAYS)
    assert service.killed == 2
    assert report.records == {"bills": 50}
    assert [note.kind for note in report.notes] == ["undated"]
    assert files(out) == sorted(file.path.relative_to(out).as_posix() for file in report.files)


async def test_the_day_that_kills_each_process_is_set_aside_and_all_others_are_there(out: Path) -> None:
    with Served(bills()) as service:
        service.deadly = lambda url: _window(url)[0] <= "2024-02-03" < _window(url)[1]
        async with service.client() as m3ter:
            report = await export(m3ter, ["bills"], out, processes=2, concurrency=2, **DAYS)
            assert report.records == {"bills": 49}
            (note,) = [note for note in report.notes if note.aside]
            assert note.kind == "slice"
            assert "SIGKILL" in note.text
            service.deadly = lambda url: False
            report = await export(m3ter, ["bills"], out, resume=True)  # with another number of processes
    assert report.records == {"bills": 50}
    assert report.complete


def _window(url: str) -> tuple[str, str]:
    start = url.partition("billDateStart=")[2][:10]
    return start, url.partition("billDateEnd=")[2][:10]


async def test_the_parent_that_kills_each_process_is_set_aside_alone(out: Path) -> None:
    lists: dict[str, Any] = {"balances": [{"id": f"b{number}"} for number in range(12)]}
    for number in range(12):
        lists[f"balances/b{number}/transactions"] = [{"id": f"t{number}-{n}"} for n in range(3)]
    with Served(Shelf(lists)) as service:
        service.deadly = lambda url: "/balances/b5/" in url
        async with service.client() as m3ter:
            report = await export(m3ter, ["balances.transactions"], out, processes=2, concurrency=2)
    assert report.records == {"balances.transactions": 33}
    assert [note.names for note in report.notes if note.aside] == [("b5",)]


async def test_all_processes_keep_to_the_clients_rate_and_tell_its_hooks(out: Path) -> None:
    told: list[Event] = []
    with Served(bills(2)) as service:
        async with service.client(rate_limit=20.0, on_event=told.append) as m3ter:
            report = await export(m3ter, ["bills"], out, processes=2, **DAYS)
            stats = m3ter.stats()
    assert report.records == {"bills": 50}
    times = sorted(service.times)
    assert len(times) > 25
    assert min(later - first for first, later in zip(times, times[20:], strict=False)) > 0.9
    answers = [event for event in told if isinstance(event, ResponseReceived)]
    assert len(answers) == stats.responses == len(times) + 1
    assert sum(event.body_bytes for event in answers) == stats.bytes_received


async def test_a_client_that_no_other_process_can_be_given_is_refused_before_anything_is_done(out: Path) -> None:
    async with aiohttp.ClientSession() as session:
        for transport in (FakeTransport(bills()), AiohttpTransport(session)):
            m3ter = AsyncM3ter(token="a-token", org_id="o", transport=transport)
            with pytest.raises(ValueError, match="processes above 1 need a client without a session"):
                await export(m3ter, ["bills"], out, processes=2)
    with pytest.raises(ValueError, match="processes must be 1 or more, not 0"):
        await export(bills().client(), ["bills"], out, processes=0)
    assert not out.exists()  # noqa: ASYNC240


async def test_no_process_is_shown_a_key_or_a_secret(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3TER_API_SECRET", SECRET)
    seen: list[bytes] = []

    def look(url: str) -> bool:
        for pid in children():
            seen.extend(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        return False

    with Served(bills()) as service:
        service.deadly = look
        async with service.client() as m3ter:
            await export(m3ter, ["bills"], out, processes=2)
    assert seen
    assert not any(KEY.encode() in each or SECRET.encode() in each for each in seen)


SCRIPT = """
import asyncio, sys
from m3ter_async import AsyncM3ter
from m3ter_async.export import export
print("begun", flush=True)
async def main():
    async with AsyncM3ter(rate_limit=None) as m3ter:
        report = await export(m3ter, ["bills"], sys.argv[1], processes=2, since="2020-01-01", until="2026-01-01")
        print(report.records["bills"], flush=True)
asyncio.run(main())
"""


def reach(sandbox: Sandbox) -> dict[str, str]:
    names = {"M3TER_API_KEY": "api_key", "M3TER_API_SECRET": "api_secret", "M3TER_ORG_ID": "org_id"}
    found = {name: str(getattr(sandbox, attribute)) for name, attribute in names.items()}
    return {**os.environ, **found, "M3TER_BASE_URL": sandbox.url}


def test_a_script_without_a_guard_is_run_once(sandbox: Sandbox, folder: Path) -> None:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), str(folder / "out")]
    done = subprocess.run(words, env=reach(sandbox), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["begun", "110"]
    assert done.stderr == ""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_its_parent(folder: Path, sign: signal.Signals) -> None:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    with Sandbox(seed=5, bills=60, latency=0.2) as slow:
        words = [sys.executable, str(script), str(folder / "out")]
        with running(words, env=reach(slow), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            found = wait_for_children(process.pid)
            process.send_signal(sign)
            process.wait(20)
        end = time.monotonic() + 10
        while any(map(is_running, found)):
            assert time.monotonic() < end
            time.sleep(0.02)


def wait_for_children(pid: int) -> list[int]:
    end = time.monotonic() + 20
    while len(found := children(pid)) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_part_for_a_store_is_small_in_every_process(processes: int) -> None:
    """Its files are put into the store while the next part is read: what is in memory and on the disk stays small."""
    large = os.urandom(50_000).hex()
    sizes: dict[int | None, list[int]] = {}
    for most in (StorePlace.most, 2**20):
        bucket = MemoryBucket({})
        store = place(bucket)
        store.most = most
        with Served(bills(5, description=large, lineItems=[{"id": "i", "description": large}])) as service:
            async with service.client() as m3ter:
                report = await export(m3ter, ["bills"], store, processes=processes, concurrency=processes)
        assert report.records == {"bills": 50}
        sizes[most] = sorted(len(content) for key, content in bucket.objects.items() if key.startswith("bills/"))
    assert StorePlace.most == 32 * 2**20
    assert len(sizes[StorePlace.most]) == 1
    assert len(sizes[2**20]) == 2
    assert max(sizes[2**20]) < 6 * 2**20
