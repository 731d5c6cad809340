"""``python -m codegen PATH_TO_OPENAPI [--check]``: print what is generated, or compare it with the disk."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .corrections import M3TER, Corrections
from .plan import Plan
from .print_models import models
from .print_resources import resources
from .print_sandbox import sandbox
from .read import read
from .selection import TAGS
from .table import TABLE

PACKAGE = Path(__file__).parent.parent / "m3ter_async"
# What is written by hand in a folder that is otherwise generated.
_BY_HAND = {
    *(f"models/{name}.py" for name in ("_base", "_exactness", "_pydantic", "_values")),
    *(f"resources/{name}.py" for name in ("_base", "_editing")),
}
_FORMAT = ("format", "--isolated", "--no-cache", "--line-length", "120", "--target-version", "py310")
# Every module is printed with all imports it might need: what it does not use goes here.
_SORT = ("check", "--isolated", "--no-cache", "--line-length", "120", "--select", "I,F401,RUF022", "--fix", "--quiet")


def generate(
    document: Mapping[str, Any],
    *,
    table: Mapping[str, str] = TABLE,
    corrections: Corrections = M3TER,
    tags: Iterable[str] | None = TAGS,
) -> dict[str, str]:
    """Every generated file's text, by its path below the package."""
    contract = read(document)
    plan = Plan(contract, table, corrections, tags)
    chosen = {method.call.id for method in plan.methods}
    files = {f"models/{name}": text for name, text in models(plan).items()}
    files |= {f"resources/{name}": text for name, text in resources(plan).items()}
    # The sandbox sees the document as it is: what the client corrects must not hide from it.
    files["sandbox/contract.py"] = sandbox(contract, [call for call in contract.calls if call.id in chosen])
    return {name: _ruff(text, name) for name, text in sorted(files.items())}


def _ruff(text: str, name: str) -> str:
    for command in (_SORT, _FORMAT):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"ruff refuses {name}:\n{done.stderr}{done.stdout}")
        text = done.stdout
    return text


def differences(files: Mapping[str, str], package: Path) -> list[str]:
    """What on the disk is not what would be printed, one line each."""
    found: list[str] = []
    for name, text in files.items():
        path = package / name
        if not path.exists():
            found.append(f"missing: {name}")
        elif path.read_bytes() != text.encode():
            found.append(f"differs: {name}")
    return found + [f"stale: {name}" for name in _stale(files, package)]


def write(files: Mapping[str, str], package: Path) -> None:
    """Write every file, and delete those that are no longer printed."""
    for name in _stale(files, package):
        (package / name).unlink()
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(text.encode())


def _stale(files: Mapping[str, str], package: Path) -> list[str]:
    there = {
        path.relative_to(package).as_posix()
        for folder in ("models", "resources")
        for path in (package / folder).rglob("*.py")
    }
    return sorted(there - set(files) - _BY_HAND)


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where the disk differs."""
    parser = argparse.ArgumentParser(prog="codegen", description=__doc__)
    parser.add_argument("openapi", type=Path, help="the service's OpenAPI document, as JSON")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the disk differs")
    given = parser.parse_args(arguments)
    files = generate(json.loads(given.openapi.read_bytes()))
    if not given.check:
        write(files, PACKAGE)
        return 0
    found = differences(files, PACKAGE)
    print("\n".join(found) or f"{len(files)} files are as printed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
