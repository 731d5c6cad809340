"""``m3ter-async sync``: a destination that holds what listings hold, brought up to date once or again and again."""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import M3terError
from .client_options import add_to, connect, given_to
from .console import PROGRAM, CommandFailed, complain, put
from .parser import Parser
from .signals import Stopped, handled_by
from .sync_warehouses import DATASET, Refused, Warehouse

if TYPE_CHECKING:
    from ..client import AsyncM3ter
    from ..sync import Change

_DESCRIPTION = """Let a destination hold what one or more listings hold: what is new or changed replaces what was there,
what is gone is removed, and the rest is not read again. A sync that was stopped or killed leaves each listing as it
was or as it is after, and the next one goes on."""
_EPILOG = """Destinations: duckdb:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE (both need the extra sync), or a
folder for Parquet files (extra export). Credentials of m3ter come from the environment: M3TER_API_KEY,
M3TER_API_SECRET, M3TER_ORG_ID. Exit status: 0 all is there, or a signal ended --every; 1 the service or the
destination failed; 2 the command cannot be followed, and nothing was touched; 3 finished, but records were set aside;
130 stopped by Ctrl-C, 143 by SIGTERM."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parser() -> Parser:
    """What the command takes."""
    known = Parser(prog=f"{PROGRAM} sync", description=_DESCRIPTION, epilog=_EPILOG)
    known.add_argument("resources", nargs="+", metavar="RESOURCE", help="a listing, such as bills")
    known.add_argument("--to", required=True, metavar="DESTINATION", help="a database or a folder, see below")
    known.add_argument("--every", type=_interval, metavar="TIME", help="stay, and begin a round so often: 90s, 15m, 1h")
    known.add_argument("--full", action="store_true", help="look at everything in the first round, locked bills too")
    known.add_argument("--dataset", default=DATASET, metavar="NAME", help=f"the schema of a database ({DATASET})")
    known.add_argument("--quiet", action="store_true", help="show nothing but errors")
    add_to(known)
    return known


def _interval(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 15m or 1h")
    return float(int(found[1]) * _UNITS[found[2]])


class _Tally:
    """What a round brought, by resource."""

    def __init__(self, resources: Sequence[str]) -> None:
        self.counts = {name: [0, 0] for name in resources}
        self.aside = 0
        self.texts: list[str] = []

    def note(self, change: Change) -> None:
        """Count a change."""
        counts = self.counts[change.resource]
        counts[0] += len(change.ids)
        counts[1] += len(change.deletes)
        self.aside += len(change.aside)
        self.texts += [each.text for each in change.notes]
        for each in change.aside:
            self.texts.append(f"{change.resource} {each.id or ''}: set aside, {each.where} is {each.why}")

    def line(self, seconds: float) -> str:
        """What is shown of the round."""
        parts = [f"{name} +{new} -{gone}" for name, (new, gone) in self.counts.items()]
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return f"{when} {', '.join(parts)} in {seconds:.1f} s"


class _Lake:
    """A folder of Parquet files."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def held(self, tables: Mapping[str, Any]) -> Any:
        """The folder is kept to one sync while it is written to, and looked at then."""
        return nullcontext()

    def round(
        self,
        resources: Sequence[str],
        connect: Callable[[], AsyncM3ter],
        full: bool | timedelta,
        on_change: Callable[[Change], object],
    ) -> None:
        """Bring it up to date."""
        from ..sync import sync_lake

        async def run() -> None:
            async with connect() as client:
                for name in resources:
                    await sync_lake(client, name, self._folder, full=full, on_change=on_change)

        anyio.run(run)


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: What comes after ``sync``.

    Returns:
        The exit status.

    Raises:
        CommandFailed: It cannot be followed, or failed.
    """
    options = _parse(arguments)
    resources = list(dict.fromkeys(options.resources))
    destination = _destination(options.to, options.dataset)
    given = given_to(options)
    tables = _tables(resources)
    anyio.run(_check, lambda: connect(given))
    stop = _Stop(options.every is not None)
    result: list[int | BaseException] = []

    def work() -> None:
        try:
            with destination.held(tables):
                result.append(_rounds(options, resources, destination, lambda: connect(given), stop))
        except BaseException as error:  # noqa: BLE001  it is raised in the main thread
            result.append(error)

    # signals are handled in the main thread, which is kept free for them
    with handled_by(stop.signal):
        thread = threading.Thread(target=work, name="m3ter-rounds")
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
    (end,) = result
    if isinstance(end, Stopped):
        complain("stopped")
        return end.status
    if isinstance(end, (M3terError, ValueError, ImportError, OSError, Refused)):
        raise CommandFailed(f"sync: {end}", 1 if isinstance(end, (M3terError, OSError, Refused)) else 2)
    if isinstance(end, BaseException):
        raise end
    return end


class _Stop:
    """Whether a signal came: it ends a single round at the next step, and --every between rounds."""

    def __init__(self, stays: bool) -> None:
        self.asked = threading.Event()
        self._stays = stays
        self._number = 0

    def signal(self, number: int, frame: object) -> None:
        """Take a signal; a second one ends the process at once."""
        import signal

        self._number = number
        self.asked.set()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)

    def check(self) -> None:
        """Be called at each step.

        Raises:
            Stopped: A signal came, and there is no end of a round to wait for.
        """
        if self.asked.is_set() and not self._stays:
            raise Stopped(self._number)


def _rounds(
    options: argparse.Namespace, resources: Sequence[str], destination: Any, connect: Callable[[], Any], stop: _Stop
) -> int:
    full: bool | timedelta = True if options.full else timedelta(days=1)
    while True:
        tally, began = _Tally(resources), time.monotonic()

        def note(change: Change, tally: _Tally = tally) -> None:
            stop.check()
            tally.note(change)

        try:
            destination.round(resources, connect, full, note)
        except (M3terError, OSError, Refused) as error:
            if options.every is None:
                raise
            complain(f"sync: this round failed, the next one comes: {error}")
        else:
            full = timedelta(days=1)
            for text in tally.texts:
                complain(f"sync: {text}")
            if not options.quiet:
                put(sys.stdout, tally.line(time.monotonic() - began) + "\n")
                if sys.stdout is not None:
                    sys.stdout.flush()
        if options.every is None:
            return 3 if tally.aside else 0
        if stop.asked.wait(max(0.0, options.every - (time.monotonic() - began))):
            return 0


async def _check(connect: Callable[[], AsyncM3ter]) -> None:
    """Make a client and call nothing, so that wrong settings are told before anything is touched."""
    async with connect():
        pass


def _tables(resources: Sequence[str]) -> dict[str, Any]:
    """The schema of each table.

    Raises:
        CommandFailed: There is no such listing, or pyarrow is missing.
    """
    try:
        from ..arrow import schemas

        return {name: schema for each in resources for name, schema in schemas(each).items()}
    except (ValueError, ImportError) as error:
        raise CommandFailed(f"sync: {error}") from None


def _destination(to: str, dataset: str) -> Warehouse | _Lake:
    scheme, colon, _ = to.partition("://")
    if not colon:
        if re.match(r"[a-z0-9+]{2,}:", to):
            raise CommandFailed("sync: --to is neither a URL with :// nor a folder; a folder may be written ./NAME")
        return _Lake(to)
    if scheme in ("duckdb", "postgresql", "postgres"):
        return Warehouse(to, dataset)
    raise CommandFailed(
        f"sync: there is no destination {scheme}://; there are duckdb:///FILE, postgresql://… and folders"
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    return parser().parse(arguments)
