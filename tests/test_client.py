"""What a client is told and how it is used: settings, views, calls of any path, and its end."""

from __future__ import annotations

import base64
import copy
import math
import pickle
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import anyio.lowlevel
import msgspec
import pytest

from m3ter_async import APIError, AsyncM3ter, ConfigurationError, M3terError, TransportError
from m3ter_async.transports.protocol import Request, Response

from .fakes import KEY, ORG, SECRET, FakeClock, FakeTransport, answer, client


def nothing() -> FakeTransport:
    return FakeTransport([])


def made(**options: Any) -> AsyncM3ter:
    return AsyncM3ter(**options, transport=nothing(), _clock=FakeClock())


def given(argument: str, value: Any, **options: Any) -> AsyncM3ter:
    return client(nothing(), None, **{argument: value}, **options)


async def sent_by(m3ter: AsyncM3ter, transport: FakeTransport) -> Request:
    await m3ter.bills.retrieve("b")
    return transport.requests[-1]


# Subclasses


class Slotted:
    __slots__ = ("tag",)


class Ours(AsyncM3ter, Slotted):
    """What a team makes of the client, with what it needs beside."""

    def __init__(self, team: str, **options: Any) -> None:
        super().__init__(KEY, SECRET, ORG, _clock=FakeClock(), **options)
        self.team = team
        self.tag = "t1"
        self.cache: dict[str, int] = {}

    @cached_property
    def bills_of_ours(self) -> Any:
        return self.bills


async def test_a_view_of_a_subclass_has_all_that_the_subclass_has() -> None:
    m3ter = Ours("billing", transport=FakeTransport(lambda _: answer({})))
    assert m3ter.bills_of_ours is m3ter.bills
    view = m3ter.with_options(org_id="other").with_options(timeout=1)
    assert type(view) is Ours
    assert (view.team, view.tag) == ("billing", "t1")
    assert view.cache is m3ter.cache
    view.team = "sales"
    assert m3ter.team == "billing"
    assert view.bills is not m3ter.bills
    assert view.bills_of_ours is view.bills
    assert view.org_id == "other"
    await m3ter.aclose()


# Credentials


@pytest.mark.parametrize(
    ("options", "variable", "argument"),
    [
        ({"org_id": ORG}, "M3TER_API_KEY", "api_key="),
        ({"org_id": ORG, "api_key": KEY}, "M3TER_API_SECRET", "api_secret="),
        ({"org_id": ORG, "api_secret": SECRET}, "M3TER_API_KEY", "api_key="),
        ({"org_id": ORG, "api_key": "", "api_secret": ""}, "M3TER_API_KEY", "api_key="),
        ({"api_key": KEY, "api_secret": SECRET}, "M3TER_ORG_ID", "org_id="),
        ({"api_key": KEY, "api_secret": SECRET, "org_id": ""}, "M3TER_ORG_ID", "org_id="),
    ],
)
def test_what_is_missing_is_named_with_its_variable(options: dict[str, str], variable: str, argument: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**options)
    assert variable in str(caught.value)
    assert argument in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_what_is_not_passed_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "API_KEY": KEY,
        "API_SECRET": SECRET,
        "ORG_ID": "org-env",
        "BASE_URL": "https://eu.example/api/",
    }.items():
        monkeypatch.setenv(f"M3TER_{name}", value)
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with AsyncM3ter(transport=transport, _clock=FakeClock()) as m3ter:
        request = await sent_by(m3ter, transport)
    assert request.url == "https://eu.example/api/organizations/org-env/bills/b"
    assert transport.logins[0].url == "https://eu.example/api/oauth/token"
    async with AsyncM3ter(
        org_id="mine", base_url="https://us.example", transport=transport, _clock=FakeClock()
    ) as m3ter:
        assert (await sent_by(m3ter, transport)).url == "https://us.example/organizations/mine/bills/b"


