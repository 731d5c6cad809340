"""Reads go past aiohttp's session: they arrive, answer and fail as those that go through it."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import pytest

from m3ter_async import TransportError
from m3ter_async.transports import AiohttpTransport
from m3ter_async.transports.aiohttp_reads import KNOWN, Reads
from m3ter_async.transports.protocol import Request, Response, Transport

from ..wire import Move, Wire, closed_port, failure, faults, head, say, squeezed, trickle, until, whole
from .gates import CERTIFICATE, TLS, HTTPProxy, Mute, Plain

pytestmark = pytest.mark.anyio
HEADERS = {"Authorization": "Bearer t", "Accept": "application/json", "User-Agent": "tests"}
BODY = {"data": list(range(100))}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def past() -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport()
    yield made
    await made.aclose()


@pytest.fixture
async def through() -> AsyncIterator[AiohttpTransport]:
    """A session of the caller's own is asked for every request."""
    async with aiohttp.ClientSession() as session:
        yield AiohttpTransport(session)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time limits of the reads that went past a session."""
    seconds: list[float] = []
    begin = Reads.begin

    def noted(self: Reads, one: Any, limit: float) -> None:
        seconds.append(limit)
        begin(self, one, limit)

    monkeypatch.setattr(Reads, "begin", noted)
    return seconds


def test_the_connections_of_this_aiohttp_are_known() -> None:
    assert KNOWN, f"aiohttp {aiohttp.__version__} is new: read its client.py, then name it in aiohttp_reads.KNOWN"


async def outcome(transport: Transport, request: Request) -> object:
    """What came of a request, as plain data."""
    try:
        answer = await transport.send(request)
    except TransportError as error:
        return re.sub(r":\d+", ":PORT", error.reason), error.sent, error.timeout, error.status, error.too_large
    return answer.status, list(answer.headers.items()), bytes(answer.content)


MOVES: dict[str, Move] = {
    **faults(BODY),
    "sound": say(BODY),
    "gzip": squeezed(BODY, "gzip"),
    "a byte at a time": trickle(BODY),
    "refused": say({"message": "no"}, 403),
    "refused, compressed": squeezed({"message": "no"}, "gzip"),
    "moved": say(b"", 302, Location="/elsewhere"),
    "nothing": Move("nothing", lambda peer: peer.send(head(204))),
    "too large": say(b"x" * 5_000),
    "hints first": Move("hints", lambda peer: peer.send(head(103, [("Link", "</a>")]) + whole(BODY))),
    "another protocol": Move("101", lambda peer: peer.send(head(101, [("Connection", "upgrade"), ("Upgrade", "x")]))),
    "cookies": say(BODY, Set_Cookie="a=b"),
}


@pytest.mark.parametrize("name", MOVES)
async def test_a_read_ends_as_it_does_through_a_session(
    past: AiohttpTransport, through: AiohttpTransport, begun: list[float], name: str
) -> None:
    ends: list[object] = []
    for transport in (past, through):
        with Wire([MOVES[name]]) as wire:
            ends.append(await outcome(transport, wire.request(headers=HEADERS, timeout=0.5, max_bytes=4_000)))
            assert len(wire.requests) == 1
    assert ends[0] == ends[1]
    assert len(begun) == 1


@pytest.mark.parametrize("headers", [{}, {"accept": "a/b"}, HEADERS, {**HEADERS, "X-Own": "a b\tc"}])
@pytest.mark.parametrize("target", ["/x", "/organizations/o/bills?a=b%20c&d=1%2C2", "/%E2%82%AC/%2F", "/x?"])
async def test_a_read_arrives_as_it_does_through_a_session(
    past: AiohttpTransport, through: AiohttpTransport, begun: list[float], target: str, headers: dict[str, str]
) -> None:
    with Wire() as wire:
        for transport in (past, through):
            await transport.send(Request("GET", wire.url + target, headers))
    one, other = wire.requests
    assert one.target.rstrip("?") == other.target.rstrip("?")
    assert list(one.headers.items()) == list(other.headers.items())
    assert len(begun) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "elsewhere"},
        {"Expect": "100-continue"},
        {"X-Own": "€"},
        {"connection": "close"},
        {"X-Own": "a", "x-own": "b"},
    ],
    ids=str,
)
async def test_headers_mean_what_they_mean_through_a_session(
    past: AiohttpTransport, through: AiohttpTransport, headers: dict[str, str]
) -> None:
    act = Move("continue", lambda peer: peer.send((head(100) if "Expect" in headers else b"") + whole({})))
    with Wire([act]) as wire:
        for transport in (past, through):
            await transport.send(wire.request(headers={**HEADERS, **headers}))
    one, other = wire.requests
    assert list(one.headers.items()) == list(other.headers.items())


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rb", "a\0b"], ids=ascii)
async def test_a_header_never_becomes_two(past: AiohttpTransport, value: str) -> None:
    with Wire() as wire:
        error = await failure(past, wire.request(headers={**HEADERS, "X-Own": value}))
        await past.aclose()  # or the server waits for what comes over the connection
    assert not error.sent
    assert "Evil" not in error.reason
    assert not wire.requests


async def test_a_password_in_a_url_is_no_access_token(past: AiohttpTransport, through: AiohttpTransport) -> None:
    with Wire() as wire:
        url = f"http://someone:secret@127.0.0.1:{wire.port}/x"
        ends = [await outcome(transport, Request("GET", url, HEADERS)) for transport in (past, through)]
        assert ends[0] == ends[1]
        assert (await past.send(Request("GET", url, {}))).status == 200
    assert ["authorization" in received.headers for received in wire.requests] == [False]


async def test_each_read_carries_its_own_headers(past: AiohttpTransport) -> None:
    with Wire() as wire:
        for token in ("a", "b", "b", "a"):
            await past.send(wire.request(headers={**HEADERS, "Authorization": token}))
        changed = dict(HEADERS)
        for token in ("c", "d"):
            changed["Authorization"] = token
            await past.send(wire.request(headers=changed))
    assert [received.headers["authorization"] for received in wire.requests] == ["a", "b", "b", "a", "c", "d"]


async def test_reads_and_writes_share_their_connections(past: AiohttpTransport) -> None:
    with Wire() as wire:
        for method in ("GET", "POST", "GET", "DELETE", "GET"):
            content = b"{}" if method == "POST" else None
            await past.send(wire.request(method, content=content, headers=HEADERS))
        assert {received.connection for received in wire.requests} == {1}
        assert past.connections == 1


async def test_what_is_answered_after_a_read_was_given_up_reaches_nobody_else(past: AiohttpTransport) -> None:
    def late(peer: Any) -> None:
        time.sleep(0.2)
        peer.send(whole({"of": "the one that was given up"}))

    with Wire([Move("late", late), say({"of": "the next"})]) as wire:
        with anyio.move_on_after(0.05):
            await past.send(wire.request(headers=HEADERS))
        error = await outcome(past, wire.request(headers=HEADERS))
        assert isinstance(error, tuple)
        assert error[-1] == b'{"of":"the next"}'
        assert [received.connection for received in wire.requests] == [1, 2]


async def test_each_of_many_reads_ends_at_its_own_time(past: AiohttpTransport) -> None:
    limits = [0.4, 0.1, 0.3, 0.2, 0.1]
    ended: dict[int, float] = {}

    async def one(wire: Wire, number: int) -> None:
        began = asyncio.get_running_loop().time()
        error = await failure(past, wire.request(headers=HEADERS, timeout=limits[number]))
        assert (error.sent, error.timeout) == (True, True)
        ended[number] = asyncio.get_running_loop().time() - began

    with Wire([faults(BODY)["stalls before the answer"]]) as wire:
        async with anyio.create_task_group() as tasks:
            for number in range(len(limits)):
                tasks.start_soon(one, wire, number)
    for number, limit in enumerate(limits):
        assert limit - 0.002 <= ended[number] < limit + 0.25


async def test_bytes_that_trickle_in_make_no_read_last_longer(past: AiohttpTransport) -> None:
    with Wire([trickle(BODY, pause=0.02)]) as wire:
        began = asyncio.get_running_loop().time()
        error = await failure(past, wire.request(headers=HEADERS, timeout=0.3))
        took = asyncio.get_running_loop().time() - began
    assert (error.timeout, error.sent) == (True, True)
    assert took < 0.6


async def test_a_read_without_any_time_left_is_not_sent(past: AiohttpTransport) -> None:
    with Wire() as wire:
        await past.send(wire.request(headers=HEADERS))
        for seconds in (0.0, -1.0):
            error = await failure(past, wire.request(headers=HEADERS, timeout=seconds))
            assert (error.sent, error.timeout) == (False, True)
        assert len(wire.requests) == 1


async def test_reads_that_wait_for_a_connection_run_out_of_time_unsent() -> None:
    transport = AiohttpTransport(max_connections=1)
    with Wire([faults(BODY)["stalls before the answer"]]) as wire:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(failure, transport, wire.request(headers=HEADERS, timeout=0.6))
            await until(lambda: wire.seen(1))
            error = await failure(transport, wire.request(headers=HEADERS, timeout=0.2))
        assert (error.sent, error.timeout) == (False, True)
        assert len(wire.requests) == 1
    await transport.aclose()


async def test_a_connection_that_was_closed_while_idle_is_not_used(past: AiohttpTransport) -> None:
    with Wire([say(BODY, Connection="close"), say(BODY)]) as wire:
        for _ in range(3):
            assert (await past.send(wire.request(headers=HEADERS))).status == 200
        assert len(wire.requests) == 3


async def test_a_read_is_not_repeated_by_itself(past: AiohttpTransport) -> None:
    with Wire([say(BODY), faults(BODY)["closed instead of an answer"]]) as wire:
        await past.send(wire.request(headers=HEADERS))
        error = await failure(past, wire.request(headers=HEADERS))
        assert (error.sent, error.status) == (True, None)
        assert len(wire.requests) == 2


async def test_closing_leaves_no_timer_behind() -> None:
    transport = AiohttpTransport()
    with Wire() as wire:
        assert isinstance(await transport.send(wire.request(headers=HEADERS, timeout=60.0)), Response)
        await transport.aclose()
        error = await failure(transport, wire.request(headers=HEADERS))
    assert error.closed
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    assert not [one for one in scheduled if not one.cancelled() and "Reads" in repr(one)]


@pytest.mark.parametrize("method", ["request", "_request"])
async def test_who_replaces_a_method_of_all_sessions_sees_the_reads(
    past: AiohttpTransport, begun: list[float], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    seen: list[str] = []
    own: Any = getattr(aiohttp.ClientSession, method)

    def traced(self: aiohttp.ClientSession, verb: str, url: Any, **more: Any) -> Any:
        seen.append(f"{verb} {url.path}")
        return own(self, verb, url, **more)

    with Wire() as wire:
        await past.send(wire.request("GET", "/before", headers=HEADERS))
        with monkeypatch.context() as patch:
            patch.setattr(aiohttp.ClientSession, method, traced)
            await past.send(wire.request("GET", "/meanwhile", headers=HEADERS))
        await past.send(wire.request("GET", "/after", headers=HEADERS))
        assert len(wire.requests) == 3
    assert seen == ["GET /meanwhile"]
    assert len(begun) == 2


async def test_who_adds_traces_to_all_sessions_is_told_of_the_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    init: Any = aiohttp.ClientSession.__init__

    async def started(session: object, context: object, start: aiohttp.TraceRequestStartParams) -> None:
        seen.append(f"{start.method} {start.url.path}")

    def traced(self: aiohttp.ClientSession, **more: Any) -> None:
        config = aiohttp.TraceConfig()
        config.on_request_start.append(started)
        init(self, **more, trace_configs=[config])

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", traced)
    transport = AiohttpTransport()
    with Wire() as wire:
        await transport.send(wire.request("GET", "/x", headers=HEADERS))
    await transport.aclose()
    assert seen == ["GET /x"]


# On the way there.


async def test_a_read_goes_over_tls(begun: list[float]) -> None:
    transport = AiohttpTransport(ssl_context=ssl.create_default_context(cafile=CERTIFICATE))
    with Wire([say(BODY)]) as wire, TLS(wire.port) as tls:
        for _ in range(3):
            answer = await transport.send(Request("GET", f"{tls.url}/x", HEADERS))
            assert (answer.status, bytes(answer.content)) == (200, whole(BODY).partition(b"\r\n\r\n")[2])
        assert [received.connection for received in wire.requests] == [1, 1, 1]
    await transport.aclose()
    assert len(begun) == 3


@pytest.mark.parametrize(
    "what", ["nobody", "no TLS", "mute", "not trusted", "no such host", "no host", "no host at all", "no port"]
)
async def test_where_nothing_can_be_sent_a_read_says_so_as_through_a_session(
    past: AiohttpTransport, through: AiohttpTransport, what: str
) -> None:
    with Wire() as wire, TLS(wire.port) as tls, Plain() as plain, Mute() as mute:
        url = {
            "nobody": f"http://127.0.0.1:{closed_port()}/x",
            "no TLS": f"https://127.0.0.1:{plain.port}/x",
            "mute": f"https://127.0.0.1:{mute.port}/x",
            "not trusted": f"{tls.url}/x",
            "no such host": "http://nowhere.invalid/x",
            "no host": "http://a..b/x",
            "no host at all": "http://:80/x",
            "no port": "http://127.0.0.1:port/x",
        }[what]
        ends = [await outcome(transport, Request("GET", url, HEADERS, timeout=1.0)) for transport in (past, through)]
        assert ends[0] == ends[1]
        assert ends[0][1] is False  # type: ignore[index]
        assert not wire.requests


async def test_behind_a_proxy_reads_go_through_it() -> None:
    with Wire([say(BODY)]) as wire, HTTPProxy() as proxy:
        transport = AiohttpTransport(proxy=proxy.url)
        answer = await transport.send(wire.request("GET", "/through", headers=HEADERS))
        await transport.aclose()
    assert answer.status == 200
    assert len(proxy.heads) == 1
    assert "/through" in proxy.heads[0]
