"""How far an export is: lines for people, lines for machines, or nothing but errors. Bars are in `bars`."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import anyio
import msgspec

from ..export.report import ExportProgress, ExportReport, ResourceProgress
from .console import complain, note, one_line

_WINDOW = 15.0  # seconds that a rate is taken over
_LEAST = 1.0  # seconds before there is one


@dataclass(frozen=True)
class Failure:
    """Why an export ended without its report.

    Attributes:
        text: What is wrong.
        status: What the process exits with.
        resume: The command that goes on, where there is something to go on with.
        request_id: Of the request that failed, if the service gave it one.
    """

    text: str
    status: int
    resume: str | None = None
    request_id: str | None = None


class Pace:
    """How fast it goes and how long the rest takes, by what the last seconds brought."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, ExportProgress]] = deque()

    def take(
        self, now: float, progress: ExportProgress
    ) -> Iterator[tuple[ResourceProgress, float | None, float | None]]:
        """Each resource with its rows per second and the seconds that are left, where they can be told."""
        self._seen.append((now, progress))
        while len(self._seen) > 1 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        seconds = now - since
        for then, each in zip(before.resources, progress.resources, strict=False):
            if seconds < _LEAST or each.finished:
                yield each, None, None
                continue
            rate = max(each.rows - then.rows, 0) / seconds  # a split takes rows back
            more = (each.share or 0) - (then.share or 0)
            yield each, rate, None if each.share is None or more <= 0 else (1 - each.share) * seconds / more


class Display:
    """Shows nothing but errors."""

    interval = 3600.0  # seconds from one look at the progress to the next

    def __init__(self) -> None:
        self.latest: ExportProgress | None = None

    def note(self, progress: ExportProgress) -> None:
        """Keep `progress` until it is shown: an export must not wait for a display."""
        self.latest = progress

    async def keep_showing(self) -> None:
        """Show the latest progress time and again, until cancelled."""
        while True:
            await anyio.sleep(self.interval)
            if self.latest is not None:
                self.show(self.latest, time.monotonic())

    def started(self, resources: Sequence[str], out: str) -> None:
        """The export begins."""

    def show(self, progress: ExportProgress, now: float) -> None:
        """It stands here, at `now` on a monotonic clock."""

    def stopping(self) -> None:
        """A signal came."""

    def finished(self, report: ExportReport, out: str) -> None:
        """All is there."""

    def failed(self, failure: Failure) -> None:
        """It ended otherwise."""
        complain(one_line(failure.text) + (f"; go on with: {failure.resume}" if failure.resume else ""))

    def close(self) -> None:
        """Leave the terminal as it was; a second time does nothing."""


class Lines(Display):
    """A line every few seconds."""

    interval = 5.0

    def __init__(self) -> None:
        super().__init__()
        self._pace = Pace()

    def started(self, resources: Sequence[str], out: str) -> None:
        """Say what it is."""
        note(f"exporting {', '.join(resources)} to {out}")

    def show(self, progress: ExportProgress, now: float) -> None:
        """All resources in one line."""
        parts = [describe(*each) for each in self._pace.take(now, progress)]
        note(f"{duration(progress.seconds)}  {'; '.join([*parts, traffic(progress)])}")

    def stopping(self) -> None:
        """Say how to be quicker."""
        self.close()
        note("stopping: what is finished is kept; Ctrl-C again ends it at once")

    def finished(self, report: ExportReport, out: str) -> None:
        """Where it ended, and a summary on stdout."""
        if self.latest is not None:
            self.show(self.latest, time.monotonic())
        self.close()
        sys.stdout.writelines(f"{line}\n" for line in summary(report, out))

    def failed(self, failure: Failure) -> None:
        """Where it ended, and why."""
        if self.latest is not None:
            self.show(self.latest, time.monotonic())
        self.close()
        super().failed(failure)


