"""When a call is sent again, how long that waits, and what is never sent twice."""

from __future__ import annotations

import copy
import math
import pickle
import random
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import anyio
import pytest

from m3ter_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    AsyncM3ter,
    InternalServerError,
    RateLimitError,
    TransportError,
)
from m3ter_async._core.clock import Clock
from m3ter_async._core.operation import Operation
from m3ter_async._core.retry import RetryBudget, RetryPolicy, retry_after, verdict
from m3ter_async.transports.protocol import Request, Response

from ..fakes import Answer, FakeClock, FakeTransport, answer, client

OK = {"id": "b"}

# The policy, a pure function


def test_the_back_off_is_drawn_from_nothing_up_to_a_doubling_ceiling() -> None:
    policy = RetryPolicy(max_retries=50, initial=0.5, longest=8.0, total=1e9)
    for attempt, ceiling in enumerate([0.5, 1, 2, 4, 8, 8, 8], start=1):
        assert policy.delay(attempt, 0, None, 0.0) == 0
        assert policy.delay(attempt, 0, None, 0.5) == ceiling / 2
        assert policy.delay(attempt, 0, None, 0.999) == pytest.approx(ceiling, rel=0.01)
    assert RetryPolicy(max_retries=10**9).delay(10**8, 0, None, 1.0) == 8.0


def test_a_retry_after_is_a_floor_with_the_back_off_on_top() -> None:
    policy = RetryPolicy()
    for chance in (0.0, 0.3, 0.999):
        for attempt in range(1, 6):
            delay = policy.delay(attempt, 0, 7.0, chance)
            assert delay is not None
            assert 7.0 <= delay <= 15.0
    assert policy.delay(1, 0, 0.0, 0.5) == 0.25


async def test_there_are_no_more_repeats_than_allowed_of_what_may_have_taken_effect() -> None:
    for most in (0, 2):
        transport = FakeTransport(lambda _: answer({}, 503))
        async with client(transport, max_retries=most) as m3ter:
            with pytest.raises(APIError):
                await m3ter.bills.retrieve("b")
        assert len(transport.requests) == most + 1


@pytest.mark.parametrize("fault", [answer({}, 429), answer({}, 425), TransportError("no route", sent=False)])
async def test_a_certain_refusal_costs_time_and_not_tries(fault: Answer) -> None:
    clock = FakeClock()
    transport = FakeTransport(lambda _: answer(OK) if clock.time > 1_060 else fault)
    async with client(transport, clock, max_retries=1) as m3ter:
        assert (await m3ter.bills.retrieve("b")).id == "b"
        assert len(transport.requests) > 10
        transport._handler = lambda _: fault
        with pytest.raises(APIError) as caught:
            await m3ter.bills.retrieve("b")
        assert caught.value.out_of_time
        assert 100 < clock.time - 1_060 < 200
        transport.requests.clear()
        with pytest.raises(APIError):
            await m3ter.with_options(max_retries=0).bills.retrieve("b")
        assert len(transport.requests) <= 1


