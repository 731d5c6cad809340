"""One login for all, renewed in time, replaced when it is refused, and never a loop."""

from __future__ import annotations

import base64
import copy
import math
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from m3ter_async import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AsyncM3ter,
    AuthenticationError,
    InternalServerError,
    PermissionDeniedError,
    TransportError,
)
from m3ter_async._core.auth import Grant, Token, TokenManager
from m3ter_async._core.background import TaskAbandoned
from m3ter_async._core.redaction import Secret
from m3ter_async._core.waits import Waits
from m3ter_async.transports.protocol import Request, Response

from ..fakes import KEY, SECRET, FakeClock, FakeTransport, answer, client, grant

Handler = Callable[[Request], Response | TransportError]
UNAUTHORIZED = {"message": "Unauthorized"}


def bill(_: Request) -> Response:
    return answer({"id": "b"})


def numbered(*, life: float = 18_000) -> Callable[[Request], Response]:
    """Logins that give t1, t2, t3, ..."""
    count = 0

    def login(_: Request) -> Response:
        nonlocal count
        count += 1
        return grant(f"t{count}", life)

    return login


def accepting(*tokens: str, status: int = 401) -> Callable[[Request], Response]:
    """A service that takes these tokens and no others."""

    def serve(request: Request) -> Response:
        known = request.headers["Authorization"].removeprefix("Bearer ") in tokens
        return answer({"id": "b"}) if known else answer(UNAUTHORIZED, status)

    return serve


def bearers(transport: FakeTransport) -> list[str]:
    return [str(request.headers["Authorization"]).removeprefix("Bearer ") for request in transport.requests]


async def settle() -> None:
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


async def together(m3ter: AsyncM3ter, calls: int) -> list[Exception | None]:
    """Make that many calls at once; what each raised, or None."""
    outcomes: list[Exception | None] = []

    async def one() -> None:
        try:
            await m3ter.bills.retrieve("b")
        except Exception as error:  # noqa: BLE001 - each outcome is looked at
            outcomes.append(error)
        else:
            outcomes.append(None)

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(one)
    return outcomes


# The login


async def test_the_login_is_the_one_that_the_service_documents() -> None:
    transport = FakeTransport(bill)
    async with client(transport) as m3ter:
        await m3ter.bills.retrieve("b")
    (login,) = transport.logins
    assert (login.method, login.url) == ("POST", "https://api.m3ter.com/oauth/token")
    assert login.headers["Authorization"] == "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
    assert login.headers["Content-Type"] == "application/json"
    assert login.content == b'{"grant_type":"client_credentials"}'
    assert bearers(transport) == ["token-of-the-tests"]


async def test_five_hundred_waiting_calls_make_one_login() -> None:
    transport = FakeTransport(bill, login=numbered())
    async with client(transport, rate_limit=None) as m3ter:
        assert await together(m3ter, 500) == [None] * 500
    assert len(transport.logins) == 1
    assert bearers(transport) == ["t1"] * 500


async def test_views_share_the_token() -> None:
    transport = FakeTransport(bill, login=numbered())
    async with client(transport) as m3ter:
        await m3ter.with_options(org_id="other").bills.retrieve("b")
        await m3ter.bills.retrieve("b")
    assert len(transport.logins) == 1


async def test_a_failed_login_fails_all_who_wait_each_with_an_error_of_its_own() -> None:
    transport, clock = FakeTransport(bill, login=lambda _: answer({"message": "no such key"}, 401)), FakeClock()
    async with client(transport, clock, rate_limit=None) as m3ter:
        errors = await together(m3ter, 50)
        assert len(transport.logins) == 1
        assert {type(error) for error in errors} == {AuthenticationError}
        assert len({id(error) for error in errors}) == 50
        for error in errors:
            assert isinstance(error, AuthenticationError)
            assert (error.method, error.path) == ("POST", "/oauth/token")
            assert "no such key" in str(error)
            assert not error.outcome_unknown
        transport._login = numbered()
        with pytest.raises(AuthenticationError, match="no such key"):
            await m3ter.bills.retrieve("b")  # told at once, without another login
        clock.time += 1
        await m3ter.bills.retrieve("b")  # and a second later the next call tries again
    assert len(transport.logins) == 2
    assert len(transport.requests) == 1


