"""Those who listen are told of everything that happens, of no secret, and can break nothing."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
import pickle
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import anyio
import pytest

from m3ter_async import APIConnectionError, APIError, AsyncM3ter, ConfigurationError, TransportError
from m3ter_async import events as every
from m3ter_async._core.local_limits import LocalLimit
from m3ter_async.events import (
    AddressLimitReached,
    Event,
    LoggedIn,
    LoginFailed,
    RateLimitPaused,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    SharedLimitChanged,
)
from m3ter_async.limits import LocalLimiter
from m3ter_async.transports.protocol import Request, Response

from .fakes import (
    ORG,
    TOKEN,
    Answer,
    FakeClock,
    FakeTransport,
    TickingClock,
    answer,
    client,
    grant,
)
from .wire import Pair, Wire, say, squeezed, until

E = TypeVar("E", bound=Event)
KINDS = [kind for kind in vars(every).values() if isinstance(kind, type) and issubclass(kind, Event)]


class Heard(list[Event]):
    """A hook that remembers."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self if isinstance(event, kind)]


def bill(_: Request) -> Response:
    return answer({"id": "b1"})


async def failed(call: Any) -> APIError:
    with pytest.raises(APIError) as caught:
        await call
    return caught.value


# What is told


async def test_a_call_and_its_login_are_told_step_by_step() -> None:
    heard = Heard()
    m3ter = client(FakeTransport(bill), on_event=heard)
    await m3ter.bills.retrieve("b1")
    assert heard.kinds == [RequestSent, ResponseReceived, LoggedIn, RequestSent, ResponseReceived]
    assert [event.call.operation for event in heard] == ["GenerateToken"] * 3 + ["GetBill"] * 2
    assert heard.of(LoggedIn)[0].expires_in == 18_000


async def test_an_event_names_its_call_by_template_and_by_path() -> None:
    heard = Heard()
    await client(FakeTransport(bill), token="t", on_event=heard).bills.retrieve("b/1")
    call = heard[0].call
    assert call.method == "GET"
    assert call.template == "/organizations/{orgId}/bills/{id}"
    assert call.path == f"/organizations/{ORG}/bills/b%2F1"
    assert call.url == "https://api.m3ter.com" + call.path


async def test_all_events_of_a_call_have_it_in_common_and_no_other_call_has() -> None:
    heard = Heard()
    transport = FakeTransport([answer(status=500), answer({"id": "b1"}), answer({"id": "b2"})])
    m3ter = client(transport, token="t", on_event=heard)
    await m3ter.bills.retrieve("b1")
    await m3ter.bills.retrieve("b1")
    numbers = [event.call.id for event in heard]
    assert numbers == [numbers[0]] * 5 + [numbers[-1]] * 2
    assert numbers[0] != numbers[-1]
    assert [event.attempt for event in heard] == [1, 1, 1, 2, 2, 1, 1]


async def test_a_response_is_told_with_its_time_size_and_request_id() -> None:
    heard = Heard()
    transport = FakeTransport(lambda _: answer(b'{"id": "b1"}', x_request_id="r-1"))
    await client(transport, TickingClock(), token="t", on_event=heard).bills.retrieve("b1")
    response = heard.of(ResponseReceived)[0]
    assert (response.status, response.body_bytes, response.wire_bytes) == (200, 12, 12)
    assert response.request_id == "r-1"
    assert 0 < response.seconds < 0.1


async def test_a_body_that_is_sent_is_told_with_its_size() -> None:
    heard = Heard()
    transport = FakeTransport(lambda _: answer({"id": "t1"}))
    m3ter = client(transport, token="t", on_event=heard)
    await m3ter.balances.transactions.create("b1", amount=1, transaction_type_id="t")
    assert heard.of(RequestSent)[0].body_bytes == len(transport.requests[0].content or b"") > 0


async def test_a_repeat_is_told_with_its_reason_and_the_delay_that_follows() -> None:
    heard, clock = Heard(), FakeClock()
    transport = FakeTransport([answer({"message": "busy"}, 503, x_request_id="r-1"), answer({"id": "b1"})])
    await client(transport, clock, token="t", on_event=heard).bills.retrieve("b1")
    assert heard.kinds == [RequestSent, ResponseReceived, RetryScheduled, RequestSent, ResponseReceived]
    retry = heard.of(RetryScheduled)[0]
    assert (retry.status, retry.request_id, retry.attempt) == (503, "r-1", 1)
    assert "busy" in retry.reason
    assert [retry.delay] == clock.sleeps


