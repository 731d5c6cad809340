"""Files behind presigned URLs: whole or not at all, never with the token, and the URL is seen nowhere."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import aiohttp
import anyio
import httpx
import pytest

from m3ter_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    ClientClosedError,
    ConfigurationError,
    M3terError,
    PermissionDeniedError,
)
from m3ter_async.transports import AiohttpTransport, HttpxTransport
from m3ter_async.transports.protocol import Request, Response
from m3ter_async.transports.stage import Stage
from m3ter_async.transports.streaming import move

from ..core.test_secrets import texts
from ..fakes import FakeClock, FakeTransport, answer, client
from ..wire import SHORT, Move, Pair, Wire, closed_port, head, say, squeezed, until, whole

SIGNATURE = "5ec2e7f00d5ec2e7f00d"
CREDENTIAL = "AKIAMARKED/20240101/us-east-1/s3/aws4_request"
QUERY = f"X-Amz-Credential={CREDENTIAL.replace('/', '%2F')}&X-Amz-Expires=60&X-Amz-Signature={SIGNATURE}"
TARGET = f"/bucket/a%20file.csv?{QUERY}"
BODY = bytes(range(256)) * 5_000


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


class Pieces:
    """Bytes that can be had any number of times, and what was asked of them."""

    def __init__(self, *pieces: bytes, pause: float = 0.0) -> None:
        self.pieces = pieces
        self.pause = pause
        self.begun = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun += 1
        for piece in self.pieces:
            await anyio.sleep(self.pause)
            yield piece


# What arrives


async def test_a_download_comes_back_as_it_is_and_without_the_token(pair: Pair) -> None:
    with Wire([say(BODY)]) as wire:
        async with wire.client(pair) as m3ter:
            await m3ter.bills.list(page_size=1).raw().collect(limit=0)
            assert await m3ter.download(wire.url + TARGET) == BODY
    (received,) = wire.requests
    assert (received.method, received.target) == ("GET", TARGET)
    assert "authorization" not in received.headers
    assert wire.logins == []  # nobody asks for a token that is not sent


async def test_a_download_is_decompressed_like_any_answer(pair: Pair) -> None:
    with Wire([squeezed(BODY, "gzip")]) as wire:
        async with wire.client(pair) as m3ter:
            assert await m3ter.download(wire.url + TARGET) == BODY


async def test_a_download_to_a_file_replaces_it_when_it_is_whole(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "bills.csv"
    path.write_bytes(b"of last month")
    with Wire([say(BODY)]) as wire:
        async with wire.client(pair, max_response_bytes=1000) as m3ter:
            await m3ter.download_to(wire.url + TARGET, path)
    assert path.read_bytes() == BODY  # files may be larger than what is held in memory
    assert os.listdir(tmp_path) == ["bills.csv"]


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206])
async def test_only_a_200_is_the_whole_file(pair: Pair, tmp_path: Path, status: int) -> None:
    path = tmp_path / "bills.csv"
    path.write_bytes(b"of last month")
    with Wire([say(b"" if status == 204 else b"a part", status)]) as wire:
        async with wire.client(pair) as m3ter:
            for fetch in (m3ter.download_to(wire.url + TARGET, path), m3ter.download(wire.url + TARGET)):
                with pytest.raises(APIResponseValidationError, match=str(status)) as caught:
                    await fetch
                assert caught.value.status == status
    assert path.read_bytes() == b"of last month"
    assert os.listdir(tmp_path) == ["bills.csv"]
    assert len(wire.requests) == 2


async def test_a_transport_that_brings_less_than_was_announced_has_not_brought_the_file() -> None:
    answers = [answer(b"shor", content_length="5"), answer(b"short", content_length="5")]
    async with client(FakeTransport(answers)) as m3ter:
        assert await m3ter.download("https://files.example.com/x?s=1") == b"short"


async def test_what_is_downloaded_in_chunks_is_counted(pair: Pair, tmp_path: Path) -> None:
    def chunked(peer: Any) -> None:
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (BODY[:70_000], BODY[70_000:]))
        peer.send(head(200, [("Transfer-Encoding", "chunked")]) + chunks + b"0\r\n\r\n")

    with Wire([Move("chunked", chunked), squeezed(BODY, "gzip"), say(BODY)]) as wire:
        async with wire.client(pair) as m3ter:
            for times in (1, 2, 3):
                await m3ter.download_to(wire.url + TARGET, tmp_path / "f")
                assert m3ter.stats().bytes_received == times * len(BODY)


def _cut(peer: Any) -> None:
    peer.send(head(200, [("Content-Length", str(len(BODY)))]) + BODY[:9999])
    peer.reset()


CUT = Move("cut", _cut)


async def test_what_a_broken_attempt_has_brought_is_dropped_before_the_next(pair: Pair, tmp_path: Path) -> None:
    with Wire([CUT, say(b"no", 503), CUT, say(b"short")]) as wire:
        async with wire.client(pair) as m3ter:
            await m3ter.download_to(wire.url + TARGET, tmp_path / "f")
            assert len(wire.requests) == 4
    assert (tmp_path / "f").read_bytes() == b"short"
    with Wire([CUT, say(b"short")]) as wire:
        async with wire.client(pair) as m3ter:
            assert await m3ter.download(wire.url + TARGET) == b"short"


async def test_a_download_that_fails_leaves_the_old_file_and_nothing_else(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "bills.csv"
    path.write_bytes(b"of last month")
    with Wire([CUT]) as wire:
        async with wire.client(pair, max_retries=1) as m3ter:
            with pytest.raises(APIConnectionError) as caught:
                await m3ter.download_to(wire.url + TARGET, path)
    assert caught.value.attempts == 2
    assert not caught.value.outcome_unknown
    assert path.read_bytes() == b"of last month"
    assert os.listdir(tmp_path) == ["bills.csv"]


async def test_a_cancelled_download_leaves_nothing_behind(pair: Pair, tmp_path: Path) -> None:
    def stall(peer: Any) -> None:
        # More than the buffer of a file, which has 128 KiB from Python 3.14 on.
        peer.send(head(200, [("Content-Length", "1000000")]) + b"x" * 500_000)
        peer.stall()

    with Wire([Move("stall", stall)]) as wire:
        async with wire.client(pair) as m3ter:
            async with anyio.create_task_group() as group:
                group.start_soon(m3ter.download_to, wire.url + TARGET, tmp_path / "f")
                await until(lambda: bool(os.listdir(tmp_path)) and os.path.getsize(next(tmp_path.iterdir())) > 0)
                group.cancel_scope.cancel()
            await until(lambda: wire.connections == 0)
    assert os.listdir(tmp_path) == []


async def test_a_folder_that_does_not_exist_is_told_before_anything_is_sent(pair: Pair, tmp_path: Path) -> None:
    with Wire() as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(FileNotFoundError):
                await m3ter.download_to(wire.url + TARGET, tmp_path / "none" / "f")
            with pytest.raises(FileNotFoundError):
                await m3ter.upload(wire.url + TARGET, tmp_path / "none")
    assert wire.requests == []


@pytest.mark.parametrize("form", ["path", "bytes", "list", "async iterable", "generator"])
async def test_an_upload_arrives_as_it_is_with_its_headers_and_without_the_token(
    pair: Pair, form: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(BODY)
    halves = (BODY[:300_000], b"", BODY[300_000:])
    contents: dict[str, Any] = {
        "path": tmp_path / "f",
        "bytes": BODY,
        "list": list(halves),
        "async iterable": Pieces(*halves),
        "generator": (half for half in halves),
    }
    length = None if form in ("path", "bytes") else len(BODY)
    headers = {"Content-Type": "application/json", "x-amz-acl": "private", "Host": "elsewhere", "content-length": "1"}
    with Wire() as wire:
        async with wire.client(pair) as m3ter:
            await m3ter.upload(wire.url + TARGET, contents[form], headers=headers, length=length)
    (received,) = wire.requests
    assert (received.method, received.target, received.body) == ("PUT", TARGET, BODY)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-amz-acl"] == "private"
    assert received.headers["host"] == f"127.0.0.1:{wire.port}"
    assert received.headers["content-length"] == str(len(BODY))
    assert not {"authorization", "transfer-encoding"} & set(received.headers)


@pytest.mark.parametrize("form", ["path", "bytes", "list", "async iterable"])
async def test_content_that_can_be_had_again_is_sent_again(pair: Pair, form: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    contents: dict[str, Any] = {
        "path": str(tmp_path / "f"),
        "bytes": b"12345",
        "list": [b"123", b"45"],
        "async iterable": Pieces(b"123", b"45"),
    }
    length = None if form in ("path", "bytes") else 5
    reset = Move("reset", lambda peer: peer.reset())
    with Wire([say(b"slow down", 503), reset, say()]) as wire:
        async with wire.client(pair) as m3ter:
            await m3ter.upload(wire.url + TARGET, contents[form], length=length)
    assert [received.body for received in wire.requests] == [b"12345"] * 3


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_iterator_is_sent_once(pair: Pair, kind: str) -> None:
    """A second attempt would put the rest, or nothing, in place of the whole."""
    pieces: Any = Pieces(b"12345").__aiter__() if kind == "async" else iter([b"12345"])
    with Wire([say(b"slow down", 503), say()]) as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(APIError):
                await m3ter.upload(wire.url + TARGET, pieces, length=5)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("pieces", [[b"1234"], [b"123", b"456"], [b"12345", b"6"], [b"12345", b"", b"6"], []])
async def test_content_that_is_not_as_long_as_announced_is_refused(pair: Pair, pieces: list[bytes]) -> None:
    """Libraries cut what is too long, and an object that is cut is a row that is lost."""
    with Wire() as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(ValueError, match="not as long"):
                await m3ter.upload(wire.url + TARGET, Pieces(*pieces), length=5)
    assert not any(len(received.body) == 5 for received in wire.requests)


async def test_what_the_callers_own_ends_raise_comes_out_as_it_is(pair: Pair) -> None:
    class Broken(OSError):
        """Libraries take an OSError for a failure of the connection."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"12"
        raise Broken("disk")

    with Wire() as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(Broken, match="disk"):
                await m3ter.upload(wire.url + TARGET, broken(), length=5)
    with Wire([say(BODY), say(b"{}")]) as wire:
        transport = pair.transport()

        async def full(_: bytes) -> None:
            raise Broken("full")

        with pytest.raises(Broken, match="full"):
            await transport.send(wire.request(into=full))
        assert (await transport.send(wire.request())).content == b"{}"  # and nothing of it is left behind
        await transport.aclose()


