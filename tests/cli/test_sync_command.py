"""``m3ter-async sync``: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from m3ter_async.cli import main
from m3ter_async.cli.sync_warehouses import Warehouse
from m3ter_async.sandbox import Sandbox

from .conftest import variables

pytest.importorskip("pyarrow")


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1, errors
    return errors


def test_a_folder_is_brought_up_to_date_with_a_line_for_the_round(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = str(tmp_path / "lake")
    count = sandbox.truth().bills
    for expected in (f" bills +{count} -0 in ", " bills +0 -0 in "):
        assert main(["sync", "bills", "--to", lake]) == 0
        assert expected in capsys.readouterr().out
    assert main(["sync", "bills", "--to", lake, "--quiet", "--full"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--to", "mysql://u:s3cret@h/d"], "there is no destination mysql://"),
        (["--to", "s3:bucket"], "neither a URL"),
        (["--to", "duckdb://billing.duckdb"], "duckdb:///FILE"),
        (["--to", "duckdb:///m3ter.duckdb"], "have one name"),
        (["--to", "duckdb:///d.duckdb", "--dataset", "d"], "have one name"),
        (["--to", "duckdb:///d.duckdb", "--dataset", "Robert'); --"], "--dataset must be"),
        (["--to", "postgresql://u:s3cret@h"], "postgresql://USER:PASSWORD@HOST/DATABASE"),
        (["--to", "postgresql://u:s3cret@[h/d"], "no URL"),
        (["--to", "lake", "--every", "15"], "is not a time such as 90s"),
        (["--to", "lake", "--every", "0m"], "is not a time such as 90s"),
        (["--to", "lake", "--evry", "15m"], "did you mean --every"),
        ([], "--to"),
    ],
)
def test_what_cannot_be_followed_is_one_line_and_touches_nothing(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sync", "bills", *arguments]) == 2
    line = told(capsys)
    assert text in line
    assert "s3cret" not in line
    assert list(tmp_path.iterdir()) == []
    assert sandbox.requests.total() == 0


@pytest.mark.parametrize("resource", ["bils", "balances.transaction"])
def test_an_unknown_listing_is_told_with_what_is_near(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], resource: str
) -> None:
    assert main(["sync", resource, "--to", str(tmp_path / "lake")]) == 2
    assert "near to it" in told(capsys)


def test_a_folder_that_holds_something_else_is_left_alone(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "lake" / "bills"
    other.mkdir(parents=True)
    (other / "mine.txt").write_text("mine")
    assert main(["sync", "bills", "--to", str(tmp_path / "lake")]) == 1
    assert "sync: " in told(capsys)
    assert [path.name for path in other.iterdir() if path.name == "mine.txt"] == ["mine.txt"]


@pytest.mark.skipif(find_spec("dlt") is not None, reason="dlt is installed")
def test_without_the_extra_it_says_which_one_is_missing(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sync", "bills", "--to", "duckdb:///billing.duckdb"]) == 2
    assert "m3ter-async[sync]" in told(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_refuses_ends_a_single_round_with_one_line(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.fail_next(50, 404, operation="ListBills")
    assert main(["sync", "bills", "--to", str(tmp_path / "lake")]) == 1
    assert "404" in told(capsys)


def test_every_stays_through_a_failed_round_and_sigterm_ends_it_between_rounds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "m3ter_async", "sync", "bills", "--to", str(tmp_path / "lake"), "--every", "1s"]
    with Sandbox(bills=5) as sandbox:
        environment = {**os.environ, **variables(sandbox)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert "bills +5 -0" in process.stdout.readline()
            sandbox.fail_next(3, 404, operation="ListBills")
            assert "bills +0 -0" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert set(errors.splitlines()) <= {line for line in errors.splitlines() if "this round failed" in line}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("duckdb:///data/billing.duckdb", "data/billing.duckdb"),
        ("duckdb:////data/billing.duckdb", "/data/billing.duckdb"),
        ("postgresql://u:s3cret@host:5432/billing", "host/billing"),
    ],
)
def test_a_destination_shows_no_password(url: str, shown: str) -> None:
    assert str(Warehouse(url)).replace("\\", "/") == shown
