"""Servers out of Debian's packages, unpacked into a folder: nothing of the system changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

_CACHE = Path(tempfile.gettempdir()) / f"m3ter-async-debian-{os.getuid()}"


@cache
def unpacked(*packages: str) -> Path:
    """A folder with what is in these packages; the test is skipped, and says so, where there is no Debian."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip(f"no apt-get here to fetch {packages[0]} with")
    root = _CACHE / "-".join(packages)
    if (root / "whole").exists():
        return root
    with tempfile.TemporaryDirectory(dir=_CACHE.parent) as name:
        work = Path(name)
        (work / "lists" / "partial").mkdir(parents=True)
        # lists of its own: those of the system may be missing or old
        options = ["-o", f"Dir::State::Lists={work}/lists", "-o", "APT::Sandbox::User=root", "-qq"]
        _run(["apt-get", *options, "update"], work)
        _run(["apt-get", *options, "download", *packages], work)
        made = work / "root"
        for package in work.glob("*.deb"):
            _run(["dpkg", "-x", str(package), str(made)], work)
        (made / "whole").touch()
        root.parent.mkdir(exist_ok=True, mode=0o700)
        shutil.rmtree(root, ignore_errors=True)
        shutil.move(str(made), str(root))
    return root


def libraries(root: Path) -> Mapping[str, str]:
    """The environment in which the programs of an unpacked folder find their libraries."""
    folders = [str(each) for each in (root / "usr" / "lib").glob("*-linux-gnu")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:  # no network, or another system than Debian, is no fault of what is tested
        pytest.skip(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