async def test_refused_credentials_are_not_tried_in_a_storm() -> None:
    transport, clock = FakeTransport(bill, login=lambda _: answer({"message": "no such key"}, 401)), FakeClock()
    async with client(transport, clock, rate_limit=None) as m3ter:
        for _ in range(200):
            with pytest.raises(AuthenticationError):
                await m3ter.bills.retrieve("b")
            clock.time += 0.1
    assert len(transport.logins) == 5  # after 0, 1, 3, 7 and 15 s


async def test_who_cannot_wait_for_the_next_try_of_a_login_is_told_at_once_what_is_wrong() -> None:
    transport = FakeTransport(bill, login=lambda _: answer({"message": "down"}, 503, retry_after="30"))
    async with client(transport) as m3ter:
        with pytest.raises(InternalServerError, match="down") as caught:
            await m3ter.with_options(total_timeout=3).bills.retrieve("b")
    assert caught.value.out_of_time
    assert transport.requests == []


@pytest.mark.parametrize(
    ("answers", "logins"),
    [
        ([TransportError("reset"), grant()], 2),
        ([TransportError("late", timeout=True), answer(b"", 503), answer({}, 429), grant()], 4),
        ([answer(b"<html>"), grant()], 2),
    ],
)
async def test_a_login_is_repeated_like_any_safe_call(answers: list[Response | TransportError], logins: int) -> None:
    left = [copy.copy(item) for item in answers]  # a login's answer is emptied when it is read
    transport = FakeTransport(bill, login=lambda _: left.pop(0))
    async with client(transport) as m3ter:
        await m3ter.bills.retrieve("b")
    assert len(transport.logins) == logins


async def test_a_service_that_cannot_log_anyone_in_is_given_up_on() -> None:
    faults: dict[int, Response | TransportError] = {4: answer({}, 503), 60: TransportError("no route", sent=False)}
    for most in faults:
        transport = FakeTransport(bill, login=lambda _: faults[most])  # noqa: B023  asked within the turn
        async with client(transport, max_retries=3) as m3ter:
            with pytest.raises(APIError):
                await m3ter.bills.retrieve("b")
        assert 4 <= len(transport.logins) <= most
    assert transport.requests == []


async def test_a_caller_cancelled_while_logging_in_is_nothing_to_the_others() -> None:
    gate = anyio.Event()

    async def login(_: Request) -> Response:
        await gate.wait()
        return grant()

    transport = FakeTransport(bill, login=login)
    async with client(transport) as m3ter:
        done = []

        async def other() -> None:
            done.append(await m3ter.bills.retrieve("b"))

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as first:
                tasks.start_soon(other)
                tasks.start_soon(_cancel_soon, first)
                await m3ter.bills.retrieve("b")
            assert first.cancelled_caught
            gate.set()
        assert len(done) == len(transport.logins) == len(transport.requests) == 1


async def _cancel_soon(scope: anyio.CancelScope) -> None:
    await settle()
    scope.cancel()


async def test_a_login_outlives_the_only_caller_who_waited_for_it() -> None:
    gate = anyio.Event()

    async def login(_: Request) -> Response:
        await gate.wait()
        return grant()

    transport = FakeTransport(bill, login=login)
    async with client(transport) as m3ter:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(_cancel_soon, scope)
                await m3ter.bills.retrieve("b")
        gate.set()
        await m3ter.bills.retrieve("b")
    assert len(transport.logins) == 1


async def test_closing_while_calls_wait_for_a_login_ends_them() -> None:
    async def login(_: Request) -> Response:
        await anyio.sleep_forever()
        raise AssertionError

    transport = FakeTransport(bill, login=login)
    m3ter = client(transport)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            errors: list[Exception | None] = []

            async def waiting() -> None:
                errors.extend(await together(m3ter, 3))

            tasks.start_soon(waiting)
            await settle()
            await m3ter.aclose()
    assert len(errors) == 3
    assert all("closed" in str(error) for error in errors)


