"""What users get for their own tests: fixtures, no waiting, recordings without secrets, and made-up answers."""

from __future__ import annotations

import base64
import contextvars
import json
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import msgspec
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from m3ter_async import (
    APIConnectionError,
    AsyncM3ter,
    HttpxTransport,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    Transport,
    TransportError,
)
from m3ter_async.models import Bill, BillLineItem, Charge
from m3ter_async.sandbox import Sandbox
from m3ter_async.sandbox.contract import ROUTES
from m3ter_async.testing import Exchange, RecordingTransport, ReplayTransport, Routes, no_waits
from m3ter_async.testing.exchanges import from_line, to_line
from m3ter_async.testing.skipped_waits import SkippingClock
from m3ter_async.transports.protocol import Request, Response

from ..fakes import KEY, ORG, SECRET, TOKEN, Answer, FakeTransport, answer
from ..wire import Pair

pytest_plugins = ["pytester"]

HOST = "https://api.m3ter.com"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(bills=30) as sandbox:
        yield sandbox


def client_of(sandbox: Sandbox, transport: Transport) -> AsyncM3ter:
    with no_waits():
        return AsyncM3ter(
            sandbox.api_key, sandbox.api_secret, sandbox.org_id, base_url=sandbox.url, transport=transport
        )


# The fixtures

BY_ANYIO = """
import os
import pytest
from m3ter_async import AsyncM3ter, HttpxTransport

pytestmark = pytest.mark.anyio

@pytest.fixture
async def account(m3ter_client):
    account = await m3ter_client.accounts.create(name="Acme", code="acme", email_address="a@acme.example")
    yield account
    assert (await m3ter_client.accounts.delete(account.id)).id == account.id

@pytest.mark.parametrize("again", [False, True])
async def test_each_has_a_sandbox_of_its_own(account, m3ter_client, m3ter_sandbox, again):
    assert (await m3ter_client.accounts.get_by_code("acme")).id == account.id
    assert m3ter_sandbox.applied == {"PostAccount": 1}
    assert len(await m3ter_client.bills.list().collect()) == 50

async def test_nothing_is_waited_for(m3ter_client, m3ter_sandbox):
    m3ter_sandbox.fail_next(4, 429, retry_after=20)
    await m3ter_client.bills.list()

@pytest.mark.m3ter_sandbox(seed=3, bills=2)
async def test_the_marker_says_what_is_in_it(m3ter_client, m3ter_sandbox):
    assert len(await m3ter_client.bills.list().collect()) == 2
    assert m3ter_sandbox.truth().bills == 2

async def test_the_environment_points_to_it(m3ter_sandbox):
    async with AsyncM3ter(transport=HttpxTransport()) as m3ter:
        assert m3ter.org_id == m3ter_sandbox.org_id
        assert (await m3ter.bills.list(page_size=1)).data

def test_one_that_is_not_async_needs_no_plugin(m3ter_sandbox):
    assert m3ter_sandbox.url
"""

BY_PYTEST_ASYNCIO = BY_ANYIO.replace("mark.anyio", "mark.asyncio").replace(
    "@pytest.fixture", "@__import__('pytest_asyncio').fixture"
)


