"""`python -m m3ter_async.sandbox`: serve a sandbox until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import TypeVar

from m3ter_async.sandbox import Faults, Sandbox

DESCRIPTION = "Serve a local m3ter."
Known = TypeVar("Known", bound=argparse.ArgumentParser)

# Name, what stands for the value, its type, what it is if it is left out, and what it does.
_OPTIONS: tuple[tuple[str, str, type, object, str], ...] = (
    ("--port", "PORT", int, 8080, "TCP port, 0 for a free one (8080)"),
    (
        "--host",
        "ADDRESS",
        str,
        "127.0.0.1",
        "address to listen on; 0.0.0.0 lets other machines and containers in (127.0.0.1)",
    ),
    ("--bills", "N", int, 2000, "number of bills (2000)"),
    ("--seed", "N", int, 7, "decides data and credentials (7)"),
    ("--latency", "SECONDS", float, 0.0, "how long every answer is held back (0)"),
    ("--token-seconds", "SECONDS", float, 18000, "how long a token is valid (18000)"),
    ("--rate-limit", "N", int, None, "requests per second (no limit)"),
    ("--retry-after", "SECONDS", int, None, "what the Retry-After of a 429 says (no header)"),
    ("--error-rate", "SHARE", float, 0.0, "share of requests answered with an error, from 0 to 1 (0)"),
    ("--drop-rate", "SHARE", float, 0.0, "share of connections closed unanswered (0)"),
    ("--cut-rate", "SHARE", float, 0.0, "share of answers cut in mid-body (0)"),
    ("--search-lag", "SECONDS", float, 0.0, "how late its search is (0)"),
    ("--fault-seed", "N", int, 7, "decides which requests fail (7)"),
)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    return with_options(argparse.ArgumentParser(prog="python -m m3ter_async.sandbox", description=DESCRIPTION))


def with_options(known: Known) -> Known:
    """A parser that was given all options of the command."""
    for name, metavar, kind, default, words in _OPTIONS:
        known.add_argument(name, metavar=metavar, type=kind, default=default, help=words)
    known.add_argument(
        "--cursors", choices=("place", "offset"), default="place", help="what tokens of pages stand for (place)"
    )
    known.add_argument("--fail-logins", action="store_true", help="let the login fail too")
    return known


def serve(options: argparse.Namespace) -> None:
    """Serve until interrupted.

    Args:
        options: What the command was given.

    Raises:
        KeyboardInterrupt: After Ctrl-C or SIGTERM.
        OSError: It cannot listen there.
        ValueError: An option is out of bounds.
    """
    faults = Faults(
        options.error_rate,
        drop_rate=options.drop_rate,
        cut_rate=options.cut_rate,
        retry_after=options.retry_after,
        login=options.fail_logins,
        seed=options.fault_seed,
    )
    sandbox = Sandbox(
        options.seed,
        options.bills,
        port=options.port,
        host=options.host,
        latency=options.latency,
        token_seconds=options.token_seconds,
        rate_limit=options.rate_limit,
        retry_after=options.retry_after,
        cursors=options.cursors,
        search_lag=options.search_lag,
        faults=faults,
    )
    if threading.current_thread() is threading.main_thread():
        # a container's first process is not stopped by a signal that it does not handle
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with sandbox:
        lines = [f"# m3ter sandbox at {sandbox.url}, stop with Ctrl-C"]
        if options.host in ("0.0.0.0", "::"):
            url = f"http://{socket.gethostname()}:{sandbox.url.rpartition(':')[2]}"
            lines.append(f"# from elsewhere: M3TER_BASE_URL={url}, with --allow-insecure-http")
        _say([*lines, *map(_setting, sandbox.environ.items())])
        # With a timeout, because a wait without one keeps Windows from seeing Ctrl-C.
        while not threading.Event().wait(60):
            pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted.

    Args:
        arguments: The command line without the program's name; None takes it from `sys.argv`.

    Returns:
        The exit status: 0 after Ctrl-C or SIGTERM, 1 where the sandbox cannot start.
    """
    known = parser()
    try:
        serve(known.parse_args(arguments))
    except KeyboardInterrupt:
        return 0
    except (OSError, ValueError) as error:
        print(f"{known.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def _say(lines: Sequence[str]) -> None:
    """Print; where nobody reads it, the sandbox serves all the same."""
    try:
        print(*lines, sep="\n", flush=True)
    except OSError:
        with open(os.devnull, "wb") as nowhere:  # what is left would be complained of at the end
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _setting(variable: tuple[str, str], platform: str = sys.platform) -> str:
    """The line that sets a variable, for a POSIX shell or, on Windows, for PowerShell."""
    name, value = variable
    return f"$env:{name}='{value}'" if platform == "win32" else f"export {name}={shlex.quote(value)}"


if __name__ == "__main__":
    raise SystemExit(main())
