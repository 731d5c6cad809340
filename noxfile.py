"""What can be run on this repository; ``nox -l`` lists it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.11"
nox.options.sessions = ["tests"]

NO_DOCUMENT = 3  # what `codegen` exits with where m3ter's OpenAPI document is not at hand, which it says
PROJECT = nox.project.load_toml()

VERSIONS = nox.project.python_versions(PROJECT)  # of the classifiers
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
SIDE_BY_SIDE = ("-n", "auto", "--dist", "worksteal")  # on all cores
LARGE = {"cloud", "spark", "dlt", "sync"}  # tried by `engines` alone
EVERYTHING = ",".join(sorted(EXTRAS.keys() - LARGE))


def install(session: nox.Session, extras: str, *groups: str) -> None:
    """The package as it stands here, with the extras and dependency groups named."""
    session.install("--quiet", "-e", f".[{extras}]", *nox.project.dependency_groups(PROJECT, *groups))


def run_tests(session: nox.Session, *options: str) -> None:
    """What was asked for, or all tests on all cores; of these, what fails is tried once more, one after the other.

    A busy machine holds up what measures time, and a fault of ours fails twice.
    """
    pytest = ("python", "-m", "pytest", *options)
    if session.posargs:
        session.run(*pytest, *session.posargs)
        return
    try:
        session.run(*pytest, *SIDE_BY_SIDE)
    except CommandFailed:
        session.run(*pytest, "--last-failed")


def oldest_of(project: dict[str, Any]) -> list[str]:
    """The lower bounds of all that a project depends on, with all its extras, as versions: ``aiohttp==3.13.5``."""
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = {line for lines in (project["dependencies"], *extras.values()) for line in lines}
    found = [re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)", line) for line in sorted(wanted)]
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
    run_tests(session)


@nox.session(python=VERSIONS)
def matrix(session: nox.Session) -> None:
    """All tests, on every Python that is promised."""
    tests(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """All tests, with the oldest version of each dependency that the package takes."""
    # not session.create_tmp(): it moves the tests' temporary files into this folder, where pytest finds our settings
    oldest = Path(session.virtualenv.location) / "oldest.txt"
    oldest.write_text("\n".join(oldest_of(PROJECT["project"])) + "\n", encoding="utf-8")
    # FastAPI, which the examples need, wants a newer OpenTelemetry than the package does
    tools = [each for each in nox.project.dependency_groups(PROJECT, "tests") if not each.startswith("fastapi")]
    session.install("--quiet", "--constraint", str(oldest), "-e", f".[{EVERYTHING}]", *tools)
    # and the simulated worlds give trio a clock, which the oldest anyio does not pass on
    worlds = ("--ignore=tests/simulation", "--ignore=tests/export/test_export_restless.py")
    left_out = ("--ignore=tests/test_examples.py", *worlds)
    run_tests(session, *left_out)


@nox.session
def engines(session: nox.Session) -> None:
    """What needs real engines, databases or object stores; it installs and starts them itself."""
    install(session, ",".join(EXTRAS), "engines")
    # once more what fails: others' servers are held up by a busy machine, and a fault of ours fails twice
    session.run("python", "-m", "pytest", "--reruns", "1", "-raR", *(session.posargs or ["tests/engines"]))


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
    session.run("python", "-m", "codegen", "--check", success_codes=[0, NO_DOCUMENT])


@nox.session
def codegen(session: nox.Session) -> None:
    """Print models, resources and the sandbox's tables from m3ter's OpenAPI file: nox -s codegen -- PATH."""
    install(session, EVERYTHING, "lint")
    session.run("python", "-m", "codegen", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Exports and hundreds of tasks through a service that fails every fifth request, for ten minutes."""
    install(session, EVERYTHING, "tests")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """The client in simulated worlds, for hours of virtual time a second: nox -s simulate -- --seeds 20000."""
    install(session, EVERYTHING, "tests")
    session.run("python", "-m", "tests.simulation", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure this client beside its peers: tables, what holds the misses, and a chart, in a quarter of an hour."""
    install(session, "httpx,export,speed", "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Look for an answer that the client cannot take, led by coverage: nox -s fuzz -- --seconds 600 (Linux, 3.11+)."""
    install(session, "httpx", "fuzz")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build; warnings are errors. (Its blocks run in the tests.)"""
    install(session, EVERYTHING, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-b", "html", "docs", "docs/_build", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Look for known vulnerabilities in what the package installs with all extras; it fails where it cannot know."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "audit"))
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = {line for lines in (PROJECT["project"]["dependencies"], *extras) for line in lines}
    requirements = Path(session.create_tmp()) / "requirements.txt"
    requirements.write_text("\n".join(sorted(wanted)) + "\n", encoding="utf-8")
    session.run("pip-audit", "--strict", "--requirement", str(requirements), *session.posargs)
