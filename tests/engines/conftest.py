"""The servers that the tests of this folder run against; each is started once."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .debian import libraries, unpacked


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[str]:
    """A Redis that keeps nothing; yields its URL."""
    if (found := shutil.which("redis-server") or shutil.which("valkey-server")) is not None:
        program, environment = found, None
    else:
        root = unpacked("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
        program, environment = str(root / "usr" / "bin" / "redis-check-rdb"), libraries(root)
        renamed = folder / "redis-server"  # the same program, which goes by its name
        if not renamed.exists():
            renamed.symlink_to(program)
        program = str(renamed)
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis"), free_port()) as url:
        yield url


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nobody listens on port {port}")
