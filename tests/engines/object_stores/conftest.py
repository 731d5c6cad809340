from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from m3ter_async.sandbox import Sandbox

from .s3 import environment, port, until_it_answers
from .s3 import request as ask


@pytest.fixture(scope="module")
def moto() -> Iterator[int]:
    """The port of an S3 with a bucket."""
    number = port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(number)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until_it_answers(number)
            ask(number, "PUT", "/bucket")
            yield number
        finally:
            process.terminate()


@pytest.fixture
def s3(moto: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of a prefix that is empty, which this process may write to."""
    for name, value in environment(moto).items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{abs(hash(request.node.nodeid))}/of a test"


@pytest.fixture
def staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where things are staged."""
    path = tmp_path / "staged"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return path


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=5, bills=200) as shared:
        yield shared


@pytest.fixture(scope="module")
def slow() -> Iterator[Sandbox]:
    """A sandbox that takes its time, so that there is time to kill who reads it."""
    with Sandbox(seed=5, bills=200, latency=0.03) as shared:
        yield shared
