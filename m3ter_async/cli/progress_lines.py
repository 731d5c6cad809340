"""How far an export is: lines for people, lines for machines, or nothing but errors. Bars are in `progress_bars`."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import anyio

from ..export.report import ExportProgress, ExportReport, ResourceProgress
from .console import complain, note, one_line, tell
from .export_summary import describe, duration, ending, summary, traffic

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
        once_mended: Whether going on helps only after somebody has done something about what is wrong.
    """

    text: str
    status: int
    resume: str | None = None
    request_id: str | None = None
    once_mended: bool = False


class Pace:
    """How fast it goes and how long the rest takes, by what the last seconds brought."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, ExportProgress]] = deque()

    def add(self, now: float, progress: ExportProgress) -> None:
        """It stood here, at `now` on a monotonic clock."""
        self._seen.append((now, progress))
        while len(self._seen) > 1 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()

    def __iter__(self) -> Iterator[tuple[ResourceProgress, float | None, float | None]]:
        """Each resource with its rows per second and the seconds that are left, where they can be told."""
        (since, before), (now, progress) = self._seen[0], self._seen[-1]
        seconds = now - since
        for then, each in zip(before.resources, progress.resources, strict=False):
            if seconds < _LEAST or each.finished:
                yield each, None, None
                continue
            rate = max(each.rows - then.rows, 0) / seconds  # a split takes rows back
            yield each, rate, _left(then.share, each.share, seconds)


def _left(before: float | None, share: float | None, seconds: float) -> float | None:
    """How many seconds are left, if how much is done was known both then and now."""
    if before is None or share is None or share <= before:
        return None
    return (1 - share) * seconds / (share - before)


class Display:
    """Shows nothing but errors.

    Args:
        resources: What is exported.
        out: Where to.
    """

    interval: float = 3600.0  # seconds from one look at the progress to the next

    def __init__(self, resources: Sequence[str], out: str) -> None:
        self.resources = resources
        self.out = out
        self.pace: Pace = Pace()
        self.latest: ExportProgress | None = None
        self._started = False

    def note(self, progress: ExportProgress) -> None:
        """Keep `progress` until it is shown: an export must not wait for a display."""
        if self.latest is None:
            self._start()
            self.pace.add(time.monotonic(), progress)
        self.latest = progress

    async def keep_showing(self) -> None:
        """Show the latest progress time and again, until cancelled."""
        while True:
            await anyio.sleep(self.interval)
            self._start()
            self.show_latest()

    def show_latest(self) -> None:
        """Show where it is, if it has come anywhere."""
        if self.latest is not None:
            self.pace.add(time.monotonic(), self.latest)
            self.show(self.latest)

    def _start(self) -> None:
        if not self._started:  # and not before: what is refused at once has not started
            self._started = True
            self.started()

    def started(self) -> None:
        """The export is under way."""

    def show(self, progress: ExportProgress) -> None:
        """It stands here; `pace` knows it already."""

    def warned(self, text: str) -> None:
        """The client warns of something, such as a pause that the service asks for."""

    def detailed(self, text: str) -> None:
        """Something happened that was asked to be told: a request, an answer."""
        note(text)

    def stopping(self) -> None:
        """A signal came."""

    def finished(self, report: ExportReport, status: int, resume: str | None) -> None:
        """It came to its end, which is an error where something is missing.

        Args:
            report: What it came to.
            status: What the process exits with.
            resume: The command that asks for what is missing again, if there is such.
        """
        if status:
            complain(ending(report, resume))

    def failed(self, failure: Failure) -> None:
        """It ended otherwise."""
        then = "once that is mended, go on with" if failure.once_mended else "go on with"
        complain(one_line(failure.text) + (f"; {then}: {failure.resume}" if failure.resume else ""))

    def close(self) -> None:
        """Leave the terminal as it was; a second time does nothing."""


class Lines(Display):
    """A line every few seconds."""

    interval: float = 5.0

    def started(self) -> None:
        """Say what it is."""
        note(f"exporting {', '.join(self.resources)} to {self.out}")

    def show(self, progress: ExportProgress) -> None:
        """All resources in one line."""
        parts = [*(describe(*each) for each in self.pace), *traffic(progress)]
        note(f"{duration(progress.seconds)}  {'; '.join(parts)}")

    def warned(self, text: str) -> None:
        """Say so."""
        note(text)

    def stopping(self) -> None:
        """Say how to be quicker."""
        self.close()
        note("stopping: what is finished is kept; Ctrl-C again ends it at once")

    def finished(self, report: ExportReport, status: int, resume: str | None) -> None:
        """Where it ended, a summary on stdout, and last of all whether something is missing."""
        self.show_latest()
        self.close()
        tell(sys.stdout, "".join(f"{line}\n" for line in summary(report, self.out)))
        if report.notes:
            complain(ending(report, resume))

    def failed(self, failure: Failure) -> None:
        """Where it ended, and why."""
        self.show_latest()
        self.close()
        super().failed(failure)


class JsonLines(Display):
    """A JSON object a line, on stderr."""

    interval: float = 5.0

    def __init__(self, resources: Sequence[str], out: str, *, quiet: bool) -> None:
        super().__init__(resources, out)
        self._quiet = quiet

    def started(self) -> None:
        """Event ``start``."""
        self._say("start", resources=self.resources, out=self.out)

    def show(self, progress: ExportProgress) -> None:
        """Event ``progress``, one of each resource."""
        whole = {"seconds": round(progress.seconds, 3), "in_flight": progress.in_flight, "retries": progress.retries}
        for each, rate, left in self.pace:
            self._say("progress", **asdict(each), rows_per_second=_rounded(rate), seconds_left=_rounded(left), **whole)

    def warned(self, text: str) -> None:
        """Event ``warning``."""
        self._say("warning", warning=text)

    def detailed(self, text: str) -> None:
        """Event ``detail``."""
        self._say("detail", detail=text)

    def stopping(self) -> None:
        """Event ``stopping``."""
        self._say("stopping")

    def finished(self, report: ExportReport, status: int, resume: str | None) -> None:
        """An event ``note`` for each, and event ``finished``; quiet or not where something is missing."""
        self._start()
        self.show_latest()
        self._quiet = self._quiet and not status
        for each in report.notes:
            fields = {**asdict(each), "text": one_line(each.text)}
            self._say("note", **fields, aside=each.aside)
        self._say(
            "finished",
            complete=report.complete,
            status=status,
            resume=resume,
            out=self.out,
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
        self.show_latest()
        self._quiet = False
        self._say(
            "failed",
            error=one_line(failure.text),
            status=failure.status,
            request_id=failure.request_id,
            resume=None if failure.once_mended else failure.resume,
            resume_once_mended=failure.resume if failure.once_mended else None,
        )

    def _say(self, event: str, **fields: Any) -> None:
        if not self._quiet:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            note(json.dumps({"time": now, "event": event, **fields}, separators=(",", ":")))  # in ASCII, for any place


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
