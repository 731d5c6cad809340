"""Exports into S3, as moto plays it: killed for real, two at once, behind a proxy that fails."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from m3ter_async.export import ExportReport, export
from m3ter_async.export.places.obstore_bucket import ObstoreBucket
from m3ter_async.sandbox import Sandbox

from ...export.buckets import downloaded
from ...export.support import FORMS, Form, Shelf, bill, content
from .s3 import DAYS, SECRET, Proxy, command, exported

KILLED = -signal.SIGKILL


def read(report: ExportReport, folder: Path) -> Any:
    """The rows of an export into a store, of copies of its files."""
    bucket = ObstoreBucket("s3", "bucket", "")
    objects = {str(file.path): bucket.get(str(file.path)) for file in report.files}
    return content(downloaded(report, objects, folder, "s3://bucket"))


def keys(url: str) -> list[str]:
    """The URLs of the files below a prefix, but for the manifest."""
    prefix = url.removeprefix("s3://bucket/")
    found = ObstoreBucket("s3", "bucket", prefix).sizes("bills")
    return sorted(f"{url}/{key}" for key in found)


def check(report: ExportReport, url: str, folder: Path, expected: Any) -> None:
    assert read(report, folder) == expected
    assert keys(url) == sorted(str(file.url) for file in report.files)
    assert ObstoreBucket("s3", "bucket", url.removeprefix("s3://bucket/")).sizes("_ids") == {}


@pytest.mark.parametrize("form", list(FORMS.values()), ids=list(FORMS))
def test_s3_gets_the_rows_that_a_folder_gets(
    sandbox: Sandbox, s3: str, tmp_path: Path, staged: Path, form: Form
) -> None:
    options = {**DAYS, **form.options}
    expected = content(exported(sandbox, tmp_path / "plain", **options))
    check(exported(sandbox, s3, **options), s3, tmp_path, expected)
    check(exported(sandbox, s3, resume=True), s3, tmp_path, expected)
    with pytest.raises(ValueError, match="holds an export already"):
        exported(sandbox, s3, **options)
    check(exported(sandbox, s3, overwrite=True, **options), s3, tmp_path, expected)
    assert list(staged.iterdir()) == []


# Killed


def hit(process: subprocess.Popen[str], sign: signal.Signals, after: float) -> int:
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(sign)
    process.communicate()
    return process.returncode


def begun(url: str) -> bool:
    bucket = ObstoreBucket("s3", "bucket", url.removeprefix("s3://bucket/"))
    return any(b'"type":"begun"' in bucket.get(key) for key in list(bucket.sizes("manifest"))[:2])


def test_killed_twenty_times_each_row_is_there_once(slow: Sandbox, s3: str, tmp_path: Path, staged: Path) -> None:
    days = ["--since", DAYS["since"], "--until", DAYS["until"]]
    expected = content(exported(slow, tmp_path / "plain", **DAYS))
    began = time.monotonic()
    whole = command(slow, f"{s3}/whole", *days)
    _, said = whole.communicate()
    took = time.monotonic() - began
    assert whole.returncode == 0, said
    chance = random.Random(1)
    kills = finished = 0
    while kills < 20:
        url = f"{s3}/{finished}"
        options = ["--resume"] if begun(url) else days
        code = hit(command(slow, url, *options), signal.SIGKILL, took * chance.uniform(0.3, 1.0))
        assert code in (0, KILLED)
        kills += code == KILLED
        if code == 0:
            check(exported(slow, url, resume=True), url, tmp_path, expected)
            finished += 1
    assert begun(url)
    check(exported(slow, url, resume=True), url, tmp_path, expected)
    assert list(staged.iterdir()) == []  # the next one on the machine removes what a killed one left


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_goes_on_from_another_machine(
    slow: Sandbox, s3: str, tmp_path: Path, staged: Path, sign: signal.Signals
) -> None:
    days = ["--since", DAYS["since"], "--until", DAYS["until"]]
    expected = content(exported(slow, tmp_path / "plain", **DAYS))
    process = command(slow, s3, *days)
    while not begun(s3):
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(sign)
    _, said = process.communicate()
    assert process.returncode == 128 + sign
    assert f"export bills --out {s3!r}" in said
    assert "--resume" in said
    assert list(staged.iterdir()) == []
    assert SECRET not in said
    check(exported(slow, s3, resume=True), s3, tmp_path, expected)


def test_of_two_at_once_one_ends_it_and_one_stops(slow: Sandbox, s3: str, tmp_path: Path) -> None:
    expected = content(exported(slow, tmp_path / "plain", **DAYS))
    for number in range(4):
        url = f"{s3}/{number}"
        pair = [command(slow, url, "--since", DAYS["since"], "--until", DAYS["until"]) for _ in range(2)]
        said = [process.communicate()[1] for process in pair]
        codes = [process.returncode for process in pair]
        assert codes.count(0) == 1, said
        loser = said[1 - codes.index(0)]
        assert "another export" in loser or "holds an export already" in loser
        check(exported(slow, url, resume=True), url, tmp_path, expected)


def test_whoever_goes_on_stops_one_that_is_only_slow(slow: Sandbox, s3: str, tmp_path: Path) -> None:
    expected = content(exported(slow, tmp_path / "plain", **DAYS))
    first = command(slow, s3, "--since", DAYS["since"], "--until", DAYS["until"])
    while not begun(s3):
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)
    check(exported(slow, s3, resume=True), s3, tmp_path, expected)
    first.send_signal(signal.SIGCONT)
    _, said = first.communicate()
    assert first.returncode == 1
    assert f"another export took over {s3}: this one stops" in said
    assert "--resume" not in said
    check(exported(slow, s3, resume=True), s3, tmp_path, expected)


# A store that fails now and then


@pytest.fixture
def failing(moto: int, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Proxy]]:
    """Puts a proxy that fails in front of the store."""
    made: list[Proxy] = []

    def put(fail: Callable[[int], str | None]) -> Proxy:
        proxy = Proxy(moto, fail)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        made.append(proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        return proxy

    yield put
    for proxy in made:
        proxy.shutdown()
        proxy.server_close()


@pytest.mark.parametrize("how", ["refuse", "lose"])
def test_a_store_that_fails_every_seventh_request_is_asked_again(
    sandbox: Sandbox, s3: str, tmp_path: Path, failing: Callable[..., Proxy], how: str
) -> None:
    expected = content(exported(sandbox, tmp_path / "plain", **DAYS))
    proxy = failing(lambda number: how if number % 7 == 5 else None)
    report = exported(sandbox, s3, **DAYS)
    assert proxy.failed > 5
    proxy.fail = lambda _: None
    check(report, s3, tmp_path, expected)


# Quick enough


def test_it_is_not_much_slower_than_the_disk(sandbox: Sandbox, s3: str, tmp_path: Path) -> None:
    """On a quiet machine it takes about as long; that is measured elsewhere."""
    times: dict[str, list[float]] = {"disk": [], "store": []}
    for _ in range(3):
        for name, out in (("disk", str(tmp_path / "plain")), ("store", s3)):
            began = time.monotonic()
            exported(sandbox, out, overwrite=True, format="parquet")
            times[name].append(time.monotonic() - began)
    assert min(times["disk"]) > 0.3 * min(times["store"]), times


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_runs_on_both_event_loops(s3: str, tmp_path: Path, backend: str) -> None:
    shelf = Shelf({"bills": [bill(number) for number in range(25)]})
    report: ExportReport = anyio.run(partial(export, shelf.client(), ["bills"], s3), backend=backend)
    assert report.records == {"bills": 25}
    assert len(read(report, tmp_path)["bills", "bills"]) == 25