def test_no_repeat_begins_after_the_total_time() -> None:
    policy = RetryPolicy(total=10)
    assert policy.delay(1, 9.9, None, 0.1) == pytest.approx(0.05)
    assert policy.delay(1, 9.9, None, 0.9) is None
    assert policy.delay(1, 0, 10.0, 0.0) == 10
    assert policy.delay(1, 0, 10.1, 0.0) is None
    assert policy.delay(1, 0, 1e300, 0.0) is None
    assert policy.delay(1, 11, None, 0.0) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("-0", 0.0),
        ("99999999999", 99999999999.0),
        (None, None),
        ("", None),
        (" ", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("Infinity", None),
        ("1e999", None),
        ("5 s", None),
        (",", None),
        ("Wed, 99 Oct 2026 99:99:99 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("a b c d e f g", None),
        ("x" * 100_000, None),
    ],
)
def test_a_retry_after_is_seconds_or_nothing(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, 1_700_000_000.0) == seconds


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def timezone_of_the_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process cannot be changed here")
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "header",
    [
        "Tue, 14 Nov 2023 22:14:20 GMT",
        "Tue, 14 Nov 2023 22:14:20 UTC",
        "Tue, 14 Nov 2023 23:14:20 +0100",
        "Tue, 14 Nov 2023 22:14:20 -0000",
        "Tuesday, 14-Nov-23 22:14:20 GMT",
        "Tue Nov 14 22:14:20 2023",
        "Tue, 14 Nov 2023 22:14:20",
    ],
)
@pytest.mark.usefixtures("timezone_of_the_machine")
def test_a_retry_after_may_be_a_date_in_any_form_of_http(header: str) -> None:
    assert retry_after(header, 1_700_000_000.0) == 60.0
    assert retry_after(header, 1_700_000_050.5) == 10.0  # never too short: a date has whole seconds
    assert retry_after(header, 1_700_000_100.0) == 0.0


def test_a_date_is_measured_by_the_date_of_the_same_answer() -> None:
    until, now = "Tue, 14 Nov 2023 22:14:20 GMT", "Tue, 14 Nov 2023 22:14:13 GMT"
    for wall in (0.0, 1_700_000_000.0, 9e9):  # this machine's clock may be wrong
        assert retry_after(until, wall, now) == 7.0
    assert retry_after(until, 1_700_000_000.0, "no date") == 60.0


def test_no_text_at_all_makes_a_retry_after_fail() -> None:
    draw = random.Random(7)
    pieces = [*'0123456789+-., :eE()"\\<>@\t\n\x00é', "Wed", "Oct", "GMT", "2026", "nan", "inf", "24:00:00"]
    for _ in range(20_000):
        text = "".join(draw.choice(pieces) for _ in range(draw.randrange(12)))
        seconds = retry_after(text, 1e9)
        assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


def test_what_each_status_says_of_its_request() -> None:
    refused = {425, 429}
    doubtful = {408, *range(500, 600)} - {501}
    for status in range(300, 600):
        expected = "refused" if status in refused else "doubtful" if status in doubtful else "final"
        assert verdict(status) == expected, status


# The budget


def test_a_repeat_costs_one_and_a_success_gives_half_of_one_back() -> None:
    budget = RetryBudget(size=2, deposit=0.5, refill=4)
    waits = []
    for _ in range(4):
        waits.append(budget.wait(10.0))
        budget.spend(10.0)
    assert waits == [0, 0, 0.25, 0.5]  # spaced out, a quarter of a second each
    assert budget.left(10.0) == -2
    for _ in range(6):
        budget.refill()
    assert budget.wait(10.0) == 0
    assert budget.left(11.0) == 2  # time gives back too, up to its size


async def every(m3ter: AsyncM3ter, calls: int) -> list[APIError]:
    """Make that many calls at once; the errors."""
    errors: list[APIError] = []

    async def one() -> None:
        try:
            await m3ter.bills.retrieve("b")
        except APIError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(one)
    return errors


@pytest.mark.parametrize("fault", [answer({}, 503), TransportError("reset"), answer(b"<html>")])
async def test_an_outage_is_not_answered_by_more_load(fault: Answer) -> None:
    transport, clock = FakeTransport(lambda _: fault), FakeClock()
    began = clock.time
    async with client(transport, clock, rate_limit=None) as m3ter:
        errors = await every(m3ter, 200)
        assert len(errors) == 200
        # what is in the budget at once, and then a few a second: what is lacking is time, and not tries
        assert len(transport.requests) <= 300 + (clock.time - began) * 5 + 1
        # and when the service is back, so are the repeats
        transport._handler = lambda _: answer(OK)
        assert await every(m3ter, 200) == []
        transport._handler = lambda _: fault
        transport.requests.clear()
        await every(m3ter, 1)
        assert len(transport.requests) == 6


