"""Starting and stopping: on asyncio, on trio, without either, and from the command line."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from m3ter_async import AsyncM3ter, HttpxTransport
from m3ter_async.sandbox import Faults, Sandbox

from ..processes import running
from .raw import Raw

ROOT = Path(__file__).parents[2]


def reachable(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def sandbox_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "m3ter-sandbox"]


@pytest.mark.anyio
async def test_it_answers_an_async_caller_and_leaves_nothing_behind() -> None:
    before = len(sandbox_threads())
    async with Sandbox(bills=20) as sandbox:
        async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as client:
            assert (await client.get("/organizations/x/bills")).status_code == 401
        url = sandbox.url
    assert not reachable(url)
    assert len(sandbox_threads()) == before


@pytest.mark.anyio
async def test_it_stops_when_the_block_raises() -> None:
    sandbox = Sandbox(bills=20)
    urls: list[str] = []

    async def block() -> None:
        async with sandbox:
            urls.append(sandbox.url)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert not reachable(*urls)


@pytest.mark.anyio
async def test_it_stops_when_the_block_is_cancelled_with_a_request_under_way() -> None:
    url = ""
    with anyio.move_on_after(0.3) as scope:
        async with Sandbox(bills=20, latency=30) as sandbox:
            url = sandbox.url
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
                await client.get("/organizations/x/bills")
    assert scope.cancelled_caught
    assert not reachable(url)


def test_connections_made_at_the_last_moment_are_closed_too() -> None:
    for number in range(20):
        with Sandbox(bills=1) as sandbox:
            address = urlsplit(sandbox.url)
            made = [socket.create_connection((address.hostname or "", address.port or 0)) for _ in range(number % 4)]
        for connection in made:
            connection.close()
        # An unclosed socket warns when it is collected, and a warning fails the test.
        gc.collect()


@pytest.mark.anyio
async def test_it_stops_at_once_though_a_request_is_under_way() -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:

            async def wait(url: str) -> None:
                async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                    with pytest.raises(httpx.HTTPError):
                        await client.get(url + "/organizations/x/bills")

            async with Sandbox(bills=20, latency=30) as sandbox:
                tasks.start_soon(wait, sandbox.url)
                await anyio.sleep(0.2)


def test_a_taken_port_is_an_error_of_the_caller() -> None:
    with Sandbox(bills=1) as sandbox:
        port = urlsplit(sandbox.url).port or 0
        with pytest.raises(OSError, match=str(port)), Sandbox(bills=1, port=port):
            pytest.fail("two sandboxes on one port")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "0.0.0.0"])
def test_it_listens_where_it_is_told_and_its_url_is_one_to_call(host: str) -> None:
    with Sandbox(bills=1, host=host) as sandbox:
        assert reachable(sandbox.url)
        assert "0.0.0.0" not in sandbox.url
        assert sandbox.environ["M3TER_BASE_URL"] == sandbox.url


def test_only_who_listens_everywhere_is_reached_by_another_address() -> None:
    for sandbox, reached in ((Sandbox(bills=1, host="0.0.0.0"), True), (Sandbox(bills=1), False)):
        with sandbox:
            assert reachable(f"http://127.0.0.3:{urlsplit(sandbox.url).port}") is reached


@pytest.mark.parametrize("host", ["", " "])
def test_no_address_is_not_taken_for_all_of_them(host: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        Sandbox(bills=1, host=host)


@pytest.mark.anyio
async def test_who_calls_it_by_another_name_gets_urls_of_files_by_that_name() -> None:
    """As from another container: by a name that this machine does not know."""
    with Sandbox(bills=1, host="0.0.0.0") as sandbox:
        elsewhere = sandbox.url.replace("127.0.0.1", "127.0.0.4")
        for url in (elsewhere, sandbox.url):
            async with AsyncM3ter(
                sandbox.api_key, sandbox.api_secret, sandbox.org_id, base_url=url, transport=HttpxTransport()
            ) as m3ter:
                bill = (await m3ter.bills.list(page_size=1)).data[0]
                place = (await m3ter.statements.get_json(bill.id)).download_url
                assert place is not None
                assert place.startswith(f"{url}/")
                assert await m3ter.download(place)


def test_out_of_range_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Sandbox(bills=-1)
    with pytest.raises(ValueError, match="positive"):
        Sandbox(rate_limit=0)


def test_it_can_be_entered_again_and_keeps_what_was_written() -> None:
    sandbox = Sandbox(bills=20)
    body = {"counterId": "c", "accountId": "a", "date": "2025-03-01", "value": 5}
    for number in range(2):
        with sandbox:
            with pytest.raises(RuntimeError):
                sandbox.__enter__()
            raw = Raw(sandbox)
            raw.do("POST", "/counteradjustments", body)
            assert len(raw.all("/counteradjustments")) == number + 1
            raw.http.close()
    with pytest.raises(RuntimeError):
        _ = sandbox.url


def test_its_repr_keeps_the_secret() -> None:
    with Sandbox(bills=1) as sandbox:
        for text in (repr(sandbox), str(sandbox)):
            assert sandbox.api_secret not in text
            assert sandbox.url in text


def test_an_organization_without_bills_is_served_too() -> None:
    with Sandbox(bills=0) as sandbox:
        raw = Raw(sandbox)
        assert raw.all("/bills") == raw.all("/lineitems") == []
        assert len(raw.all("/balances")) == 1
        raw.http.close()


def test_it_imports_no_code_of_the_client() -> None:
    program = (
        "import sys, m3ter_async; before = set(sys.modules); import m3ter_async.sandbox.__main__;"
        "names = [name for name in set(sys.modules) - before if name.startswith('m3ter_async')];"
        "print([name for name in names if not name.startswith('m3ter_async.sandbox')])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment, timeout=30
    )
    assert done.stdout.strip() == "[]"


def command(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return running(
        [sys.executable, "-W", "error", "-m", "m3ter_async.sandbox", "--bills", "20", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_the_command_prints_the_environment_and_ends_cleanly_on_ctrl_c() -> None:
    with command("--port", "0", "--seed", "5") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(5)]
        environment = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])
        assert set(environment) == {"M3TER_BASE_URL", "M3TER_API_KEY", "M3TER_API_SECRET", "M3TER_ORG_ID"}
        answer = httpx.post(
            environment["M3TER_BASE_URL"] + "/oauth/token",
            auth=(environment["M3TER_API_KEY"], environment["M3TER_API_SECRET"]),
            json={"grant_type": "client_credentials"},
            trust_env=False,
        )
        assert answer.status_code == 200
        assert environment["M3TER_ORG_ID"] == Sandbox(seed=5, bills=0).org_id
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_the_command_can_be_told_to_misbehave() -> None:
    with command("--port", "0", "--error-rate", "1", "--fail-logins") as process:
        assert process.stdout is not None
        process.stdout.readline()
        url = process.stdout.readline().strip().partition("=")[2]
        assert httpx.post(url + "/oauth/token", trust_env=False).status_code in Faults().status
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    with command("--drop-rate", "2", "--cursors", "offset", "--search-lag", "5") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("python -m m3ter_async.sandbox: ")


def test_the_command_says_so_when_its_port_is_taken() -> None:
    with Sandbox(bills=1) as sandbox, command("--port", str(urlsplit(sandbox.url).port)) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("python -m m3ter_async.sandbox: ")
    assert "Traceback" not in errors
