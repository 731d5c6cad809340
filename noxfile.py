"""What can be run on this repository; ``nox -l`` lists it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.11"
nox.options.sessions = ["tests"]

PROJECT = nox.project.load_toml()
# m3ter publishes its contract; it is an input, found beside a checkout where there is one, and never part of it
CONTRACT = Path(__file__).resolve().parent.parent / "shared" / "contract" / "openapi.json"

EVERYTHING = ",".join(PROJECT["project"]["optional-dependencies"])


def install(session: nox.Session, extras: str, *groups: str) -> None:
    """The package as it stands here, with the extras and dependency groups named."""
    session.install("--quiet", "-e", f".[{extras}]", *nox.project.dependency_groups(PROJECT, *groups))


def oldest_of(project: dict[str, Any]) -> list[str]:
    """The lower bounds of all that a project depends on, with all its extras, as versions: ``aiohttp==3.13.5``."""
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = {line for lines in (project["dependencies"], *extras.values()) for line in lines}
    found = [re.match(r"([\w.-]+)>=([\w.]+)", line) for line in sorted(wanted)]
    if None in found:
        raise ValueError(f"a dependency without a lower bound: {sorted(wanted)}")
    return sorted({f"{each[1]}=={each[2]}" for each in found if each})


@nox.session
def demo(session: nox.Session) -> None:
    """The main job on an embedded m3ter: every bill streamed and accounted for. No account is needed."""
    install(session, "demo,httpx")
    session.run("python", "-m", "m3ter_async.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on the Python that runs nox."""
    install(session, EVERYTHING, "tests")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=["3.13"])
def matrix(session: nox.Session) -> None:
    """All tests, on the oldest and the newest Python that are promised."""
    tests(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """All tests, with the oldest version of each dependency that the package takes."""
    oldest = Path(session.create_tmp()) / "oldest.txt"
    oldest.write_text("\n".join(oldest_of(PROJECT["project"])) + "\n", encoding="utf-8")
    # FastAPI, which the examples need, wants a newer OpenTelemetry than the package does
    tools = [each for each in nox.project.dependency_groups(PROJECT, "tests") if not each.startswith("fastapi")]
    session.install("--quiet", "--constraint", str(oldest), "-e", f".[{EVERYTHING}]", *tools)
    session.run("python", "-m", "pytest", "--ignore=tests/test_examples.py", *session.posargs)


@nox.session
def checks(session: nox.Session) -> None:
    """Style, types and the generated code."""
    install(session, EVERYTHING, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "m3ter_async", "--ignoreexternal")  # fails under 100 %
    if CONTRACT.exists():
        session.run("python", "-m", "codegen", str(CONTRACT), "--check")
    else:
        session.warn(f"the generated code is not checked: there is no contract at {CONTRACT}")


@nox.session
def codegen(session: nox.Session) -> None:
    """Print models, resources and the sandbox's tables from an OpenAPI file: nox -s codegen -- PATH."""
    install(session, EVERYTHING, "lint")
    session.run("python", "-m", "codegen", *(session.posargs or [str(CONTRACT)]))


@nox.session
def soak(session: nox.Session) -> None:
    """Exports and hundreds of tasks through a service that fails every fifth request, for ten minutes."""
    install(session, EVERYTHING, "tests")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure this client beside the m3ter package and a hand-written loop: a table and a chart, in a few minutes."""
    install(session, "httpx,export", "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Look for an answer that the client cannot take, led by coverage: nox -s fuzz -- --seconds 600 (Linux, 3.11+)."""
    install(session, "httpx", "fuzz")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Look for known vulnerabilities in what the package installs with all extras; it fails where it cannot know."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "audit"))
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = {line for lines in (PROJECT["project"]["dependencies"], *extras) for line in lines}
    requirements = Path(session.create_tmp()) / "requirements.txt"
    requirements.write_text("\n".join(sorted(wanted)) + "\n", encoding="utf-8")
    session.run("pip-audit", "--strict", "--requirement", str(requirements), *session.posargs)
