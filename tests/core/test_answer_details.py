"""What a good answer came with is told to whoever asks, and what a caller sends along goes with each request."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest

from m3ter_async import AsyncM3ter, ConfigurationError, NotFoundError
from m3ter_async.events import Answer
from m3ter_async.transports import Request, Response

from ..fakes import SECRET, TOKEN, FakeTransport, TickingClock, answer, client


def page(request: Request) -> Response:
    token = re.search("nextToken=t([0-9])", request.url)
    number = int(token[1]) if token else 0
    following = {"nextToken": f"t{number + 1}"} if number < 2 else {}
    return answer({"data": [{"id": f"b{number}"}], **following}, X_Request_Id=f"r{number}", Date="today")


async def test_an_answer_tells_its_status_headers_request_id_and_seconds() -> None:
    transport = FakeTransport(lambda _: answer({"id": "b"}, 201, X_Request_Id="r-1", X_Echo=f"Bearer {TOKEN} {SECRET}"))
    async with client(transport, TickingClock()) as m3ter:
        with m3ter.answers() as answers:
            await m3ter.bills.retrieve("b")
        await m3ter.bills.retrieve("c")
    (one,) = answers
    assert (one.status, one.request_id, one.attempts) == (201, "r-1", 1)
    assert (one.call.operation, one.call.path) == ("GetBill", "/organizations/org-1/bills/b")
    assert one.headers["x-request-id"] == "r-1"
    assert 0 < one.seconds < 1
    shown = repr(one) + str(dict(one.headers))
    assert TOKEN not in shown
    assert SECRET not in shown
    assert "x-echo" not in repr(one)


async def test_each_page_is_an_answer_also_those_fetched_ahead() -> None:
    async with client(FakeTransport(page)) as m3ter:
        with m3ter.answers() as answers:
            assert [bill.id async for bill in m3ter.bills.list()] == ["b0", "b1", "b2"]
    assert [one.request_id for one in answers] == ["r0", "r1", "r2"]


async def test_it_is_the_answer_of_the_last_attempt_and_an_error_has_none() -> None:
    answers_ = [answer(None, 503), answer({"id": "b"}, X_Request_Id="good"), answer(None, 404)]
    async with client(FakeTransport(answers_)) as m3ter:
        with m3ter.answers() as answers:
            await m3ter.bills.retrieve("b")
            with pytest.raises(NotFoundError):
                await m3ter.bills.retrieve("c")
    assert [(one.request_id, one.attempts) for one in answers] == [("good", 2)]


async def test_blocks_see_the_calls_of_their_client_and_of_their_tasks_alone() -> None:
    async def others(m3ter: AsyncM3ter, into: list[Answer]) -> None:
        with m3ter.answers() as mine:
            await m3ter.bills.retrieve("mine")
        into += mine

    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with client(transport) as m3ter, client(transport) as other:
        found: list[Answer] = []
        with m3ter.answers() as outer:
            async with anyio.create_task_group() as group:
                group.start_soon(others, m3ter, found)
            with m3ter.answers() as inner:
                await m3ter.with_options(timeout=1).bills.retrieve("view")
                await other.bills.retrieve("other")
        await m3ter.bills.retrieve("after")
    assert [one.call.path.rpartition("/")[2] for one in outer] == ["mine", "view"]
    assert [one.call.path.rpartition("/")[2] for one in inner] == ["view"]
    assert [one.call.path.rpartition("/")[2] for one in found] == ["mine"]


# Headers


async def test_headers_go_with_every_request_and_views_add_to_them() -> None:
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with client(transport, headers={"X-Team": "billing", "x-trace": "1"}) as m3ter:
        await m3ter.bills.retrieve("b")
        view = m3ter.with_options(headers={"X-Trace": "2", "user-agent": "ours/1"})
        await view.bills.retrieve("b")
        await view.with_options(timeout=3).bills.retrieve("b")
    for request in (*transport.logins, *transport.requests):
        assert request.headers["X-Team"] == "billing"
        assert request.headers["Authorization"].partition(" ")[0] in ("Basic", "Bearer")
    first, second, third = transport.requests
    assert first.headers["x-trace"] == "1"
    assert first.headers["User-Agent"].startswith("m3ter-async/")
    for request in (second, third):
        assert {name: value for name, value in request.headers.items() if name.lower() == "x-trace"} == {"X-Trace": "2"}
        assert [value for name, value in request.headers.items() if name.lower() == "user-agent"] == ["ours/1"]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Authorization": "hidden"}, "'Authorization', which the client itself sets; pass api_key="),
        ({"authorization": "hidden"}, "'authorization', which the client"),
        ({"Proxy-Authorization": "hidden"}, "'Proxy-Authorization'"),
        ({"Connection": "hidden"}, "'Connection'"),
        ({"Transfer-Encoding": "hidden"}, "'Transfer-Encoding'"),
        ({"Host": "hidden"}, "'Host'"),
        ({"Content-Type": "hidden"}, "'Content-Type'"),
        ({"X A": "hidden"}, "the name 'X A'"),
        ({"": "hidden"}, "the name ''"),
        ({1: "hidden"}, "the name 1"),
        ({"X": "hidden\r\nY: 1"}, "a value of 'X'"),
        ({"X": ""}, "a value of 'X'"),
        ({"X": 1}, "a value of 'X'"),
        ({"X": "é hidden"}, "a value of 'X'"),
        ("X: hidden", "must be a mapping"),
    ],
    ids=repr,
)
def test_headers_that_are_not_the_callers_to_set_are_refused_by_name(headers: Any, says: str) -> None:
    transport = FakeTransport([])
    with pytest.raises(ConfigurationError, match="^headers= .*" + re.escape(says)) as caught:
        client(transport, headers=headers)
    assert "hidden" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"^headers= "):
        client(transport).with_options(headers=headers)


def test_headers_are_in_no_repr() -> None:
    m3ter = client(FakeTransport([]), headers={"X-Gateway-Key": "hidden"})
    assert "hidden" not in repr(m3ter) + repr(m3ter._pipeline.settings)
