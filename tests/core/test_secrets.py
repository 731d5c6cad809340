"""Key, secret and token go over the wire and are seen nowhere else, whatever fails and whatever a server echoes."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import logging
import pickle
import re
import shutil
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain as chain_of
from itertools import cycle
from typing import Any
from urllib.parse import quote, quote_plus

import anyio
import pytest

from m3ter_async import APIConnectionError, APIError, AsyncM3ter, ConfigurationError, M3terError
from m3ter_async._core.redaction import Redactor, Secret
from m3ter_async.transports.protocol import Request, Response, Transport

from ..fakes import FakeTransport, client
from ..table import TABLE, Fault
from ..wire import Move, Pair, Received, Script, Wire, faults, grant, say, until, whole

# With all that changes its looks when it is encoded.
KEY = "MARKED-KEY/1+2&3=4"
SECRET = 'MARKED/SECRET+"quoted"\\&<ü>%??~>ÿÿ'
TOKEN = "MARKED.TOKEN/1+2=="
BASIC = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
assert {"/", "+", "="} < set(BASIC)
LOGIN = {"api_key": KEY, "api_secret": SECRET}


def forms(secret: str) -> set[str]:
    """How `secret` may look in a text."""
    made = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for ascii_only in (True, False):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        made |= {escaped, escaped.replace("/", r"\/")}
    return made | {
        re.sub("%..", lambda escape: escape[0].lower(), form) for form in made if "%" in form and "%?" not in form
    }


FORMS = {form for secret in (KEY, SECRET, TOKEN, BASIC) for form in forms(secret)}
# repr() doubles backslashes, and bytes show other letters as \x..
SHOWN = FORMS | {repr(form)[1:-1] for form in FORMS} | {repr(form.encode())[2:-1] for form in FORMS}


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception with all it came from, also what a traceback would not print."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [other for other in (one.__cause__, one.__context__) if other is not None]


def texts(error: BaseException) -> Iterator[str]:
    for one in chain(error):
        yield repr(one)
        yield str(one)
        yield repr(vars(one))
        yield "".join(traceback.TracebackException.from_exception(one, capture_locals=True).format())
    yield repr(pickle.dumps(error))
    if isinstance(error, APIError):
        yield error.body.decode(errors="replace")


def hidden(*shown: str) -> None:
    for text in shown:
        for form in SHOWN:
            at = text.find(form)
            if at >= 0:
                raise AssertionError(f"{form} in ...{text[max(0, at - 300) : at + 100]}...")


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


class Log:
    """All that all loggers said."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def text(self, *, without: str = "none") -> str:
        records = [record for record in self._caplog.records if not record.name.startswith(without)]
        return "\n".join(f"{record.name} {record.getMessage()} {record.args!r} {record.exc_text}" for record in records)


