"""The file beside this one is checked as a user's own code would be."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def checked(path: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={cache}", str(path)]
    return subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed: pip install mypy")
def test_users_see_the_types_that_they_are_promised() -> None:
    """Every wrong use in there carries an ignore, and strict mypy refuses an ignore that ignores nothing."""
    result = checked(HERE / "users.py", HERE.parent.parent / ".mypy_cache")
    assert result.returncode == 0, result.stdout + result.stderr
