"""What all commands have in common: help, exit statuses, one line for what is wrong, and little loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from m3ter_async import __version__
from m3ter_async.cli import main
from m3ter_async.cli.console import CommandFailed, one_line
from m3ter_async.sandbox import Sandbox
from m3ter_async.sandbox.__main__ import _setting as setting

from ..processes import running
from ..test_house import loaded

COMMAND = [sys.executable, "-m", "m3ter_async"]
Captured = pytest.CaptureFixture[str]


def complaint(capsys: Captured, *arguments: str) -> str:
    """What a command line comes to that cannot be followed: one line, status 2, nothing on stdout."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("m3ter-async: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    return err


def test_help_names_the_commands_and_the_credentials(capsys: Captured) -> None:
    for arguments in ([], ["-h"], ["--help"]):
        assert main(arguments) == 0
        text = capsys.readouterr().out
        for word in ("export", "call", "sandbox", "M3TER_API_KEY", "M3TER_API_SECRET", "M3TER_ORG_ID"):
            assert word in text


def test_the_version_is_told(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"m3ter-async {__version__}\n"


def test_each_command_has_its_help_under_its_own_name(capsys: Captured) -> None:
    for name in ("export", "call", "sandbox"):
        assert main([name, "--help"]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"usage: m3ter-async {name} ")
        assert err == ""


def test_an_unknown_command_is_answered_with_the_nearest(capsys: Captured) -> None:
    assert "did you mean export?" in complaint(capsys, "exprot")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--verison", "there is no option '--verison'; did you mean --version?"),
        ("sandbox --prt 1", "sandbox takes no --prt; did you mean --port?"),
        ("sandbox --port=x", "sandbox: argument --port: invalid int value: 'x'"),
        ("sandbox --error-rate 2", "sandbox: error_rate, drop_rate and cut_rate must be within 0 and 1"),
        ("export bills --ot x", "export takes no --ot; did you mean --out"),
        ("export bills --out x -q", "export takes no -q"),
        ("sync bills --evry 5m", "sync takes no --evry; did you mean --every"),
        ("sync bills --pasword=hush --to x", "sync takes no --pasword"),
    ],
)
def test_a_misspelt_option_is_named_with_the_nearest(capsys: Captured, words: str, told: str) -> None:
    text = complaint(capsys, *words.split())
    assert told in text
    assert "hush" not in text


def test_a_port_that_is_taken_is_one_line(capsys: Captured) -> None:
    with Sandbox(bills=1) as sandbox:
        port = sandbox.url.rpartition(":")[2]
        assert main(["sandbox", "--port", port]) == 1
    told = capsys.readouterr().err
    assert told == f"m3ter-async: sandbox: the sandbox cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize("arguments", [[], ["--version"], ["export", "--help"], ["call", "bills.list", "--help"]])
def test_help_loads_no_backend_and_nothing_of_an_extra(arguments: list[str]) -> None:
    names = loaded(
        f"import io, sys; from m3ter_async.cli import main; sys.stdout = io.StringIO(); main({arguments!r}); "
        "sys.stdout = sys.__stdout__"
    )
    assert not names & {"aiohttp", "httpx", "pyarrow", "rich"}
    if not arguments or arguments == ["--version"]:
        assert not names & {"anyio", "asyncio", "msgspec", "argparse"}


def test_the_sandbox_takes_its_own_options_and_serves() -> None:
    serve = [*COMMAND, "sandbox", "--port", "0", "--bills", "3"]
    with running(serve, stdout=PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        process.terminate()
    assert [line.split("=")[0] for line in lines[1:]] == [
        f"export M3TER_{name}" for name in ("BASE_URL", "API_KEY", "API_SECRET", "ORG_ID")
    ]


def test_a_sandbox_for_other_containers_prints_what_can_be_called_and_ends_at_a_sigterm() -> None:
    serve = [*COMMAND, "sandbox", "--port", "0", "--bills", "3", "--host", "0.0.0.0"]
    with subprocess.Popen(serve, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(6)]
        environment = dict(line.removeprefix("export ").split("=", 1) for line in lines[2:])
        called = subprocess.run(
            [*COMMAND, "call", "bills.list", "--limit", "1"],
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
            timeout=30,
        )
        process.terminate()
        assert process.wait(timeout=10) == 0
    port = environment["M3TER_BASE_URL"].rpartition(":")[2]
    assert lines[0] == f"# m3ter sandbox at http://127.0.0.1:{port}, stop with Ctrl-C"
    assert lines[1].startswith("# from elsewhere: M3TER_BASE_URL=http://")
    assert lines[1].endswith(f":{port}, with --allow-insecure-http")
    assert (called.returncode, called.stderr) == (0, b"")


def test_the_lines_that_set_variables_are_for_the_shell_of_the_place() -> None:
    assert setting(("A", "x y")) == "export A='x y'"
    assert setting(("A", "http://127.0.0.1:1"), "win32") == "$env:A='http://127.0.0.1:1'"


def test_what_a_server_says_cannot_command_the_terminal_nor_fill_more_than_a_line() -> None:
    assert one_line("a\x1b[2Jb\r\nc\tübel") == "a [2Jb c übel"
    assert str(CommandFailed("x\ny")) == "x y"


def test_a_reader_who_has_enough_ends_it_quietly() -> None:
    with running([*COMMAND, "call", "--list"], stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_full_disk_is_told() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    with full.open("w") as disk:
        result = subprocess.run([*COMMAND, "--version"], stdout=disk, stderr=PIPE, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert result.stderr == "m3ter-async: cannot write the output: No space left on device\n"
