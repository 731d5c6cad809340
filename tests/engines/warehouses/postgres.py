"""A PostgreSQL of its own: started for a test, and gone with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..conftest import free_port
from ..debian import libraries, unpacked


def _programs() -> tuple[Path, Mapping[str, str] | None]:
    """The folder of its programs, and the environment they need."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent, None
    if installed := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return installed[-1].parent, None
    root = unpacked("postgresql-15", "libpq5")
    return next(root.glob("usr/lib/postgresql/*/bin")), libraries(root)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yields the URL of a database in it."""
    programs, environment = _programs()
    # it refuses to run as root, and needs a folder that it may walk to
    user: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="m3ter-postgres-"))
    try:
        if user:
            shutil.chown(folder, "nobody")
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "env": environment, "cwd": folder, **user}
        data, port = str(folder / "data"), free_port()
        (folder / "password").write_text("p@ss word")
        os.chmod(folder / "password", 0o644)
        initdb = [str(programs / "initdb"), "-D", data, "-U", "m3ter", "-A", "scram-sha-256", "--no-sync"]
        subprocess.run([*initdb, "--pwfile", str(folder / "password")], **quiet)
        options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
        control = [str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
        subprocess.run([*control, "-o", options, "start"], **quiet)
        try:
            yield f"postgresql://m3ter:p%40ss%20word@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