class JsonLines(Display):
    """A JSON object a line, on stderr."""

    interval = 5.0

    def __init__(self, *, quiet: bool) -> None:
        super().__init__()
        self._quiet = quiet
        self._pace = Pace()

    def started(self, resources: Sequence[str], out: str) -> None:
        """Event ``start``."""
        self._say("start", resources=resources, out=out)

    def show(self, progress: ExportProgress, now: float) -> None:
        """Event ``progress``, one of each resource."""
        whole = {"seconds": round(progress.seconds, 3), "in_flight": progress.in_flight, "retries": progress.retries}
        for each, rate, left in self._pace.take(now, progress):
            self._say("progress", **asdict(each), rows_per_second=_rounded(rate), seconds_left=_rounded(left), **whole)

    def stopping(self) -> None:
        """Event ``stopping``."""
        self._say("stopping")

    def finished(self, report: ExportReport, out: str) -> None:
        """Event ``finished``."""
        if self.latest is not None:
            self.show(self.latest, time.monotonic())
        self._say(
            "finished",
            out=out,
            records=report.records,
            rows=report.rows,
            files=len(report.files),
            file_bytes=sum(each.bytes for each in report.files),
            pages=report.pages,
            bytes=report.bytes,
            retries=report.retries,
            seconds=round(report.seconds, 3),
        )

    def failed(self, failure: Failure) -> None:
        """Event ``failed``."""
        self._quiet = False
        self._say(
            "failed",
            error=one_line(failure.text),
            status=failure.status,
            request_id=failure.request_id,
            resume=failure.resume,
        )

    def _say(self, event: str, **fields: Any) -> None:
        if not self._quiet:
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            note(msgspec.json.encode({"time": now, "event": event, **fields}).decode())


def display_for(log_format: str, *, quiet: bool) -> Display:
    """What suits the place: bars on a terminal, where rich is installed, lines elsewhere."""
    if log_format == "json":
        return JsonLines(quiet=quiet)
    if quiet:
        return Display()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from .bars import Bars
        except ModuleNotFoundError as missing:
            if missing.name != "rich":
                raise
        else:
            return Bars()
    return Lines()


def describe(resource: ResourceProgress, rate: float | None, left: float | None) -> str:
    """One resource in a few words."""
    words = [f"{resource.resource} {resource.rows:,} rows"]
    if resource.finished:
        words.append("done")
    else:
        words += [f"{rate:,.0f}/s"] if rate is not None else []
        words += [f"{resource.share:.0%}"] if resource.share is not None else []
        words += [f"{duration(left)} left"] if left is not None else []
    return ", ".join(words)


def traffic(progress: ExportProgress) -> str:
    """What goes on with the service."""
    retries = f", {counted(progress.retries, 'retry', 'retries')}" if progress.retries else ""
    return f"{counted(progress.in_flight, 'request', 'requests')} in flight{retries}"


def summary(report: ExportReport, out: str) -> Iterator[str]:
    """What a finished export comes to, in lines."""
    size = sum(each.bytes for each in report.files)
    parts = [counted(report.pages, "page", "pages"), counted(report.retries, "retry", "retries")]
    parts.append(f"{counted(len(report.files), 'file', 'files')} of {megabytes(size)} in {out}")
    yield f"Exported {', '.join(report.records)} in {report.seconds:,.1f} s: {', '.join(parts)}"
    rows = [
        (_label(resource, table), f"{count:,}")
        for resource, tables in report.rows.items()
        for table, count in tables.items()
    ]
    wide, long = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    for label, count in rows:
        yield f"  {label:<{wide}}  {count:>{long}} rows"


def _label(resource: str, table: str) -> str:
    return resource if resource.rpartition(".")[2] == table else f"{resource}: {table}"


def counted(number: int, one: str, many: str) -> str:
    """``1 page``, ``2 pages``."""
    return f"{number:,} {one if number == 1 else many}"


def duration(seconds: float) -> str:
    """``0:32``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def megabytes(size: int) -> str:
    """In the unit that fits."""
    return (
        f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