# What a login may answer

UNREADABLE_GRANTS: dict[str, Any] = {
    "no token": {"expires_in": 18000},
    "null token": {"access_token": None, "expires_in": 18000},
    "number": {"access_token": 5},
    "newline": {"access_token": "a\nX-Evil: 1"},
    "carriage return": {"access_token": "a\r"},
    "trailing newline": {"access_token": "a\n"},
    "space before": {"access_token": " a"},
    "empty": {"access_token": ""},
    "not ascii": {"access_token": "é"},
    "nul": {"access_token": "a\x00"},
    "life is text": {"access_token": "a", "expires_in": "soon"},
    "life is an object": {"access_token": "a", "expires_in": {}},
    "array": ["a"],
    "null": None,
}


@pytest.mark.parametrize("body", UNREADABLE_GRANTS.values(), ids=UNREADABLE_GRANTS.keys())
async def test_a_grant_that_cannot_be_used_is_a_typed_error_that_does_not_show_it(body: Any) -> None:
    transport = FakeTransport(bill, login=lambda _: answer(body))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError) as caught:
            await m3ter.bills.retrieve("b")
    assert caught.value.path == "/oauth/token"
    assert caught.value.body == b""
    assert "Evil" not in str(caught.value)
    assert transport.requests == []


@pytest.mark.parametrize("life", [b"1e400", b"1" * 400, b"-1e400", b"NaN"])
async def test_a_life_beyond_all_numbers_is_a_typed_error(life: bytes) -> None:
    transport = FakeTransport(bill, login=lambda _: answer(b'{"access_token":"a","expires_in":%b}' % life))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError):
            await m3ter.bills.retrieve("b")


@pytest.mark.parametrize(
    "life", [b"", b',"expires_in":null', b',"expires_in":1e300', b',"expires_in":99999999999999999999']
)
async def test_a_token_without_an_end_in_sight_is_used_until_it_is_refused(life: bytes) -> None:
    clock = FakeClock()
    transport = FakeTransport(bill, login=lambda _: answer(b'{"access_token":"a"%b}' % life))
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 10_000_000
        await m3ter.bills.retrieve("b")
        assert len(transport.logins) == 1
        transport._handler = lambda _: answer(UNAUTHORIZED, 401)
        with pytest.raises(AuthenticationError):
            await m3ter.bills.retrieve("b")
        assert len(transport.logins) == 2


@pytest.mark.parametrize("life", [0, -1, -1e300, 0.0])
async def test_a_token_that_is_over_when_it_comes_serves_those_who_waited_and_nobody_after(life: float) -> None:
    transport = FakeTransport(bill, login=numbered(life=life))
    async with client(transport, rate_limit=None) as m3ter:
        assert await together(m3ter, 20) == [None] * 20
        assert len(transport.logins) == 1
        await m3ter.bills.retrieve("b")
        assert len(transport.logins) == 2
    assert bearers(transport) == ["t1"] * 20 + ["t2"]


@pytest.mark.parametrize("life", [0, 0.5])
async def test_a_token_that_ends_while_its_caller_queues_does_not_make_a_loop_of_logins(life: float) -> None:
    clock = FakeClock()
    transport = FakeTransport(bill, login=numbered(life=life))
    with anyio.fail_after(3):
        async with client(transport, clock, rate_limit=1) as m3ter:
            assert await together(m3ter, 5) == [None] * 5
    assert len(transport.requests) == 5
    assert len(transport.logins) <= 10


# Renewal


async def test_a_renewal_goes_on_beside_the_calls_before_the_token_ends() -> None:
    clock = FakeClock()
    gate = anyio.Event()
    logins = numbered()

    async def login(request: Request) -> Response:
        result = logins(request)
        if len(transport.logins) > 1:
            await gate.wait()
        return result

    transport = FakeTransport(bill, login=login)
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 18_000 - 301
        await m3ter.bills.retrieve("b")
        await settle()
        assert len(transport.logins) == 1
        clock.time += 2
        for _ in range(3):
            await m3ter.bills.retrieve("b")  # none of them waits for the login that stands
        await settle()
        assert len(transport.logins) == 2
        assert bearers(transport) == ["t1"] * 5
        gate.set()
        await settle()
        await m3ter.bills.retrieve("b")
    assert bearers(transport)[-1] == "t2"


