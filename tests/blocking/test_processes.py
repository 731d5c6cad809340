"""Engines fork, spawn, kill and end their workers: each process has a loop and a login of its own, and ends quietly."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from m3ter_async.sandbox import Sandbox
from tests.processes import running

pytest.importorskip("pyarrow")

ROOT = Path(__file__).resolve().parents[2]

READS = """
from m3ter_async.blocking import Connection, plan, read
here = Connection()
slices = plan(here, "bills", count=4, since="2000-01-01", until="2030-01-01")
def rows():
    return sum(batch.num_rows for each in slices for batch in read(here, each))
print(rows(), flush=True)
"""

FORKS = f"""
import os, warnings
warnings.simplefilter("ignore")  # of Python, about forks of programs with threads
{READS}
begun = read(here, plan(here, "bills")[0])
next(begun)
for _ in range(2):
    child = os.fork()
    if child == 0:
        try:
            print(rows(), flush=True)
            list(begun)
        except RuntimeError as error:
            print(error, flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
print(rows(), sum(batch.num_rows for batch in begun))
"""

WAITS = """
import sys
from m3ter_async.blocking import Connection, plan, reader
print("waiting", flush=True)
try:
    reader(Connection(), "bills").read_all()
except KeyboardInterrupt:
    print("interrupted")
"""


def ran(code: str) -> tuple[str, str]:
    """What a program printed, with warnings of what is left open."""
    words = [sys.executable, "-W", "always::ResourceWarning", "-c", code]
    with running(words, stdout=PIPE, stderr=PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        out, errors = process.communicate()
    return out, errors


def test_a_program_that_only_ends_leaves_nothing_open(sandbox: Sandbox) -> None:
    assert ran(READS) == ("300\n", "")


def test_a_program_that_ends_in_the_middle_of_a_slice_leaves_nothing_open(sandbox: Sandbox) -> None:
    assert ran(f"{READS}\nbegun = read(here, slices[1])\nnext(begun)") == ("300\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_reads_by_itself_and_the_parent_reads_on(sandbox: Sandbox) -> None:
    out, errors = ran(FORKS)
    refused = "this reading began in another process, before a fork: begin it in this one"
    assert (out.splitlines(), errors) == (["300", "300", refused, "300", refused, "300 200"], "")
    assert sandbox.requests["GenerateToken"] == 3  # the parent's and one for each child


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupt_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(bills=5, latency=30) as sandbox:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        words = [sys.executable, "-c", WAITS]
        with running(words, stdout=PIPE, stderr=PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            while not sandbox.requests:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=20)
    assert (out, errors) == ("interrupted\n", "")
