"""A failure is told by the stage into which it fell: nothing left, request begun, status known."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from typing import Any

import aiohttp
import anyio
import httpx
import pytest

from m3ter_async import TransportError
from m3ter_async.transports import AiohttpTransport, HttpxTransport
from m3ter_async.transports import stage as stages
from m3ter_async.transports.protocol import Request, Transport

from ..wire import PAIR_IDS, PAIRS, Move, Pair, Wire, closed_port, failure, faults, head, say, until, whole
from .gates import CERTIFICATE, TLS, HTTPProxy, Mute, Plain, deaf

pytestmark = pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


@pytest.fixture
async def transport(pair: Pair) -> Any:
    made = pair.transport()
    yield made
    await made.aclose()


def make(pair: Pair, **options: Any) -> AiohttpTransport | HttpxTransport:
    return AiohttpTransport(**options) if pair.library == "aiohttp" else HttpxTransport(**options)


def post(url: str, **more: Any) -> Request:
    return Request("POST", f"{url}/x", {"Authorization": "Bearer t-secret"}, b"{}", **{"timeout": 5.0, **more})


# Nothing left.


async def test_tls_that_is_not_answered_is_certain_before_the_time_is_up(transport: Transport) -> None:
    with Mute() as mute:
        began = time.monotonic()
        error = await failure(transport, post(f"https://127.0.0.1:{mute.port}", timeout=1.0))
        took = time.monotonic() - began
    assert (error.sent, error.timeout, error.final) == (False, True, False)
    assert took < 0.98
    assert str(mute.port) in error.reason


async def test_a_connection_that_is_not_answered_is_certain(transport: Transport) -> None:
    with deaf() as port:
        error = await failure(transport, post(f"http://127.0.0.1:{port}", timeout=0.3))
    assert (error.sent, error.timeout) == (False, True)


async def test_several_addresses_that_are_not_answered_take_no_longer_than_one(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deaf() as port:
        many = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))] * 7
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: many)
        began = time.monotonic()
        error = await failure(transport, post(f"http://many.test:{port}", timeout=0.6))
    assert not error.sent
    assert time.monotonic() - began < 0.6


async def test_one_address_of_several_that_is_not_answered_does_not_matter(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Wire() as wire:
        addresses = [("240.0.0.1", wire.port), ("127.0.0.1", wire.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert (await transport.send(post(f"http://two.test:{wire.port}"))).status == 200


async def test_a_look_up_that_hangs_is_certain(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*arguments: Any, **options: Any) -> Any:
        flags = options.get("flags", (*arguments, 0, 0, 0, 0)[5])
        if flags & socket.AI_NUMERICHOST:  # trio asks for that first
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        time.sleep(0.5)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    error = await failure(transport, post("http://slow.test", timeout=0.4))
    assert (error.sent, error.timeout, error.final) == (False, True, False)


@pytest.mark.parametrize(
    ("raised", "final"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), False),
        (UnicodeError("label empty or too long"), True),
        (OSError(errno.EMFILE, "Too many open files"), False),
        (ValueError("Bearer t-secret"), False),
        (RuntimeError("Bearer t-secret"), False),
        (LookupError("unknown encoding: idna"), False),
        (ssl.SSLError(1, "Bearer t-secret"), False),
    ],
    ids=lambda value: type(value).__name__ + str(getattr(value, "errno", "")) if isinstance(value, Exception) else "",
)
async def test_whatever_is_raised_while_connecting_is_certain(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, raised: Exception, final: bool
) -> None:
    def look_up(*_: Any, **__: Any) -> Any:
        raise raised

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    error = await failure(transport, post("http://api.test"))
    assert (error.sent, error.final, error.timeout) == (False, final, False)
    assert "secret" not in error.reason
    if final:
        assert "api.test" in error.reason


async def test_what_the_caller_was_handling_is_not_taken_for_the_reason(transport: Transport) -> None:
    try:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    except OSError:
        error = await failure(transport, post(f"http://127.0.0.1:{closed_port()}"))
    assert not error.final
    assert "ECONNREFUSED" in error.reason


async def test_a_host_that_worked_before_is_not_called_wrong(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp.connector._DNSCacheTable, "expired", lambda *_: True)
    with Wire([say({}, Connection="close")]) as wire:
        url = f"http://localhost:{wire.port}"
        await transport.send(post(url))

        def look_up(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        error = await failure(transport, post(url))
    assert (error.sent, error.final) == (False, False)


async def test_no_descriptors_left_is_certain(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    with Wire() as wire:
        await transport.send(wire.request(headers={"Connection": "close"}))
        monkeypatch.setattr(socket.socket, "connect", none)
        monkeypatch.setattr(socket.socket, "connect_ex", none)
        error = await failure(transport, post(f"http://127.0.0.1:{closed_port()}"))
    assert not error.sent


# Wrong by configuration.


async def test_an_unknown_certificate_is_final_and_the_mend_is_named(transport: Transport) -> None:
    with Wire() as wire, TLS(wire.port) as tls:
        error = await failure(transport, post(tls.url))
        assert wire.requests == []
    assert (error.sent, error.final) == (False, True)
    assert f"localhost:{tls.port}" in error.reason
    assert "self-signed" in error.reason.replace(" ", "-")
    assert "ssl_context=" in error.reason
    assert "SSL_CERT_FILE" in error.reason


async def test_plain_http_where_tls_is_spoken_is_final(transport: Transport) -> None:
    with Plain() as plain:
        error = await failure(transport, post(f"https://127.0.0.1:{plain.port}"))
    assert (error.sent, error.final) == (False, True)
    assert "does not speak TLS" in error.reason


@pytest.mark.parametrize("how", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "ssl_context"])
async def test_a_certificate_that_is_named_is_trusted(pair: Pair, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    options: dict[str, Any] = {}
    if how == "ssl_context":
        options["ssl_context"] = ssl.create_default_context(cafile=CERTIFICATE)
    else:
        monkeypatch.setenv(how, str(CERTIFICATE))
    transport = make(pair, **options)
    with Wire() as wire, TLS(wire.port) as tls:
        assert (await transport.send(post(tls.url))).status == 200
        await transport.aclose()


# Proxies.


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.parametrize("how", ["HTTPS_PROXY", "argument"])
async def test_https_goes_through_a_tunnel_of_the_proxy(
    pair: Pair, trusted: None, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Wire() as wire, TLS(wire.port) as tls, HTTPProxy(user="us%40er:pa%3Ass@") as proxy:
        options = {"proxy": proxy.url} if how == "argument" else {}
        if not options:
            monkeypatch.setenv(how, proxy.url)
        transport = make(pair, **options)
        for _ in range(2):
            assert (await transport.send(post(tls.url))).status == 200
        assert transport.connections == 1
        await transport.aclose()
    (asked,) = proxy.heads
    assert asked.startswith(f"CONNECT localhost:{tls.port} ")
    assert "dXNAZXI6cGE6c3M=" in asked  # us@er:pa:ss
    assert "secret" not in asked
    assert not any("proxy-authorization" in received.headers for received in wire.requests)


async def test_plain_http_is_handed_to_the_proxy_whole(pair: Pair, trusted: None) -> None:
    with Wire() as wire, HTTPProxy(user="u:p@") as proxy:
        transport = make(pair, proxy=proxy.url)
        assert (await transport.send(post(wire.url))).status == 200
        await transport.aclose()
    assert proxy.heads[0].startswith(f"POST {wire.url}/x ")
    assert "dTpw" in proxy.heads[0]


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_is_final_and_named_without_its_credentials(
    pair: Pair, trusted: None, status: int
) -> None:
    refusal = b"HTTP/1.1 %d No Thanks\r\nContent-Length: 0\r\n\r\n" % status
    with HTTPProxy(refusal, user="user:pa55word@") as proxy:
        transport = make(pair, proxy=proxy.url)
        error = await failure(transport, post("https://api.test"))
        await transport.aclose()
    assert (error.sent, error.final) == (False, True)
    assert f"http://127.0.0.1:{proxy.port}" in error.reason
    assert str(status) in error.reason
    assert "api.test:443" in error.reason
    assert "pa55word" not in error.reason


async def test_a_proxy_that_worked_and_fails_is_not_called_wrong(pair: Pair, trusted: None) -> None:
    with Wire([say({}, Connection="close")]) as wire, TLS(wire.port) as tls, HTTPProxy() as proxy:
        transport = make(pair, proxy=proxy.url)
        await transport.send(post(tls.url))
        proxy.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        error = await failure(transport, post(tls.url))
        await transport.aclose()
    assert (error.sent, error.final) == (False, False)


@pytest.mark.parametrize("target", ["http://10.9.8.7", "https://api.test"])
async def test_a_proxy_that_is_not_there_is_final_and_named(pair: Pair, trusted: None, target: str) -> None:
    port = closed_port()
    transport = make(pair, proxy=f"http://user:pa55word@127.0.0.1:{port}")
    error = await failure(transport, post(target))
    await transport.aclose()
    assert (error.sent, error.final) == (False, True)
    assert f"the proxy http://127.0.0.1:{port}" in error.reason
    assert "HTTPS_PROXY" in error.reason
    assert "pa55word" not in error.reason


async def test_a_proxy_that_does_not_answer_is_certain(pair: Pair, trusted: None) -> None:
    with Mute() as mute:
        transport = make(pair, proxy=f"http://127.0.0.1:{mute.port}")
        error = await failure(transport, post("https://api.test", timeout=0.4))
        await transport.aclose()
    assert (error.sent, error.timeout) == (False, True)
    assert "the proxy" in error.reason


async def test_tls_that_hangs_behind_a_proxy_takes_no_connection_for_ever(pair: Pair, trusted: None) -> None:
    with Wire() as wire, TLS(wire.port) as tls, Mute() as mute, HTTPProxy() as proxy:
        transport = make(pair, proxy=proxy.url, max_connections=2)
        for _ in range(4):
            error = await failure(transport, post(f"https://localhost:{mute.port}", timeout=0.2))
            assert not error.sent
        assert (await transport.send(post(tls.url))).status == 200
        await transport.aclose()


# Request begun, and status known.


async def test_a_connection_that_breaks_after_the_request_is_in_doubt(transport: Transport) -> None:
    with Wire([faults({})["reset instead of an answer"]]) as wire:
        error = await failure(transport, post(wire.url))
    assert (error.sent, error.status, error.final) == (True, None, False)


@pytest.mark.parametrize("fault", ["reset mid-body", "closed mid-body", "stalls mid-body", "broken gzip"])
async def test_a_success_whose_body_breaks_keeps_its_status(transport: Transport, fault: str) -> None:
    with Wire([faults({"data": list(range(100))})[fault]]) as wire:
        error = await failure(transport, wire.request(timeout=1.0))
    assert (error.sent, error.status) == (True, 200)


def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("aiohttp_bodies", "httpx"):
        monkeypatch.setattr(f"m3ter_async.transports.{module}.REFUSAL_SECONDS", 0.1)


def broken(status: int, end: str) -> Move:
    def act(peer: Any) -> None:
        headers = [("Content-Length", "1000"), ("X-Amzn-RequestId", "r-1")]
        if end == "encoding":
            headers.append(("Content-Encoding", "br"))
        peer.send(head(status, headers) + b'{"message": "no')
        if end == "endless":
            while True:
                peer.send(b"x" * 65_536)
        (peer.stall if end == "encoding" else getattr(peer, end))()

    return Move(end, act)


@pytest.mark.parametrize("end", ["reset", "close", "stall", "encoding"])
@pytest.mark.parametrize("status", [302, 400, 429, 503])
async def test_a_status_that_was_answered_is_an_answer(
    transport: Transport, status: int, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hurry(monkeypatch)
    with Wire([broken(status, end)]) as wire:
        answer = await transport.send(wire.request("POST", "/x", b"{}"))
    assert answer.status == status
    assert answer.headers["x-amzn-requestid"] == "r-1"
    assert bytes(answer.content) in (b'{"message": "no', b"")


async def test_a_refusal_that_never_ends_is_not_waited_for(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hurry(monkeypatch)
    with Wire([broken(503, "stall")]) as wire:
        with anyio.fail_after(5):
            answer = await transport.send(wire.request(timeout=60.0))
    assert (answer.status, bytes(answer.content)) == (503, b'{"message": "no')


async def test_of_a_refusal_only_its_beginning_is_read(transport: Transport) -> None:
    def endless(peer: Any) -> None:
        peer.send(head(500, [("Transfer-Encoding", "chunked")]))
        while True:
            peer.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    with Wire([Move("endless", endless)]) as wire:
        answer = await transport.send(wire.request(max_bytes=100))
        assert (answer.status, len(answer.content)) == (500, stages.REFUSAL_BYTES)
        await until(lambda: wire.connections == 0)


async def test_a_refusal_of_a_streamed_request_is_an_answer_too(transport: Transport) -> None:
    async def into(_: bytes) -> None:
        raise AssertionError("not a success")

    with Wire([broken(403, "stall")]) as wire:
        answer = await transport.send(wire.request(into=into, timeout=1.0))
    assert answer.status == 403


async def test_a_download_that_does_not_connect_is_certain(transport: Transport) -> None:
    async def into(_: bytes) -> None:
        raise AssertionError("nothing came")

    with Mute() as mute:
        error = await failure(transport, post(f"https://127.0.0.1:{mute.port}", into=into, timeout=0.3))
    assert (error.sent, error.timeout) == (False, True)


# Connections that were idle.


async def test_a_write_after_the_server_hung_up_without_a_word_is_sent_over_a_new_connection(
    transport: Transport,
) -> None:
    def then_hang_up(peer: Any) -> None:
        peer.send(whole(b"{}"))
        peer.close()

    with Wire([Move("hangs up", then_hang_up)]) as wire:
        for number in range(20):
            await transport.send(wire.request("GET", f"/{number}"))
            while wire.connections:  # the loop must not notice
                time.sleep(0.001)  # noqa: ASYNC251
            assert (await transport.send(wire.request("POST", f"/{number}", b"{}"))).status == 200
            await until(lambda: wire.connections == 0)
            await anyio.sleep(0.01)
        assert len(wire.requests) == 40
        assert wire.accepted == 40


async def test_a_server_that_hangs_up_on_every_connection_is_not_asked_without_end(transport: Transport) -> None:
    with Wire(hang_up=100) as wire:
        await failure(transport, wire.request("POST", "/x", b"{}"))
        assert wire.accepted == 1


async def test_how_much_is_connected_is_counted_right(pair: Pair) -> None:
    transport = make(pair, max_connections=3)
    with Wire() as wire:
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(transport.send, wire.request())
        assert transport.connections == wire.connections <= 3
        await transport.aclose()


async def test_a_thousand_calls_that_are_cancelled_take_no_place_for_ever(pair: Pair) -> None:
    transport = make(pair, max_connections=10)
    pauses = iter(range(1_000_000))

    def act(peer: Any) -> None:
        time.sleep(next(pauses) % 4 * 0.001)
        peer.send(whole(b"{}"))

    with Wire([Move("soon", act)]) as wire:
        for number in range(67):
            with anyio.move_on_after(number % 17 * 0.001):
                async with anyio.create_task_group() as group:
                    for _ in range(15):
                        group.start_soon(transport.send, wire.request(timeout=20.0))
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(transport.send, wire.request(timeout=20.0))
        assert transport.connections is not None
        assert transport.connections <= 10
        await transport.aclose()
        await until(lambda: wire.connections == 0)


# A client of the caller's.


@pytest.mark.parametrize("how", ["MockTransport", "hook"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_answers_that_are_loaded_already_are_answers(pair: Pair, how: str, streamed: bool) -> None:
    if pair.library == "aiohttp":
        pytest.skip("aiohttp loads nothing by itself")

    async def read(response: httpx.Response) -> None:
        await response.aread()

    mock = httpx.MockTransport(lambda _: httpx.Response(200, json={"id": "a"}))
    client = (
        httpx.AsyncClient(transport=mock)
        if how == "MockTransport"
        else httpx.AsyncClient(event_hooks={"response": [read]})
    )
    pieces: list[bytes] = []

    async def into(piece: bytes) -> None:
        pieces.append(piece)

    with Wire([say({"id": "a"})]) as wire:
        async with client:
            transport = HttpxTransport(client)
            answer = await transport.send(wire.request(into=into if streamed else None))
            content = b"".join(pieces) if streamed else answer.content
            assert content == b'{"id":"a"}'
            assert (await failure(transport, wire.request(max_bytes=3))).too_large


async def test_a_full_pool_of_the_callers_is_certain(pair: Pair) -> None:
    with Wire([faults({})["stalls before the answer"]]) as wire:
        if pair.library == "aiohttp":
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
            transport: Transport = AiohttpTransport(session)
            close = session.close
        else:
            client = httpx.AsyncClient(limits=httpx.Limits(max_connections=1))
            transport = HttpxTransport(client)
            close = client.aclose

        async def hog() -> None:
            with pytest.raises(TransportError):
                await transport.send(wire.request(timeout=1.0))

        async with anyio.create_task_group() as group:
            group.start_soon(hog)
            await until(lambda: len(wire.requests) == 1)
            error = await failure(transport, wire.request("POST", "/x", b"{}", timeout=0.3))
        await close()
        assert (error.sent, error.timeout, len(wire.requests)) == (False, True, 1)


async def test_a_hook_of_the_callers_that_raises_is_told_by_the_stage(pair: Pair) -> None:
    if pair.library == "aiohttp":
        pytest.skip("aiohttp's hooks are only told")

    async def fail(_: httpx.Response) -> None:
        raise KeyError("Bearer t-secret")

    with Wire() as wire:
        async with httpx.AsyncClient(event_hooks={"response": [fail]}) as client:
            error = await failure(HttpxTransport(client), post(wire.url))
    assert error.sent
    assert "secret" not in error.reason