async def test_a_token_from_the_environment_serves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3TER_API_TOKEN", "from-env")
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with AsyncM3ter(org_id=ORG, transport=transport, _clock=FakeClock()) as m3ter:
        assert (await sent_by(m3ter, transport)).headers["Authorization"] == "Bearer from-env"
    assert transport.logins == []


async def test_a_token_that_is_passed_is_not_mixed_with_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("M3TER_API_KEY", "of-someone-else")
    monkeypatch.setenv("M3TER_API_SECRET", "of-someone-else")
    transport = FakeTransport(lambda _: answer({}, 401))
    async with AsyncM3ter(org_id=ORG, token="mine", transport=transport, _clock=FakeClock()) as m3ter:
        with pytest.raises(APIError):
            await m3ter.bills.retrieve("b")
    assert transport.logins == []


async def test_a_key_that_is_passed_is_not_mixed_with_the_token_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("M3TER_API_TOKEN", "of-someone-else")
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with client(transport) as m3ter:
        assert (await sent_by(m3ter, transport)).headers["Authorization"] == "Bearer token-of-the-tests"


@pytest.mark.parametrize("token", ["a b", "a\nb", "a\r\nX-Evil: 1", "é", "a\x00", "\x7f"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(org_id=ORG, token=token)
    assert token not in str(caught.value)


def test_a_key_with_a_colon_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="colon"):
        made(org_id=ORG, api_key="a:b", api_secret=SECRET)


TEXTS = ["api_key", "api_secret", "token", "org_id", "base_url", "ingest_base_url"]


@pytest.mark.parametrize("argument", TEXTS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + "\n",
        lambda text: text + "\r\n",
        lambda text: " " + text,
        lambda text: text + "\t",
        lambda text: "\ufeff" + text,
        lambda text: text + "\xa0",
        lambda text: text[:3] + "\n" + text[3:],
        lambda text: text[:3] + "\x00" + text[3:],
        lambda text: text[:3] + "\u200b" + text[3:],
        lambda text: text[:3] + "\udcff" + text[3:],  # what a byte that is no UTF-8 becomes in an environment
        lambda text: f'"{text}"',
        lambda text: f"'{text}'",
        lambda text: "",
        lambda text: text.encode(),
        lambda text: 12345678,
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_by_name_and_not_shown(
    argument: str, spoil: Callable[[str], Any]
) -> None:
    value = "https://host-7531.example" if "url" in argument else "value-7531-of-it"
    options = {"api_key": KEY, "api_secret": SECRET, "org_id": ORG, argument: spoil(value)}
    with pytest.raises(ConfigurationError) as caught:
        made(**options)
    assert f"{argument}=" in str(caught.value)
    assert "7531" not in str(caught.value)


VARIABLES = {
    "M3TER_API_KEY": KEY,
    "M3TER_API_SECRET": SECRET,
    "M3TER_ORG_ID": ORG,
    "M3TER_BASE_URL": "https://api.example",
    "M3TER_INGEST_BASE_URL": "https://ingest.example",
}


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}\t", "\ufeff{}", "\ufeff {}\n", "{}\xa0"])
async def test_a_variable_that_was_filled_from_a_file_has_its_ends_trimmed(
    monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, around.format(value))
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with AsyncM3ter(transport=transport, _clock=FakeClock()) as m3ter:
        assert (await sent_by(m3ter, transport)).url == f"https://api.example/organizations/{ORG}/bills/b"
        assert m3ter._hosts["ingest"] == "https://ingest.example"
    (login,) = transport.logins
    pair = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
    assert login.headers["Authorization"] == f"Basic {pair}"
    monkeypatch.setenv("M3TER_API_TOKEN", around.format("from-env"))
    monkeypatch.delenv("M3TER_API_KEY")
    monkeypatch.delenv("M3TER_API_SECRET")
    async with AsyncM3ter(transport=transport, _clock=FakeClock()) as m3ter:
        assert (await sent_by(m3ter, transport)).headers["Authorization"] == "Bearer from-env"


@pytest.mark.parametrize("variable", [*VARIABLES, "M3TER_API_TOKEN"])
@pytest.mark.parametrize("spoil", ["a-7531\nb", "a-7531\x1bb", "a-7531\u200bb", '"a-7531"', "'a-7531'", "a-7531\udcff"])
def test_a_variable_that_cannot_be_meant_is_refused_by_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, spoil: str
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    if variable == "M3TER_API_TOKEN":
        monkeypatch.delenv("M3TER_API_KEY")
        monkeypatch.delenv("M3TER_API_SECRET")
    monkeypatch.setenv(variable, spoil)
    with pytest.raises(ConfigurationError) as caught:
        made()
    assert variable in str(caught.value)
    assert "7531" not in str(caught.value)


@pytest.mark.parametrize("empty", ["", " ", "\n", "\ufeff"])
def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    for name in (*VARIABLES, "M3TER_API_TOKEN"):
        monkeypatch.setenv(name, empty)
    with pytest.raises(ConfigurationError) as caught:
        made()
    assert str(caught.value) == (
        "no API key, no API secret and no organization: pass api_key=, api_secret= and org_id=, or set the environment "
        "variables M3TER_API_KEY, M3TER_API_SECRET and M3TER_ORG_ID"
    )
    assert client(nothing())._hosts == {"api": "https://api.m3ter.com", "ingest": "https://ingest.m3ter.com"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "no API key, no API secret and no organization: "),
        ({"api_key": KEY}, "no API secret and no organization: pass api_secret= and org_id=, or set "),
        ({"api_secret": SECRET}, "no API key and no organization: "),
        ({"token": "t"}, "no organization: pass org_id= or set the environment variable M3TER_ORG_ID"),
        ({"org_id": ORG}, "no API key and no API secret: "),
    ],
)
def test_all_that_is_missing_is_named_at_once(options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**options)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("value", ["no", "false", 0, 1, None])
def test_what_only_looks_like_a_flag_is_none(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="allow_insecure_http= must be True or False"):
        client(nothing(), allow_insecure_http=value)