async def test_a_short_lived_token_is_renewed_in_its_last_tenth() -> None:
    clock = FakeClock()
    transport = FakeTransport(bill, login=numbered(life=100))
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 89
        await m3ter.bills.retrieve("b")
        await settle()
        assert len(transport.logins) == 1
        clock.time += 2
        await m3ter.bills.retrieve("b")
        await settle()
        assert len(transport.logins) == 2


async def test_after_its_end_a_token_is_not_sent() -> None:
    clock = FakeClock()
    transport = FakeTransport(bill, login=numbered())
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 18_001
        await m3ter.bills.retrieve("b")
    assert bearers(transport) == ["t1", "t2"]


async def test_a_slow_login_does_not_lengthen_the_life_of_its_token() -> None:
    clock = FakeClock()
    logins = numbered(life=100)

    def login(request: Request) -> Response:
        clock.time += 80
        return logins(request)

    transport = FakeTransport(bill, login=login)
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 21
        await m3ter.bills.retrieve("b")
    assert bearers(transport) == ["t1", "t2"]


async def test_a_failed_renewal_keeps_the_old_token_until_its_end() -> None:
    clock = FakeClock()
    logins = numbered()
    broken = False
    transport = FakeTransport(bill, login=lambda request: answer({}, 403) if broken else logins(request))
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        broken = True
        clock.time += 18_000 - 200
        for _ in range(50):
            await m3ter.bills.retrieve("b")
            await settle()
        assert len(transport.logins) == 2  # and the service is not asked again at once
        clock.time += 150
        await m3ter.bills.retrieve("b")
        await settle()
        assert len(transport.logins) == 3
        assert set(bearers(transport)) == {"t1"}
        clock.time += 51
        with pytest.raises(PermissionDeniedError):
            await m3ter.bills.retrieve("b")
        broken = False
        clock.time += 60  # a login that was refused rests
        await m3ter.bills.retrieve("b")
    assert bearers(transport)[-1] == "t2"


# Refusals


async def test_a_401_gets_one_new_token_and_one_more_try() -> None:
    transport = FakeTransport(accepting("t2"), login=numbered())
    async with client(transport, max_retries=0) as m3ter:
        assert (await m3ter.bills.retrieve("b")).id == "b"
    assert bearers(transport) == ["t1", "t2"]


async def test_a_401_on_a_write_is_a_refusal_and_so_it_is_sent_again() -> None:
    transport = FakeTransport(accepting("t2"), login=numbered())
    async with client(transport, max_retries=0) as m3ter:
        await m3ter.bill_jobs.recalculate(bill_ids=["b"])
    assert bearers(transport) == ["t1", "t2"]
    assert transport.requests[0].content == transport.requests[1].content


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_that_stays_is_never_a_loop(status: int) -> None:
    clock = FakeClock()
    transport = FakeTransport(bill, login=numbered())
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 3600
        transport._handler = lambda _: answer(UNAUTHORIZED, status)
        with pytest.raises(APIStatusError) as caught:
            await m3ter.bills.retrieve("b")
    assert (caught.value.status, caught.value.attempts) == (status, 2)
    assert bearers(transport) == ["t1", "t1", "t2"]
    assert len(transport.logins) == 2


async def test_a_403_about_permissions_costs_one_login_a_minute_and_nobody_the_token() -> None:
    transport, clock = FakeTransport(lambda _: answer({"message": "no"}, 403), login=numbered()), FakeClock()
    async with client(transport, clock) as m3ter:
        for _ in range(3):
            with pytest.raises(PermissionDeniedError):
                await m3ter.bills.retrieve("b")
        assert bearers(transport) == ["t1", "t2", "t2", "t2"]
        clock.time += 61
        with pytest.raises(PermissionDeniedError):
            await m3ter.bills.retrieve("b")
    assert len(transport.logins) == 3


