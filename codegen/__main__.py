"""``python -m codegen [PATH_TO_OPENAPI] [--check | --diff]``: print what is generated, or compare it with the disk.

Where the document has something new, or lacks what is named here, nothing is written: a line tells of each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import docstrings
from .argument_words import undecided, words_of_models
from .corrections import M3TER, Corrections
from .document import DOCUMENT, MISSING, VARIABLE
from .operation_names import TABLE
from .plan import Plan
from .print_models import models
from .print_resources import resources
from .print_sandbox import sandbox
from .public_interface import changes, interface
from .read_contract import ContractError, read

NO_DOCUMENT = 3  # 1 is a difference, and argparse exits with 2
UNDECIDED = 4
PACKAGE = Path(__file__).parent.parent / "m3ter_async"
# What is written by hand in a folder that is otherwise generated.
_BY_HAND = {
    *(f"models/{name}.py" for name in ("_base", "_exactness", "_pydantic", "_records", "_values")),
    *(f"resources/{name}.py" for name in ("_base", "_editing")),
}
_FORMAT = ("format", "--isolated", "--no-cache", "--line-length", "120", "--target-version", "py311")
# Every module is printed with all imports it might need: what it does not use goes here.
_SORT = ("check", "--isolated", "--no-cache", "--line-length", "120", "--select", "I,F401,RUF022", "--fix", "--quiet")


def draft(
    document: Mapping[str, Any],
    table: Mapping[str, str] = TABLE,
    corrections: Corrections = M3TER,
    tags: Iterable[str] | None = None,
) -> tuple[dict[str, str], Plan]:
    """Every file's text as far as it can be printed, by its path below the package, and the plan with its problems."""
    contract = read(document)
    plan = Plan(contract, table, corrections, tags)
    plan.problems += undecided(plan)
    chosen = {method.call.id for method in plan.methods}
    files = {f"models/{name}": text for name, text in models(plan).items()}
    files["models/_argument_words.py"] = words_of_models(plan)
    files |= {f"resources/{name}": text for name, text in resources(plan).items()}
    # The sandbox sees the document as it is: what the client corrects must not hide from it.
    files["sandbox/contract/generated.py"] = sandbox(contract, [call for call in contract.calls if call.id in chosen])
    return files, plan


def generate(
    document: Mapping[str, Any],
    *,
    table: Mapping[str, str] = TABLE,
    corrections: Corrections = M3TER,
    tags: Iterable[str] | None = None,
) -> dict[str, str]:
    """Every generated file's text, formatted, by its path below the package.

    Raises:
        ContractError: Something has to be decided first; it has a line for each thing.
    """
    files, plan = draft(document, table, corrections, tags)
    if plan.problems:
        raise ContractError(*plan.problems)
    return formatted(files)


def formatted(files: Mapping[str, str]) -> dict[str, str]:
    """The files with sorted imports, as the formatter writes them."""
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


def main(arguments: list[str] | None = None, package: Path = PACKAGE) -> int:
    """The command: 0, or 1 where the disk differs, or `NO_DOCUMENT`, or `UNDECIDED` where people have to decide."""
    parser = argparse.ArgumentParser(prog="codegen", description=__doc__)
    parser.add_argument(
        "openapi",
        nargs="?",
        type=Path,
        default=DOCUMENT,
        help=f"the service's OpenAPI document, as JSON; {VARIABLE} names another default ({DOCUMENT})",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the disk differs")
    action.add_argument("--diff", action="store_true", help="write nothing; show what changes for users of the package")
    given = parser.parse_args(arguments)
    if not given.openapi.exists():
        print(MISSING if given.openapi == DOCUMENT else f"there is no file {given.openapi}", file=sys.stderr)
        return NO_DOCUMENT
    try:
        files, plan = draft(json.loads(given.openapi.read_bytes()))
    except ContractError as error:
        return _undecided(error.problems)
    operations = (call.id for call in plan.contract.calls)
    problems = [*plan.problems, *docstrings.stale(operations, plan.models)]
    if given.diff:
        print("\n".join(changes(interface(printed(package)), interface(files))) or "nothing changes for users")
    if problems:
        return _undecided(problems)
    if given.diff:
        return 0
    files = formatted(files)
    if not given.check:
        write(files, package)
        return 0
    found = differences(files, package)
    print("\n".join(found) or f"{len(files)} files are as printed")
    return 1 if found else 0


def printed(package: Path) -> dict[str, str]:
    """What was printed before, by its path below the package."""
    found = [path for folder in ("models", "resources") for path in sorted((package / folder).glob("*.py"))]
    files = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in found}
    return {name: text for name, text in files.items() if name not in _BY_HAND}


def _undecided(problems: Iterable[str]) -> int:
    lines = list(problems)
    things = f"{len(lines)} things have" if len(lines) > 1 else "1 thing has"
    print(f"nothing is written: {things} to be decided", file=sys.stderr)
    print("\n".join(lines), file=sys.stderr)
    return UNDECIDED


if __name__ == "__main__":
    sys.exit(main())
