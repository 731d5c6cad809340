"""`HttpxTransport` sends through httpx2 as it does through httpx."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from m3ter_async import APIConnectionError, AsyncM3ter, ClientClosedError, HttpxTransport, TransportError
from m3ter_async.transports import Transport, httpx_library

from ..fakes import FakeClock
from ..wire import PAIRS, Pair, Wire, faults, pages, say, squeezed, token_of

httpx2 = pytest.importorskip("httpx2")
PAGES = pages(3, 3, 3)
STALL = faults({})["stalls before the answer"]
DROPPED = faults({})["closed instead of an answer"]


@pytest.fixture(params=[pair for pair in PAIRS if pair.library == "httpx"], ids=lambda pair: pair.backend)
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.param
    return found


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


@pytest.fixture(params=["of the caller's", "made here"])
async def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Transport]:
    if request.param == "made here":
        monkeypatch.setattr(httpx_library, "find_spec", lambda name: name if name == "httpx2" else None)
        yield HttpxTransport()
    else:
        async with httpx2.AsyncClient() as theirs:
            yield HttpxTransport(theirs)


def client(wire: Wire, pair: Pair, transport: Transport, **options: Any) -> AsyncM3ter:
    return wire.client(pair, transport=transport, **options)


async def test_it_is_the_library_that_is_used(pair: Pair, transport: HttpxTransport) -> None:
    assert transport._library is httpx2
    with Wire([say({"id": "b"})]) as wire:
        async with client(wire, pair, transport) as m3ter:
            assert (await m3ter.bills.retrieve("b")).id == "b"
            if transport.connections is not None:
                assert transport.connections == 1
                assert all(isinstance(each, httpx2.AsyncClient) for each in transport._clients)


async def test_a_listing_is_streamed_and_stopped(pair: Pair, transport: Transport) -> None:
    with Wire(lambda received: say(PAGES[token_of(received)])) as wire:
        async with client(wire, pair, transport) as m3ter:
            assert len([bill async for bill in m3ter.bills.list()]) == 9
            async for _ in m3ter.bills.list():
                break
            assert len(await m3ter.bills.list().collect()) == 9


async def test_a_body_is_inflated_within_its_bound(pair: Pair, transport: Transport) -> None:
    body = b'{"id":"b","x":"%b"}' % (b"a" * 100_000)
    packed = squeezed(body, "gzip")
    with Wire([packed, packed]) as wire:
        assert (await transport.send(wire.request())).content == body
        with pytest.raises(TransportError, match="larger than") as caught:
            await transport.send(wire.request(max_bytes=1000))
        assert caught.value.too_large
        await transport.aclose()


async def test_what_was_sent_and_what_was_not_is_told_apart(pair: Pair, transport: Transport) -> None:
    with Wire([DROPPED]) as wire:
        with pytest.raises(TransportError) as broke:
            await transport.send(wire.request("POST"))
        assert broke.value.sent
        port = wire.url.rpartition(":")[2]
    with pytest.raises(TransportError, match="refused") as refused:
        await transport.send(wire.request("POST"))
    assert port in wire.url
    assert not refused.value.sent
    await transport.aclose()


async def test_a_slow_answer_ends_in_time(pair: Pair, transport: Transport) -> None:
    with Wire([STALL]) as wire, anyio.fail_after(5):
        with pytest.raises(TransportError) as caught:
            await transport.send(wire.request(timeout=0.2))
        assert caught.value.timeout
        assert caught.value.sent
        await transport.aclose()


async def test_the_query_of_a_presigned_url_is_in_no_log(
    pair: Pair, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Wire([say(b"x")]) as wire:
        await transport.send(wire.request(target="/f?X-Amz-Signature=hidden"))
        await transport.aclose()
    assert wire.requests[0].target.endswith("hidden")
    said = [str(record.args) + record.getMessage() for record in caplog.records if record.name == "httpx2"]
    assert said
    assert "hidden" not in "".join(said)


async def test_a_closed_client_of_the_callers_is_told_as_what_it_is(pair: Pair) -> None:
    theirs = httpx2.AsyncClient()
    await theirs.aclose()
    clock = FakeClock()
    with Wire() as wire:
        async with client(wire, pair, HttpxTransport(theirs), clock=clock) as m3ter:
            with pytest.raises(ClientClosedError) as caught:
                await m3ter.bills.retrieve("b")
    assert not isinstance(caught.value, APIConnectionError)
    assert clock.sleeps == []


def test_a_class_of_the_callers_is_of_the_library_that_it_is_derived_from() -> None:
    class Theirs(httpx2.AsyncClient):  # type: ignore[misc, name-defined, unused-ignore]
        pass

    assert HttpxTransport(Theirs())._library is httpx2