async def test_bad_content_is_refused_before_anything_is_sent(pair: Pair) -> None:
    with Wire() as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(ValueError, match="length="):
                await m3ter.upload(wire.url + TARGET, [b"1"])
            with pytest.raises(ValueError, match="nothing to upload"):
                await m3ter.upload(wire.url + TARGET, b"")
    assert wire.requests == []


# What it takes


async def test_neither_way_is_a_large_file_in_memory(pair: Pair, tmp_path: Path) -> None:
    size = 24_000_000

    def script(received: Any) -> Move:
        if received.method == "PUT":
            return say()

        def act(peer: Any) -> None:
            peer.send(head(200, [("Content-Length", str(size))]))
            for _ in range(size // 100_000):
                peer.send(b"x" * 100_000)

        return Move("large", act)

    with Wire(script) as wire:
        async with wire.client(pair) as m3ter:
            await m3ter.download(wire.url + "/warm?up=1")
            tracemalloc.start()
            try:
                await m3ter.download_to(wire.url + TARGET, tmp_path / "f")
                assert tracemalloc.get_traced_memory()[1] < 6_000_000
            finally:
                tracemalloc.stop()
    assert (tmp_path / "f").stat().st_size == size


@contextmanager
def deaf(said: bytes = b"") -> Iterator[str]:
    """A server that reads the beginning of one request, says something, and reads no further."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(said)
            done.wait(5)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}{TARGET}"
        finally:
            done.set()
            thread.join()


async def test_an_upload_draws_no_more_than_the_wire_takes(pair: Pair) -> None:
    drawn = 0

    class Endless:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            nonlocal drawn
            drawn += 1
            return b"x" * 1_000_000

    with deaf() as url, Wire() as wire:
        async with wire.client(pair, timeout=SHORT) as m3ter:
            with pytest.raises(APITimeoutError):
                await m3ter.upload(url, Endless(), length=10**9)
    assert drawn < 30  # what the buffers of the system hold


async def test_a_large_piece_goes_in_small_ones(pair: Pair) -> None:
    """Of a large one nobody would see that it moves, and a slow wire would pass for a silent one."""
    content, sizes = bytes(range(256)) * 4_000, list[int]()

    async def exchange(request: Request) -> Response:
        assert request.pieces is not None
        pieces = [piece async for piece in request.pieces]
        sizes.extend(map(len, pieces))
        assert b"".join(pieces) == content
        return answer()

    headers = {"Content-Length": str(len(content))}
    await move(Request("PUT", "https://a.b/", headers, pieces=Pieces(content[:9], content[9:])), exchange, Stage())
    assert max(sizes) <= 262_144


class Halting(Pieces):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"12"
        await anyio.sleep(SHORT)
        yield b"345"


async def test_a_refusal_before_everything_was_sent_is_the_refusal(pair: Pair) -> None:
    with deaf(whole(b"<Error/>", 403)) as url, Wire() as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(PermissionDeniedError):
                await m3ter.upload(url, Halting(), length=5)


async def test_a_success_before_everything_was_sent_is_none(pair: Pair) -> None:
    with deaf(whole()) as url, Wire() as wire:
        async with wire.client(pair, max_retries=0) as m3ter:
            if pair.library == "aiohttp":  # httpx looks for the answer when all is sent
                with pytest.raises(APIConnectionError, match="before everything was sent"):
                    await m3ter.upload(url, Halting(), length=5)
            else:
                await m3ter.upload(url, Halting(), length=5)


async def test_the_time_limit_is_for_silence_and_not_for_the_whole(pair: Pair) -> None:
    def slow(peer: Any) -> None:
        peer.send(head(200, [("Content-Length", "60000")]))
        for _ in range(6):
            time.sleep(SHORT / 3)
            peer.send(b"x" * 10_000)

    with Wire([Move("slow", slow), say()]) as wire:
        async with wire.client(pair, timeout=SHORT) as m3ter:
            assert len(await m3ter.download(wire.url + TARGET)) == 60_000
            # what the caller's own iterator takes is not the wire's silence
            await m3ter.upload(wire.url + TARGET, Pieces(b"1" * 9, b"2" * 9, pause=SHORT * 1.1), length=18)
    assert len(wire.requests) == 2


@pytest.mark.parametrize("how", ["silent", "trickling"])
async def test_a_server_that_hardly_sends_anything_times_out(pair: Pair, how: str) -> None:
    data = whole(b"x" * 1000)

    def act(peer: Any) -> None:
        peer.send(data[:200])
        if how == "trickling":
            peer.trickle(data[200:], pause=SHORT / 20)
        peer.stall()

    with Wire([Move(how, act)]) as wire:
        async with wire.client(pair, timeout=SHORT, max_retries=0) as m3ter:
            with pytest.raises(APITimeoutError):
                await m3ter.download(wire.url + TARGET)


async def test_a_download_into_memory_is_bounded(pair: Pair) -> None:
    with Wire([say(BODY), squeezed(BODY, "gzip")]) as wire:
        async with wire.client(pair, max_response_bytes=100_000) as m3ter:
            for _ in range(2):
                with pytest.raises(APIResponseValidationError, match="larger than 100000"):
                    await m3ter.download(wire.url + TARGET)
    assert len(wire.requests) == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
class TestPlaces:
    async def test_presigned_calls_take_places_in_flight_but_no_passes(self) -> None:
        async def slow(request: Request) -> Response:
            await anyio.sleep(0.01)
            return answer({})

        transport, clock = FakeTransport(slow), FakeClock()
        m3ter = client(transport, clock, rate_limit=1, max_connections=3)
        async with m3ter, anyio.create_task_group() as group:
            for _ in range(9):
                group.start_soon(m3ter.download, "https://files.example.com/x?s=1")
        assert transport.most_in_flight == 3
        assert clock.sleeps == []
        assert transport.logins == []

    async def test_a_429_of_the_storage_pauses_nobody_else(self) -> None:
        transport, clock = FakeTransport([answer(status=429), answer({}), answer({"id": "b"})]), FakeClock()
        async with client(transport, clock) as m3ter:
            await m3ter.download("https://files.example.com/x?s=1")
            await m3ter.bills.retrieve("b")
        assert len(clock.sleeps) == 1


# What is allowed, and what is seen


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(pair: Pair, status: int) -> None:
    with Wire() as other, Wire([say(b"", status, Location=other.url + "/elsewhere")]) as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(APIError, match="redirect"):
                await m3ter.download(wire.url + TARGET)
            with pytest.raises(APIError, match="redirect"):
                await m3ter.upload(wire.url + TARGET, b"1")
        assert other.accepted == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
class TestWhatIsAllowed:
    async def test_plain_http_is_for_loopback_unless_it_is_asked_for(self) -> None:
        transport = FakeTransport(lambda _: answer({}))
        async with client(transport) as m3ter:
            for url in ("http://127.0.0.1:1/x?s=1", "http://[::1]:1/x?s=1", "http://localhost/x?s=1", "https://a.b/x"):
                await m3ter.download(url)
            for call in (m3ter.download, lambda url: m3ter.upload(url, b"1")):
                with pytest.raises(ConfigurationError, match=r"http://files\.example\.com/x would") as caught:
                    await call(f"http://files.example.com/x?{QUERY}")
                assert SIGNATURE not in str(caught.value)
        assert len(transport.requests) == 4
        async with client(transport, allow_insecure_http=True) as m3ter:
            await m3ter.with_options(timeout=1).download("http://files.example.com/x?s=1")
        assert len(transport.requests) == 5

    @pytest.mark.parametrize(
        "url",
        ["", "files.example.com/x", "ftp://a.b/x", "file:///etc/passwd", "https://", "https:///x", "https://a.b",
         "https://u:p@a.b/x", "https://a.b/x y", "https://a.b/x\r\nX: 1", "https://a.b:99999/x", "https://[::1/x",
         "https://a.b/ü"],
    )  # fmt: skip
    async def test_what_is_no_url_is_refused_before_anything_is_sent(self, url: str) -> None:
        transport = FakeTransport([])
        async with client(transport) as m3ter:
            with pytest.raises(APIResponseValidationError):
                await m3ter.download(url)
        assert transport.requests == []

    @pytest.mark.parametrize("header", [{"A b": "1"}, {"A": "1\r\nB: 2"}, {"": "1"}, {"A": "ü"}, {"A:": "1"}])
    async def test_headers_that_would_break_out_are_refused(self, header: dict[str, str]) -> None:
        transport = FakeTransport([])
        async with client(transport) as m3ter:
            with pytest.raises(APIResponseValidationError, match="header"):
                await m3ter.upload("https://a.b/x?s=1", b"1", headers=header)
        assert transport.requests == []

    async def test_a_closed_client_fetches_nothing(self) -> None:
        transport = FakeTransport([])
        m3ter = client(transport)
        await m3ter.aclose()
        with pytest.raises(ClientClosedError, match="closed"):
            await m3ter.download("https://a.b/x?s=1")


ECHO = f"<Error><Code>SignatureDoesNotMatch</Code><S>{SIGNATURE}</S><C>{QUERY}</C><D>{CREDENTIAL}</D></Error>".encode()


async def test_the_query_of_a_url_is_in_no_error_log_or_repr(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    requests: list[Any] = []

    class Watching:
        def __init__(self) -> None:
            self.inner = pair.transport()

        async def send(self, request: Request) -> Response:
            requests.append(repr(request))
            return await self.inner.send(request)

        async def aclose(self) -> None:
            await self.inner.aclose()

    reset = Move("reset", lambda peer: peer.reset())
    moves = [say(ECHO, 403), reset, say(ECHO, 302, Location=f"https://other.example.com{TARGET}"), say(b"ok")]
    closed = f"http://127.0.0.1:{closed_port()}{TARGET}"
    seen: list[str] = []
    with Wire([move for move in moves for _ in range(2)]) as wire:
        async with wire.client(pair, transport=Watching(), max_retries=0) as m3ter:
            for url in (
                *(wire.url + TARGET for _ in moves),
                closed,
                f"http://a.b{TARGET}",
                f"https://a.b:99999{TARGET}",
            ):
                for call in (
                    lambda: m3ter.download(url),  # noqa: B023  called at once
                    lambda: m3ter.upload(url, Pieces(b"12", b"3"), length=3),  # noqa: B023
                ):
                    try:
                        await call()
                    except M3terError as error:
                        frames = cast("TracebackType", error.__traceback__)
                        seen += texts(error.with_traceback(frames.tb_next))  # without this one, which knows the URL
    assert any("SignatureDoesNotMatch" in text for text in seen)  # the storage's own word is kept
    assert len(requests) == 10
    logged = [record for record in caplog.records if record.name.startswith("httpcore")]  # itself logs headers
    said = [f"{record.getMessage()} {record.args!r}" for record in caplog.records if record not in logged]
    assert any("bucket" in text for text in said)
    for text in (*seen, *requests, *said):
        assert SIGNATURE not in text
        assert "AKIAMARKED" not in text
    assert any("127.0.0.1" in text and "/bucket/a%20file.csv" in text for text in seen)


async def test_an_error_names_method_host_and_path(pair: Pair) -> None:
    with Wire([say(b"<Error><Message>Request has expired</Message></Error>", 403, X_Amz_Request_Id="r1")]) as wire:
        async with wire.client(pair) as m3ter:
            with pytest.raises(PermissionDeniedError) as caught:
                await m3ter.download(wire.url + TARGET)
    error = caught.value
    assert str(error).startswith(f"GET {wire.url}/bucket/a%20file.csv: 403 Forbidden")
    assert b"Request has expired" in error.body
    assert len(wire.requests) == 1  # and no new token is tried


# What the caller's own session or client would add


@pytest.mark.parametrize("pair", [Pair("asyncio", "aiohttp")], ids=["asyncio-aiohttp"])
async def test_a_session_of_the_callers_adds_no_login(pair: Pair, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Wire([say(b"x")]) as wire:
        for options in ({"headers": {"Authorization": "Bearer mine"}}, {"trust_env": True}):
            async with aiohttp.ClientSession(**options) as session:
                m3ter = wire.client(pair, transport=AiohttpTransport(session))
                await m3ter.download(wire.url + TARGET)
                await m3ter.upload(wire.url + TARGET, b"1")
                await m3ter.aclose()
    assert len(wire.requests) == 4
    assert not any("authorization" in received.headers for received in wire.requests)


@pytest.mark.parametrize("pair", [Pair("trio", "httpx")], ids=["trio-httpx"])
async def test_a_client_of_the_callers_adds_no_login(pair: Pair) -> None:
    with Wire([say(b"x")]) as wire:
        async with httpx.AsyncClient(headers={"Authorization": "Bearer mine"}, auth=("a", "b")) as inner:
            m3ter = wire.client(pair, transport=HttpxTransport(inner))
            await m3ter.download(wire.url + TARGET)
            await m3ter.upload(wire.url + TARGET, b"1")
            await m3ter.aclose()
    assert len(wire.requests) == 2
    assert not any("authorization" in received.headers for received in wire.requests)
