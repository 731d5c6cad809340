"""What a client loads late: its default transport, in a thread, whoever asks first and however that ends."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import anyio
import pytest

from m3ter_async import APIStatusError, APITimeoutError, AsyncM3ter, ClientClosedError, TransportError
from m3ter_async.transports import HttpxTransport
from m3ter_async.transports.late import LateTransport

from ..fakes import FakeTransport, answer, client
from ..wire import Wire, failure, faults, grant, say


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def late(proxy: str | None = None) -> LateTransport:
    return LateTransport(max_connections=100, proxy=proxy, ssl_context=None)


WATCH = """
import asyncio, sys, threading
from m3ter_async import AsyncM3ter
seen = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("aiohttp", "m3ter_async.transports.aiohttp"):
            seen.append((name, threading.current_thread() is threading.main_thread()))
sys.meta_path.insert(0, Watch())
async def main():
    async with AsyncM3ter("key", "secret", "org", base_url=sys.argv[1]) as m3ter:
        print(seen)
        {first}
        print(seen)
        await m3ter.bill_jobs.retrieve("a")
asyncio.run(main())
"""


@pytest.mark.parametrize("first", ["await m3ter.warm_up()", "await m3ter.bill_jobs.retrieve('a')"])
def test_making_a_client_loads_no_library_and_its_first_call_does_so_in_a_thread(first: str) -> None:
    with Wire([say({"id": "a"})]) as wire:
        command = [sys.executable, "-c", WATCH.replace("{first}", first), wire.url]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    made, loaded = result.stdout.splitlines()
    assert made == "[]"
    assert loaded == str([("m3ter_async.transports.aiohttp", False), ("aiohttp", False)])


async def test_calls_at_once_share_one_transport() -> None:
    transport = late()
    answers: list[bytes] = []

    async def one() -> None:
        answers.append(bytes((await transport.send(wire.request())).content))

    with Wire([say({"id": "a"})]) as wire:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        assert answers == [b'{"id":"a"}'] * 20
        assert transport.connections
        await transport.aclose()
        assert transport.connections == 0


async def test_whoever_is_cancelled_while_it_loads_leaves_it_usable() -> None:
    transport = late()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await transport.load()
    with Wire([say({"id": "a"})]) as wire:
        assert (await transport.send(wire.request())).status == 200
    await transport.aclose()


async def test_a_request_whose_time_ends_while_it_loads_has_never_left() -> None:
    transport = late()
    with Wire([say({"id": "a"})]) as wire:
        error = await failure(transport, wire.request(timeout=0.0))
        assert (error.sent, error.timeout) == (False, True)
        assert not wire.requests
    await transport.aclose()


@pytest.mark.parametrize("loaded", [True, False])
async def test_after_its_end_nothing_is_sent(loaded: bool) -> None:
    transport = late()
    if loaded:
        await transport.load()
    await transport.aclose()
    with Wire([say({"id": "a"})]) as wire:
        with pytest.raises(TransportError, match="closed") as raised:
            await transport.send(wire.request())
        assert not raised.value.sent
        assert not wire.accepted


async def test_it_goes_by_the_environment_in_which_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire([say({"id": "a"})]) as wire:
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        transport = late()
        monkeypatch.delenv("NO_PROXY")
        assert (await transport.send(wire.request())).status == 200
        await transport.aclose()


# Warming up


async def test_warm_up_logs_in_once_and_the_first_call_finds_all_done() -> None:
    with Wire([say({"id": "a"})], login=[grant()]) as wire:
        async with AsyncM3ter("key", "secret", "org", base_url=wire.url) as m3ter:
            await m3ter.warm_up()
            await m3ter.warm_up()
            assert (len(wire.logins), len(wire.requests)) == (1, 0)
            await m3ter.bill_jobs.retrieve("a")
            assert (len(wire.logins), len(wire.requests), wire.accepted) == (1, 1, 1)


@pytest.mark.parametrize("transport", [LateTransport, HttpxTransport])
async def test_with_a_token_warm_up_sends_nothing(transport: Any) -> None:
    with Wire([say({"id": "a"})]) as wire:
        made = late() if transport is LateTransport else HttpxTransport()
        async with AsyncM3ter(token="token", org_id="org", base_url=wire.url, transport=made) as m3ter:
            await m3ter.warm_up()
            assert not wire.accepted
            await m3ter.bill_jobs.retrieve("a")
        await made.aclose()


async def test_a_login_that_is_refused_is_the_error_of_warm_up() -> None:
    transport = FakeTransport([answer({"id": "a"})], login=lambda _: answer({"message": "no"}, 403))
    async with client(transport) as m3ter:
        with pytest.raises(APIStatusError) as raised:
            await m3ter.warm_up()
    assert (raised.value.status, raised.value.path) == (403, "/oauth/token")


async def test_warm_up_of_a_closed_client_is_refused() -> None:
    transport = FakeTransport([answer({"id": "a"})])
    m3ter = client(transport)
    await m3ter.aclose()
    with pytest.raises(ClientClosedError):
        await m3ter.warm_up()
    assert not transport.logins


async def test_warm_up_keeps_to_the_time_of_a_call() -> None:
    with Wire([say({"id": "a"})], login=[faults({})["stalls before the answer"]]) as wire:
        async with AsyncM3ter("key", "secret", "org", base_url=wire.url, total_timeout=0.05) as m3ter:
            with pytest.raises(APITimeoutError):
                await m3ter.warm_up()
        assert not wire.requests
