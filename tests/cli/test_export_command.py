"""``m3ter-async export``: what it hands on, how it ends, and that a signal leaves something to go on with."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio.lowlevel
import pytest

from m3ter_async import APIError, AsyncM3ter
from m3ter_async.cli import main
from m3ter_async.cli.console import quoted
from m3ter_async.cli.export import main as export
from m3ter_async.export import ExportedFile, ExportError, ExportProgress, ExportReport, Note, ResourceProgress
from m3ter_async.sandbox import Sandbox

from ..processes import running
from .conftest import variables
from .test_call import wait_for
from .test_command_line import COMMAND, Captured, complaint

REPORT = ExportReport(
    records={"bills": 3000, "accounts": 1},
    rows={"bills": {"bills": 3000, "line_items": 37226}, "accounts": {"accounts": 1}},
    files=(ExportedFile(Path("out/a"), "bills", "bills", 3000, 1_500_000),) * 2,
    pages=1,
    bytes=5,
    retries=2,
    seconds=1.26,
)
PROGRESS = ExportProgress(75.0, (ResourceProgress("bills", 1200, 12, 5, 0.25, False),), 3, 1)


class Job:
    """An export that ends as it is told, and what it was called with."""

    def __init__(self, end: ExportReport | Exception = REPORT) -> None:
        self.end = end
        self.arguments: dict[str, Any] = {}

    async def __call__(self, client: AsyncM3ter, resources: Sequence[str], out: str, **arguments: Any) -> ExportReport:
        self.arguments = {"resources": resources, "out": out, **arguments}
        arguments["on_progress"](PROGRESS)
        await anyio.lowlevel.checkpoint()
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


@pytest.mark.usefixtures("credentials")
def test_every_option_is_handed_on_and_what_is_left_out_stays_open() -> None:
    job = Job()
    assert export(["bills", "--out", "x", "--quiet"], job) == 0
    assert job.arguments.pop("on_progress")
    assert job.arguments == {
        "resources": ["bills"],
        "out": "x",
        "format": None,
        "since": None,
        "until": None,
        "where": None,
        "nested": None,
        "compression": None,
        "concurrency": 8,
        "settle": None,
        "processes": 1,
        "resume": False,
        "overwrite": False,
    }
    words = (
        "bills accounts --out x --since 2024-01-01 --until 2025-01-01 --format ndjson --compress zstd --nested "
        "--where status=A=B --where account-id=a --concurrency 3 --settle --processes 2 "
        "--overwrite --quiet"
    )
    assert export(words.split(), job) == 0
    assert job.arguments.pop("on_progress")
    assert job.arguments == {
        "resources": ["bills", "accounts"],
        "out": "x",
        "format": "ndjson",
        "since": date(2024, 1, 1),
        "until": date(2025, 1, 1),
        "where": {"status": "A=B", "account_id": "a"},
        "nested": True,
        "compression": "zstd",
        "concurrency": 3,
        "settle": True,
        "processes": 2,
        "resume": False,
        "overwrite": True,
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("bills", "--out"),
        ("--out x", "RESOURCE"),
        ("bills --out x --since 2024-02-30", "--since: '2024-02-30' is not a date"),
        ("bills --out x --format xml", "--format"),
        ("bills --out x --concurrency 0", "--concurrency: '0' is not a whole number from 1"),
        ("bills --out x --where status", "--where: 'status' is not NAME=VALUE"),
        ("bills --out x --where a=1 --where a=2", "two --where are of the same parameter"),
        ("bills --out x --resume --overwrite", "not allowed with"),
        ("bills --out x --formt csv", "takes no --formt; did you mean --format"),
        ("bills --out x --api-secret hush", "takes no --api-secret"),
        ("bills --out x --api-secret=hush", "takes no --api-secret"),
        ("bils --out x", "'bils' is no listing of this API; near to it: bills"),
        ("bills --out x --where staus=hush", "bills cannot be selected by staus; did you mean status?"),
        ("bills --out x --since 2025-01-01 --until 2024-01-01", "since must be before until"),
        ("bills --out x --resume", "x holds no export to go on with"),
        ("bills --out x --base-url ftp://x", "--base-url 'ftp://x' is not an http or https URL"),
        ("bills --out abfss://hush/x", "--out begins with abfss:, and must be a folder of this machine"),
        ("bills --out s3://hush:hush@bucket/x", "--out names no bucket behind s3://; credentials and options belong"),
        ("bills --out az://bucket/x?sig=hush", "--out has a prefix behind az:// that cannot be used"),
        ("bills --out ~/x", "--out begins with ~"),
        ("bills --out=", "--out names no folder: it is empty"),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_what_cannot_be_exported_is_one_line_and_leaves_no_folder(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = complaint(capsys, "export", *words.split())
    assert told in text
    assert "hush" not in text
    assert list(tmp_path.iterdir()) == []


def test_missing_credentials_are_named(capsys: Captured, tmp_path: Path) -> None:
    text = complaint(capsys, "export", "bills", "--out", str(tmp_path / "x"))
    variables = "M3TER_API_KEY, M3TER_API_SECRET and M3TER_ORG_ID"
    told = f"no API key, no API secret and no organization: set the environment variables {variables}"
    assert text == f"m3ter-async: {told}\n"


@pytest.mark.usefixtures("credentials")
def test_a_folder_that_cannot_be_written_to_is_one_line(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = complaint(capsys, "export", "bills", "--out", str(tmp_path / "file" / "x"))
    assert text == f"m3ter-async: cannot write to {tmp_path / 'file' / 'x'}: Not a directory\n"


@pytest.mark.usefixtures("credentials")
def test_a_missing_pyarrow_names_the_extra(tmp_path: Path) -> None:
    script = "import sys; sys.modules['pyarrow'] = None; from m3ter_async.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", script, "export", "bills", "--format", "parquet", "--out", str(tmp_path / "x")]
    result = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 2
    assert 'pip install "m3ter-async[export]"' in result.stderr
    assert len(result.stderr.splitlines()) == 1


FAILURES = [
    APIError("500: bad\nday", method="GET", path="/bills", status=500, request_id="r-1", attempts=6),
    ExportError("the disk is full"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=["service", "disk"])
@pytest.mark.usefixtures("credentials")
def test_a_failure_on_the_way_says_how_to_go_on(capsys: Captured, failure: Exception) -> None:
    words = ["bills", "--out", "my export", "--overwrite", "--where", "status=A", "--quiet"]
    assert export(words, Job(failure)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    text, _, command = err.rstrip().partition("; go on with: ")
    assert text == "m3ter-async: " + " ".join(str(failure).split())
    assert shlex.split(command) == [
        *["m3ter-async", "export", "bills", "--out", "my export", "--where", "status=A", "--quiet", "--resume"]
    ]


@pytest.mark.usefixtures("credentials")
def test_the_command_that_goes_on_is_quoted_for_the_shell_of_the_place(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    words = ["bills", "--out", "C:\\My Data\\", "--where", "a=1&2", "--where", 'b="', "--where", "c=x,y", "--quiet"]
    assert export(words, Job(FAILURES[0])) == 1
    command = capsys.readouterr().err.rstrip().partition("; go on with: ")[2]
    assert command == (
        'm3ter-async export bills --out "C:\\My Data\\\\" --where "a=1&2" --where "b=\\"" --where "c=x,y" --quiet '
        "--resume"
    )
    for word in ("C:\\My Data\\", 'x y\\"z', 'x "y" \\\\', ""):  # as a C runtime takes it apart
        assert quoted([word]) == subprocess.list2cmdline([word])


ASIDE = replace(
    REPORT,
    notes=(
        Note(
            "record", "bills", 2, "2 records of bills set aside in x/aside/bills.ndjson: bill_total: NaN", ("b1", "b2")
        ),
        Note("gone", "bills.line_items", 1, "1 parent not there\nany more: b7", ("b7",)),
    ),
)
REFUSED = replace(ASIDE, notes=(*ASIDE.notes, Note("parent", "x", 1, "p set aside: 403", ("p",), again=True)))


@pytest.mark.parametrize(("allowed", "status"), [([], 3), (["--allow-aside"], 0)])
@pytest.mark.usefixtures("credentials")
def test_what_was_set_aside_is_told_by_the_summary_the_last_line_the_log_and_the_exit_status(
    capsys: Captured, allowed: list[str], status: int
) -> None:
    words = ["bills", "--out", "x", *allowed]
    assert export(words, Job(ASIDE)) == status
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == [
        "  note: 2 records of bills set aside in x/aside/bills.ndjson: bill_total: NaN",
        "  note: 1 parent not there any more: b7",
    ]
    assert err.splitlines()[-1] == "m3ter-async: finished, but not complete: 2 records set aside"
    assert export([*words, "--log-format", "json"], Job(ASIDE)) == status
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    first, second, finished = told[-3:]
    assert [each["event"] for each in (first, second, finished)] == ["note", "note", "finished"]
    assert (first["kind"], first["resource"], first["count"], first["names"]) == ("record", "bills", 2, ["b1", "b2"])
    assert (first["aside"], second["aside"]) == (True, False)
    assert (finished["complete"], finished["status"], finished["resume"]) == (False, status, None)
    # quiet is only silent where there is nothing to do
    assert export([*words, "--quiet"], Job(ASIDE)) == status
    assert bool(capsys.readouterr().err) is bool(status)


@pytest.mark.usefixtures("credentials")
def test_going_on_is_told_of_where_it_asks_again_for_what_was_set_aside(capsys: Captured) -> None:
    assert export(["bills", "--out", "x", "--quiet"], Job(REFUSED)) == 3
    text, _, command = capsys.readouterr().err.rstrip().partition("; ask for them again with: ")
    assert text == "m3ter-async: finished, but not complete: 2 records and 1 parent set aside"
    assert shlex.split(command) == ["m3ter-async", "export", "bills", "--out", "x", "--quiet", "--resume"]
    assert export(["bills", "--out", "x", "--log-format", "json"], Job(REFUSED)) == 3
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["resume"].endswith("--resume")


@pytest.mark.usefixtures("credentials")
def test_what_was_changing_still_at_the_end_is_told_apart_from_what_was_set_aside(capsys: Captured) -> None:
    changing = Note("unsettled", "bills", 2, "2 records of bills changing still: a, b", ("a", "b"), again=True)
    assert export(["bills", "--out", "x", "--quiet"], Job(replace(ASIDE, notes=(changing,)))) == 3
    text, _, command = capsys.readouterr().err.rstrip().partition("; ask for them again with: ")
    assert text == "m3ter-async: finished, but not complete: 2 records changing still"
    assert command
    assert export(["bills", "--out", "x", "--quiet"], Job(replace(ASIDE, notes=(*ASIDE.notes, changing)))) == 3
    assert "2 records set aside, 2 records changing still" in capsys.readouterr().err


@pytest.mark.usefixtures("credentials")
def test_notes_alone_are_no_failure(capsys: Captured) -> None:
    noted = replace(ASIDE, notes=ASIDE.notes[1:])
    assert export(["bills", "--out", "x"], Job(noted)) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "  note: 1 parent not there any more: b7"
    assert err.splitlines()[-1] == "m3ter-async: complete, with 1 note"
    assert export(["bills", "--out", "x", "--quiet"], Job(noted)) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@pytest.mark.usefixtures("credentials")
def test_after_a_refusal_going_on_is_for_when_it_is_mended(capsys: Captured, status: int) -> None:
    refusal = APIError(f"{status}: no", method="GET", path="/bills", status=status)
    assert export(["bills", "--out", "x", "--quiet"], Job(refusal)) == 1
    assert "; once that is mended, go on with: m3ter-async export " in capsys.readouterr().err
    assert export(["bills", "--out", "x", "--log-format", "json", "--quiet"], Job(refusal)) == 1
    told = json.loads(capsys.readouterr().err)
    assert told["resume"] is None
    assert told["resume_once_mended"].endswith("--resume")


@pytest.mark.usefixtures("credentials")
def test_a_failure_that_going_on_would_not_mend_does_not_tell_to_go_on(capsys: Captured) -> None:
    assert (
        export(
            ["bills", "--out", "x", "--quiet"],
            Job(ExportError("2 ids came twice: export anew with overwrite", resumable=False)),
        )
        == 1
    )
    assert capsys.readouterr().err == "m3ter-async: 2 ids came twice: export anew by --overwrite\n"


@pytest.mark.usefixtures("credentials")
def test_a_bug_is_not_dressed_up_as_a_failure() -> None:
    with pytest.raises(BaseException) as raised:  # noqa: PT011  a group of them, of another class on each Python
        export(["bills", "--out", "x", "--quiet"], Job(KeyError("of a bug")))
    assert "KeyError" in repr(raised.value)


@pytest.mark.usefixtures("credentials")
def test_a_log_for_machines_is_an_object_a_line_to_its_end(capsys: Captured) -> None:
    words = ["bills", "--out", "x", "--log-format", "json"]
    assert export(words, Job()) == 0
    out, err = capsys.readouterr()
    assert out == ""
    start, progress, finished = (json.loads(line) for line in err.splitlines())
    assert [each["event"] for each in (start, progress, finished)] == ["start", "progress", "finished"]
    assert all(each["time"].endswith("+00:00") for each in (start, progress, finished))
    assert start["resources"] == ["bills"]
    assert progress["resource"] == "bills"
    assert (progress["rows"], progress["share"], progress["in_flight"], progress["retries"]) == (1200, 0.25, 3, 1)
    assert finished["rows"] == {"bills": {"bills": 3000, "line_items": 37226}, "accounts": {"accounts": 1}}
    assert (finished["files"], finished["file_bytes"], finished["seconds"]) == (2, 3_000_000, 1.26)
    assert export([*words, "--quiet"], Job(FAILURES[0])) == 1
    (failed,) = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert failed["event"] == "failed"
    assert failed["request_id"] == "r-1"
    assert failed["status"] == 1
    assert failed["resume"].endswith("x --log-format json --quiet --resume")


@pytest.mark.usefixtures("credentials")
def test_quiet_is_quiet(capsys: Captured) -> None:
    for words in (["--quiet"], ["--quiet", "--log-format", "json"]):
        assert export(["bills", "--out", "x", *words], Job()) == 0
        assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("credentials")
def test_elsewhere_than_on_a_terminal_it_is_plain_lines_and_a_summary(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(["bills", "--out", "x"], Job()) == 0
    out, err = capsys.readouterr()
    where = tmp_path.resolve() / "x"
    assert err.splitlines() == [
        f"exporting bills to {where}",
        "1:15  bills 1,200 rows, 25%; 3 requests in flight; 1 retry",
    ]
    assert out.splitlines() == [
        f"Exported bills, accounts in 1.3 s: 1 page, 2 retries, 2 files of 3.0 MB in {where}",
        "  bills               3,000 rows",
        "  bills: line_items  37,226 rows",
        "  accounts                1 rows",
    ]


# The real thing


def ids(folder: Path) -> list[str]:
    lines = [line for path in folder.glob("bills/**/*.ndjson") for line in path.read_bytes().splitlines()]
    return [json.loads(line)["id"] for line in lines]


def test_a_refused_login_is_one_line(
    sandbox: Sandbox, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("M3TER_API_SECRET", "of-somebody-else")
    for words in (["export", "bills", "--out", str(tmp_path / "x")], ["call", "bills.list"]):
        assert main(words) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("exporting ")]
        assert len(lines) == 1
        assert "401" in lines[0]


@pytest.mark.usefixtures("credentials")
def test_what_the_client_warns_of_is_told_where_the_progress_is(capsys: Captured) -> None:
    async def job(*arguments: Any, **more: Any) -> ExportReport:
        logging.getLogger("m3ter_async").warning("all calls pause\nfor %d s", 60)
        return await Job()(*arguments, **more)

    words = ["bills", "--out", "x"]
    assert export(words, job) == 0
    assert "all calls pause for 60 s" in capsys.readouterr().err.splitlines()
    assert export([*words, "--log-format", "json"], job) == 0
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [each["warning"] for each in told if each["event"] == "warning"] == ["all calls pause for 60 s"]
    assert export([*words, "--quiet"], job) == 0
    assert capsys.readouterr().err == ""


def test_it_exports(sandbox: Sandbox, capsys: Captured, tmp_path: Path) -> None:
    out = str(tmp_path / "x")
    words = ["export", "bills", "balances.transactions", "--out", out]
    assert main(words) == 0
    assert "\n  bills                  230 rows\n" in capsys.readouterr().out
    assert len(ids(tmp_path / "x")) == len(set(ids(tmp_path / "x"))) == 230
    assert main(words) == 2
    assert capsys.readouterr().err.endswith("go on with it by --resume, or remove it by --overwrite\n")
    assert main([*words, "--resume", "--format", "csv"]) == 2
    assert "format" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert main([*words, "--overwrite", "--quiet"]) == 0
    assert len(ids(tmp_path / "x")) == 230


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly_and_what_it_says_goes_on_to_the_same_rows(
    tmp_path: Path, number: int, status: int
) -> None:
    def run(words: Sequence[str]) -> AbstractContextManager[subprocess.Popen[str]]:
        return running([*COMMAND, *words], env={**os.environ, **variables(slow)}, cwd=tmp_path, stderr=PIPE)

    with Sandbox(seed=7, bills=600, latency=0.1) as slow:
        with run(["export", "bills", "--out", "x", "--concurrency", "2"]) as process:
            wait_for(lambda: slow.requests["ListBills"] > 4)
            process.send_signal(number)
            _, err = process.communicate(timeout=30)
        assert process.returncode == status
        text, _, command = err.splitlines()[-1].partition("; go on with: ")
        assert text == "m3ter-async: stopped"
        assert 0 < len(set(ids(tmp_path / "x"))) == len(ids(tmp_path / "x")) < 600
        with run(shlex.split(command)[1:]) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert len(ids(tmp_path / "x")) == len(set(ids(tmp_path / "x"))) == 600


STUBBORN = """
import sys, anyio
from m3ter_async.cli.export import main
async def job(*_, **arguments):
    sys.stderr.write("ready\\n")
    with anyio.CancelScope(shield=True):
        await anyio.sleep(60)
sys.exit(main(["bills", "--out", "x"], job))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("credentials")
def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    with running([sys.executable, "-c", STUBBORN], stderr=PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(number)
        assert process.stderr.readline() == "stopping: what is finished is kept; Ctrl-C again ends it at once\n"
        process.send_signal(number)
        assert process.stderr.read() == ""
    assert process.returncode == -number


def test_a_log_that_nobody_reads_does_not_stop_it(sandbox: Sandbox, tmp_path: Path) -> None:
    words = [*COMMAND, "export", "bills", "--out", str(tmp_path / "x"), "--log-format", "json"]
    with running(words, stderr=PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
    assert process.returncode == 0
    assert len(ids(tmp_path / "x")) == 230
