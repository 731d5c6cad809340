"""How far an export is, in words and bars."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from m3ter_async.cli.export_summary import describe, duration, megabytes, traffic
from m3ter_async.cli.progress_lines import Lines, Pace
from m3ter_async.export import ExportProgress, ResourceProgress
from m3ter_async.sandbox import Sandbox

from .conftest import variables
from .test_command_line import COMMAND


def at(rows: int, share: float | None = None, *, finished: bool = False) -> ExportProgress:
    return ExportProgress(1.0, (ResourceProgress("bills", rows, 0, 0, share, finished),), 8, 0)


def figures(*seen: tuple[float, ExportProgress]) -> tuple[float | None, float | None]:
    pace = Pace()
    for now, progress in seen:
        pace.add(now, progress)
    ((_, rate, left),) = pace
    return rate, left


def test_the_pace_is_that_of_the_last_seconds() -> None:
    assert figures((0.0, at(0, 0.0)), (10.0, at(1000, 0.25))) == (100.0, 30.0)
    recent = [(float(second), at(1000 + 10 * second, 0.5 + second / 1000)) for second in range(50, 101)]
    rate, left = figures((0.0, at(0, 0.0)), *recent)
    assert rate == pytest.approx(10.0)
    assert left == pytest.approx(400.0)


def test_a_pace_that_nobody_can_tell_is_not_told() -> None:
    assert figures((0.0, at(500))) == (None, None)
    assert figures((0.0, at(0, 0.0)), (0.5, at(500, 0.5))) == (None, None)
    assert figures((0.0, at(0)), (10.0, at(500))) == (50.0, None)
    assert figures((0.0, at(100, 0.5)), (10.0, at(200, 0.5))) == (10.0, None)
    # of a share that was not known before nobody can tell how fast it grows
    assert figures((0.0, at(100)), (10.0, at(200, 0.5))) == (10.0, None)
    assert figures((0.0, at(0, 0.0)), (10.0, at(500, 1.0, finished=True))) == (None, None)


def test_rows_that_are_read_again_make_no_negative_pace() -> None:
    assert figures((0.0, at(500, 0.5)), (10.0, at(400, 0.4))) == (0.0, None)


def test_what_earlier_runs_read_counts_for_no_pace() -> None:
    assert figures((0.0, at(100_000, 0.5)), (10.0, at(100_100, 0.75))) == (10.0, 10.0)


def test_figures_are_written_to_be_read() -> None:
    (bills,) = at(1234567, 0.256).resources
    assert describe(bills, 1234.4, 3723.0) == "bills 1,234,567 rows, 1,234/s, 26%, 1:02:03 left"
    assert describe(bills, None, None) == "bills 1,234,567 rows, 26%"
    assert [duration(each) for each in (0.4, 59.6, 3600)] == ["0:00", "1:00", "1:00:00"]
    assert [megabytes(each) for each in (10, 41_500_000, 1_234_000_000)] == ["0.0 kB", "41.5 MB", "1.23 GB"]
    assert traffic(at(1)) == ["8 requests in flight"]
    assert traffic(ExportProgress(1.0, (), 1, 1)) == ["1 request in flight", "1 retry"]


def test_a_callback_draws_nothing_so_that_the_export_does_not_wait(capsys: pytest.CaptureFixture[str]) -> None:
    display = Lines(["bills"], "x")
    for rows in range(1000):
        display.note(at(rows))
    assert capsys.readouterr().err == "exporting bills to x\n"
    display.show_latest()
    assert capsys.readouterr().err == "0:01  bills 999 rows; 8 requests in flight\n"


def test_bars_show_rows_pace_and_time_left() -> None:
    pytest.importorskip("rich")
    from rich.console import Console

    from m3ter_async.cli.progress_bars import Bars

    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    bars = Bars(["bills", "[red]"], "x", console)
    one = ExportProgress(65.0, (ResourceProgress("bills", 1200, 1, 1, 0.5, False),) * 2, 8, 2)
    bars.note(one)
    bars.show_latest()
    bars.note(ExportProgress(66.0, (ResourceProgress("bills", 3000, 1, 1, 1.0, True),) * 2, 0, 2))
    bars.show_latest()
    bars.close()
    bars.close()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("[red]", "1,200 rows", "1:05  8 requests in flight  2 retries", "3,000 rows", "done", "━━━"):
        assert words in text


RICHLESS = "import sys; sys.modules['rich'] = None; from m3ter_async.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal is made by pty")
@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal_shows_bars_or_lines_where_rich_is_missing(tmp_path: Path, rich: bool) -> None:
    import pty

    if rich:
        pytest.importorskip("rich")
    here, there = pty.openpty()
    command = COMMAND if rich else [sys.executable, "-c", RICHLESS]
    with Sandbox(seed=7, bills=60, latency=0.1) as sandbox:
        result = subprocess.run(
            [*command, "export", "bills", "--out", str(tmp_path / "x")],
            env={**os.environ, **variables(sandbox), "TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=there,
            timeout=30,
            check=False,
        )
    os.close(there)
    shown = b""
    try:
        while part := os.read(here, 65_536):
            shown += part
    except OSError:  # how Linux tells the end of a terminal
        pass
    finally:
        os.close(here)
    assert result.returncode == 0
    assert result.stdout.startswith(b"Exported bills in ")
    assert ("━" in shown.decode()) is rich
    assert "60 rows" in shown.decode()
