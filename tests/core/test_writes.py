"""Money is moved at most once, and who cannot know whether it was is told so.

The server counts what it applied: whatever it answers, and however the answer is lost.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio
import msgspec
import pytest

from m3ter_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    AsyncM3ter,
    BadRequestError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    TransportError,
    UnprocessableEntityError,
)
from m3ter_async.models import Balance

from ..fakes import FakeTransport, answer, client
from ..table import BY_NAME, TABLE, WRITES, Fault
from ..wire import SHORT, Move, Pair, Received, Wire, closed_port, grant, say, trickle

Write = Callable[[AsyncM3ter], Awaitable[Any]]
PERIOD: dict[str, Any] = {
    "service_period_start_date": "2025-01-01T00:00:00Z",
    "service_period_end_date": "2025-02-01T00:00:00Z",
}
ENTITY = {"id": "e1", "version": 1, "name": "some entity, long enough to be cut in two"}
DOUBT = "the outcome is unknown"


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


def transaction(m3ter: AsyncM3ter) -> Awaitable[Any]:
    return m3ter.balances.transactions.create("e1", amount=Decimal("12.50"), transaction_type_id="t")


def charge(m3ter: AsyncM3ter) -> Awaitable[Any]:
    return m3ter.charges.create(
        name="Fee",
        code="fee",
        account_id="a",
        currency="USD",
        entity_type="AD_HOC",
        line_item_type="AD_HOC",
        amount=Decimal("9.99"),
        **PERIOD,
    )


DEBIT: dict[str, Any] = {
    "bill_id": "b1",
    "product_id": "p",
    "accounting_product_id": "p",
    "description": "More",
    "amount": 5,
    "referenced_bill_id": "b1",
    "referenced_line_item_id": "l1",
    **PERIOD,
}


def debit(m3ter: AsyncM3ter) -> Awaitable[Any]:
    return m3ter.bills.debit_line_items.create(**DEBIT)


def by_hand(m3ter: AsyncM3ter) -> Awaitable[Any]:
    return m3ter.request("POST", "/organizations/{orgId}/anything", body={"amount": 1})


BALANCE: dict[str, Any] = {
    "code": "b",
    "name": "Prepaid",
    "account_id": "a",
    "currency": "USD",
    "start_date": "2025-01-01",
    "end_date": "2026-01-01",
}


def update(m3ter: AsyncM3ter) -> Awaitable[Any]:
    return m3ter.balances.update("e1", **BALANCE, version=1)


def blind_update(m3ter: AsyncM3ter) -> Awaitable[Any]:
    return m3ter.balances.update("e1", **BALANCE)


def delete(m3ter: AsyncM3ter) -> Awaitable[Any]:
    return m3ter.balances.delete("e1")


POSTS: dict[str, Write] = {"transaction": transaction, "charge": charge, "debit": debit, "by hand": by_hand}
ONCE: dict[str, Write] = {**POSTS, "PUT without version": blind_update}
REPEATABLE: dict[str, Write] = {
    "PUT with version": update,
    "DELETE": delete,
    "DELETE of a line": lambda m3ter: m3ter.bills.debit_line_items.delete("e1", bill_id="b1"),
    "PUT with version by hand": lambda m3ter: m3ter.request(
        "PUT", "/organizations/{orgId}/x/e1", body={"version": 1}, type=dict
    ),
    "POST that is repeatable by word": lambda m3ter: m3ter.request(
        "POST", "/organizations/{orgId}/x", body={"a": 1}, type=dict, repeatable=True
    ),
    "preview of a bill": lambda m3ter: m3ter.bills.preview(billing_frequency="MONTHLY"),
}
SAMPLE: dict[str, Write] = {"POST": transaction, "PUT with version": update, "DELETE": delete}
assert tuple(SAMPLE) == WRITES
REFUSALS = [400, 401, 403, 404, 409, 413, 422]


def fault(name: str) -> Move:
    return BY_NAME[name].make(ENTITY)


async def failed(write: Awaitable[Any], kind: type[APIError] = APIError) -> APIError:
    with pytest.raises(kind) as caught:
        await write
    error = caught.value
    assert error.outcome_unknown is (DOUBT in str(error))
    return error


class Book:
    """What the service's own records say: a balance that has a version and may be gone, and transactions on it.

    Args:
        fault: What the caller sees instead of the answer,
        times: so many times,
        late: after the write took effect (or else it never did).
    """

    def __init__(self, fault: Fault, times: float, late: bool) -> None:
        self._fault = fault
        self._times = times
        self._late = late
        self.asked = 0
        self.version = 1
        self.gone = False
        self.effects = 0
        self.stored: dict[str, Any] = {}
        self.looks = 0

    def __call__(self, received: Received) -> Move:
        if received.method == "GET":
            self.looks += 1
            return say({**ENTITY, **self.stored, "version": self.version})
        self.asked += 1
        broken = self.asked <= self._times
        answer = say(ENTITY) if broken and not self._late else self._apply(received)
        return self._fault.make(ENTITY) if broken else answer

    def _apply(self, received: Received) -> Move:
        if received.method == "DELETE" and self.gone:
            return say({"message": "not found"}, 404)
        if received.method == "PUT" and received.json()["version"] != self.version:
            return say({"message": "version"}, 409)
        self.effects += 1
        if received.method == "PUT":
            self.version += 1
            moments = {name: f"{received.json()[name][:10]}T00:00:00.000Z" for name in ("startDate", "endDate")}
            self.stored = {**received.json(), **moments}
        self.gone = received.method == "DELETE"
        return say(ENTITY)


@pytest.mark.parametrize("fault", [fault for fault in TABLE if "write" in fault.where], ids=str)
async def test_under_every_fault_a_write_takes_effect_once_at_most_and_the_doubt_is_told(
    pair: Pair, fault: Fault
) -> None:
    """Whether the fault comes before or after the effect, nobody can see from here: so both are played."""

    async def attempt(write: str, times: float, late: bool) -> None:
        book = Book(fault, times, late)
        retries: dict[str, Any] = {"max_retries": 0 if "timeout" in fault.options and times > 1 else 1}
        if fault.refused and times > 1:
            retries["max_retry_time"] = 20  # what is refused for good is repeated as long as there is time
        # as many attempts as go side by side have to reach their servers in time, also on a busy machine
        patience = {"timeout": 2 * SHORT} if "timeout" in fault.options else {}
        with Wire(book) as wire:
            async with wire.client(pair, **{**retries, **fault.options, **patience}) as m3ter:
                error: APIError | None = None
                try:
                    await SAMPLE[write](m3ter)
                except APIError as raised:
                    error = raised
        assert book.effects <= 1
        again = fault.refused or (write != "POST" and "write" in fault.again)
        if fault.refused and times > 1:
            assert book.asked >= 1
        else:
            # a 403 is asked for again under a new token, once
            assert book.asked == (2 if (again or fault.name == "answer 403") and retries["max_retries"] else 1)
        # the repeat of a PUT that took effect meets a conflict with it, and is looked at
        assert book.looks == (write == "PUT with version" and late and times == 1 and again)
        if times == 1 and (again or fault.name == "answer 403"):
            assert error is None
            assert book.effects == 1
            return
        assert error is not None
        assert error.outcome_unknown is (DOUBT in str(error)) is fault.doubt
        assert isinstance(error, fault.error)
        if not error.outcome_unknown:
            assert book.effects == 0

    async with anyio.create_task_group() as group:
        for write in WRITES:
            for times in (1, math.inf):
                for late in (False, True) if fault.doubt else (False,):
                    group.start_soon(attempt, write, times, late)


@pytest.mark.parametrize("write", ONCE)
async def test_every_write_that_may_count_twice_is_sent_once(pair: Pair, write: str) -> None:
    for name in ("reset instead of an answer", "closed mid-body", "JSON cut", "HTML 200", "answer 500", "answer 504"):
        with Wire([fault(name), say(ENTITY)]) as wire:
            async with wire.client(pair) as m3ter:
                error = await failed(ONCE[write](m3ter))
        assert error.outcome_unknown, name
        assert len(wire.applied) == 1, name


@pytest.mark.parametrize("write", ["charge", "by hand"])
async def test_a_post_that_times_out_is_sent_once(pair: Pair, write: str) -> None:
    with Wire([fault("stalls before the answer"), say(ENTITY)]) as wire:
        async with wire.client(pair, timeout=SHORT) as m3ter:
            error = await failed(POSTS[write](m3ter))
    assert error.outcome_unknown
    assert len(wire.applied) == 1


async def test_a_connection_that_was_used_before_and_drops_is_no_reason_to_send_again(pair: Pair) -> None:
    """The moment in which HTTP libraries repeat by themselves."""
    for end in ("closed instead of an answer", "reset instead of an answer"):
        with Wire([say(ENTITY), fault(end), say(ENTITY)]) as wire:
            async with wire.client(pair) as m3ter:
                await transaction(m3ter)
                error = await failed(transaction(m3ter), APIConnectionError)
        assert error.outcome_unknown
        assert len(wire.applied) == 2
        assert wire.requests[0].connection == wire.requests[1].connection


@pytest.mark.parametrize("body", [b"[]", b'"ok"', b"null", b"7", b'{"id": 7}', b'{"id":"e1","x":' + b"[" * 200_000])
async def test_a_success_that_cannot_be_read_is_no_failure_to_forget(pair: Pair, body: bytes) -> None:
    """It most probably took effect: who repeats it pays twice."""
    with Wire([say(body), say(ENTITY)]) as wire:
        async with wire.client(pair) as m3ter:
            error = await failed(transaction(m3ter), APIResponseValidationError)
    assert error.outcome_unknown
    assert len(wire.applied) == 1


async def test_a_success_too_large_to_be_read_is_no_failure_to_forget(pair: Pair) -> None:
    with Wire([say({**ENTITY, "more": "x" * 200_000})]) as wire:
        async with wire.client(pair, max_response_bytes=100_000) as m3ter:
            error = await failed(transaction(m3ter), APIResponseValidationError)
    assert error.outcome_unknown
    assert len(wire.applied) == 1


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("write", ["transaction", "PUT with version", "DELETE"])
async def test_a_refusal_leaves_no_doubt(pair: Pair, write: str, status: int) -> None:
    with Wire([say({"message": "no"}, status)]) as wire:
        async with wire.client(pair) as m3ter:
            error = await failed({**ONCE, **REPEATABLE, "DELETE": delete}[write](m3ter))
    assert (error.status, error.outcome_unknown) == (status, False)
    assert len(wire.requests) == (2 if status in (401, 403) else 1)  # one more token is worth a try
    assert wire.applied == []
    kinds = {400: BadRequestError, 404: NotFoundError, 409: ConflictError, 422: UnprocessableEntityError}
    assert isinstance(error, kinds.get(status, APIError))


@pytest.mark.parametrize("write", POSTS)
async def test_a_connection_that_was_never_made_leaves_no_doubt(pair: Pair, write: str) -> None:
    with Wire() as wire:
        base_url = f"http://127.0.0.1:{closed_port()}"
        async with wire.client(pair, base_url=base_url, token="t", api_key=None, api_secret=None) as m3ter:
            error = await failed(POSTS[write](m3ter), APIConnectionError)
    assert not error.outcome_unknown
    assert error.attempts > 1  # so it was safe to try again


async def test_a_login_that_fails_leaves_no_doubt_about_the_write(pair: Pair) -> None:
    with Wire(login=[say(b"", 500)]) as wire:
        async with wire.client(pair, max_retries=1) as m3ter:
            error = await failed(transaction(m3ter))
    assert not error.outcome_unknown
    assert wire.requests == []


@pytest.mark.parametrize("write", [*POSTS, "PUT without version", *REPEATABLE])
async def test_a_write_that_was_throttled_is_sent_again_and_applied_once(pair: Pair, write: str) -> None:
    with Wire([say(b"", 429), say(b"", 429, Retry_After="1"), say(ENTITY)]) as wire:
        async with wire.client(pair) as m3ter:
            await {**ONCE, **REPEATABLE}[write](m3ter)
    assert (len(wire.requests), len(wire.applied)) == (3, 1)
    assert len({received.body for received in wire.requests}) == 1


async def test_a_write_that_is_throttled_for_good_leaves_no_doubt(pair: Pair) -> None:
    with Wire([say(b"", 429)]) as wire:
        async with wire.client(pair, max_retries=2) as m3ter:
            error = await failed(transaction(m3ter), RateLimitError)
    assert not error.outcome_unknown
    assert wire.applied == []


async def test_a_write_with_a_token_that_ended_is_sent_again_and_applied_once(pair: Pair) -> None:
    with Wire([say(b"", 401), say(ENTITY)], login=[grant("one"), grant("two")]) as wire:
        async with wire.client(pair) as m3ter:
            await transaction(m3ter)
    assert (len(wire.requests), len(wire.applied)) == (2, 1)


async def test_a_doubt_after_a_refusal_is_still_a_doubt(pair: Pair) -> None:
    for first in (429, 401):
        with Wire([say(b"", first), fault("reset instead of an answer"), say(ENTITY)]) as wire:
            async with wire.client(pair) as m3ter:
                error = await failed(transaction(m3ter), APIConnectionError)
        assert error.outcome_unknown
        assert len(wire.applied) == 1


async def test_an_answer_in_single_bytes_is_as_good_as_any(pair: Pair) -> None:
    with Wire([trickle(ENTITY)]) as wire:
        async with wire.client(pair) as m3ter:
            assert (await transaction(m3ter)).id == "e1"
    assert len(wire.applied) == 1


@pytest.mark.parametrize("write", REPEATABLE)
async def test_what_may_be_repeated_recovers(pair: Pair, write: str) -> None:
    for name in ("reset instead of an answer", "closed mid-body", "JSON cut", "HTML 200", "answer 408", "answer 504"):
        with Wire([fault(name), say(ENTITY)]) as wire:
            async with wire.client(pair) as m3ter:
                await REPEATABLE[write](m3ter)
        assert len(wire.requests) == 2, name
        assert wire.requests[0].body == wire.requests[1].body


async def test_an_update_whose_repeat_conflicts_says_that_the_first_may_have_won(pair: Pair) -> None:
    """The version moved on, by the first attempt or by somebody else, and the record cannot be looked at."""
    with Wire([fault("reset instead of an answer"), say({"message": "version"}, 409)]) as wire:
        async with wire.client(pair) as m3ter:
            error = await failed(update(m3ter), ConflictError)
    assert error.outcome_unknown
    assert [request.method for request in wire.requests] == ["PUT", "PUT", "GET"]
    assert error.attempts == 2


async def test_an_update_that_conflicts_at_once_leaves_no_doubt(pair: Pair) -> None:
    with Wire([say(b"", 429), say({"message": "version"}, 409)]) as wire:
        async with wire.client(pair) as m3ter:
            error = await failed(update(m3ter), ConflictError)
    assert not error.outcome_unknown


@pytest.mark.parametrize("name", ["reset instead of an answer", "JSON cut", "answer 500", "answer 503"])
async def test_a_deletion_whose_repeat_finds_nothing_has_succeeded(pair: Pair, name: str) -> None:
    with Wire([fault(name), say({"message": "not found"}, 404)]) as wire:
        async with wire.client(pair) as m3ter:
            assert (await m3ter.balances.delete("e/1")).id == "e/1"
            assert (len(wire.requests), len(wire.applied)) == (2, 1)


async def test_a_deletion_by_hand_whose_repeat_finds_nothing_names_what_is_gone(pair: Pair) -> None:
    for path in ("/organizations/{orgId}/balances/e1", "/organizations/org-9/balances/e1"):
        with Wire([fault("answer 500"), say(b"", 404)]) as wire:
            async with wire.client(pair) as m3ter:
                assert await m3ter.request("DELETE", path) == {"id": "e1"}


class Receipt(msgspec.Struct):
    id: str
    total: int


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (Any, {"id": "e/1"}),
        (dict[str, str], {"id": "e/1"}),
        (Balance, Balance(id="e/1")),
        (Receipt, None),
        (list[str], None),
        (int, None),
        (None, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_what_nobody_answered_is_never_an_answer_that_cannot_be_read(kind: Any, found: Any) -> None:
    """The caller's type may need more than is known of what is gone: that is no fault of the service."""
    transport = FakeTransport([TransportError("cut", sent=True), answer({"message": "none"}, 404)])
    async with client(transport) as m3ter:
        assert await m3ter.request("DELETE", "/organizations/{orgId}/things/e%2F1", type=kind) == found