@pytest.fixture
async def log(caplog: pytest.LogCaptureFixture, pair: Pair) -> Log:
    for name in (None, "m3ter_async", "aiohttp", "aiohttp.client", "asyncio", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    if pair.backend == "asyncio":
        asyncio.get_running_loop().set_debug(True)
    return Log(caplog)


READING: Callable[[AsyncM3ter], Any] = lambda m3ter: m3ter.request("GET", "/x", type=int)  # noqa: E731
LISTING: Callable[[AsyncM3ter], Any] = lambda m3ter: m3ter.bills.list().collect()  # noqa: E731
STREAMING: Callable[[AsyncM3ter], Any] = lambda m3ter: m3ter.bills.list().raw().collect()  # noqa: E731
POSTING: Callable[[AsyncM3ter], Any] = lambda m3ter: m3ter.request("POST", "/x", body={"a": 1}, type=int)  # noqa: E731


async def failed(m3ter: AsyncM3ter, call: Callable[[AsyncM3ter], Any] | None = None) -> APIError:
    with pytest.raises(APIError) as caught:
        await (call or (lambda it: it.bills.retrieve("b1")))(m3ter)
    return caught.value


def leaks(received: Received) -> str:
    """Everything a server knows and might send back, in all its forms."""
    known = (KEY, SECRET, BASIC) if received.path == "/oauth/token" else (TOKEN, BASIC, KEY, SECRET)
    return " | ".join([received.headers["authorization"], *sorted(form for one in known for form in forms(one))])


def saying(make: Callable[[Received], Any], status: int = 200) -> Script:
    return lambda received: say(make(received), status)


@pytest.mark.parametrize("status", [302, 400, 401, 429, 500])
@pytest.mark.parametrize("at", ["api", "login"])
async def test_what_a_server_echoes_is_masked(pair: Pair, log: Log, status: int, at: str) -> None:
    def plain(received: Received) -> Move:
        return say(leaks(received).encode(), status)

    def message(received: Received) -> Move:
        return say({"message": leaks(received), "headers": received.headers}, status)

    def elsewhere(received: Received) -> Move:
        return say(b"", status, Location=f"http://127.0.0.1:1/?{quote(received.headers['authorization'])}")

    for echo in (plain, message, elsewhere):
        with Wire(echo if at == "api" else (), login=echo if at == "login" else [grant(TOKEN)]) as wire:
            async with wire.client(pair, **LOGIN, max_retries=1) as m3ter:
                error = await failed(m3ter)
        hidden(*texts(error), log.text(without="httpcore" if echo is elsewhere else "none"))
        assert error.status == status
        if echo is not elsewhere or status == 302:
            assert "redacted" in str(error) + repr(error.body)


async def test_what_a_server_echoes_in_headers_is_masked(pair: Pair, log: Log) -> None:
    """In error and success alike, and also where the body cannot be read. (httpcore itself logs headers.)"""

    def echo(received: Received, status: int, body: Any) -> Move:
        said = received.headers["authorization"]
        return say(body, status, X_Request_Id=said, X_Amzn_RequestId=said, Retry_After=said, X_Any=said)

    row_of_another_kind = {"data": [{"id": 1}]}
    for status, body in ((400, {}), (500, b""), (200, b"<html>"), (200, b'{"data": 1}'), (200, row_of_another_kind)):
        with Wire(partial(echo, status=status, body=body), login=[grant(TOKEN)]) as wire:
            async with wire.client(pair, **LOGIN, max_retries=1) as m3ter:
                error = await failed(m3ter, lambda m3ter: m3ter.bills.list().collect())
        hidden(*texts(error), log.text(without="httpcore"))


async def test_what_a_server_echoes_in_a_success_that_cannot_be_read_is_masked(pair: Pair, log: Log) -> None:
    bodies: list[Callable[[Received], Any]] = [
        lambda it: leaks(it).encode(),
        lambda it: [leaks(it)],
        lambda it: {"id": {"x": leaks(it)}},
        lambda it: {"data": [{"id": {leaks(it): 1}}]},
        lambda it: {"data": leaks(it)},
        lambda it: {"data": [], "nextToken": [leaks(it)]},
    ]
    for body in bodies:
        with Wire(saying(body), login=[grant(TOKEN)]) as wire:
            async with wire.client(pair, **LOGIN, max_retries=1) as m3ter:
                one = await failed(m3ter, lambda m3ter: m3ter.request("GET", "/x", type=int))
                many = await failed(m3ter, lambda m3ter: m3ter.bills.list().collect())
                hidden(*texts(one), *texts(many), log.text())


@pytest.mark.parametrize("fault", TABLE, ids=str)
async def test_no_fault_of_the_table_shows_a_secret_anywhere(pair: Pair, log: Log, fault: Fault) -> None:
    """On every kind of call, from a server that puts all it knows into what it sends.

    Searched are the logs of everybody at DEBUG, and of each error and all it came from the text, the attributes, the
    traceback with its local variables and the pickle; and the client with all within it.
    """

    def echo(received: Received) -> Move:
        said = leaks(received)
        return fault.make({"id": "b1", "data": [{"id": said}], "access_token": TOKEN, "token": said, "message": said})

    async def attempt(call: Callable[[AsyncM3ter], Any], at: str) -> None:
        with Wire(echo if at == "api" else (), login=echo if at == "login" else [grant(TOKEN)]) as wire:
            async with wire.client(pair, **{**LOGIN, "max_retries": 0, **fault.options}) as m3ter:
                error = await failed(m3ter, call)
                hidden(*texts(error), repr(m3ter), *everything(m3ter))

    places = [(READING, "api"), (READING, "login")] if "read" in fault.where else []
    places += [(LISTING, "api")] if "page" in fault.where else []
    places += [(STREAMING, "api")] if "raw" in fault.where else []
    places += [(POSTING, "api")] if "write" in fault.where else []
    async with anyio.create_task_group() as group:
        for call, at in places:
            if fault.name != "an empty page with a token":  # which is no failure
                group.start_soon(attempt, call, at)
    hidden(log.text())


async def test_the_log_holds_no_header_query_value_or_body_but_those_that_are_listed(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Listed are the request id, the query names of pages and dates, and the message of an error."""
    caplog.set_level(logging.DEBUG, "m3ter_async")
    names = ("Set-Cookie", "Location", "WWW-Authenticate", "X-Any", "Server", "ETag", "X-Amzn-RequestId")
    headers: dict[str, Any] = {name.replace("-", "_"): f"mark-{name}" for name in names}
    moves = [
        say({"message": "told", "other": "mark-error-body"}, 503, **headers),
        say({"message": "told", "other": "mark-error-body"}, 401, **headers),
        say({"message": "told"}, 302, **headers),
    ]
    answers = [say({"data": [{"id": "mark-row"}], "nextToken": "mark-next"}, 200, **headers), say({"data": []})]
    queries = {name: f"mark-{name}" for name in ("nextToken", "ids", "searchQuery", "apiKey", "token", "anything")}
    with Wire([moves[0], moves[1], *answers, moves[2]], login=[grant("mark-token")]) as wire:
        async with wire.client(pair, api_key="mark-key", api_secret="mark-secret") as m3ter:
            assert (
                len(await m3ter.bills.list(status="PENDING", account_id="mark-account", ids=["mark-id"]).collect()) == 1
            )
            with pytest.raises(APIError):
                await m3ter.request("POST", "/x", query=queries, body={"a": "mark-body"})
    records = [record for record in caplog.records if record.name.startswith("m3ter_async")]
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert "status=PENDING" in said
    assert "told" in said
    assert set(re.findall(r"mark-[\w-]+", said)) == {"mark-X-Amzn-RequestId"}


WRONG_LOGINS = {
    "cut": json.dumps({"access_token": TOKEN, "expires_in": 1})[:-9].encode(),
    "named otherwise": {"token": TOKEN},
    "nested": {"access_token": {"value": TOKEN}},
    "a life of another kind": {"access_token": TOKEN, "expires_in": "long"},
    "a bare string": TOKEN,
    "a list": [{"access_token": TOKEN}],
    "bytes in it": b'{"access_token": "' + TOKEN.encode() + b'\xff"}',
    "a line break in it": {"access_token": TOKEN + "\n", "expires_in": 1},
    "a page around it": b"<html>" + TOKEN.encode(),
}


@pytest.mark.parametrize("kind", WRONG_LOGINS)
async def test_a_login_that_goes_wrong_does_not_show_the_token(pair: Pair, log: Log, kind: str) -> None:
    """The client cannot know what in it is the token: so nothing of it may be seen."""
    for status in (200, 201):
        with Wire(login=[say(WRONG_LOGINS[kind], status)]) as wire:
            async with wire.client(pair, **LOGIN, max_retries=1) as m3ter:
                error = await failed(m3ter)
                other = await failed(m3ter, lambda m3ter: m3ter.bills.list().collect())
                hidden(*texts(error), *texts(other), log.text())
        assert error.path == "/oauth/token"
        assert error.body == b""


async def test_a_token_that_was_replaced_is_masked_as_well(pair: Pair, log: Log) -> None:
    """One call finds that the token ended, while the answer to another still carries it."""
    replaced = threading.Event()

    def late(received: Received) -> Move:
        data = whole({"message": received.headers["authorization"]}, 500)

        def act(peer: Any) -> None:
            replaced.wait(5)
            peer.send(data)

        return Move("late", act)

    def script(received: Received) -> Move:
        if received.path.endswith("late"):
            return late(received)
        if received.headers["authorization"].endswith(TOKEN):
            return say(b"", 401)
        replaced.set()
        return say({"id": "b1"})

    with Wire(script, login=[grant(TOKEN), grant("another-token")]) as wire:
        async with wire.client(pair, **LOGIN, max_retries=0) as m3ter, anyio.create_task_group() as group:
            errors: list[APIError] = []

            async def first() -> None:
                errors.append(await failed(m3ter, lambda m3ter: m3ter.bills.retrieve("late")))

            group.start_soon(first)
            await until(lambda: bool(wire.requests))
            await m3ter.bills.retrieve("b1")
    assert wire.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    hidden(*texts(errors[0]), log.text())


async def test_a_token_from_elsewhere_is_masked(pair: Pair, log: Log) -> None:
    for status in (401, 403, 500):
        with Wire(saying(lambda it: leaks(it).encode(), status)) as wire:
            async with wire.client(pair, token=TOKEN, api_key=None, api_secret=None, max_retries=1) as m3ter:
                with pytest.raises(APIError) as caught:
                    await m3ter.bills.retrieve("b1")
                error, view = caught.value, m3ter.with_options(timeout=1)
                for text in (*texts(error), log.text(), repr(vars(m3ter)), repr(vars(view))):
                    assert not [form for form in forms(TOKEN) if form in text]


async def test_secrets_read_from_the_environment_are_masked(
    pair: Pair, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M3TER_API_KEY", KEY)
    monkeypatch.setenv("M3TER_API_SECRET", SECRET)
    with Wire(login=lambda received: say(leaks(received).encode(), 400)) as wire:
        async with wire.client(pair, api_key=None, api_secret=None) as m3ter:
            error = await failed(m3ter)
            hidden(*texts(error), log.text(), repr(vars(m3ter)))


def everything(thing: Any, depth: int = 6, seen: set[int] | None = None) -> Iterator[str]:
    """The repr of `thing` and of all that it holds."""
    seen = set() if seen is None else seen
    if id(thing) in seen or depth == 0:
        return
    seen.add(id(thing))
    yield repr(thing)
    held = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    held += [getattr(thing, name) for name in getattr(type(thing), "__slots__", ()) if hasattr(thing, name)]
    if isinstance(thing, dict):
        held += thing.values()
    elif isinstance(thing, (list, tuple, set)):
        held += thing
    for one in held:
        if type(one).__module__.startswith("m3ter_async") or isinstance(one, (dict, list, tuple, set)):
            yield from everything(one, depth - 1, seen)


class Watching:
    """A transport that keeps what passes through it."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.passed: list[Request | Response] = []

    async def send(self, request: Request) -> Response:
        self.passed.append(request)
        answer = await self.inner.send(request)
        self.passed.append(answer)
        return answer

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_no_object_shows_a_secret(pair: Pair, log: Log) -> None:
    """Clients, views, paginators, requests, responses, and all that is within them, while they are used."""
    with Wire([say({"data": [{"id": "b1"}, {"id": "b2"}]})], login=[grant(TOKEN)]) as wire:
        transport = Watching(pair.transport())
        async with wire.client(pair, **LOGIN, transport=transport) as m3ter:
            bills = m3ter.bills.list()
            records = bills.__aiter__()
            await records.__anext__()
            view = m3ter.with_options(org_id="other")
            things = [m3ter, view, m3ter.bills, bills, records, bills.raw(), await bills, *transport.passed]
            for thing in things:
                hidden(repr(thing), str(thing), f"{thing}", *everything(thing))
            hidden(log.text(), traceback_of_locals(m3ter, bills, records))
    assert len(transport.passed) >= 4


def traceback_of_locals(*kept: Any) -> str:
    """What a crash in a user's own code, with our objects around, would show."""
    try:
        raise ValueError("of the user")
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


async def test_neither_clients_nor_secrets_can_be_pickled(pair: Pair) -> None:
    with Wire() as wire:
        async with wire.client(pair, **LOGIN) as m3ter:
            for act in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError):
                    act(m3ter)
    with pytest.raises(TypeError):
        pickle.dumps(Secret(SECRET))


@pytest.mark.parametrize(
    "options",
    [
        {"api_secret": SECRET},
        {"api_key": KEY},
        {**LOGIN, "timeout": -1},
        {**LOGIN, "base_url": "http://example.com"},
        {"api_key": KEY + ":", "api_secret": SECRET},
        {"token": TOKEN + " "},
        {**LOGIN, "org_id": ""},
    ],
    ids=["no key", "no secret", "timeout", "http", "colon", "token", "organization"],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_that_cannot_be_made_shows_nothing(options: dict[str, Any]) -> None:
    """The frame of the constructor is in the traceback, with its arguments."""
    given: dict[str, Any] = {
        "org_id": "o",
        **{name: Secret(value) if "api" in name else value for name, value in options.items()},
    }
    plain: dict[str, Any] = {
        name: str.__str__(value) if isinstance(value, Secret) else value for name, value in given.items()
    }
    with pytest.raises(ConfigurationError) as caught:
        AsyncM3ter(**plain)
    error: BaseException | None = caught.value
    assert error is not None
    while error is not None:
        # all frames but this test's own
        entry = error.__traceback__
        error.__traceback__ = entry.tb_next if entry is not None else None
        error = error.__context__
    hidden(*texts(caught.value))


async def test_a_redirect_elsewhere_carries_nothing_there(pair: Pair, log: Log) -> None:
    with Wire() as other:
        for status in (301, 302, 303, 307, 308):
            moved = say(b"", status, Location=f"{other.url}/oauth/token?to={status}")
            for script, login in (([moved], [grant(TOKEN)]), ([], [moved])):
                with Wire(script, login=login) as wire:
                    async with wire.client(pair, **LOGIN) as m3ter:
                        error = await failed(m3ter)
                assert error.status == status
                assert other.url in str(error)  # whoever misconfigured a URL wants to know
        assert (other.accepted, other.requests, other.logins) == (0, [], [])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="nothing here makes a certificate")
async def test_a_host_whose_certificate_nobody_vouches_for_is_told_nothing(
    pair: Pair, log: Log, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("certificate")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    made = [*make.split(), "-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    await anyio.run_process(made)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # the handshake that fails, and the end of the test
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as talk:
                    heard.append(talk.recv(65_536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        async with AsyncM3ter(
            KEY, SECRET, "org-1", base_url=url, transport=pair.transport(), max_retries=0, timeout=5
        ) as m3ter:
            error = await failed(m3ter)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert type(error) is APIConnectionError
    assert "certificate" in str(error).lower()
    assert b"".join(heard) == b""
    hidden(*texts(error), log.text())


async def test_an_error_survives_pickling_with_all_it_carries(pair: Pair) -> None:
    moves = {
        "status": say({"message": "no"}, 400, X_Request_Id="r-1"),
        "unreadable": say(b'{"data": 7, "id": 7}'),
        "broken": faults({})["closed mid-body"],
        "not JSON": say(b"<html>"),
    }
    for move in moves.values():
        with Wire([move]) as wire:
            async with wire.client(pair, max_retries=1) as m3ter:
                read = await failed(m3ter, lambda m3ter: m3ter.bills.list(next_token="t7").collect())
                write = await failed(m3ter, lambda m3ter: m3ter.balances.transactions.create("e", amount=1))
        assert read.next_token == "t7"
        for error in (read, write):
            for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
                assert type(again) is type(error)
                assert (str(again), vars(again), again.args) == (str(error), vars(error), error.args)


async def test_the_error_of_a_closed_client_survives_pickling(pair: Pair) -> None:
    entered = threading.Event()

    def act(peer: Any) -> None:
        entered.set()
        peer.stall()

    with Wire(login=[Move("stalls", act)]) as wire:
        m3ter = wire.client(pair)
        errors: list[M3terError] = []

        async def call() -> None:
            with pytest.raises(M3terError) as caught:
                await m3ter.bills.retrieve("b1")
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(entered.is_set)
            await m3ter.aclose()
    again = pickle.loads(pickle.dumps(errors[0]))
    assert (type(again), str(again)) == (type(errors[0]), str(errors[0]))


# The mask itself.


def test_a_secret_across_the_cut_is_masked_however_often_it_comes() -> None:
    """What is masked gets shorter: nothing of what lies behind the cut may slip into the part that is kept."""
    secret = "S3CR3T" * 8
    for most in range(50, 1200, 7):
        kept = Redactor([secret]).clean((secret * 60).encode(), most)
        assert b"S3CR" not in kept
        assert len(kept) <= most
        kept = Redactor([secret]).clean(b"x" * (most - 3) + (secret * 2).encode(), most)
        assert b"S3CR" not in kept


def test_a_mask_longer_than_the_secret_breaks_no_text() -> None:
    secret = "k" * 8
    assert "üü" in Redactor([secret]).text(secret * 3 + "ü" * 20)
    for text in ("kü", "kkü", "ükü€", "k€k€", "€" * 9 + "k"):
        assert "k" not in Redactor([secret]).text(text.replace("k", secret)).replace("[redacted]", "")


@pytest.mark.parametrize("secret", ["", "k", "ess", "able", "process", "Entity"])
def test_a_secret_that_is_too_short_for_one_masks_no_part_of_a_word(secret: str) -> None:
    text = "422 Unprocessable Entity"
    assert Redactor([secret, "a-real-secret"]).text(f"{text}: a-real-secret") == f"{text}: [redacted]"


def test_a_character_beyond_the_basic_plane_is_masked_in_all_its_forms() -> None:
    secret = "secret-𐀀\U0010ffff"
    for form in forms(secret):
        assert Redactor([secret]).text(f"a {form} b") == "a [redacted] b"


QUIETLY = """
import os, sys
import anyio
from m3ter_async import APIError, AsyncM3ter, AiohttpTransport, HttpxTransport
from m3ter_async.testing import no_waits

opened = []
watching = False

def hook(event, arguments):
    if watching and event in ("open", "import", "os.listdir", "os.scandir"):
        opened.append((event, str(arguments[0])))

sys.addaudithook(hook)

async def main(url, transport):
    global watching
    with no_waits():
        m3ter = AsyncM3ter("key-of-the-tests", "secret-öf-the-t€sts-𐀀", "o", base_url=url, max_retries=1,
                           transport=transport())
        refused = AsyncM3ter("key-of-the-tests", "secret-of-the-tests", "o", base_url=sys.argv[4], max_retries=1,
                             transport=transport())
    async with m3ter, refused:
        transactions = m3ter.balances.transactions
        await m3ter.bills.retrieve("b")  # what a success needs is loaded
        watching = True
        for _ in range(int(sys.argv[2])):
            try:
                await m3ter.bills.retrieve("b")
            except APIError as error:
                str(error), repr(error)
        for _ in range(int(sys.argv[2])):
            try:
                await transactions.create("b", amount=1, transaction_type_id="t")
            except APIError as error:
                str(error), repr(error)
        for _ in range(3):
            try:
                await refused.bills.retrieve("b")
            except APIError as error:
                str(error), repr(error)
        watching = False

anyio.run(main, sys.argv[1], {"aiohttp": AiohttpTransport, "httpx": HttpxTransport}[sys.argv[3]])
print(opened)
"""


def closed_port() -> str:
    """A URL that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("backend", ["aiohttp", "httpx"])
async def test_a_failure_neither_imports_nor_opens_anything(backend: str) -> None:
    """It may be that no file can be opened any more that it came to it."""
    good = say({"id": "b"})
    bad = [
        say({"message": "nö €"}, 422),
        say(b"<html>", 500, Retry_After="0"),
        say({}, 429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
        say({}, 302, Location="https://elsewhere.example/?a=1"),
        say({}, 403),
        say(b"\xff\xfe", 200),
        say({"id": 7}, 200),
        faults({})["closed instead of an answer"],
        faults({})["closed mid-body"],
    ]
    moves = chain_of([good], cycle(bad))
    with Wire(lambda _: next(moves)) as wire:
        result = await anyio.run_process(
            [sys.executable, "-c", QUIETLY, wire.url, str(len(bad)), backend, closed_port()], stderr=None, check=True
        )
    assert result.stdout.decode().strip() == "[]"


@pytest.mark.parametrize("body", [b'{"access_token": "%b", "expires_in": "soon"}', b'{"access_token": "%b", "expi'])
async def test_a_login_by_hand_that_goes_wrong_does_not_show_the_token(pair: Pair, body: bytes) -> None:
    """Asked for as a call of its own, a token goes the way of any answer, but for what an error keeps of it."""
    transport = FakeTransport([], login=lambda _: Response(200, {}, body % TOKEN.encode()))
    async with client(transport, max_retries=1) as m3ter:
        with pytest.raises(APIError) as caught:
            await m3ter.authentication.get_bearer_token(grant_type="client_credentials")
    assert caught.value.body == b""
    hidden(*texts(caught.value))
