"""What can be run on this repository; ``nox -l`` lists it."""

from __future__ import annotations

from pathlib import Path

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
def simulate(session: nox.Session) -> None:
    """The client in simulated worlds, for hours of virtual time a second: nox -s simulate -- --seeds 20000."""
    install(session, EVERYTHING, "tests")
    session.run("python", "-m", "tests.simulation", *session.posargs)


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