def run(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    options = ("-q", "-W", "error", "-p", "m3ter_async.pytest_plugin")
    return pytester.runpytest_subprocess(*options, *arguments)


@pytest.fixture
def no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.usefixtures("no_other_plugins")
def test_the_fixtures_serve_tests_that_anyio_runs_on_either_loop(pytester: pytest.Pytester) -> None:
    run(pytester, BY_ANYIO, "-p", "anyio").assert_outcomes(passed=2 * 5 + 1)


def test_the_fixtures_serve_tests_that_pytest_asyncio_runs(pytester: pytest.Pytester) -> None:
    source = BY_PYTEST_ASYNCIO.replace("def test_one_that_is_not", "async def test_one_that_is_not")
    run(pytester, source, "-o", "asyncio_default_fixture_loop_scope=function").assert_outcomes(passed=6)


BOTH = """
import asyncio
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture(autouse=True)
def _everywhere(anyio_backend): ...

loops = set()

@pytest.mark.asyncio
async def test_by_pytest_asyncio(m3ter_client, m3ter_sandbox):
    assert len(await m3ter_client.bills.list().collect()) == 50
    m3ter_sandbox.fail_next(2, 429, retry_after=20)
    await m3ter_client.bills.list()

@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("again", [False, True])
async def test_in_a_loop_for_all(m3ter_client, again):
    loops.add(asyncio.get_running_loop())
    assert len(loops) == 1
    assert len(await m3ter_client.bills.list().collect()) == 50
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_fixture_serves_pytest_asyncio_beside_a_fixture_for_anyio(pytester: pytest.Pytester, mode: str) -> None:
    options = ("-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function")
    run(pytester, BOTH, *options).assert_outcomes(passed=3)


SCOPES = """
import asyncio
import pytest

loops = {}

@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("scope", [
    pytest.param(scope, marks=pytest.mark.asyncio(**({"loop_scope": scope} if scope else {})))
    for scope in ("function", "class", "module", "package", "session", None)
])
class TestLoops:
    async def test_the_client_lives_in_the_loop_of_the_test(self, m3ter_client, scope, again):
        loop = loops.setdefault(scope, asyncio.get_running_loop())
        assert (loop is asyncio.get_running_loop()) is (not again or scope != "function")
        assert len(await m3ter_client.bills.list().collect()) == 50
"""


def test_the_fixture_follows_the_loop_that_pytest_asyncio_runs_the_test_in(pytester: pytest.Pytester) -> None:
    # older ones leave a loop open now and then
    lenient = ("-W", "ignore::ResourceWarning", "-W", "ignore::pytest.PytestUnraisableExceptionWarning")
    options = (
        *lenient,
        "-o",
        "asyncio_default_test_loop_scope=module",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    )
    run(pytester, SCOPES, *options).assert_outcomes(passed=12)


@pytest.mark.usefixtures("no_other_plugins")
def test_who_needs_no_fixture_loads_next_to_nothing(pytester: pytest.Pytester) -> None:
    source = """
import sys

def test_nothing_is_loaded():
    ours = {name for name in sys.modules if name.startswith("m3ter_async")}
    assert ours == {"m3ter_async", "m3ter_async.version", "m3ter_async.pytest_plugin"}
    unwanted = {"anyio", "msgspec", "aiohttp", "httpx", "respx", "pytest_asyncio"}
    if sys.version_info < (3, 14):  # pytest loads pdb, which loads asyncio from then on
        unwanted.add("asyncio")
    assert not unwanted & set(sys.modules)
"""
    run(pytester, source).assert_outcomes(passed=1)


@pytest.mark.usefixtures("no_other_plugins")
def test_what_cannot_work_is_explained(pytester: pytest.Pytester) -> None:
    source = """
import pytest

def test_a_client_without_a_loop(m3ter_client): ...

@pytest.mark.m3ter_sandbox(bils=2)
def test_a_slip_of_the_pen(m3ter_sandbox): ...
"""
    result = run(pytester, source)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*m3ter_client needs a test marked with*", "*unexpected keyword argument 'bils'*"])


def test_pytest_finds_the_plugin_under_the_name_of_its_module() -> None:
    """Under another one, asking for it with -p where it is installed would be a plugin registered twice."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    assert '"m3ter_async.pytest_plugin" = "m3ter_async.pytest_plugin"' in project.read_text(encoding="utf-8")


# No waiting


async def test_nothing_is_waited_for_and_all_else_is_as_ever() -> None:
    faults: list[Answer] = [answer({}, 429, retry_after="30"), answer({}, 503, retry_after="30")]
    transport = FakeTransport([*faults, TransportError("reset"), *[answer({"id": "b"})] * 200])
    with no_waits():
        m3ter = AsyncM3ter(KEY, SECRET, ORG, transport=transport, rate_limit=1)
    began = time.monotonic()
    async with m3ter:
        for _ in range(20):
            await m3ter.bills.retrieve("b")
    assert time.monotonic() - began < 5
    assert len(transport.requests) == 23
    stats = m3ter.stats()
    assert (stats.retries, stats.pauses) == (3, 1)
    assert stats.waits > 10  # under the rate limit, as it would be in real time


async def test_an_hours_wait_ends_as_it_would_after_an_hour() -> None:
    with no_waits():
        m3ter = AsyncM3ter(
            KEY, SECRET, ORG, transport=FakeTransport(lambda _: answer({}, 429, retry_after="3600")), max_retries=3
        )
    with anyio.fail_after(5), pytest.raises(RateLimitError):
        await m3ter.bills.retrieve("b")


async def test_those_who_sleep_side_by_side_skip_the_same_time() -> None:
    clock = SkippingClock()
    began, wall = clock.now(), clock.wall()
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(clock.sleep, 60)
    assert 60 <= clock.now() - began < 70
    assert 60 <= clock.wall() - wall < 70
    await clock.sleep(5)
    assert 65 <= clock.now() - began < 75


async def test_only_clients_made_within_the_block_are_concerned() -> None:
    clients: list[AsyncM3ter] = []

    async def make() -> None:
        clients.append(AsyncM3ter(KEY, SECRET, ORG, transport=FakeTransport([])))

    async with anyio.create_task_group() as tasks:
        await make()
        with no_waits():
            await make()
            tasks.start_soon(make)  # as the start of an application does
            await anyio.lowlevel.checkpoint()
        await make()
    kinds = sorted(type(m3ter._pipeline.clock).__name__ for m3ter in clients)
    assert kinds == ["Clock", "Clock", "SkippingClock", "SkippingClock"]


def test_threads_that_begin_within_the_block_are_concerned_and_no_other() -> None:
    """An application that a test client runs is in such a thread, with a context of its own."""
    work: queue.Queue[Callable[[], object]] = queue.Queue()
    found: dict[str, str] = {}

    def make(name: str) -> None:
        client = AsyncM3ter(KEY, SECRET, ORG, transport=FakeTransport([]))
        found[name] = type(client._pipeline.clock).__name__

    def serve() -> None:
        while True:
            work.get()()
            work.task_done()

    def elsewhere(name: str) -> None:
        thread = threading.Thread(target=make, args=[name])
        thread.start()
        thread.join()

    threading.Thread(target=serve, daemon=True).start()
    with no_waits():
        elsewhere("begun within")
        with no_waits():
            elsewhere("begun within two")
        elsewhere("begun after the inner one")
        work.put(lambda: make("begun before"))
        work.join()
        contextvars.Context().run(make, "another context")
    elsewhere("begun after")
    make("after")
    assert found == {
        "begun within": "SkippingClock",
        "begun within two": "SkippingClock",
        "begun after the inner one": "SkippingClock",
        "begun before": "Clock",
        "another context": "Clock",
        "begun after": "Clock",
        "after": "Clock",
    }


def test_an_application_under_a_test_client_waits_for_nothing() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    fastapi = pytest.importorskip("fastapi")
    transport = FakeTransport([answer({}, 429, retry_after="30"), answer({"id": "b"})])

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, AsyncM3ter]]:
        async with AsyncM3ter(KEY, SECRET, ORG, transport=transport) as m3ter:
            yield {"m3ter": m3ter}

    app = fastapi.FastAPI(lifespan=lifespan)

    async def bill(request: Any) -> str:
        found: str = (await request.state.m3ter.bills.retrieve("b")).id
        return found

    bill.__annotations__["request"] = fastapi.Request
    app.get("/bill")(bill)
    began = time.monotonic()
    with no_waits(), testclient.TestClient(app) as caller:
        assert caller.get("/bill").json() == "b"
    assert time.monotonic() - began < 10
    assert len(transport.requests) == 2


