"""What a caller gets in place of an answer: its kind, what it carries, and what it never shows."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import m3ter_async
from m3ter_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    ExportError,
    InternalServerError,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobTimeoutError,
    M3terError,
    MeasurementError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    RecordError,
    TransportError,
    UnprocessableEntityError,
    errors,
    export,
)
from m3ter_async._core.outcomes import status_error
from m3ter_async._core.redaction import MASK, Redactor, Secret, basic

from .fakes import KEY, SECRET, TOKEN, Answer, FakeTransport, answer, client

PARENTS = {
    ConfigurationError: M3terError,
    APIError: M3terError,
    APIConnectionError: APIError,
    APITimeoutError: APIConnectionError,
    APIResponseValidationError: APIError,
    APIStatusError: APIError,
    ClientClosedError: APIError,
    ExportError: M3terError,
    BadRequestError: APIStatusError,
    AuthenticationError: APIStatusError,
    PermissionDeniedError: APIStatusError,
    NotFoundError: APIStatusError,
    ConflictError: APIStatusError,
    PayloadTooLargeError: APIStatusError,
    UnprocessableEntityError: APIStatusError,
    RateLimitError: APIStatusError,
    RecordError: APIResponseValidationError,
    InternalServerError: APIStatusError,
    JobError: M3terError,
    JobFailedError: JobError,
    JobCancelledError: JobError,
    JobTimeoutError: JobError,
}
BY_STATUS = {
    301: APIStatusError,
    304: APIStatusError,
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    418: APIStatusError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    500: InternalServerError,
    501: InternalServerError,
    503: InternalServerError,
    504: InternalServerError,
    599: InternalServerError,
    700: InternalServerError,
}


def test_every_exception_is_where_it_is_expected() -> None:
    assert {kind.__name__ for kind in (*PARENTS, M3terError, MeasurementError)} == set(errors.__all__)
    assert MeasurementError.__bases__ == (M3terError, ValueError)
    for kind, parent in PARENTS.items():
        assert kind.__bases__ == (parent,)
        assert getattr(m3ter_async, kind.__name__) is kind
    assert M3terError.__bases__ == (Exception,)


def test_an_export_error_is_one_kind_wherever_it_is_imported_from() -> None:
    assert export.ExportError is ExportError
    assert not copy.copy(ExportError("why", resumable=False)).resumable


async def test_an_error_has_the_names_that_other_clients_give_its_parts() -> None:
    async with client(FakeTransport(lambda _: answer({"message": "why"}, 418)), max_retries=0) as m3ter:
        with pytest.raises(APIStatusError) as caught:
            await m3ter.bills.retrieve("b")
    error = caught.value
    assert (error.status_code, error.message) == (error.status, error.reason) == (418, "418 I'm a Teapot: why")
    error.reason = "another"
    assert error.message == "another"
    assert APIConnectionError("broke", method="GET", path="/").status_code is None


@pytest.mark.parametrize(("status", "kind"), BY_STATUS.items())
async def test_each_status_is_its_own_exception(status: int, kind: type[APIStatusError]) -> None:
    transport = FakeTransport(lambda _: answer({"message": "why"}, status, x_amzn_requestid="r-1"))
    async with client(transport, max_retries=0) as m3ter:
        with pytest.raises(APIStatusError) as caught:
            await m3ter.bills.retrieve("a/b")
    error = caught.value
    assert type(error) is kind
    assert (error.method, error.path) == ("GET", "/organizations/org-1/bills/a%2Fb")
    # one that may be about the token is sent once more, under another
    assert (error.status, error.request_id, error.attempts) == (status, "r-1", 2 if status in (401, 403) else 1)
    assert error.body == b'{"message":"why"}'
    assert (error.outcome_unknown, error.next_token) == (False, None)
    assert str(status) in str(error)
    assert "GET /organizations/org-1/bills/a%2Fb" in str(error)
    assert "r-1" in str(error)
    assert status < 400 or "why" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"x"', b"<html>no</html>", b"{}", b'{"message":null}', b'{"message":{"a":1}}', b"\xff"),
        *(b'{"message":' + b"[" * 100_000, b'{"message":' + b"9" * 5000 + b"}", b'{"message":"\\ud800"}'),
    ],
)
def test_a_body_without_a_message_is_kept_and_does_no_harm(body: bytes) -> None:
    error = status_error(400, {}, body, method="GET", path="/x")
    assert str(error) == "GET /x: 400 Bad Request"
    assert error.body == body


def test_a_message_says_what_happened_and_where() -> None:
    error = APIError(
        "503 Service Unavailable", method="POST", path="/x", attempts=3, outcome_unknown=True, request_id="r-1"
    )
    text = str(error)
    for part in ("POST /x", "503 Service Unavailable", "3 attempts", "unknown", "r-1"):
        assert part in text
    assert str(APIError("why", method="GET", path="/x")) == "GET /x: why"


def test_a_long_message_is_cut_and_a_redirect_says_where_to() -> None:
    error = status_error(400, {}, b'{"message":"%b"}' % (b"x" * 100_000), method="GET", path="/x")
    assert len(str(error)) < 2_000
    moved = status_error(302, {"location": "https://elsewhere.example/"}, b"", method="GET", path="/x")
    assert "redirect" in str(moved)
    assert "elsewhere.example" in str(moved)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-amzn-requestid": "a", "x-request-id": "b"}, "a"),
        ({"x-request-id": "b"}, "b"),
        ({"x-amzn-trace-id": "t"}, "t"),
        ({}, None),
    ],
)
def test_the_name_of_a_request_is_found_in_the_headers(headers: dict[str, str], expected: str | None) -> None:
    assert status_error(400, headers, b"", method="GET", path="/x").request_id == expected


def whole(kind: type[APIError]) -> APIError:
    error = kind(
        "why",
        method="GET",
        path="/x",
        status=500,
        request_id="r",
        body=b"b\xff",
        outcome_unknown=True,
        attempts=3,
        next_token="t",
    )
    if isinstance(error, APIResponseValidationError):
        error.json_path = "$.data[3]"
    return error


@pytest.mark.parametrize("kind", [kind for kind in PARENTS if issubclass(kind, APIError)])
@pytest.mark.parametrize("through", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_exception_survives_a_process_pool(kind: type[APIError], through: Any) -> None:
    error = whole(kind)
    again = through(error)
    assert type(again) is kind
    assert again is not error
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert again.args == error.args


@pytest.mark.parametrize(
    "error", [ConfigurationError("why"), M3terError("why"), TransportError("why", sent=False, timeout=True)]
)
def test_so_do_the_others(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


async def test_what_a_call_raises_when_its_client_is_closed_survives_a_process_pool() -> None:
    async def login(_: object) -> Any:
        await anyio.sleep_forever()

    m3ter = client(FakeTransport([], login=login))
    caught: list[M3terError] = []

    async def call() -> None:
        with pytest.raises(M3terError) as info:
            await m3ter.bills.retrieve("b")
        caught.append(info.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await m3ter.aclose()
    await call()
    for error in caught:
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
        assert "closed" in str(error)


# Never a secret

BASIC = basic(KEY, SECRET).removeprefix("Basic ")


@pytest.mark.parametrize("secret", [KEY, SECRET, TOKEN, BASIC])
@pytest.mark.parametrize(
    "reply",
    [
        lambda secret: answer({"message": f"not {secret}"}, 400),
        lambda secret: answer(secret.encode(), 403, x_request_id=secret),
        lambda secret: answer(b"", 302, location=f"https://evil.example/?{secret}"),
        lambda secret: answer(secret.encode(), 200, x_request_id=secret),
        lambda secret: answer({"id": {secret: secret}}, 200, x_request_id=secret),
        lambda secret: TransportError(f"could not send {secret}"),
    ],
)
async def test_a_secret_that_is_sent_back_is_masked_everywhere(reply: Any, secret: str) -> None:
    fault: Answer = reply(secret)
    async with client(FakeTransport(lambda _: fault), max_retries=0) as m3ter:
        with pytest.raises(APIError) as caught:
            await m3ter.bills.retrieve("b")
        with pytest.raises(APIError) as listed:
            await m3ter.bills.list()
    for error in (caught.value, listed.value):
        shown = f"{error} {error!r} {vars(error)!r} {error.body!r} {error.__cause__!r} {error.__context__!r}"
        assert secret not in shown


async def test_a_record_that_holds_a_secret_is_masked_too() -> None:
    transport = FakeTransport(lambda _: answer({"data": [{"id": {TOKEN: 1}}]}))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError) as caught:
            await m3ter.bills.list().collect()
    assert TOKEN.encode() not in caught.value.body
    assert TOKEN not in str(caught.value)


async def test_no_more_of_a_body_is_kept_than_can_be_looked_at() -> None:
    transport = FakeTransport(lambda _: answer(b"x" * 1_000_000, 400))
    async with client(transport) as m3ter:
        with pytest.raises(BadRequestError) as caught:
            await m3ter.bills.retrieve("b")
    assert len(caught.value.body) == 65_536


def test_a_secret_across_the_cut_is_masked_however_many_came_before_it() -> None:
    secret = "s" + "0123456789abcdefghijklmnopqrstuvwxyz" + "e"
    redactor = Redactor([secret])
    for before in range(0, 60, 7):
        for many in (0, 1, 3, 50):
            data = b"-" * before + secret.encode() * many + b"." * 20 + secret.encode() * 50
            for most in (100, 101, 117, 333, 1000):
                kept = redactor.clean(data, most)
                assert len(kept) <= most
                visible = kept.replace(MASK.encode(), b"")
                assert b"s0123" not in visible, (before, many, most, kept[-60:])


def test_a_secret_is_masked_in_each_form_that_it_may_come_back_in() -> None:
    secret = "ab/cd+ef=="
    redactor = Redactor([secret])
    for form in (secret, "ab/cd%2Bef%3D%3D", r"ab\/cd+ef=="):
        assert redactor.text(f"x {form} y") == f"x {MASK} y"
    assert Redactor(["abcdefgh", "abcdefghij"]).text("abcdefghij abcdefgh") == f"{MASK} {MASK}"
    assert Redactor(["", "abcdefgh"]).text("babcdefghb") == f"b{MASK}b"
    assert Redactor([]).text("as it is, é") == "as it is, é"
    assert Redactor(["abcdefgh"]).text("\ud800abcdefgh").endswith(MASK)


def test_a_secret_shows_itself_nowhere_and_cannot_be_pickled() -> None:
    secret = Secret("hidden")
    assert secret == "hidden"
    assert "hidden" not in repr(secret) + repr({"a": secret}) + repr([secret])
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            take(secret)