async def test_a_403_is_the_answer_where_no_other_token_can_be_had() -> None:
    logins = numbered()
    transport = FakeTransport(lambda _: answer({"message": "no"}, 403), login=logins)
    async with client(transport) as m3ter:
        with pytest.raises(PermissionDeniedError):
            await m3ter.bills.retrieve("b")
        transport._login = lambda _: answer({"message": "down"}, 503)
        m3ter._pipeline.parts.tokens._suspect_from = 0.0
        with pytest.raises(PermissionDeniedError, match="no"):
            await m3ter.bills.retrieve("b")
        transport._handler = bill  # and the token that was there still serves
        await m3ter.bills.retrieve("b")
    assert bearers(transport)[-1] == "t2"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_ended_early_is_replaced_at_once(status: int) -> None:
    transport = FakeTransport(accepting("t2", status=status), login=numbered())
    async with client(transport) as m3ter:
        assert (await m3ter.bills.retrieve("b")).id == "b"
    assert bearers(transport) == ["t1", "t2"]


async def test_a_403_on_a_token_that_is_no_longer_fresh_gets_a_new_one() -> None:
    clock = FakeClock()
    transport = FakeTransport(accepting("t1", status=403), login=numbered())
    async with client(transport, clock) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 61
        transport._handler = accepting("t2", status=403)
        assert (await m3ter.bills.retrieve("b")).id == "b"
    assert bearers(transport) == ["t1", "t1", "t2"]


async def test_a_403_on_a_token_whose_life_is_over_gets_a_new_one_however_soon() -> None:
    """Each call is on its way when its token ends: that is no question of permissions, asked once a minute."""
    clock = FakeClock()

    def late(_: Request) -> Response:
        if len(transport.requests) % 2 == 0:
            return answer({"id": "b"})
        clock.time += 3
        return answer(UNAUTHORIZED, 403)

    transport = FakeTransport(late, login=numbered(life=2))
    async with client(transport, clock) as m3ter:
        for _ in range(4):
            assert (await m3ter.bills.retrieve("b")).id == "b"
            clock.time += 3
    assert len(transport.requests) == 8


async def test_a_call_that_failed_in_between_may_meet_the_end_of_another_token() -> None:
    clock = FakeClock()
    answers = [answer(UNAUTHORIZED, 403), answer(status=503), answer(UNAUTHORIZED, 403), answer({"id": "b"})]

    def serve(_: Request) -> Response:
        clock.time += 3
        return answers.pop(0)

    transport = FakeTransport(serve, login=numbered(life=2))
    async with client(transport, clock) as m3ter:
        assert (await m3ter.bills.retrieve("b")).id == "b"
    assert bearers(transport)[0] != bearers(transport)[1] != bearers(transport)[3]


@pytest.mark.parametrize("status", [401, 403])
async def test_many_refusals_at_once_make_one_new_login(status: int) -> None:
    clock = FakeClock()
    transport = FakeTransport(bill, login=numbered())
    async with client(transport, clock, rate_limit=None) as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 61
        transport._handler = accepting("t2", status=status)
        assert await together(m3ter, 200) == [None] * 200
    assert len(transport.logins) == 2
    assert bearers(transport).count("t2") == 200


async def test_a_refusal_that_comes_late_takes_the_token_that_is_there_already() -> None:
    gate = anyio.Event()

    async def serve(request: Request) -> Response:
        if request.url.endswith("/slow") and len(transport.requests) == 1:
            await gate.wait()
        return accepting("t2")(request)

    transport = FakeTransport(serve, login=numbered())
    async with client(transport) as m3ter, anyio.create_task_group() as tasks:
        tasks.start_soon(m3ter.bills.retrieve, "slow")
        await settle()
        await m3ter.bills.retrieve("quick")
        gate.set()
    assert bearers(transport) == ["t1", "t1", "t2", "t2"]
    assert len(transport.logins) == 2