async def test_a_deletion_that_finds_nothing_at_once_is_an_error(pair: Pair) -> None:
    for moves in ([say(b"", 404)], [say(b"", 429), say(b"", 404)], [say(b"", 401), say(b"", 404)]):
        with Wire(moves) as wire:
            async with wire.client(pair) as m3ter:
                error = await failed(delete(m3ter), NotFoundError)
        assert not error.outcome_unknown


@pytest.mark.parametrize("write", ["PUT with version", "DELETE"])
@pytest.mark.parametrize("last", [400, 403, 422, 500])
async def test_a_repeat_that_fails_does_not_settle_the_first_attempt(pair: Pair, write: str, last: int) -> None:
    with Wire([fault("closed mid-body"), say(b"", last)]) as wire:
        async with wire.client(pair, max_retries=1) as m3ter:
            error = await failed(REPEATABLE[write](m3ter))
    # a 403 is asked for again under a new token, once
    assert (error.status, error.outcome_unknown, error.attempts) == (last, True, 3 if last == 403 else 2)


@pytest.mark.parametrize("write", ["PUT with version", "DELETE"])
async def test_a_login_that_fails_before_the_repeat_does_not_settle_the_first_attempt(pair: Pair, write: str) -> None:
    login = [grant("one"), say({"message": "no"}, 400)]
    with Wire([fault("reset instead of an answer"), say(b"", 401)], login=login) as wire:
        async with wire.client(pair, max_retries=1) as m3ter:
            error = await failed(REPEATABLE[write](m3ter))
    assert error.path == "/oauth/token"
    assert error.outcome_unknown


