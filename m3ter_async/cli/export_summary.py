"""How an export is put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..export.report import ExportProgress, ExportReport, NoteKind, ResourceProgress
from .console import one_line

_ASIDE: Sequence[tuple[NoteKind, str, str]] = (
    ("record", "record", "records"),
    ("parent", "parent", "parents"),
    ("slice", "slice", "slices"),
    ("parents", "page of parents", "pages of parents"),
)


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


def traffic(progress: ExportProgress) -> list[str]:
    """What goes on with the service."""
    words = [f"{counted(progress.in_flight, 'request', 'requests')} in flight"] if progress.in_flight else []
    return [*words, *([counted(progress.retries, "retry", "retries")] if progress.retries else [])]


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
    for note in report.notes:
        yield f"  note: {one_line(note.text)}"


def ending(report: ExportReport, resume: str | None) -> str:
    """The last line: whether something is missing, and what to do about it."""
    if report.complete:
        return f"complete, with {counted(len(report.notes), 'note', 'notes')}"
    aside = [note for note in report.notes if note.aside]
    parts = [
        counted(sum(note.count or 1 for note in aside if note.kind == kind), one, many)
        for kind, one, many in _ASIDE
        if any(note.kind == kind for note in aside)
    ]
    said = [f"{' and '.join(parts)} set aside"] if parts else []
    if changing := sum(note.count or 1 for note in aside if note.kind == "unsettled"):
        said.append(f"{counted(changing, 'record', 'records')} changing still")
    text = f"finished, but not complete: {', '.join(said)}"
    return text + (f"; ask for them again with: {resume}" if resume else "")


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
