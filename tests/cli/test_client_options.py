"""The bounds of the client as options: each has one, the same on every command, and a bad one is one line."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from m3ter_async import AsyncM3ter
from m3ter_async._core.settings import Settings
from m3ter_async.cli import main
from m3ter_async.cli.client_options import OPTIONS
from m3ter_async.cli.export import main as export
from m3ter_async.cli.methods import find
from m3ter_async.export import ExportReport
from m3ter_async.limits import HostLimiter, LocalLimiter

from ..fakes import KEY, ORG, SECRET
from ..wire import Wire, say
from .test_command_line import Captured, complaint
from .test_export_command import REPORT

NO_OPTIONS = {
    *("api_key", "api_secret", "token"),  # an argument is seen by every process
    *("ingest_base_url", "transport", "on_event", "_clock", "self"),
    *("ssl_context", "headers"),  # objects of Python
}

GIVEN = {
    "--timeout": "7.5",
    "--max-retries": "2",
    "--max-retry-time": "30",
    "--rate-limit": "9",
    "--max-connections": "3",
    "--max-response-bytes": "4096",
    "--org-id": "of-the-options",
    "--base-url": "http://127.0.0.1:9/base",
}


def words() -> list[str]:
    return [word for pair in GIVEN.items() for word in pair]


def test_every_bound_of_the_client_has_an_option() -> None:
    taken = set(inspect.signature(AsyncM3ter.__init__).parameters)
    assert {each.argument for each in OPTIONS} == taken - NO_OPTIONS | {"profile"}


@pytest.mark.usefixtures("credentials")
def test_an_export_hands_them_to_its_client() -> None:
    clients: list[AsyncM3ter] = []
    where: list[Any] = []

    async def job(client: AsyncM3ter, *_: Any, **options: Any) -> ExportReport:
        clients.append(client)
        where.append(options["where"])
        return REPORT

    assert export(["bills", "--out", "x", "--quiet", "--page-size", "20", "--where", "a=1", *words()], job) == 0
    assert export(["bills", "--out", "x", "--quiet", "--rate-limit", "none"], job) == 0
    assert (
        export(["bills", "--out", "x", "--quiet", "--base-url", "http://a.example", "--allow-insecure-http"], job) == 0
    )
    first, second, third = clients
    settings: Settings = first._pipeline.settings
    assert (settings.timeout, settings.policy.max_retries, settings.policy.total) == (7.5, 2, 30)
    assert (settings.org_id, settings.max_bytes) == ("of-the-options", 4096)
    assert first._hosts["api"] == "http://127.0.0.1:9/base"
    assert third._hosts["api"] == "http://a.example"
    assert where == [{"a": "1", "page_size": "20"}, None, None]
    assert second.org_id == "the-ORG_ID"


def test_a_call_hands_them_to_its_client(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    with Wire([say({"message": "later"}, 503)] * 9) as wire:
        for name, value in {"API_KEY": KEY, "API_SECRET": SECRET, "ORG_ID": ORG, "BASE_URL": wire.url}.items():
            monkeypatch.setenv(f"M3TER_{name}", value)
        assert main(["call", "bills.list", "--max-retries", "1", "--org-id=other", "--page-size", "3"]) == 1
        assert [request.path for request in wire.requests] == ["/organizations/other/bills"] * 2
        assert "pageSize=3" in wire.requests[0].query
        assert main(["call", "bills.list", "--max-response-bytes", "5", "--max-retries", "0"]) == 1
    assert b"5 bytes" in capfdbinary.readouterr().err


def test_a_parameter_of_the_operation_comes_before_an_option_of_the_client(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    """So that it means what the operation's own help says."""
    assert "--timeout" in find("bill_jobs.wait").parameters
    with Wire([say({"id": "j", "status": "RUNNING"})] * 9) as wire:
        for name, value in {"API_KEY": KEY, "API_SECRET": SECRET, "ORG_ID": ORG, "BASE_URL": wire.url}.items():
            monkeypatch.setenv(f"M3TER_{name}", value)
        assert main(["call", "bill_jobs.wait", "j", "--timeout", "0.2"]) == 1
    assert b"RUNNING" in capfdbinary.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--timeout=soon", "--timeout must be a number above 0"),
        ("--timeout=0", "--timeout 0.0 is not a number above 0"),
        ("--timeout=-1", "--timeout -1.0 is not a number above 0"),
        ("--timeout=nan", "--timeout must be a number above 0"),
        ("--timeout=1e3", "--timeout must be a number above 0"),
        ("--max-retries=1.5", "--max-retries must be a whole number"),
        ("--max-retries=-1", "--max-retries -1 is not a whole number from 0"),
        ("--max-retry-time=", "--max-retry-time must be a number above 0"),
        ("--rate-limit=None", "--rate-limit must be a number above 0, or none"),
        ("--max-connections=0", "--max-connections 0 is not a whole number from 1"),
        ("--max-response-bytes=1_000", "--max-response-bytes must be a whole number"),
        ("--limiter=http://a.example", "a limiter is the path of a file, a URL that begins with redis://"),
        ("--limiter=", "a limiter is the path of a file"),
        ("--limiter=9/8", "a share is part of a whole"),
        ("--limiter=/no/such/folder/file", "file /no/such/folder/file cannot be used: No such file or directory"),
        ("--base-url=http://a.example", "or pass --allow-insecure-http"),
        ("--base-url=", "--base-url is an empty text: pass a value, or leave it out and set M3TER_BASE_URL"),
        ("--org-id=a b", "--org-id is no id of an organization"),
        ("--api-key=hush", "takes no --api-key"),
    ],
)
@pytest.mark.parametrize("command", [["export", "bills", "--out", "x"], ["call", "bills.list"]])
@pytest.mark.usefixtures("credentials")
def test_what_the_client_cannot_be_set_up_with_is_one_line_about_the_option(
    capsys: Captured, command: list[str], given: str, told: str
) -> None:
    text = complaint(capsys, *command, given)
    assert told in text
    assert "hush" not in text


def test_the_help_of_both_commands_has_all_of_them(capsys: Captured) -> None:
    for command in ("export", "call"):
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        for each in OPTIONS:
            assert f"  {each.name} {each.metavar or ''}".rstrip() in text
            assert each.help.split("(")[0].split()[-1] in text


@pytest.mark.usefixtures("credentials")
def test_a_limiter_is_named_by_an_option_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    limiters: list[Any] = []

    async def job(client: AsyncM3ter, *_: Any, **options: Any) -> ExportReport:
        limiters.append(client._pipeline._gates._limiter)
        return REPORT

    file = str(tmp_path / "limit")
    run = ["bills", "--out", "x", "--quiet"]
    assert export([*run, "--limiter", file, "--rate-limit", "20"], job) == 0
    assert export([*run, "--limiter", "1/4"], job) == 0
    monkeypatch.setenv("M3TER_LIMITER", "1/5")
    assert export(run, job) == 0
    assert export([*run, "--rate-limit", "7"], job) == 0  # what is passed comes before the environment
    host, quarter, fifth, local = limiters
    assert isinstance(host, HostLimiter)
    assert (str(host.path), host.rate) == (file, 20)
    assert [(each.part, each.of) for each in (quarter, fifth)] == [(1, 4), (1, 5)]
    assert type(local) is LocalLimiter
    assert export([*run, "--limiter", "1/4", "--rate-limit", "none"], job) == 2
    assert b"--limiter keeps a limit" in capfdbinary.readouterr().err