async def test_a_refused_token_is_a_repeat_without_delay() -> None:
    heard = Heard()
    await client(FakeTransport([answer(status=401), answer({})]), on_event=heard).bills.retrieve("b1")
    retry = heard.of(RetryScheduled)
    assert [(event.delay, event.status, event.attempt) for event in retry] == [(0.0, 401, 1)]
    assert len(heard.of(LoggedIn)) == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TransportError("gone"), "connection"),
        (TransportError("slow", timeout=True), "timeout"),
        (TransportError("huge", too_large=True), "too_large"),
    ],
)
async def test_a_request_without_an_answer_is_told_with_what_went_wrong(error: TransportError, kind: str) -> None:
    heard = Heard()
    m3ter = client(FakeTransport([error]), TickingClock(), token="t", max_retries=0, on_event=heard)
    await failed(m3ter.bills.retrieve("b1"))
    assert heard.kinds == [RequestSent, RequestFailed]
    told = heard.of(RequestFailed)[0]
    assert (told.error, told.reason) == (kind, error.reason)
    assert 0 < told.seconds < 0.1


async def test_a_cancelled_request_is_told_as_such() -> None:
    heard = Heard()

    async def never(_: Request) -> Response:
        await anyio.sleep_forever()
        return answer()

    m3ter = client(FakeTransport(never), token="t", on_event=heard)
    async with anyio.create_task_group() as group:
        group.start_soon(m3ter.bills.retrieve, "b1")
        await until(lambda: bool(heard))
        group.cancel_scope.cancel()
    assert heard.kinds == [RequestSent, RequestFailed]
    assert heard.of(RequestFailed)[0].error == "cancelled"


async def test_a_mistake_in_a_transport_is_told_by_its_kind_alone() -> None:
    heard = Heard()

    def broken(_: Request) -> Response:
        raise LookupError("with a text that nobody looked through")

    m3ter = client(FakeTransport(broken), token="t", on_event=heard)
    with pytest.raises(APIConnectionError, match=r"the transport failed \(LookupError\)"):
        await m3ter.bills.retrieve("b1")
    told = heard.of(RequestFailed)[0]
    assert (told.error, told.reason) == ("connection", "the transport failed (LookupError)")
    assert m3ter.stats().in_flight == 0


async def test_a_pause_is_told_once_by_the_call_that_began_it() -> None:
    heard = Heard()
    transport = FakeTransport([answer(status=429, retry_after="3"), answer({"id": "b1"})])
    await client(transport, token="t", on_event=heard).bills.retrieve("b1")
    assert heard.kinds[:4] == [RequestSent, ResponseReceived, RateLimitPaused, RetryScheduled]
    pause = heard.of(RateLimitPaused)[0]
    assert (pause.scope, pause.seconds) == ("configuration", 3.0)


def use_up_the_address(m3ter: AsyncM3ter, clock: FakeClock) -> None:
    """As 20,000 calls do, of this client or of others at the same address."""
    limit = m3ter._pipeline._gates.gate("configuration", ORG)._limit
    assert isinstance(limit, LocalLimit)
    address = limit._address
    assert address is not None
    while not address.wait(clock.now()):
        address.take(clock.now())


async def test_a_used_up_address_is_told_once_by_the_call_that_waits_first() -> None:
    heard, clock = Heard(), FakeClock()
    m3ter = client(FakeTransport(bill), clock, token="t", on_event=heard)
    use_up_the_address(m3ter, clock)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(m3ter.bills.retrieve, "b1")
    (told,) = heard.of(AddressLimitReached)
    assert told.scope == "configuration"
    assert 0 < told.seconds <= 300
    assert sum(clock.sleeps) >= told.seconds
    assert m3ter.stats().address_pauses == 1
    assert len(heard.of(ResponseReceived)) == 5


async def test_a_renewal_that_fails_in_the_background_is_told_though_no_call_fails() -> None:
    heard, clock = Heard(), FakeClock()
    logins = [grant(expires_in=1_000), answer({"message": "no"}, 403)]
    m3ter = client(FakeTransport(bill, login=lambda _: logins.pop(0)), clock, on_event=heard)
    await m3ter.bills.retrieve("b1")
    clock.time += 950
    await m3ter.bills.retrieve("b1")
    await until(lambda: LoginFailed in heard.kinds)
    told = heard.of(LoginFailed)[0]
    assert told.status == 403
    assert "no" in told.reason
    assert m3ter.stats().failures == 0