def test_a_secret_in_the_place_of_another_argument_is_not_shown() -> None:
    for argument in ("org_id", "base_url", "ingest_base_url"):
        with pytest.raises(ConfigurationError, match=f"^{argument}=") as caught:
            made(**{"api_key": KEY, "api_secret": SECRET, "org_id": ORG, argument: "Hush/Hush+7531=="})
        assert "7531" not in str(caught.value)


def test_a_bad_url_names_the_variable_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3TER_INGEST_BASE_URL", "ftp://x")
    with pytest.raises(ConfigurationError, match=r"^M3TER_INGEST_BASE_URL='ftp://x' is not an http or https URL"):
        client(nothing())


# Hosts and numbers

LOCAL = ["http://localhost:8080", "http://LOCALHOST", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:99/base"]


@pytest.mark.parametrize("url", ["https://api.m3ter.com", "https://eu.example:8443/base", *LOCAL])
@pytest.mark.parametrize("argument", ["base_url", "ingest_base_url"])
def test_https_and_loopback_are_taken(url: str, argument: str) -> None:
    given(argument, url)
    given(argument, url + "/")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.m3ter.com",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://[::2]",
        "HTTP://api.m3ter.com",
    ],
)
@pytest.mark.parametrize("argument", ["base_url", "ingest_base_url"])
def test_plain_http_is_refused_unless_asked_for_by_name(url: str, argument: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{argument}=.*allow_insecure_http"):
        given(argument, url)
    given(argument, url, allow_insecure_http=True)


@pytest.mark.parametrize(
    "url",
    [
        "api.m3ter.com",
        "ftp://api.m3ter.com",
        "https://",
        "https:///x",
        "//api.m3ter.com",
        "https://user:pass@api.m3ter.com",
        "https://user@api.m3ter.com",
        "https://api.m3ter.com?x=1",
        "https://api.m3ter.com#x",
        "https://[bad",
        "https://h:99999",
        "https://h:abc",
        "https://api.m3ter.com\n",
        "https://api.m3ter.com/\r\nX: 1",
        " https://api.m3ter.com",
        "https://a b.example",
        "https://h/\tx",
        "https://h/a b",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client(nothing(), base_url=url)
    assert str(caught.value).startswith("base_url=")
    assert "pass@" not in str(caught.value)


def test_a_bad_url_in_the_environment_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3TER_BASE_URL", "http://api.m3ter.com")
    with pytest.raises(ConfigurationError, match="in the clear"):
        client(nothing())


@pytest.mark.parametrize(
    ("base_url", "ingest"),
    [
        (None, "https://ingest.m3ter.com"),
        ("https://api.m3ter.com", "https://ingest.m3ter.com"),
        ("https://api.m3ter.com/", "https://ingest.m3ter.com"),
        ("http://localhost:1", "http://localhost:1"),
    ],
)
def test_measurements_go_to_their_own_host_unless_another_service_is_called(base_url: str | None, ingest: str) -> None:
    assert client(nothing(), base_url=base_url)._hosts["ingest"] == ingest


@pytest.mark.parametrize("argument", ["timeout", "max_retry_time", "rate_limit"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, "5", True])
def test_a_number_of_seconds_is_above_zero_and_finite(argument: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=argument):
        client(nothing(), **{argument: value})


@pytest.mark.parametrize("argument", ["max_connections", "max_response_bytes"])
@pytest.mark.parametrize("value", [0, -1, 0.5, 1.5, math.nan, math.inf, "5", True, None])
def test_a_count_is_a_whole_number_from_one(argument: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=argument):
        client(nothing(), **{argument: value})


@pytest.mark.parametrize("value", [-1, 0.5, 2.0, math.nan, "5", True])
def test_a_number_of_retries_is_a_whole_number_from_zero(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_retries"):
        client(nothing(), max_retries=value)
    with pytest.raises(ConfigurationError, match="max_retries"):
        client(nothing()).with_options(max_retries=value)


@pytest.mark.parametrize("argument", ["timeout", "max_retries"])
def test_a_limit_cannot_be_taken_away_by_none(argument: str) -> None:
    with pytest.raises(ConfigurationError, match=argument):
        client(nothing(), **{argument: None})


def test_none_for_the_time_of_a_calls_repeats_is_what_it_is_by_default() -> None:
    assert client(nothing(), max_retry_time=None)._pipeline.settings == client(nothing())._pipeline.settings


@pytest.mark.parametrize(
    "org_id",
    [
        5,
        b"org",
        "",
        ".",
        "..",
        "a/b",
        "../x",
        "a?b",
        "a#b",
        "a%2Fb",
        "a b",
        "a&b",
        "{orgId}",
        "ü",
        "a\r\nb",
        "\\",
        "o ",
    ],
)
def test_what_names_no_organization_is_refused(org_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="org_id"):
        client(nothing(), org_id=org_id)
    with pytest.raises(ConfigurationError, match="org_id"):
        client(nothing()).with_options(org_id=org_id)


def test_a_client_can_be_made_before_there_is_an_event_loop(anyio_backend: str) -> None:
    """That is how web services do it: at import."""
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    m3ter = client(transport)

    async def main() -> None:
        async with m3ter, anyio.create_task_group() as tasks:
            for _ in range(120):
                tasks.start_soon(m3ter.bills.retrieve, "b")

    anyio.run(main, backend=anyio_backend)
    assert len(transport.requests) == 120


# Views


async def test_a_view_has_settings_of_its_own_over_the_same_transport() -> None:
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with client(transport, timeout=60, max_response_bytes=1000) as m3ter:
        view = m3ter.with_options(org_id="other", timeout=5)
        narrower = view.with_options(timeout=0.5)
        for each, org_id, timeout in ((view, "other", 5), (narrower, "other", 0.5), (m3ter, ORG, 60)):
            request = await sent_by(each, transport)
            assert request.url.endswith(f"/organizations/{org_id}/bills/b")
            assert (request.timeout, request.max_bytes) == (timeout, 1000)
    assert len(transport.logins) == 1


async def test_a_view_may_have_retries_of_its_own() -> None:
    transport = FakeTransport(lambda _: TransportError("reset"))
    async with client(transport, max_retries=1) as m3ter:
        for each, attempts in ((m3ter.with_options(max_retries=0), 1), (m3ter, 2)):
            transport.requests.clear()
            with pytest.raises(APIError):
                await each.bills.retrieve("b")
            assert len(transport.requests) == attempts


async def test_a_resource_keeps_to_the_view_that_it_was_taken_from() -> None:
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with client(transport) as m3ter:
        ours, theirs = m3ter.bills, m3ter.with_options(org_id="other").bills
        await theirs.retrieve("b")
        await ours.retrieve("b")
    assert [request.url.split("/")[4] for request in transport.requests] == ["other", ORG]


async def test_closing_a_view_does_nothing_and_closing_the_client_closes_for_all() -> None:
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    m3ter = client(transport)
    async with m3ter.with_options(timeout=1) as view:
        await view.bills.retrieve("b")
    await view.aclose()
    assert transport.closed == 0
    await view.bills.retrieve("b")
    await m3ter.aclose()
    assert transport.closed == 1
    for each in (m3ter, view, m3ter.with_options(timeout=2)):
        with pytest.raises(M3terError, match="closed"):
            await each.bills.retrieve("b")
        with pytest.raises(M3terError, match="closed"):
            await each.bills.list()
    assert len(transport.requests) == 2


async def test_closing_twice_is_closing() -> None:
    async with client(FakeTransport(lambda _: answer({"id": "b"}))) as m3ter:
        await m3ter.aclose()
        await m3ter.aclose()


async def test_a_client_that_was_never_used_closes_quietly() -> None:
    transport = nothing()
    async with client(transport):
        pass
    assert transport.logins == []


# Calls of any path


async def test_any_path_can_be_called_with_the_login_and_organization_of_the_client() -> None:
    transport = FakeTransport(lambda _: answer(b'{"amount": 1.10, "rows": [1, null]}'))
    async with client(transport) as m3ter:
        found = await m3ter.request(
            "get", "/organizations/{orgId}/any thing", query={"a": "x&y", "b": [1, 2], "c": True}
        )
    assert found == {"amount": Decimal("1.10"), "rows": [1, None]}
    (request,) = transport.requests
    assert request.method == "GET"
    assert request.url == (f"https://api.m3ter.com/organizations/{ORG}/any%20thing?a=x%26y&b=1%2C2&c=true")
    assert request.headers["Authorization"] == "Bearer token-of-the-tests"
    assert request.content is None
    assert "Content-Type" not in request.headers


async def test_a_body_is_sent_as_json_and_an_answer_is_decoded_to_the_type() -> None:
    class Sum(msgspec.Struct, rename="camel"):
        bill_total: Decimal

    transport = FakeTransport(lambda _: answer(b'{"billTotal": 0.1000, "more": {}}'))
    async with client(transport) as m3ter:
        found = await m3ter.request("PATCH", "/x", body={"a": Decimal("1.10"), "n": None}, type=Sum)
        assert found == Sum(Decimal("0.1000"))
        await m3ter.request("POST", "/x", body=Sum(Decimal("2.00")), type=Sum)
        await m3ter.request("POST", "/x", body=[1, "a"], type=Sum)
        await m3ter.request("POST", "/x", body=None, type=Sum)
    assert [request.content for request in transport.requests] == [
        b'{"a":1.10,"n":null}',
        b'{"billTotal":2.00}',
        b'[1,"a"]',
        b"null",
    ]
    assert {request.headers["Content-Type"] for request in transport.requests} == {"application/json"}


async def test_an_answer_without_content_is_none() -> None:
    transport = FakeTransport(lambda _: answer(b"", 204))
    async with client(transport) as m3ter:
        assert await m3ter.request("POST", "/x") is None
        assert await m3ter.request("DELETE", "/x") is None
        nothing: object = await m3ter.request("POST", "/x", type=type(None))
        assert nothing is None
    assert len(transport.requests) == 3


@pytest.mark.parametrize(
    ("method", "body", "repeatable", "attempts"),
    [
        ("GET", None, None, 2),
        ("DELETE", None, None, 2),
        ("PUT", {"version": 1}, None, 2),
        ("PUT", {"a": 1}, None, 1),
        ("POST", {"version": 1}, None, 1),
        ("PATCH", {"version": 1}, None, 1),
        ("POST", {}, True, 2),
        ("GET", None, False, 1),
        ("PUT", {"version": 1}, False, 1),
    ],
)
async def test_what_may_be_sent_again_follows_the_method_unless_it_is_said(
    method: str, body: Any, repeatable: bool | None, attempts: int
) -> None:
    transport = FakeTransport(lambda _: TransportError("reset"))
    async with client(transport, max_retries=1) as m3ter:
        with pytest.raises(APIError) as caught:
            await m3ter.request(method, "/x", repeatable=repeatable, **({} if body is None else {"body": body}))
    assert len(transport.requests) == attempts
    # that it may be repeated says nothing of whether it took effect
    assert caught.value.outcome_unknown is (method != "GET")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "https://evil.example/x",
        "//evil.example/x",
        "/x?a=1",
        "/x#y",
        "/x//y",
        "/x/",
        "/./x",
        "/x/..",
        "/x/../y",
        "/x/%2e%2E/y",
        "/x/%2e",
        "/x/%zz",
        "/100%",
        "/x/{id}",
        "/\ud800",
    ],
)
async def test_a_path_that_could_lead_elsewhere_is_refused_and_nothing_is_sent(path: str) -> None:
    transport = nothing()
    async with client(transport) as m3ter:
        with pytest.raises(ValueError, match=r".+"):
            await m3ter.request("GET", path)
    assert transport.requests == transport.logins == []


@pytest.mark.parametrize("method", ["", " ", "GET /x HTTP/1.1\r\nX: 1", "GÉT", "G T"])
async def test_a_method_that_is_none_is_refused_and_nothing_is_sent(method: str) -> None:
    transport = FakeTransport(lambda _: answer({}))
    async with client(transport) as m3ter:
        with pytest.raises(ValueError, match=r".+"):
            await m3ter.request(method, "/x")
    assert transport.requests == transport.logins == []


async def test_what_stands_in_a_path_stays_one_path() -> None:
    transport = FakeTransport(lambda _: answer({}))
    async with client(transport) as m3ter:
        await m3ter.request("GET", '/x y/%2F/ü"<>\\^`|\n')
    (request,) = transport.requests
    assert request.url.isascii()
    assert request.url.isprintable()
    assert " " not in request.url
    assert unquote(urlsplit(request.url).path) == '/x y///ü"<>\\^`|\n'


# Path arguments


@pytest.mark.parametrize("value", ["", ".", "..", None, 5, b"b", ["b"]])
async def test_a_path_argument_that_names_nothing_raises_and_nothing_is_sent(value: Any) -> None:
    transport = nothing()
    async with client(transport) as m3ter:
        calls: list[Callable[[], Any]] = [
            lambda: m3ter.bills.retrieve(value),
            lambda: m3ter.bills.delete(value),
            lambda: m3ter.bills.line_items.retrieve("i", bill_id=value),
        ]
        for call in calls:
            with pytest.raises((TypeError, ValueError)):
                await call()
    assert transport.requests == transport.logins == []


@pytest.mark.parametrize(
    "value",
    ["a/b", "../x", "a?b", "a#b", "a%2Fb", "a b", "a&b=c", "{orgId}", "ü", "...", "a\r\nb", "a;b", "a:b@c", "\\"],
)
async def test_everything_in_a_path_argument_stays_in_its_segment(value: str) -> None:
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with client(transport) as m3ter:
        await m3ter.bills.retrieve(value)
    path = transport.requests[0].url.removeprefix("https://api.m3ter.com")
    assert path.isascii()
    assert [unquote(segment) for segment in path.split("/")] == ["", "organizations", ORG, "bills", value]


# The client as an object


def test_a_client_shows_where_it_goes_and_no_secret() -> None:
    m3ter = client(nothing(), token="a-token")
    for shown in (repr(m3ter), str(m3ter), repr(vars(m3ter)), repr(m3ter.with_options(org_id="other"))):
        for secret in (KEY, SECRET, "a-token"):
            assert secret not in shown
    assert repr(m3ter) == f"<AsyncM3ter org_id={ORG!r} base_url='https://api.m3ter.com'>"


class Total(msgspec.Struct):
    bill_total: Any = None


async def test_what_a_client_gives_says_in_a_line_what_it_is_and_how_to_use_it() -> None:
    m3ter = client(nothing(), token="a-token")
    listing = m3ter.bills.list(account_id="somebody")
    for listed, record in ((listing, "Bill"), (listing.raw(), "bytes"), (listing.as_type(Total), "Total")):
        assert repr(listed) == (
            f"<Paginator of {record}, GET /organizations/{{orgId}}/bills: "
            "'async for' streams all records, 'await' gives the first page>"
        )
    assert repr(m3ter.bills) == (
        f"<Bills of {ORG!r}: list(), retrieve(), delete(), approve(), approve_by_billing_period(),"
        " get_csv_download_url() and 7 more, .credit_line_items, .debit_line_items, .line_items>"
    )
    ingest = m3ter.ingest()
    assert repr(ingest) == "<Ingest: 0 accepted, 0 refused, 0 failed; 'async with' begins it>"
    async with ingest:
        assert "'await send(...)' takes a measurement" in repr(ingest)
    assert "it has ended" in repr(ingest)
    assert "'async for item, result in'" in repr(m3ter.map([], m3ter.bills.retrieve))
    await m3ter.aclose()
    assert repr(m3ter).endswith("'https://api.m3ter.com', closed>")
    assert repr(m3ter.bills).startswith("<Bills of")


def test_each_resource_has_a_short_line_of_its_own() -> None:
    m3ter = client(nothing())
    names = [name for name in dir(type(m3ter)) if isinstance(getattr(type(m3ter), name), cached_property)]
    assert len(names) > 30
    for name in names:
        shown = repr(getattr(m3ter, name))
        assert shown.startswith(f"<{type(getattr(m3ter, name)).__name__} of {ORG!r}: ")
        assert len(shown) < 300
        assert "\n" not in shown


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_cannot_be_pickled_or_copied(take: Callable[[object], object]) -> None:
    m3ter = client(nothing())
    for each in (m3ter, m3ter.with_options(timeout=1)):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            take(each)


def test_namespaces_are_made_once() -> None:
    m3ter = client(nothing())
    assert m3ter.bills is m3ter.bills
    assert m3ter.bills.line_items is m3ter.bills.line_items
    with pytest.raises(AttributeError):
        m3ter.bils  # type: ignore[attr-defined]  # noqa: B018


async def test_headers_say_who_calls_and_what_is_understood() -> None:
    transport = FakeTransport(lambda _: answer({"id": "b"}))
    async with client(transport) as m3ter:
        headers = (await sent_by(m3ter, transport)).headers
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("m3ter-async/")


async def test_a_call_that_is_cancelled_leaves_nothing_behind() -> None:
    async def serve(_: Request) -> Response:
        await anyio.sleep_forever()
        raise AssertionError

    transport = FakeTransport(serve)
    async with client(transport) as m3ter:
        with anyio.move_on_after(0.01):
            await m3ter.bills.retrieve("b")
        assert transport.in_flight == 0
