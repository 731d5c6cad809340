"""What Tab offers, and that it costs no call."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from m3ter_async.cli import main
from m3ter_async.cli.completion import words


def test_commands_operations_parameters_and_choices_are_offered() -> None:
    assert words(["ex"]) == ["export"]
    assert {"call", "completion", "export", "sandbox", "--version"} <= set(words([""]))
    assert words(["call", "bills.re"]) == ["bills.retrieve"]
    assert "bills" in words(["call", "--list", "bi"])
    assert words(["call", "bills.list", "--exclude"]) == ["--exclude-line-items"]
    assert words(["call", "bills.list", "--exclude-line-items", ""]) == ["false", "true"]
    assert words(["call", "bills.list", "--output", ""]) == ["json", "table"]
    assert "MONTHLY" in words(["call", "bill_jobs.create", "--billing-frequency", "M"])
    assert "balances.transactions" in words(["export", "balances.t"])
    assert words(["export", "--format", ""]) == ["csv", "ndjson", "parquet"]
    assert words(["export", "bills", "--out", ""]) == []  # the shell offers folders
    assert words(["sandbox", "--cur"]) == ["--cursors"]
    assert words(["sandbox", "--cursors", ""]) == ["offset", "place"]
    assert words(["sandbox", "--fail-logins", ""]) == []
    assert "bills" in words(["export", "--resume", "b"])
    assert words(["nothing", ""]) == []
    assert words(["call", "no.such", "--x"]) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_is_one_that_its_shell_reads(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert "completion --words" in script
    if (program := shutil.which(shell)) is not None:
        subprocess.run([program, "-n", "-c", script], check=True, timeout=30)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_by_the_script(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capfd.readouterr().out.replace("m3ter-async completion", f"{sys.executable} -m m3ter_async completion")
    asked = "COMP_WORDS=(m3ter-async call bills.retr); COMP_CWORD=2; _m3ter_async; echo ${COMPREPLY[@]}"
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["bills.retrieve"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_completes_by_the_script_and_else_by_files(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", "fish"]) == 0
    script = capfd.readouterr().out.replace("(m3ter-async completion", f"({sys.executable} -m m3ter_async completion")
    (tmp_path / "folder").mkdir()
    for line, wanted in (("call bills.retr", "bills.retrieve"), ("export bills --out fol", "folder/")):
        command = ["fish", "--no-config", "-c", f"{script}\ncomplete -C 'm3ter-async {line}'"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
        assert done.stdout.split() == [wanted]


def test_a_shell_that_is_not_known_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert capfd.readouterr().err == "m3ter-async: completion: give one of bash, zsh, fish\n"