async def test_views_of_one_organization_spend_from_one_budget_and_each_organization_has_its_own() -> None:
    transport, clock = FakeTransport(lambda _: answer({}, 503)), FakeClock(chance=0.0)
    async with client(transport, clock, rate_limit=None, max_retries=1) as m3ter:
        for _ in range(5):
            await every(m3ter.with_options(timeout=1), 20)
        assert clock.sleeps == [0.0] * 100
        await every(m3ter.with_options(org_id="other"), 20)
        assert clock.sleeps == [0.0] * 120
        await every(m3ter, 1)
        assert clock.sleeps[-1] > 0


@pytest.mark.parametrize("seed", range(3))
def test_the_budget_outlasts_any_length_of_one_failure_in_five(seed: int) -> None:
    draw = random.Random(seed)
    budget = RetryBudget()
    for _ in range(50_000):
        if draw.random() < 0.2:
            assert budget.wait(0.0) == 0
            budget.spend(0.0)
        else:
            budget.refill()


@pytest.mark.parametrize("seed", range(3))
async def test_one_failure_in_five_is_never_held_back(seed: int) -> None:
    draw = random.Random(seed)
    transport = FakeTransport(lambda _: answer({}, 503) if draw.random() < 0.2 else answer(OK))
    async with client(transport, rate_limit=None, max_retries=12) as m3ter:
        for _ in range(5):
            assert await every(m3ter, 300) == []


async def test_a_429_costs_nothing_of_the_budget() -> None:
    transport = FakeTransport(lambda _: answer({}, 429))
    async with client(transport, rate_limit=None) as m3ter:
        await every(m3ter, 100)
        transport._handler = lambda _: answer({}, 503)
        transport.requests.clear()
        await every(m3ter, 1)
        assert len(transport.requests) == 6


# What may be repeated

REFUSALS: list[Answer] = [answer({}, 429), answer({}, 425), TransportError("no route", sent=False)]
DOUBTS: list[Answer] = [
    *(answer({}, status) for status in (408, 500, 502, 503, 504)),
    TransportError("reset"),
    TransportError("late", timeout=True),
    answer(b"<html>a gateway</html>"),
    answer(b""),
]
FINALS: list[Answer] = [*(answer({}, status) for status in (302, 304, 400, 404, 409, 413, 422, 451, 501))]


def operation(repeat: Any, method: str = "POST") -> Operation[Any]:
    return Operation("Some", method, "/organizations/{orgId}/some", dict, repeat=repeat, takes=None)


async def attempts(fault: Answer, repeat: Any, body: Any, method: str = "POST") -> tuple[int, bool]:
    """How often a call is sent whose first attempts fail so, and whether it gets through in the end."""
    answers: list[Answer] = [fault, fault, answer(OK)]
    transport = FakeTransport(answers)
    async with client(transport) as m3ter:
        try:
            await m3ter._pipeline.call(operation(repeat, method), {}, {}, body)
        except APIError:
            return len(transport.requests), False
        return len(transport.requests), True


@pytest.mark.parametrize("fault", REFUSALS, ids=repr)
@pytest.mark.parametrize("repeat", ["safe", "versioned", "never"])
async def test_what_was_refused_is_repeated_whatever_it_is(fault: Answer, repeat: str) -> None:
    assert await attempts(fault, repeat, {"a": 1}) == (3, True)


@pytest.mark.parametrize("fault", DOUBTS, ids=repr)
async def test_what_may_have_taken_effect_is_repeated_only_where_that_is_safe(fault: Answer) -> None:
    assert await attempts(fault, "safe", {"a": 1}) == (3, True)
    assert await attempts(fault, "versioned", {"a": 1, "version": 3}) == (3, True)
    for version in ({}, {"version": None}, {"version": "3"}):
        assert await attempts(fault, "versioned", {"a": 1, **version}) == (1, False)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert await attempts(fault, "never", {"a": 1, "version": 3}, method) == (1, False)


