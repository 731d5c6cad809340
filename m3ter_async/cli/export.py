"""``m3ter-async export``: records of listings into files, with a display of how far it is."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ..errors import APIError, M3terError
from .client_options import add_to, connect, given_to
from .console import PROGRAM, CommandFailed, as_text, quoted, warnings_to
from .parser import Parser
from .patience import Patience
from .progress_lines import Display, Failure, JsonLines, Lines
from .signals import Stopped, run

if TYPE_CHECKING:
    from ..export import ExportReport

    Job = Callable[..., Awaitable[ExportReport]]

_DESCRIPTION = """Write every record of one or more listings to files, each exactly once. Any listing goes by its
dotted name (bills, line_items, balances.transactions, bills.search); one that needs a parent is read for every parent.
An export that was stopped or killed goes on with --resume, and what was finished is not read again."""
_EPILOG = """Credentials come from the environment: M3TER_API_KEY, M3TER_API_SECRET, M3TER_ORG_ID. Exit status: 0 all is
there; 1 the service or the disk failed, --resume goes on; 2 the command cannot be followed; 3 finished, but something
was set aside, which is named at the end; 130 stopped by Ctrl-C, 143 by SIGTERM, --resume goes on. On a terminal with
rich installed (the extra cli) it shows bars."""


def parser() -> Parser:
    """What the command takes."""
    known = Parser(prog=f"{PROGRAM} export", description=_DESCRIPTION, epilog=_EPILOG)
    known.add_argument("resources", nargs="+", metavar="RESOURCE", help="a listing, such as bills")
    known.add_argument(
        "--out", required=True, metavar="DIR", help="the folder to write to, or s3://bucket/prefix, gs://, az://"
    )
    known.add_argument(
        "--since",
        type=_day,
        metavar="DATE",
        help="the first day, by the date of the bill; lets bills be read side by side",
    )
    known.add_argument("--until", type=_day, metavar="DATE", help="the day after the last one")
    known.add_argument("--format", choices=("parquet", "csv", "ndjson"), help="of the files (ndjson)")
    known.add_argument("--concurrency", type=_count, default=8, metavar="N", help="cursors side by side (8)")
    known.add_argument(
        "--processes", type=_count, default=1, metavar="N", help="processes that read and write; for large bills (1)"
    )
    known.add_argument("--page-size", type=_count, metavar="N", help="records of a page (the most the service allows)")
    known.add_argument(
        "--where", action="append", default=[], type=_condition, metavar="NAME=VALUE", help="a parameter of the listing"
    )
    known.add_argument("--nested", action="store_true", default=None, help="one nested Parquet table in place of three")
    known.add_argument("--compress", choices=("zstd",), help="compress NDJSON")
    known.add_argument(
        "--settle", action="store_true", default=None, help="read again at the end what changed meanwhile (bills)"
    )
    again = known.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with an export that was stopped")
    again.add_argument("--overwrite", action="store_true", help="remove the export that is there, and begin anew")
    known.add_argument(
        "--allow-aside", action="store_true", help="exit with 0 in place of 3 where something was set aside"
    )
    known.add_argument("--quiet", action="store_true", help="show nothing but errors")
    known.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="json: an object a line, for jobs"
    )
    known.add_argument("--verbose", action="store_true", help="tell of every request")
    add_to(known)
    return known


def _resolved(out: str) -> str:
    """The folder as it is shown: wherever the command was started, it is the same."""
    if "://" in out:
        return as_text(out if "@" not in out else out.partition("://")[0])  # what has a password in it is refused
    try:
        return as_text(str(Path(out).resolve()))
    except (OSError, ValueError, RuntimeError):  # it will be refused
        return out


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2024-01-31") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name.replace("-", "_"), value


def main(arguments: Sequence[str], job: Job | None = None) -> int:
    """Run the command.

    Args:
        arguments: What comes after ``export``.
        job: What exports, `m3ter_async.export.export` by default.

    Returns:
        The exit status; what is wrong, the display has told.
    """
    options, where = _parse(arguments)
    display = _display_for(options.resources, _resolved(options.out), options.log_format, quiet=options.quiet)
    again = as_text(quoted([PROGRAM, "export", *_to_resume(arguments)]))
    try:
        work = job or _exporter()
        with warnings_to(display.warned, display.detailed if options.verbose else None):
            report = run(lambda: _export(options, where, work, display), display.stopping)
    except (CommandFailed, ValueError, ImportError) as error:
        failure = Failure(_of_options(error), 2)
    except OSError as error:
        failure = Failure(f"cannot write to {error.filename or options.out}: {error.strerror or error}", 2)
    except M3terError as error:
        failure = _failure(error, again)
    except Stopped as stopped:
        failure = Failure("stopped", stopped.status, again)
    else:
        status = 0 if report.complete or options.allow_aside else 3
        display.finished(report, status, again if any(each.again for each in report.notes) else None)
        return status
    finally:
        display.close()
    display.failed(failure)
    return failure.status


def _failure(error: M3terError, again: str) -> Failure:
    """How an export failed, and whether going on with it helps."""
    text = _of_options(error)
    if not isinstance(error, APIError):
        # an ExportError knows whether going on with it helps
        return Failure(text, 1, again if getattr(error, "resumable", True) else None)
    status = error.status or 0
    # the next run is answered in the same way, unless somebody does something about it
    refused = 400 <= status < 500 and status not in (408, 429)
    return Failure(text, 1, again, error.request_id, once_mended=refused)


def _exporter() -> Job:
    from ..export import export

    return export


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, Mapping[str, str]]:
    options = parser().parse(arguments)
    if options.page_size is not None:
        options.where.append(("page_size", str(options.page_size)))
    where = dict(options.where)
    if len(where) < len(options.where):
        raise CommandFailed("export: two --where are of the same parameter")
    return options, where


async def _export(options: argparse.Namespace, where: Mapping[str, str], job: Job, display: Display) -> ExportReport:
    """Run the job, and the display beside it."""
    report: ExportReport | None = None
    failure: Exception | None = None
    patience = Patience(display.warned)
    client = connect(given_to(options), on_event=patience.take)
    async with client, patience, anyio.create_task_group() as tasks:
        tasks.start_soon(display.keep_showing)
        try:
            report = await job(
                client,
                options.resources,
                options.out,
                format=options.format,
                since=options.since,
                until=options.until,
                where=where or None,
                nested=options.nested,
                compression=options.compress,
                concurrency=options.concurrency,
                settle=options.settle,
                processes=options.processes,
                resume=options.resume,
                overwrite=options.overwrite,
                on_progress=display.note,
            )
        except (M3terError, ValueError, ImportError, OSError) as error:  # kept out of the group, which would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if report is None:
        raise failure or RuntimeError("an export ended without a word")
    return report


def _display_for(resources: Sequence[str], out: str, log_format: str, *, quiet: bool) -> Display:
    """What suits the place: bars on a terminal, where rich is installed, lines elsewhere."""
    if log_format == "json":
        return JsonLines(resources, out, quiet=quiet)
    if quiet:
        return Display(resources, out)
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from .progress_bars import Bars
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] != "rich":
                raise
        else:
            return Bars(resources, out)
    return Lines(resources, out)


def _of_options(error: Exception) -> str:
    """The text of an error that speaks of arguments; of a command these are options."""
    return re.sub(r"^out\b", "--out", re.sub(r"\b(?:by|with) (resume|overwrite|where)\b", r"by --\1", str(error)))


def _to_resume(arguments: Sequence[str]) -> list[str]:
    """The same command line, to go on with what it began."""
    again = [each for each in arguments if each not in ("--overwrite", "--resume")]
    again.insert(again.index("--") if "--" in again else len(again), "--resume")
    return again