# Recordings

EXACT = Decimal("0.10000000000000000000000000000000000001")


async def session(m3ter: AsyncM3ter, sandbox: Sandbox | None) -> list[object]:
    """What some program sees of the service; `sandbox` makes trouble on the way."""
    seen: list[object] = [await m3ter.bills.list(page_size=7).collect(limit=20)]
    balance = (await m3ter.balances.list(page_size=1)).data[0]
    if sandbox is not None:
        sandbox.fail_next(1, 503, retry_after=3)
        sandbox.fail_next(1, "drop")
    seen.append(await m3ter.bills.retrieve(seen[0][0].id))  # type: ignore[index]
    kind = (await m3ter.transaction_types.list(page_size=1)).data[0].id
    made = await m3ter.balances.transactions.create(balance.id, amount=EXACT, transaction_type_id=kind)
    assert made.amount == EXACT
    seen.append(made)
    with pytest.raises(NotFoundError) as missing:
        await m3ter.bills.retrieve("none")
    seen.append((str(missing.value), missing.value.body, missing.value.request_id))
    if sandbox is not None:
        sandbox.fail_next(1, "drop", operation="PostBalanceTransaction", applied=True)
    with pytest.raises(APIConnectionError) as lost:
        await m3ter.balances.transactions.create(balance.id, amount=1, transaction_type_id=kind)
    assert lost.value.outcome_unknown
    seen.append(str(lost.value))
    return seen