async def test_views_tell_the_same_listeners() -> None:
    heard = Heard()
    m3ter = client(FakeTransport(bill), token="t", on_event=heard)
    await m3ter.with_options(org_id="other").bills.retrieve("b1")
    assert heard[0].call.path == "/organizations/other/bills/b1"


async def test_several_listeners_are_told_in_turn() -> None:
    told: list[str] = []
    m3ter = client(FakeTransport(bill), token="t", on_event=[lambda _: told.append("a"), lambda _: told.append("b")])
    await m3ter.bills.retrieve("b1")
    assert told == ["a", "b"] * 2


async def test_who_is_told_finds_the_event_in_the_numbers_already() -> None:
    numbers: list[tuple[int, int, int]] = []

    def ask(_: Event) -> None:
        stats = m3ter.stats()
        numbers.append((stats.requests, stats.in_flight, stats.responses))

    m3ter = client(FakeTransport(bill), token="t", on_event=ask)
    await m3ter.bills.retrieve("b1")
    assert numbers == [(1, 1, 0), (1, 0, 1)]


# In whose name


TRACE: ContextVar[str] = ContextVar("TRACE", default="nobody")


async def test_a_listener_sees_the_context_of_the_caller_also_for_logins_and_pages_ahead() -> None:
    seen: list[tuple[str, str]] = []
    pages = [answer({"data": [{"id": "b1"}], "nextToken": "t"}), answer({"data": [{"id": "b2"}]})]
    m3ter = client(FakeTransport(pages), on_event=lambda event: seen.append((event.call.operation, TRACE.get())))
    TRACE.set("somebody")
    assert len(await m3ter.bills.list().collect()) == 2
    assert {operation for operation, _ in seen} == {"GenerateToken", "ListBills"}
    assert {name for _, name in seen} == {"somebody"}


# What is not told


async def test_values_of_a_query_are_masked_but_for_pages_states_and_dates() -> None:
    heard = Heard()
    m3ter = client(FakeTransport([answer(b'{"data": []}')]), token="t", on_event=heard)
    await m3ter.bills.list(status="APPROVED", account_id="acme & sons", next_token="cursor", page_size=5)
    _, _, query = heard[0].call.url.partition("?")
    assert sorted(query.split("&")) == ["accountId=REDACTED", "nextToken=REDACTED", "pageSize=5", "status=APPROVED"]


async def test_a_path_by_hand_is_no_template_and_its_query_is_masked_whole() -> None:
    heard = Heard()
    m3ter = client(FakeTransport(lambda _: answer({})), token="t", on_event=heard)
    await m3ter.request("GET", "/organizations/{orgId}/x/5", query={"status": "mine", "a b": "c"})
    call = heard[0].call
    assert (call.operation, call.template) == ("request", None)
    assert call.url == f"https://api.m3ter.com/organizations/{ORG}/x/5?status=REDACTED&a%20b=REDACTED"


SECRETS = ("key/of+theirs", "secret/of+theirs", "token.of+theirs", "next-token-of-theirs")


@pytest.mark.parametrize("status", [200, 401, 403, 429, 500])
async def test_no_event_holds_a_secret_whatever_a_server_echoes(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "m3ter_async")
    heard = Heard()
    key, secret, token, other = SECRETS
    logins = [grant(token), grant(other)]

    def login(_: Request) -> Response:
        made = logins.pop(0)
        made.headers = {"x-request-id": " ".join(SECRETS)}
        return made

    def echo(request: Request) -> Response:
        text = " ".join([request.headers["Authorization"], key, secret, token])
        return answer({"message": text}, status, x_request_id=text, location=text)

    m3ter = client(FakeTransport(echo, login=login), api_key=key, api_secret=secret, max_retries=1, on_event=heard)
    with suppress(APIError):
        await m3ter.bills.retrieve("b1")
    shown = repr(heard) + "".join(map(str, heard)) + caplog.text
    assert "[redacted]" in shown
    assert [one for one in SECRETS if one in shown] == []


