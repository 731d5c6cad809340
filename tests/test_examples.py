"""Every example runs, and the services do what they say: no work for callers who have gone, no write cut off."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from decimal import Context, Decimal, localcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import uvicorn
from aiohttp import web

from examples import aiohttp_app, fastapi_app
from m3ter_async import AsyncM3ter
from m3ter_async.sandbox import Sandbox

from .wire import until

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXACT = Context(prec=60)
NEW = {"code": "c1", "amount": "12.340000000000000000000000000001", "currency": "USD", "day": "2024-01-01"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(bills=300) as sandbox:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        yield sandbox


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_example_is_tried_here() -> None:
    assert {path.name for path in EXAMPLES.glob("[!_]*.py")} == {
        *("fastapi_app.py", "aiohttp_app.py", "totals.py", "fan_out.py", "export_job.py")
    }


def test_totals_are_exact(sandbox: Sandbox) -> None:
    result = script("totals.py")
    truth = sandbox.truth()
    amounts = [f"{currency} {amount:f}" for currency, amount in sorted(truth.line_item_subtotals.items())]
    assert (result.stdout.splitlines(), result.stderr) == ([*amounts, f"{truth.bills} bills"], "")


def test_the_fan_out_has_a_line_for_every_account_that_was_billed(sandbox: Sandbox) -> None:
    result = script("fan_out.py")
    assert result.stderr == ""
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert len(rows) == len({row["account"] for row in rows}) > 10
    assert sandbox.requests["GetLatestBill"] >= len(rows)
    assert all(Decimal(row["total"]).is_finite() for row in rows)


def test_the_export_says_when_it_is_not_finished_and_goes_on_from_there(sandbox: Sandbox, tmp_path: Path) -> None:
    days = ("2000-01-01", "2030-01-01", str(tmp_path))
    sandbox.fail_next(1, 400, operation="ListBills")
    broken = script("export_job.py", *days)
    assert broken.returncode == 1
    assert broken.stderr.startswith("not finished: ")
    done = script("export_job.py", *days)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for file in tmp_path.rglob("*.ndjson") for line in file.read_text(encoding="utf-8").splitlines()]
    bills = [json.loads(line)["id"] for line in lines]
    assert done.stdout.startswith(f"{len(bills)} bills in ")
    assert len(bills) == len(set(bills)) == sandbox.truth().bills


# The services, each as it is served


@contextmanager
def served_by_uvicorn() -> Generator[str]:
    config = uvicorn.Config(fastapi_app.app, port=0, log_level="error", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def served_by_aiohttp() -> Generator[str]:
    started: Future[tuple[int, Callable[[], object]]] = Future()

    async def serve() -> None:
        ended = asyncio.Event()
        stop = partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set)
        runner = web.AppRunner(aiohttp_app.make_app(), handler_cancellation=True, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.set_result((runner.addresses[0][1], stop))
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, stop = started.result(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()
        thread.join()


@pytest.fixture(params=[served_by_uvicorn, served_by_aiohttp], ids=["fastapi", "aiohttp"])
def service(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[str]:
    with request.param() as url:
        yield url


def call(service: str, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, service + path, timeout=10, trust_env=False, **options)


async def hang_up_during(service: str, request: str, met: Callable[[], bool]) -> None:
    """Send a request, and close the connection as soon as `met`."""
    host, port = service.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    await until(met)
    writer.transport.abort()


def quiet(sandbox: Sandbox) -> Callable[[], bool]:
    """Whether no request came in for 0.3 seconds."""
    seen, since = sandbox.requests.total(), time.monotonic()

    def met() -> bool:
        nonlocal seen, since
        if sandbox.requests.total() != seen:
            seen, since = sandbox.requests.total(), time.monotonic()
        return time.monotonic() - since > 0.3

    return met


def test_one_client_serves_all_requests_with_one_login(service: str, sandbox: Sandbox) -> None:
    with localcontext(EXACT):
        expected = {currency: f"{amount:f}" for currency, amount in sandbox.truth().line_item_subtotals.items()}
    for _ in range(3):
        assert call(service, "GET", "/totals").json() == expected
    assert sandbox.requests["GenerateToken"] == 1


def test_the_health_check_tells_without_patience_whether_m3ter_answers(service: str, sandbox: Sandbox) -> None:
    assert call(service, "GET", "/health").json() == {"m3ter": "ok"}
    sandbox.fail_next(1, 503)
    began = time.monotonic()
    assert call(service, "GET", "/health").status_code == 502
    assert time.monotonic() - began < 1


class Slow:
    """A sandbox that takes its time for each page."""

    @pytest.fixture
    def sandbox(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
        with Sandbox(bills=5_000, latency=0.05) as sandbox:
            for name, value in sandbox.environ.items():
                monkeypatch.setenv(name, value)
            yield sandbox


class TestCallers(Slow):
    async def test_who_hangs_up_stops_what_only_reads(self, service: str, sandbox: Sandbox) -> None:
        def some() -> bool:
            return sandbox.requests["ListBills"] >= 3

        await hang_up_during(service, "GET /totals HTTP/1.1\r\nHost: x\r\n\r\n", some)
        seen = sandbox.requests["ListBills"]
        await until(quiet(sandbox))
        assert sandbox.requests["ListBills"] <= seen + 2 < 50  # one under way, and one that was about to be
        assert call(service, "GET", "/health").status_code == 200

    async def test_who_hangs_up_does_not_cut_off_a_write(self, service: str, sandbox: Sandbox) -> None:
        """It is refused once, so that only a handler that goes on gets to the end."""
        account = await an_account()
        sandbox.fail_next(1, 429, operation="CreateCharge", retry_after=0)
        body = json.dumps(NEW)
        head = f"POST /accounts/{account}/charges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
        await hang_up_during(service, request, lambda: sandbox.requests["CreateCharge"] == 1)
        await until(lambda: sandbox.applied["CreateCharge"] == 1)
        assert sandbox.requests["CreateCharge"] == 2

    def test_who_has_little_time_gets_an_answer_in_it(self, service: str, sandbox: Sandbox) -> None:
        began = time.monotonic()
        late = call(service, "GET", "/totals", headers={"X-Timeout": "0.4"})
        assert (late.status_code, late.json()["outcome_unknown"]) == (504, False)
        assert 0.3 < time.monotonic() - began < 2
        for bad in ("0", "-1", "nan", "soon"):
            assert call(service, "GET", "/totals", headers={"X-Timeout": bad}).status_code == 400

    def test_a_write_that_got_no_answer_in_time_is_told_to_be_in_doubt(self, service: str, sandbox: Sandbox) -> None:
        call(service, "GET", "/health")  # so that no login has to come first
        late = call(service, "POST", "/accounts/a/charges", json=NEW, headers={"X-Timeout": "0.04"})
        assert (late.status_code, late.json()["outcome_unknown"]) == (504, True)


class TestWrites:
    async def test_a_charge_is_posted_once_and_to_the_last_digit(self, service: str, sandbox: Sandbox) -> None:
        account = await an_account()
        made = call(service, "POST", f"/accounts/{account}/charges", json=NEW)
        assert made.status_code == 201
        assert sandbox.applied == {"CreateCharge": 1}
        async with AsyncM3ter() as m3ter:
            assert (await m3ter.charges.retrieve(made.json()["id"])).amount == Decimal(NEW["amount"])

    @pytest.mark.parametrize("wrong", [{"amount": "NaN"}, {"amount": "12,5"}, {"amount": None}, {"day": "soon"}, None])
    def test_what_makes_no_sense_is_refused_before_anything_is_sent(
        self, service: str, sandbox: Sandbox, wrong: dict[str, str | None] | None
    ) -> None:
        refused = call(service, "POST", "/accounts/a/charges", json=wrong if wrong is None else {**NEW, **wrong})
        assert refused.status_code == 422
        assert sandbox.requests["CreateCharge"] == 0

    def test_what_m3ter_refuses_is_passed_on(self, service: str, sandbox: Sandbox) -> None:
        nowhere = call(service, "POST", "/accounts/nowhere/charges", json=NEW)
        assert nowhere.status_code in (400, 404)
        assert "accountId" in nowhere.json()["detail"]
        assert nowhere.json()["request_id"]
        sandbox.fail_next(1, 429, operation="CreateCharge", retry_after=30)
        later = call(service, "POST", "/accounts/a/charges", json=NEW, headers={"X-Timeout": "5"})
        assert (later.status_code, later.headers["Retry-After"]) == (429, "30")

    @pytest.mark.parametrize("kind", ["drop", 503, "cut"])
    async def test_a_write_whose_outcome_nobody_knows_is_told_to_be_so(
        self, service: str, sandbox: Sandbox, kind: Literal["drop", 503, "cut"]
    ) -> None:
        sandbox.fail_next(1, kind, operation="CreateCharge", applied=True)
        lost = call(service, "POST", f"/accounts/{await an_account()}/charges", json=NEW)
        assert (lost.status_code, lost.json()["outcome_unknown"]) == (502, True)
        assert sandbox.applied == {"CreateCharge": 1}


async def an_account() -> str:
    async with AsyncM3ter() as m3ter:
        return (await m3ter.accounts.list(page_size=1)).data[0].id