async def test_reads_are_never_in_doubt(pair: Pair) -> None:
    reads: list[Write] = [
        lambda m3ter: m3ter.balances.retrieve("e1"),
        lambda m3ter: m3ter.balances.list().collect(),
        REPEATABLE["preview of a bill"],
    ]
    for read in reads:
        for name in ("reset instead of an answer", "JSON cut", "answer 500", "answer 400"):
            with Wire([fault(name)]) as wire:
                async with wire.client(pair, max_retries=1) as m3ter:
                    assert not (await failed(read(m3ter))).outcome_unknown


async def test_a_doubt_survives_in_an_error_of_the_whole_group_of_calls(pair: Pair) -> None:
    """Twenty at once, each with its own end."""
    ends: dict[int, APIError | None] = {}

    async def one(m3ter: AsyncM3ter, number: int) -> None:
        try:
            await m3ter.balances.transactions.create(f"e{number}", amount=number)
            ends[number] = None
        except APIError as error:
            ends[number] = error

    def script(received: Any) -> Move:
        number = int(received.path.split("/")[4][1:])
        names = ("reset instead of an answer", "answer 400", "JSON cut")
        return say(ENTITY) if number % 4 == 3 else fault(names[number % 4])

    with Wire(script) as wire:
        async with wire.client(pair) as m3ter, anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, m3ter, number)
    assert len(wire.requests) == 20
    for number, end in ends.items():
        expected = {0: True, 1: False, 2: True, 3: None}[number % 4]
        assert (end and end.outcome_unknown) is expected
