"""A bar for each resource, on a terminal; needs rich."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from ..export.report import ExportProgress
from .console import Telling
from .export_summary import duration, traffic
from .progress_lines import Lines


class _Table(Progress):
    """The bars, and a line below them."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.below, style="dim")


class Bars(Lines):
    """A bar for each resource, which runs to and fro where nobody can tell how much there is."""

    interval: float = 0.2

    def __init__(self, resources: Sequence[str], out: str, console: Console | None = None) -> None:
        super().__init__(resources, out)
        words = [
            TextColumn(f"{{task.fields[{name}]}}", justify="right", markup=False) for name in ("rows", "rate", "left")
        ]
        self._table = _Table(
            TextColumn("{task.description}", markup=False),
            BarColumn(None),
            *words,
            console=console or Console(file=cast("TextIO", Telling(sys.stderr))),
            auto_refresh=False,  # the display has a task of its own; a thread would only draw what is old
            expand=True,
        )
        self._tasks: list[TaskID] = []

    def started(self) -> None:
        """Draw the bars."""
        super().started()
        self._tasks = [self._table.add_task(each, total=None, rows="", rate="", left="") for each in self.resources]
        self._table.start()

    def show(self, progress: ExportProgress) -> None:
        """Draw them anew."""
        for task, (each, rate, left) in zip(self._tasks, self.pace, strict=False):
            share = 1.0 if each.finished else each.share
            self._table.update(
                task,
                total=None if share is None else 1.0,
                completed=share or 0.0,
                rows=f"{each.rows:,} rows",
                rate="" if rate is None else f"{rate:,.0f}/s",
                left="done" if each.finished else "" if left is None else f"{duration(left)} left",
            )
        self._table.below = "  ".join([duration(progress.seconds), *traffic(progress)])
        self._table.refresh()

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._table.stop()