async def test_a_login_that_fails_after_a_refusal_is_the_error() -> None:
    answers = [grant("t1"), answer({"message": "key revoked"}, 401)]
    transport = FakeTransport(accepting(), login=lambda _: answers.pop(0))
    async with client(transport) as m3ter:
        with pytest.raises(AuthenticationError, match="key revoked") as caught:
            await m3ter.bills.retrieve("b")
    assert caught.value.path == "/oauth/token"


# A token from elsewhere


@pytest.mark.parametrize("status", [401, 403])
async def test_a_fixed_token_is_sent_and_never_logged_in_for(status: int) -> None:
    clock = FakeClock()
    transport = FakeTransport(bill)
    async with client(transport, clock, api_key=None, api_secret=None, token="fixed") as m3ter:
        await m3ter.bills.retrieve("b")
        clock.time += 1e9
        await m3ter.bills.retrieve("b")
        transport._handler = lambda _: answer(UNAUTHORIZED, status)
        with pytest.raises(APIStatusError) as caught:
            await m3ter.bills.retrieve("b")
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert bearers(transport) == ["fixed"] * 3
    assert transport.logins == []


async def test_a_token_to_start_with_is_replaced_by_a_login_when_it_is_refused() -> None:
    transport = FakeTransport(accepting("t1"), login=numbered())
    async with client(transport, token="fixed") as m3ter:
        await m3ter.bills.retrieve("b")
    assert bearers(transport) == ["fixed", "t1"]


# What must not be seen


async def test_an_error_does_not_show_the_token_that_it_was_sent_with_even_after_a_renewal() -> None:
    clock = FakeClock()
    gate = anyio.Event()
    logins = numbered()

    def login(request: Request) -> Response:
        return grant("the-old-token" if logins(request).content.find(b"t1") > 0 else "the-new-token")

    async def serve(request: Request) -> Response:
        if request.url.endswith("/slow"):
            await gate.wait()
            return answer({"message": f"failed with {request.headers['Authorization']}"}, 500)
        return answer({"id": "b"})

    transport = FakeTransport(serve, login=login)
    errors: list[APIError] = []

    async def slow() -> None:
        with pytest.raises(InternalServerError) as caught:
            await m3ter.bills.retrieve("slow")
        errors.append(caught.value)

    async with client(transport, clock, max_retries=0) as m3ter, anyio.create_task_group() as tasks:
        await m3ter.bills.retrieve("b")
        tasks.start_soon(slow)
        await settle()
        clock.time += 17_900
        await m3ter.bills.retrieve("b")
        await settle()
        assert len(transport.logins) == 2
        gate.set()
    (error,) = errors
    assert b"the-old-token" not in error.body
    assert "the-old-token" not in str(error)


class Staged:
    """A background whose tasks end when the test says so, and tell of it when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Staged.Login] = []

    class Login:
        def __init__(self, work: Any, ended: Any) -> None:
            self.work, self.tell = work, ended
            self.done = False
            self.token: Token | None = None

        async def wait(self) -> Token:
            if self.token is None:
                raise TaskAbandoned
            return self.token

    def start(self, work: Any, *, ended: Any) -> Login:
        self.begun.append(Staged.Login(work, ended))
        return self.begun[-1]


async def test_the_end_of_a_cancelled_login_is_not_taken_for_that_of_the_next() -> None:
    """The next may begin before it is told that the one before is over."""
    clock, staged, found = FakeClock(), Staged(), list[Token]()

    async def login() -> Grant:
        return Grant("t1", 100)

    tokens = TokenManager(
        login,
        (Secret(KEY), Secret(SECRET)),
        clock=clock,
        background=staged,  # type: ignore[arg-type]
        waits=Waits(clock),
    )

    async def wait() -> None:
        found.append(await tokens.get(math.inf))

    with anyio.fail_after(3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await settle()
            first = staged.begun[0]
            first.done = True  # cancelled
            tasks.start_soon(wait)
            await settle()
            first.tell(TaskAbandoned())
            await settle()
            second = staged.begun[1]
            second.token = await second.work()
            second.done = True
            second.tell(None)
    assert found == [second.token] * 2
    assert len(staged.begun) == 2
