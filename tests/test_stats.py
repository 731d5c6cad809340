"""The numbers of a client are what happened, whoever asks and however a call ended."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import anyio
import pytest

from m3ter_async import AiohttpTransport, APIError, AsyncM3ter, HttpxTransport, Stats, TransportError
from m3ter_async.transports.protocol import Request, Response

from .fakes import ORG, FakeTransport, answer, client, grant
from .wire import Pair, Wire, say, until


def bill(_: Request) -> Response:
    return answer({"id": "b1"})


async def failed(call: Any) -> APIError:
    with pytest.raises(APIError) as caught:
        await call
    return caught.value


async def test_a_client_that_did_nothing_has_nothing_to_tell() -> None:
    numbers = dataclasses.asdict(client(FakeTransport(bill)).stats())
    assert numbers.pop("connections") is None  # a transport that cannot tell
    assert set(numbers.values()) == {0}


async def test_a_call_counts_with_its_login() -> None:
    m3ter = client(FakeTransport(bill))
    await m3ter.bills.retrieve("b1")
    await m3ter.bills.retrieve("b2")
    stats = m3ter.stats()
    assert (stats.calls, stats.failures, stats.logins, stats.login_failures) == (2, 0, 1, 0)
    assert (stats.requests, stats.responses, stats.retries, stats.in_flight) == (3, 3, 0, 0)


async def test_a_snapshot_stays_as_it_was() -> None:
    m3ter = client(FakeTransport(bill))
    before = m3ter.stats()
    await m3ter.bills.retrieve("b1")
    assert (before.calls, m3ter.stats().calls) == (0, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.calls = 5  # type: ignore[misc]


async def test_views_and_their_client_count_together() -> None:
    m3ter = client(FakeTransport(bill))
    view = m3ter.with_options(org_id="other")
    await view.bills.retrieve("b1")
    await view.with_options(timeout=5).bills.retrieve("b1")
    assert view.stats() == m3ter.stats()
    assert m3ter.stats().calls == 2


async def test_every_page_of_a_listing_is_a_call() -> None:
    pages = [answer({"data": [{"id": "b1"}], "nextToken": "t"}), answer({"data": [], "nextToken": None})]
    m3ter = client(FakeTransport(pages))
    assert len(await m3ter.bills.list().collect()) == 1
    assert m3ter.stats().calls == 2


async def test_bytes_are_those_of_bodies_logins_included() -> None:
    transport = FakeTransport(lambda _: answer(b'{"id": "t1"}'), login=lambda _: grant("token"))
    m3ter = client(transport)
    await m3ter.balances.transactions.create("b1", amount=1, transaction_type_id="t")
    stats = m3ter.stats()
    sent = [request.content or b"" for request in (*transport.logins, *transport.requests)]
    assert stats.bytes_sent == sum(map(len, sent)) > 0
    assert stats.bytes_received == len(grant("token").content) + len(b'{"id": "t1"}')


async def test_repeats_are_counted_and_what_got_no_answer_is_not_among_the_responses() -> None:
    m3ter = client(FakeTransport([answer(status=500), TransportError("gone"), answer({"id": "b1"})]), token="t")
    await m3ter.bills.retrieve("b1")
    stats = m3ter.stats()
    assert (stats.calls, stats.failures, stats.requests, stats.responses, stats.retries) == (1, 0, 3, 2, 2)


async def test_a_request_sent_again_under_a_new_token_is_a_repeat() -> None:
    m3ter = client(FakeTransport([answer(status=401), answer({"id": "b1"})]))
    await m3ter.bills.retrieve("b1")
    stats = m3ter.stats()
    assert (stats.logins, stats.requests, stats.retries, stats.failures) == (2, 4, 1, 0)


async def test_a_call_that_ends_in_an_error_is_one_failure() -> None:
    m3ter = client(FakeTransport(lambda _: answer(status=500)), token="t", max_retries=2)
    await failed(m3ter.bills.retrieve("b1"))
    stats = m3ter.stats()
    assert (stats.calls, stats.failures, stats.requests, stats.retries) == (1, 1, 3, 2)


async def test_an_answer_that_cannot_be_read_is_a_response_and_a_failure() -> None:
    m3ter = client(FakeTransport([answer(b"[]")]), token="t")
    await failed(m3ter.bills.retrieve("b1"))
    stats = m3ter.stats()
    assert (stats.responses, stats.failures) == (1, 1)


async def test_a_login_that_fails_is_one_and_fails_the_calls_that_needed_it() -> None:
    m3ter = client(FakeTransport(bill, login=lambda _: answer(status=403)))
    await failed(m3ter.bills.retrieve("b1"))
    stats = m3ter.stats()
    assert (stats.calls, stats.failures, stats.logins, stats.login_failures) == (1, 1, 0, 1)


async def test_a_login_by_hand_is_a_login() -> None:
    m3ter = client(FakeTransport(bill))
    await m3ter.authentication.get_bearer_token(grant_type="client_credentials")
    stats = m3ter.stats()
    assert (stats.calls, stats.logins, stats.requests) == (0, 1, 1)


async def test_what_is_refused_before_it_is_sent_is_no_call() -> None:
    m3ter = client(FakeTransport(bill))
    with pytest.raises(ValueError, match="id"):
        await m3ter.bills.retrieve("")
    assert m3ter.stats().calls == 0


async def test_a_call_to_a_closed_client_is_a_failure_that_sent_nothing() -> None:
    m3ter = client(FakeTransport(bill), token="t")
    await m3ter.aclose()
    await failed(m3ter.bills.retrieve("b1"))
    stats = m3ter.stats()
    assert (stats.calls, stats.failures, stats.requests) == (1, 1, 0)


async def test_requests_are_in_flight_until_they_end_be_it_by_cancellation() -> None:
    gate = anyio.Event()

    async def held(_: Request) -> Response:
        await gate.wait()
        return answer({"id": "b1"})

    m3ter = client(FakeTransport(held), token="t")
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(m3ter.bills.retrieve, "b1")
        await until(lambda: m3ter.stats().in_flight == 3)
        group.cancel_scope.cancel()
    stats = m3ter.stats()
    assert (stats.in_flight, stats.requests, stats.responses, stats.failures) == (0, 3, 0, 0)


async def test_a_pause_counts_for_its_seconds_and_those_who_wait_for_its_end() -> None:
    m3ter = client(FakeTransport([answer(status=429, retry_after="5"), answer({})]), token="t", max_retries=0)
    await failed(m3ter.request("GET", "/organizations/{orgId}/x"))
    assert (m3ter.stats().pauses, m3ter.stats().paused_seconds, m3ter.stats().waits) == (1, 5.0, 0)
    await m3ter.request("GET", "/organizations/{orgId}/x")
    assert (m3ter.stats().waits, m3ter.stats().waited_seconds) == (1, 5.0)


@pytest.mark.parametrize("asked", [[7, 7, 7], [5, 8], [8, 5]])
async def test_429s_that_come_together_are_one_pause_as_long_as_the_longest(asked: list[int]) -> None:
    left = asked[:]
    together = anyio.Event()

    async def refused(_: Request) -> Response:
        mine = left.pop(0)
        if not left:
            together.set()
        await together.wait()
        return answer(status=429, retry_after=str(mine))

    m3ter = client(FakeTransport(refused), token="t", max_retries=0)
    async with anyio.create_task_group() as group:
        for _ in asked:
            group.start_soon(failed, m3ter.bills.retrieve("b1"))
    assert (m3ter.stats().pauses, m3ter.stats().paused_seconds) == (1, max(asked))


async def test_ten_running_bill_jobs_are_no_pause() -> None:
    m3ter = client(FakeTransport([answer(status=429), answer({"id": "j1"})]), token="t")
    await m3ter.bill_jobs.create()
    assert (m3ter.stats().pauses, m3ter.stats().retries) == (0, 1)


async def test_calls_held_back_by_the_rate_limit_are_told_with_their_time() -> None:
    m3ter = client(FakeTransport(bill), token="t", rate_limit=2)
    for _ in range(3):
        await m3ter.bills.retrieve("b1")
    stats = m3ter.stats()
    assert (stats.waits, stats.waited_seconds, stats.pauses) == (1, 1.0, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_connections_are_unknown_where_they_are_not_the_clients_own() -> None:
    import aiohttp
    import httpx

    async with aiohttp.ClientSession() as session, httpx.AsyncClient() as other:
        for transport in (AiohttpTransport(session), HttpxTransport(other)):
            assert AsyncM3ter(token="t", org_id=ORG, transport=transport).stats().connections is None


class TestOverAWire:
    @pytest.fixture
    def anyio_backend(self, pair: Pair) -> str:
        return pair.backend

    async def test_connections_are_those_that_the_server_has(self, pair: Pair) -> None:
        with Wire([say({"id": "b1"})]) as wire:
            m3ter = wire.client(pair, token="t")
            assert m3ter.stats().connections == 0
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(m3ter.bills.retrieve, "b1")
            assert m3ter.stats().connections == wire.connections == wire.accepted
            await m3ter.bills.retrieve("b1")
            assert m3ter.stats().connections == wire.accepted
            await m3ter.aclose()
            await until(lambda: wire.connections == 0)
            await until(lambda: m3ter.stats().connections == 0)

    async def test_a_connection_that_broke_is_not_counted(self, pair: Pair) -> None:
        with Wire([say({"id": "b1"}, Connection="close")]) as wire:
            async with wire.client(pair, token="t") as m3ter:
                await m3ter.bills.retrieve("b1")
                await until(lambda: m3ter.stats().connections == 0)

    async def test_a_body_counts_with_its_size_decompressed(self, pair: Pair) -> None:
        from .wire import squeezed

        with Wire([squeezed(b'{"id": "%b"}' % (b"b" * 5_000), "gzip")]) as wire:
            async with wire.client(pair, token="t") as m3ter:
                await m3ter.bills.retrieve("b1")
                assert m3ter.stats().bytes_received == 5_000 + len('{"id": ""}')


def test_the_numbers_are_documented_each() -> None:
    doc = inspect.getdoc(Stats) or ""  # Python 3.13 takes the indent away by itself
    for field in dataclasses.fields(Stats):
        assert f"    {field.name}: " in doc