async def test_the_traceback_of_a_listener_says_nothing_of_what_it_was_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: Event) -> None:
        raise LookupError

    echo = TransportError(f"no connection: {SECRETS[2]}")
    await failed(client(FakeTransport([echo]), token=SECRETS[2], max_retries=0, on_event=broken).bills.retrieve("b1"))
    assert caplog.text.count("raise LookupError") == 2
    assert SECRETS[2] not in caplog.text


# What a listener cannot do


async def test_a_listener_that_raises_changes_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A write that took effect must not look as if it had failed: somebody would make it a second time."""
    heard = Heard()

    def broken(event: Event) -> None:
        raise LookupError("the listener's own")

    transport = FakeTransport(lambda _: answer({"id": "t1"}))
    m3ter = client(transport, on_event=[broken, heard])
    made = await m3ter.balances.transactions.create("b1", amount=1, transaction_type_id="t")
    assert made.id == "t1"
    assert len(transport.requests) == 1
    assert heard.kinds == [RequestSent, ResponseReceived, LoggedIn, RequestSent, ResponseReceived]
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(records) == len(heard)
    assert {record.name for record in records} == {"m3ter_async"}
    assert "LookupError: the listener's own" in caplog.text
    assert "in broken" in caplog.text


class NotShared(LocalLimiter):
    """As a limiter does that keeps to a fixed share for now."""

    connected = False


async def test_a_limit_that_is_shared_no_more_and_then_again_is_told_once_each() -> None:
    heard, clock = Heard(), FakeClock()
    limiter = NotShared(1, _clock=clock)
    m3ter = client(FakeTransport(bill), clock, token="t", on_event=heard, limiter=limiter)
    for organization in ("a", "b"):
        for _ in range(3):
            await m3ter.with_options(org_id=organization).bills.retrieve("b1")
    limiter.connected = True
    for _ in range(3):
        await m3ter.bills.retrieve("b1")
    assert [event.shared for event in heard.of(SharedLimitChanged)] == [False, True]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Event])
async def test_the_outcome_is_the_same_whichever_event_a_listener_raises_at(kind: type[Event]) -> None:
    async def play(*listeners: Callable[[Event], None]) -> list[Any]:
        logins: list[Answer] = [
            TransportError("gone"),
            answer(status=500),
            answer({"message": "no"}, 403),
            grant("a"),
            grant("b"),
        ]
        answers: list[Answer] = [answer(status=401), answer(status=429), TransportError("gone"), answer({"id": "b1"})]
        clock = FakeClock()
        limiter = NotShared(_clock=clock)
        transport = FakeTransport(answers, login=lambda _: logins.pop(0))
        m3ter = client(transport, clock, on_event=listeners, limiter=limiter)
        error = await failed(m3ter.bills.retrieve("b1"))
        use_up_the_address(m3ter, clock)
        clock.time += 60  # until then refused credentials are not tried again
        return [str(error), await m3ter.bills.retrieve("b1"), m3ter.stats()]

    def broken(event: Event) -> None:
        if type(event) is kind:
            raise LookupError

    heard = Heard()
    assert await play(broken, heard) == await play()
    assert kind in heard.kinds


async def test_what_is_no_mere_exception_passes_through_and_leaves_the_numbers_sound() -> None:
    def end(event: Event) -> None:
        raise KeyboardInterrupt

    m3ter = client(FakeTransport(bill), token="t", on_event=end)
    with pytest.raises(KeyboardInterrupt):
        await m3ter.bills.retrieve("b1")
    assert m3ter.stats().in_flight == 0
    assert m3ter._pipeline.parts.admission.free == 100


async def never_awaited(event: Event) -> None: ...


class Asynchronous:
    async def __call__(self, event: Event) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (5, "5 is not a function"),
        ([print, None], "None is not a function"),
        ("print", "'p' is not a function"),
        (never_awaited, "is async"),
        (Asynchronous(), "is async"),
        (functools.partial(never_awaited), "is async"),
    ],
)
def test_what_cannot_listen_is_refused_at_once(wrong: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        client(FakeTransport(bill), on_event=wrong)


async def test_where_nobody_listens_no_event_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object) -> None:
        raise AssertionError("an event was made for nobody")

    for kind in (RequestSent, ResponseReceived):
        monkeypatch.setattr(f"m3ter_async._core.instrumentation.{kind.__name__}", made)
    m3ter = client(FakeTransport(bill), token="t")
    await m3ter.bills.retrieve("b1")
    with pytest.raises(AssertionError, match="for nobody"):
        await client(FakeTransport(bill), token="t", on_event=print).bills.retrieve("b1")


# As values


async def test_events_are_frozen_values_that_can_be_kept_compared_and_pickled() -> None:
    heard = Heard()
    await client(FakeTransport(bill), on_event=heard).bills.retrieve("b1")
    for event in heard:
        assert pickle.loads(pickle.dumps(event)) == event
        assert len({event, event}) == 1
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.attempt = 5  # type: ignore[misc]
        with pytest.raises((AttributeError, TypeError)):
            event.note = "mine"  # type: ignore[attr-defined]


def test_every_event_is_public_and_each_of_its_fields_documented() -> None:
    assert {kind.__name__ for kind in KINDS} | {"Answer", "CallInfo", "Scope"} == set(every.__all__)
    for kind in (*KINDS, every.Answer, every.CallInfo):
        inherited = {field.name for base in kind.__bases__ if base is Event for field in dataclasses.fields(Event)}
        for field in dataclasses.fields(kind):
            assert field.name in inherited or f"    {field.name}: " in (inspect.getdoc(kind) or ""), kind


# The log


async def test_the_log_says_what_the_events_say_each_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "m3ter_async")
    heard = Heard()
    logins = [grant(), answer({"message": "go away"}, 403)]
    answers = [answer(status=429, retry_after="3"), answer({}, x_request_id="r-1"), answer(status=401)]
    m3ter = client(FakeTransport(answers, login=lambda _: logins.pop(0)), on_event=heard)
    await m3ter.bills.retrieve("b1")
    await failed(m3ter.bills.retrieve("b1"))
    records = [record for record in caplog.records if record.name == "m3ter_async"]
    assert [record.args for record in records] == [(event,) for event in heard]
    levels = {type(event): record.levelname for event, record in zip(heard, records, strict=True)}
    assert levels == {
        RequestSent: "DEBUG",
        ResponseReceived: "DEBUG",
        LoggedIn: "INFO",
        RetryScheduled: "INFO",
        RateLimitPaused: "WARNING",
        LoginFailed: "WARNING",
    }
    lines = [record.getMessage() for record in records]
    assert f"GET /organizations/{ORG}/bills/b1: 200, 2 bytes in 0.000 s [request id r-1]" in lines
    assert "POST /oauth/token: logged in for 18000 s" in lines
    assert "POST /oauth/token: the login failed: 403 Forbidden: go away" in lines


async def test_the_log_is_silent_about_what_goes_well_unless_it_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "m3ter_async")
    m3ter = client(FakeTransport([answer(status=500), answer({})]))
    await m3ter.bills.retrieve("b1")
    assert caplog.records == []


async def test_what_a_server_says_makes_no_line_of_its_own_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "m3ter_async")
    said = answer({"message": "no\nCRITICAL all is lost\x1b[2J"}, 503)
    await client(FakeTransport([said, answer({})]), token=TOKEN).bills.retrieve("b1")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.isprintable()
    assert "all is lost" in line


# Over a wire


class TestOverAWire:
    @pytest.fixture
    def anyio_backend(self, pair: Pair) -> str:
        return pair.backend

    async def test_a_compressed_body_is_told_in_both_its_sizes(self, pair: Pair) -> None:
        heard = Heard()
        with Wire([squeezed(b'{"id": "%b"}' % (b"b" * 5_000), "gzip")]) as wire:
            async with wire.client(pair, token="t", on_event=heard) as m3ter:
                await m3ter.bills.retrieve("b1")
        response = heard.of(ResponseReceived)[0]
        assert response.body_bytes == 5_000 + len('{"id": ""}')
        assert response.wire_bytes is not None
        assert response.wire_bytes < 200

    async def test_a_lost_connection_and_the_repeat_are_told(self, pair: Pair) -> None:
        heard = Heard()
        with Wire([say({"id": "b1"}, x_request_id="r-1")], hang_up=1) as wire:
            async with wire.client(pair, token="t", on_event=heard) as m3ter:
                await m3ter.bills.retrieve("b1")
        assert heard.kinds == [RequestSent, RequestFailed, RetryScheduled, RequestSent, ResponseReceived]
        assert heard.of(ResponseReceived)[0].request_id == "r-1"
