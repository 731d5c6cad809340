"""What is said about a command changes neither what it did nor its exit status, wherever it goes."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest

from m3ter_async.cli.console import CommandFailed, as_text, note, put, silence, tell
from m3ter_async.sandbox import Sandbox

from .conftest import variables
from .test_command_line import COMMAND
from .test_export_command import ids


@pytest.fixture(scope="module")
def service() -> Iterator[Sandbox]:
    with Sandbox(seed=7, bills=40) as sandbox:
        yield sandbox


def run(service: Sandbox, *words: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **variables(service), **(env or {})}
    return subprocess.Popen([*COMMAND, *words], env=environment, stdin=DEVNULL, **options)


def closed(*handles: int) -> Any:
    def close() -> None:
        for handle in handles:
            os.close(handle)

    return close


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are closed as a POSIX shell does it")
@pytest.mark.parametrize("log", ["text", "json"])
@pytest.mark.parametrize("handles", [(1,), (2,), (1, 2)], ids=["stdout", "stderr", "both"])
def test_an_export_whose_streams_are_closed_is_an_export(
    service: Sandbox, tmp_path: Path, handles: tuple[int, ...], log: str
) -> None:
    out = tmp_path / "x"
    process = run(service, "export", "bills", "--out", str(out), "--log-format", log, preexec_fn=closed(*handles))
    assert process.wait(30) == 0
    assert len(ids(out)) == 40


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("log", ["text", "json"])
def test_an_export_whose_summary_and_progress_find_no_room_is_an_export(
    service: Sandbox, tmp_path: Path, log: str
) -> None:
    out = tmp_path / "x"
    with Path("/dev/full").open("wb") as full:
        process = run(service, "export", "bills", "--out", str(out), "--log-format", log, stdout=full, stderr=full)
        assert process.wait(30) == 0
    assert len(ids(out)) == 40


def test_an_export_whose_reader_has_gone_is_an_export(service: Sandbox, tmp_path: Path) -> None:
    out = tmp_path / "x"
    with run(service, "export", "bills", "--out", str(out), stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
    assert process.returncode == 0
    assert len(ids(out)) == 40


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1:strict"])
def test_a_place_without_utf_8_reads_escapes(service: Sandbox, tmp_path: Path, encoding: str) -> None:
    out = tmp_path / "büls-€"
    with run(
        service,
        *("export", "bills", "--out", str(out)),
        env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        stdout=PIPE,
        stderr=PIPE,
    ) as process:
        said, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(ids(out)) == 40
    assert b"ls-\\u20ac\n" in said
    assert b"ls-\\u20ac\n" in err


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are bytes elsewhere")
@pytest.mark.parametrize("end", [[], ["--since", "2025-01-01", "--until", "2024-01-01"]], ids=["done", "refused"])
def test_a_log_for_machines_is_utf_8_whatever_the_place_says(service: Sandbox, tmp_path: Path, end: list[str]) -> None:
    out = tmp_path / "büls-€"
    with run(
        service,
        *("export", "bills", "--out", str(out), "--log-format", "json", *end),
        env={"PYTHONUTF8": "0", "LC_ALL": "C"},
        stderr=PIPE,
    ) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == (2 if end else 0)
    events = [json.loads(line) for line in err.decode("ascii", "strict").splitlines()]
    assert events[-1]["event"] == ("failed" if end else "finished")
    assert all(each["out"] == str(out) for each in events if "out" in each)


def test_the_result_of_a_call_is_utf_8_whatever_the_place_says(service: Sandbox) -> None:
    with run(
        service,
        *("call", "accounts.create", "--name", "Ünï€", "--code", "c", "--email-address", "a@b.example"),
        env={"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0", "LC_ALL": "C"},
        stdout=PIPE,
        stderr=PIPE,
    ) as process:
        said, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    assert '"name":"Ünï€"' in said.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are closed as a POSIX shell does it")
def test_a_call_whose_result_goes_nowhere_has_failed(service: Sandbox) -> None:
    with run(service, "call", "bills.list", stderr=PIPE, preexec_fn=closed(1)) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err == b"m3ter-async: cannot write the output: Bad file descriptor\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_sandbox_that_nobody_reads_serves_and_ends_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = [*COMMAND, "sandbox", "--bills", "1", "--port", str(port)]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(words, stdout=full, stderr=PIPE) as process:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
        time.sleep(0.1)
        assert process.poll() is None
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal is made by pty")
def test_an_export_whose_terminal_has_gone_is_an_export(tmp_path: Path) -> None:
    import pty

    pytest.importorskip("rich")
    out = tmp_path / "x"
    here, there = pty.openpty()
    with Sandbox(seed=7, bills=300, latency=0.15) as slow:
        process = run(slow, "export", "bills", "--out", str(out), env={"TERM": "xterm"}, stdout=there, stderr=there)
        os.close(there)
        shown = b""
        while "━".encode() not in shown:
            shown += os.read(here, 65_536)
        os.close(here)
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
    assert process.returncode == 0
    assert len(ids(out)) == 300


@pytest.mark.parametrize(
    ("argument", "text"),
    [("plain ü€", "plain ü€"), ("\udcc3\udcbc", "ü"), ("a\udcff", "a\ufffd"), ("a\ud800", "a?"), ("", "")],
)
def test_an_argument_is_read_as_utf_8_in_every_place(argument: str, text: str) -> None:
    assert as_text(argument) == text


class Broken(io.StringIO):
    """A stream that cannot be written to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("error", [OSError(5, "gone"), BrokenPipeError(), ValueError("closed"), BlockingIOError()])
def test_telling_never_fails_and_putting_does(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    stream = Broken(error)
    tell(stream, "x")
    tell(None, "x")
    silence(None)
    with pytest.raises(type(error)):
        put(stream, "x")
    with pytest.raises(OSError, match="Bad file"):
        put(None, "x")
    monkeypatch.setattr(sys, "stderr", stream)
    note("x")
    assert str(CommandFailed("x")) == "x"