class TestRecordings:
    @pytest.fixture
    def anyio_backend(self, pair: Pair) -> str:
        return pair.backend

    async def test_what_was_recorded_is_played_again_to_the_last_digit(
        self, pair: Pair, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "session.jsonl"
        recorder = RecordingTransport(pair.transport(), path)
        async with client_of(sandbox, recorder) as m3ter:
            seen = await session(m3ter, sandbox)
            assert m3ter.stats().connections is not None
        for recording in (path, recorder.exchanges):
            replay = ReplayTransport(recording)
            async with client_of(sandbox, replay) as m3ter:
                assert await session(m3ter, None) == seen
            assert replay.left == []

    async def test_no_secret_is_kept(self, pair: Pair, sandbox: Sandbox, tmp_path: Path) -> None:
        path = tmp_path / "secrets.jsonl"
        recorder = RecordingTransport(pair.transport(), path)
        async with client_of(sandbox, recorder) as m3ter:
            with pytest.raises(NotFoundError):
                await m3ter.accounts.retrieve(sandbox.api_secret)
            await m3ter.webhooks.create(
                name="w",
                code="w",
                description="w",
                url="https://hooks.example.com/?sig=s3cret",
                credentials={"type": "M3TER_SIGNED_REQUEST", "apiKey": "webhooks-key", "secret": 'webhooks-"secret'},
                active=True,
            )
            await m3ter.authentication.get_bearer_token(grant_type="client_credentials")
            held = m3ter._pipeline.parts.tokens.current()
            assert held is not None
            token = held.header.removeprefix("Bearer ")
            await m3ter.bills.list(page_size=1)
        kept = path.read_text(encoding="utf-8") + repr(recorder.exchanges)
        basic = base64.b64encode(f"{sandbox.api_key}:{sandbox.api_secret}".encode()).decode()
        for secret in (sandbox.api_key, sandbox.api_secret, basic, token, "webhooks-key", "webhooks-", "s3cret"):
            assert secret not in kept
        assert "Authorization" not in kept
        assert "oauth" not in kept
        assert [exchange.method for exchange in recorder.exchanges] == ["GET", "POST", "GET"]

    async def test_files_that_are_streamed_are_recorded_as_well(
        self, pair: Pair, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "files.jsonl"
        document = b'[{"uid":"u1","meter":"m","account":"a","ts":"2024-01-01T00:00:00Z","measure":{"x":1.10}}]'

        async def program(m3ter: AsyncM3ter) -> bytes:
            place = await m3ter.usage.file_uploads.generate_upload_url(
                content_length=len(document), content_type="application/json", file_name="m.json"
            )
            await m3ter.upload(place.url, [document[:9], document[9:]], headers=place.headers, length=len(document))
            bill = (await m3ter.bills.list(page_size=1)).data[0]
            return await m3ter.download((await m3ter.statements.get_json(bill.id)).download_url)

        async with client_of(sandbox, RecordingTransport(pair.transport(), path)) as m3ter:
            statement = await program(m3ter)
        assert len(statement) > 100
        async with client_of(sandbox, replay := ReplayTransport(path)) as m3ter:
            assert await program(m3ter) == statement
        assert replay.left == []


async def exchange(transport: Transport, method: str, path: str, body: bytes | None = None) -> Response:
    return await transport.send(Request(method, HOST + path, {"Authorization": f"Bearer {TOKEN}"}, body))


async def test_what_was_not_recorded_is_no_silent_success() -> None:
    replay = ReplayTransport([Exchange("POST", "/a?b=1", b'{"amount":1}', 200, {}, b"{}")])
    for method, path, body in (
        ("GET", "/a?b=1", b""),
        ("POST", "/a", b'{"amount":1}'),
        ("POST", "/a?b=2", b'{"amount":1}'),
    ):
        with pytest.raises(AssertionError, match=r"is not in what is left of the recording$"):
            await exchange(replay, method, path, body)
    with pytest.raises(AssertionError, match=r"POST /a\?b=1 .*, but with another body"):
        await exchange(replay, "POST", "/a?b=1", b'{"amount":2}')
    assert len(replay.left) == 1
    await exchange(replay, "POST", "/a?b=1", b'{"amount":1}')
    with pytest.raises(AssertionError):
        await exchange(replay, "POST", "/a?b=1", b'{"amount":1}')


async def test_a_call_made_twice_gets_its_answers_in_the_order_of_the_recording() -> None:
    replay = ReplayTransport([Exchange("GET", "/a", b"", 200, {}, body) for body in (b"1", b"2")])
    assert [(await exchange(replay, "GET", "/a")).content for _ in range(2)] == [b"1", b"2"]


BODIES = [
    b"",
    b"null",
    b'"text"',
    b"17",
    b"0.1000000000000000000000000000000000001",
    b'{"a":1.50,"b":[1e400]}',
    b"a,b\r\n1,2\r\n",
    b"\xff\x00",
    b'{"a":',
    b"[" * 5_000,
    "ümläut".encode(),
    b'{"lone":"\\ud800"}',
    b' {"a": 1.10}',
    b'{"a": 1.10}\n',
    b'{\r\n "a": 1.10,\n\n "b": []\n}',
    b'{"a":\t1}\t',
    b"[1,\r2]",
    b"\n",
    b" ",
    b"\xef\xbb\xbf{}",
    "a\u2028b\u0085c".encode(),
    b'{"a":1,"a":2}',
    b"-0",
    b"1E+2",
    b'"\\u0041"',
    b"a\x00b",
]


JSON_TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
).flatmap(
    lambda value: st.sampled_from([None, 1]).map(
        lambda indent: f"{json.dumps(value, indent=indent)}{indent or ''}".encode()
    )
)


async def test_any_body_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bodies.jsonl"
    left = list(BODIES)
    recorder = RecordingTransport(FakeTransport(lambda _: Response(200, {}, left.pop(0))), path)
    for body in BODIES:
        await exchange(recorder, "PUT", "/a", body)
    await recorder.aclose()
    assert path.read_bytes().count(b"\n") == len(BODIES)
    replay = ReplayTransport(path)
    assert [(await exchange(replay, "PUT", "/a", body)).content for body in BODIES] == BODIES


@given(st.binary() | st.text().map(str.encode) | JSON_TEXTS)
def test_every_body_comes_back_byte_for_byte(body: bytes) -> None:
    kept = Exchange("PUT", "/a", body, 200, {}, body)
    line = to_line(kept)
    assert line.count(b"\n") == 1
    assert from_line(line[:-1]) == kept


async def test_json_on_many_lines_is_one_line_of_the_file_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    body = b' {\r\n "a": 1.10\n}\n'
    recorder = RecordingTransport(FakeTransport([Response(200, {}, body)]), path)
    await exchange(recorder, "GET", "/a")
    await recorder.aclose()
    assert rb'"received_text":" {\r\n \"a\": 1.10\n}\n"' in path.read_bytes()
    assert (await exchange(ReplayTransport(path), "GET", "/a")).content == body


async def test_a_recording_of_before_can_still_be_played(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_bytes(b'{"method":"GET","target":"/a","status":200,"received":{"a":1.10}}\n' * 2)
    with path.open("ab") as file:
        file.write(b'{"method":"GET","target":"/b","status":200,"received":"YSxi"}\n')
    replay = ReplayTransport(path)
    assert (await exchange(replay, "GET", "/a")).content == b'{"a":1.10}'
    assert (await exchange(replay, "GET", "/b")).content == b"a,b"


async def test_of_a_presigned_url_everything_but_its_signature_is_kept(tmp_path: Path) -> None:
    """The URL is in the answer before, and is asked for without a token."""
    path = tmp_path / "signed.jsonl"
    url = "https://files.example.com/statement.json?X-Amz-Signature=abc&X-Amz-Date=1"
    answers = [answer({"downloadUrl": url}), answer(b'{"total":1.10}')]
    recorder = RecordingTransport(FakeTransport(answers), path)
    await exchange(recorder, "GET", "/url")
    await recorder.send(Request("GET", url, {}))
    await recorder.aclose()
    assert b"abc" not in path.read_bytes()
    replay = ReplayTransport(path)
    kept = msgspec.json.decode((await exchange(replay, "GET", "/url")).content)["downloadUrl"]
    assert kept.startswith("https://files.example.com/statement.json?")
    assert (await replay.send(Request("GET", kept, {}))).content == b'{"total":1.10}'


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"method":"GET"}', '{"method":"GET","target":"/","sent":"%"}'])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(ValueError, match="not a line of a recording"):
        ReplayTransport(path)


# Routes for respx


async def test_made_up_answers_are_typed_and_exact() -> None:
    routes = Routes(respx.MockRouter())
    item = BillLineItem(id="l", quantity=Decimal(3), subtotal=EXACT)
    bill = routes.answer("GetBill", Bill(id="b1", currency="USD", line_items=[item]), id="b1")
    charge = routes.answer("CreateCharge", {"message": "no such account"}, status=404)
    async with AsyncM3ter(KEY, SECRET, ORG, transport=routes.transport()) as m3ter:
        assert await m3ter.bills.retrieve("b1") == Bill(id="b1", currency="USD", line_items=[item])
        with pytest.raises(NotFoundError, match="no such account"):
            await m3ter.charges.create(
                account_id="a",
                amount=EXACT,
                currency="USD",
                entity_type="AD_HOC",
                line_item_type="AD_HOC",
                name="n",
                code="c",
                service_period_start_date="2024-01-01T00:00:00Z",
                service_period_end_date="2024-02-01T00:00:00Z",
            )
    assert bill.call_count == 1
    assert Decimal(str(EXACT)) == msgspec.json.decode(charge.calls.last.request.content, type=Charge).amount


async def test_they_stand_in_for_the_service_under_respx_itself() -> None:
    with respx.mock() as router:
        routes = Routes(router)
        routes.answer("SubmitMeasurements", {"result": "accepted"})
        route = routes.answer("GetBill", status=503, headers={"Retry-After": "9"})
        with no_waits():
            m3ter = AsyncM3ter(KEY, SECRET, ORG, transport=HttpxTransport())
        async with m3ter:
            with pytest.raises(InternalServerError) as caught:
                await m3ter.bills.retrieve("b1")
            assert caught.value.retry_after == 9
            assert route.call_count == 6
            await m3ter.usage.submit(measurements=[{"uid": "u", "meter": "m", "account": "a"}])


@pytest.mark.parametrize("sizes", [[], [2], [2, 0, 1]])
async def test_pages_follow_each_other(sizes: list[int]) -> None:
    pages = [[Bill(id=f"{place}-{row}") for row in range(size)] for place, size in enumerate(sizes)]
    routes = Routes(respx.MockRouter())
    listed = routes.pages("ListBills", *pages)
    # no offset names an empty page, so that a search has none but for its end
    routes.pages("SearchBills", *filter(None, pages))
    async with AsyncM3ter(KEY, SECRET, ORG, transport=routes.transport()) as m3ter:
        expected = [bill for page in pages for bill in page]
        assert await m3ter.bills.list().collect() == expected
        assert await m3ter.bills.search().collect() == expected
    assert listed.call_count == max(1, len(pages))


def test_a_misspelt_operation_or_parameter_is_named() -> None:
    routes = Routes(respx.MockRouter())
    with pytest.raises(ValueError, match="no operation 'GetBil'; did you mean 'GetBill'"):
        routes.answer("GetBil")
    with pytest.raises(ValueError, match="no operation 'x'"):
        routes.pages("x")
    with pytest.raises(ValueError, match="has no parameter bill_id"):
        routes.answer("GetBill", bill_id="b")


def test_each_operation_is_told_from_all_others_by_its_path() -> None:
    router = respx.MockRouter(assert_all_mocked=True)
    routes = Routes(router)
    for route in ROUTES:
        if route.operation != "GenerateToken":
            routes.answer(route.operation, {"operation": route.operation})
    for route in ROUTES:
        if route.operation != "GenerateToken":
            path = "/".join("some-id" if part[:1] == "{" else part for part in route.path.split("/"))
            found = router.handler(httpx.Request(route.method, HOST + path)).json()
            assert found == {"operation": route.operation}
