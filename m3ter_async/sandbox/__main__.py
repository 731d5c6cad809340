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

from m3ter_async.sandbox import Faults, Sandbox


def parser(
    program: str = "python -m m3ter_async.sandbox", kind: type[argparse.ArgumentParser] = argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """What the command takes.

    Args:
        program: What it is called in its help.
        kind: How a command line that cannot be followed is told.
    """
    known = kind(prog=program, description="Serve a local m3ter.")
    known.add_argument("--port", type=int, default=8080, help="TCP port, 0 for a free one (8080)")
    known.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 lets other machines and containers in (127.0.0.1)",
    )
    known.add_argument("--bills", type=int, default=2000, help="number of bills (2000)")
    known.add_argument("--seed", type=int, default=7, help="decides data and credentials (7)")
    known.add_argument("--latency", type=float, default=0.0, help="seconds every answer is held back (0)")
    known.add_argument("--token-seconds", type=float, default=18000, help="how many seconds a token is valid (18000)")
    known.add_argument("--rate-limit", type=int, default=None, help="requests per second (no limit)")
    known.add_argument("--retry-after", type=int, default=None, help="seconds in the Retry-After of a 429 (no header)")
    known.add_argument("--error-rate", type=float, default=0.0, help="share of requests answered with an error (0)")
    known.add_argument("--drop-rate", type=float, default=0.0, help="share of connections closed unanswered (0)")
    known.add_argument("--cut-rate", type=float, default=0.0, help="share of answers cut in mid-body (0)")
    known.add_argument(
        "--cursors", choices=("place", "offset"), default="place", help="what tokens of pages stand for (place)"
    )
    known.add_argument("--search-lag", type=float, default=0.0, help="seconds that its search is late (0)")
    known.add_argument("--fault-seed", type=int, default=7, help="decides which requests fail (7)")
    known.add_argument("--fail-logins", action="store_true", help="let the login fail too")
    return known


def main(
    arguments: Sequence[str] | None = None,
    *,
    known: argparse.ArgumentParser | None = None,
) -> int:
    """Serve until interrupted.

    Args:
        arguments: The command line without the program's name; None takes it from `sys.argv`.
        known: What it takes; None is what this module's `parser` makes.

    Returns:
        The exit status: 0 after Ctrl-C or SIGTERM, 1 where the sandbox cannot start.
    """
    known = known or parser()
    options = known.parse_args(arguments)
    try:
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
