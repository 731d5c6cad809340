"""The command line: ``m3ter-async``, or ``python -m m3ter_async``.

Each command loads what it needs when it runs; exit statuses are those of `console`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ..version import __version__
from .console import PROGRAM, CommandFailed, complain, near, put, silence

__all__ = ["main"]

_HELP = f"""usage: {PROGRAM} COMMAND ...

commands:
  export      write every record of a listing to Parquet, CSV or NDJSON files
  sync        let a database or a folder hold what a listing holds, again and again
  call        call any operation of the API; answers are tables on a terminal, else JSON lines
  sandbox     serve a local m3ter to develop against
  completion  what makes Tab complete commands in bash, zsh or fish

{PROGRAM} COMMAND --help tells more of each, {PROGRAM} --version the version.
Credentials come from the environment: M3TER_API_KEY, M3TER_API_SECRET and M3TER_ORG_ID.
"""


def _export(arguments: Sequence[str]) -> int:
    from .export import main

    return main(arguments)


def _sync(arguments: Sequence[str]) -> int:
    from .sync import main

    return main(arguments)


def _call(arguments: Sequence[str]) -> int:
    from .call import main

    return main(arguments)


def _sandbox(arguments: Sequence[str]) -> int:
    from ..sandbox import __main__ as sandbox
    from .parser import Parser

    known = sandbox.with_options(Parser(prog=f"{PROGRAM} sandbox", description=sandbox.DESCRIPTION))
    options = known.parse(arguments)
    try:
        sandbox.serve(options)
    except ValueError as error:
        raise CommandFailed(f"sandbox: {error}") from None
    except OSError as error:
        raise CommandFailed(f"sandbox: {error}", 1) from None
    except KeyboardInterrupt:  # how it is stopped
        pass
    return 0


def _completion(arguments: Sequence[str]) -> int:
    from .completion import main

    return main(arguments)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "export": _export,
    "sync": _sync,
    "call": _call,
    "sandbox": _sandbox,
    "completion": _completion,
}
_OPTIONS = ("--help", "--version")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The command line without the program's name; None takes it from `sys.argv`.

    Returns:
        The exit status.
    """
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
    except CommandFailed as failure:
        complain(str(failure))
        status = failure.status
    except SystemExit as end:  # what argparse ends --help with
        status = end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # whoever read the output has enough of it
        silence(sys.stdout)
        status = 0
    except OSError as error:
        silence(sys.stdout)
        complain(f"cannot write the output: {error.strerror}")
        status = 1
    return status


def _run(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in _COMMANDS:
        return _COMMANDS[name](rest)
    if name == "--version":
        put(sys.stdout, f"{PROGRAM} {__version__}\n")
    elif name in ("-h", "--help"):
        put(sys.stdout, _HELP)
    else:
        kind, known = ("option", _OPTIONS) if name.startswith("-") else ("command", tuple(_COMMANDS))
        raise CommandFailed(f"there is no {kind} {name!r}{near(name, known)}")
    return 0