@pytest.mark.parametrize("fault", FINALS, ids=repr)
async def test_what_would_end_the_same_way_is_not_repeated(fault: Answer) -> None:
    assert await attempts(fault, "safe", {"a": 1}) == (1, False)


@pytest.mark.parametrize("fault", DOUBTS, ids=repr)
async def test_a_post_whose_outcome_is_unknown_is_sent_once_and_says_so(fault: Answer) -> None:
    transport = FakeTransport(lambda _: fault)
    async with client(transport) as m3ter:
        with pytest.raises(APIError) as caught:
            await m3ter.balances.transactions.create("bal", amount=5, transaction_type_id="t")
        assert caught.value.outcome_unknown
        assert "look before you repeat" in str(caught.value)
    assert len(transport.requests) == 1


async def test_a_read_never_says_that_its_outcome_is_unknown() -> None:
    transport = FakeTransport(lambda _: answer({}, 500))
    async with client(transport) as m3ter:
        with pytest.raises(InternalServerError) as caught:
            await m3ter.bills.retrieve("b")
    assert not caught.value.outcome_unknown
    assert "outcome" not in str(caught.value)


async def test_a_doubt_is_not_forgotten_when_a_later_attempt_is_refused() -> None:
    """A first attempt that may have taken effect makes the 409 of the second one expected, and not the whole truth."""
    transport = FakeTransport([answer({}, 502), answer({"message": "version"}, 409)])
    async with client(transport) as m3ter:
        with pytest.raises(APIError) as caught:
            await m3ter._pipeline.call(operation("versioned", "PUT"), {}, {}, {"version": 1})
    assert (caught.value.status, caught.value.attempts, caught.value.outcome_unknown) == (409, 2, True)


async def test_a_delete_that_is_gone_on_the_repeat_took_effect() -> None:
    transport = FakeTransport([answer({}, 502), answer({}, 404)])
    async with client(transport) as m3ter:
        assert (await m3ter.bills.delete("a/b")).id == "a/b"
        transport._handler = FakeTransport([answer({}, 502), answer({}, 404)])._handler
        deleted = await m3ter.request("DELETE", "/organizations/{orgId}/bills/a%2Fb")
        assert deleted in (None, {"id": "a/b"}), "this names something else than what was deleted"
        transport._handler = lambda _: answer({}, 404)
        with pytest.raises(APIError):
            await m3ter.bills.delete("never-was")
    assert len(transport.requests) == 5


@pytest.mark.parametrize("fault", [*REFUSALS, *DOUBTS], ids=repr)
async def test_without_retries_everything_is_sent_once(fault: Answer) -> None:
    transport = FakeTransport(lambda _: fault)
    clock = FakeClock()
    async with client(transport, clock, max_retries=0) as m3ter:
        with pytest.raises(APIError) as caught:
            await m3ter.bills.retrieve("b")
        assert caught.value.attempts == 1
    assert len(transport.requests) == 1
    assert clock.sleeps == []


async def test_the_waits_are_those_of_the_policy() -> None:
    clock = FakeClock(chance=0.5)
    transport = FakeTransport(lambda _: answer({}, 503))
    async with client(transport, clock) as m3ter:
        with pytest.raises(InternalServerError) as caught:
            await m3ter.bills.retrieve("b")
    assert clock.sleeps == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert caught.value.attempts == 6


async def test_the_service_is_never_called_earlier_than_it_asked() -> None:
    clock = FakeClock(chance=0.0)
    times: list[float] = []
    date = formatdate(clock.wall() + 30, usegmt=True)
    answers = [answer({}, 503, retry_after="20"), answer({}, 429, retry_after=date), answer(OK)]

    def serve(_: Request) -> Response:
        times.append(clock.time)
        return answers.pop(0)

    async with client(FakeTransport(serve), clock) as m3ter:
        await m3ter.bills.retrieve("b")
    assert [then - times[0] for then in times] == [0, 20, 30]


async def test_the_time_for_retries_bounds_a_call_as_a_whole() -> None:
    clock = FakeClock(chance=1.0)
    transport = FakeTransport(lambda _: answer({}, 503))
    async with client(transport, clock, max_retries=1000, max_retry_time=20) as m3ter:
        with pytest.raises(InternalServerError):
            await m3ter.bills.retrieve("b")
        assert sum(clock.sleeps) <= 20
        with pytest.raises(InternalServerError):
            await m3ter.with_options(max_retry_time=0.1).bills.retrieve("b")
    assert len(transport.requests) == 6 + 1


async def test_no_repeat_is_waited_for_that_the_callers_own_deadline_would_cut_off() -> None:
    """It raises what went wrong, at once, in place of a cancellation that tells nothing."""
    policy = RetryPolicy()
    assert policy.delay(1, 0, 2.0, 0.0, left=2.1) == 2.0
    assert policy.delay(1, 0, 2.0, 0.0, left=2.0) is None
    transport = FakeTransport(lambda _: answer({}, 503, retry_after="30"))
    async with client(transport, Clock()) as m3ter:
        with anyio.fail_after(5) as scope, pytest.raises(InternalServerError) as caught:
            await m3ter.bills.retrieve("b")
    assert scope.deadline - anyio.current_time() > 4
    assert (caught.value.attempts, caught.value.retry_after) == (1, 30)


async def test_a_pause_that_outlasts_the_callers_deadline_is_an_error_that_says_how_long_it_is() -> None:
    transport = FakeTransport([answer({}, 429, retry_after="40"), answer(OK)])
    async with client(transport, Clock(), max_retries=0) as m3ter:
        with pytest.raises(RateLimitError):
            await m3ter.bills.retrieve("b")
        with anyio.fail_after(5), pytest.raises(RateLimitError, match="not sent") as caught:
            await m3ter.bills.retrieve("b")
    assert caught.value.retry_after == pytest.approx(40, abs=4)
    assert copy.copy(caught.value).retry_after == caught.value.retry_after
    assert len(transport.requests) == 1


@pytest.mark.parametrize(("headers", "seconds"), [({"retry_after": "7"}, 7), ({}, None), ({"retry_after": "x"}, None)])
async def test_an_error_tells_when_to_come_back_if_the_service_said_so(
    headers: dict[str, str], seconds: float | None
) -> None:
    async with client(FakeTransport([answer({}, 429, **headers)]), max_retries=0) as m3ter:
        with pytest.raises(RateLimitError) as caught:
            await m3ter.bills.retrieve("b")
    assert caught.value.retry_after == seconds
    assert pickle.loads(pickle.dumps(caught.value)).retry_after == seconds


async def test_an_absurd_retry_after_ends_the_call_at_once() -> None:
    clock = FakeClock()
    transport = FakeTransport(lambda _: answer({}, 503, retry_after="99999999"))
    async with client(transport, clock) as m3ter:
        with pytest.raises(InternalServerError):
            await m3ter.bills.retrieve("b")
    assert clock.sleeps == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (TransportError("reset"), APIConnectionError),
        (TransportError("late", timeout=True), APITimeoutError),
        (TransportError("too large", too_large=True), APIResponseValidationError),
        (answer(b"<html>"), APIResponseValidationError),
        (answer({}, 429), RateLimitError),
    ],
)
async def test_each_fault_ends_as_its_own_exception(fault: Answer, kind: type[APIError]) -> None:
    async with client(FakeTransport(lambda _: fault)) as m3ter:
        with pytest.raises(kind) as caught:
            await m3ter.bills.retrieve("b")
    assert type(caught.value) is kind


async def test_an_answer_that_is_too_large_is_not_asked_for_again() -> None:
    transport = FakeTransport(lambda _: TransportError("too large", too_large=True))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError):
            await m3ter.bills.retrieve("b")
    assert len(transport.requests) == 1
