"""The sandbox's life: a server in a thread of its own, from `with` to the end of the block."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from aiohttp import web

from m3ter_async.sandbox.call_context import World
from m3ter_async.sandbox.contract import SCHEMAS
from m3ter_async.sandbox.handlers.bills import change_bill
from m3ter_async.sandbox.http.credentials import Access
from m3ter_async.sandbox.http.faults import Fault, Faults, Kind
from m3ter_async.sandbox.http.listening import is_loopback, reason, turns
from m3ter_async.sandbox.http.rate_limit import RateLimit
from m3ter_async.sandbox.http.server import Server
from m3ter_async.sandbox.state.stored_data import Store, Truth

# aiohttp reads 0 as "wait for ever"; requests still open at the end are dropped after this many seconds.
LAST_REQUESTS_SECONDS = 0.05
T = TypeVar("T")


class Sandbox:
    """A local m3ter over HTTP on loopback, filled with data from a seed.

    Use it as an (async) context manager; the server runs in its own thread, so the block may run on asyncio, on
    trio, or without an event loop. The same seed and the same calls give the same answers, byte for byte; only
    request ids and tokens differ.

    Args:
        seed: Decides everything the organization holds, its id and the credentials.
        bills: How many bills there are at first.
        port: The TCP port; 0 takes a free one.
        host: The address to listen on. On ``0.0.0.0`` or ``::`` other machines and containers reach it as well.
        token_seconds: How long an access token is good for.
        upload_seconds: How long a URL to upload a file to is good for.
        latency: Seconds that every answer is held back, after the call took effect.
        rate_limit: Requests per second before 429 is answered for the rest of that second; None for no limit.
        retry_after: Seconds to name in a `Retry-After` header on a 429; None sends no such header.
        empty_pages: Whether lists show, now and then, an empty page with a token.
        cursors: ``place`` for tokens of pages that name a place, which stay right while records come and go;
            ``offset`` for tokens that count records, with which such a listing misses some and has others twice.
        search_lag: How many seconds, by the sandbox's clock, the index behind `*.search` is late.
        faults: How often and in which ways requests fail by chance; see also `fail_next`.

    Raises:
        ValueError: `host` is empty, or a number is out of range.
        OSError: On entering: the port cannot be listened on.
    """

    def __init__(
        self,
        seed: int = 7,
        bills: int = 2000,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        token_seconds: float = 18000,
        upload_seconds: float = 60,
        latency: float = 0.0,
        rate_limit: int | None = None,
        retry_after: int | None = None,
        empty_pages: bool = True,
        cursors: Literal["place", "offset"] = "place",
        search_lag: float = 0.0,
        faults: Faults | None = None,
    ) -> None:
        if not host.strip():
            raise ValueError("host must be an address: an empty one would listen on all of them")
        if bills < 0 or latency < 0 or token_seconds <= 0 or (rate_limit is not None and rate_limit < 1):
            raise ValueError("bills and latency must not be negative, token_seconds and rate_limit must be positive")
        if cursors not in ("place", "offset"):
            raise ValueError(f"cursors must be 'place' or 'offset', not {cursors!r}")
        if search_lag < 0:
            raise ValueError("search_lag must not be negative")
        self._seed, self._bills, self._host, self._port = seed, bills, host, port
        self._store = Store(seed, bills, search_lag)
        self._access = Access(seed, self._store.organization.id, token_seconds)
        self._world = World(self._store, SCHEMAS, seed, empty_pages, upload_seconds, cursors == "offset")
        self._server = Server(
            self._world, self._access, RateLimit(rate_limit), latency, retry_after, faults or Faults()
        )
        self._url = ""
        self._running: tuple[threading.Thread, asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def __repr__(self) -> str:
        return f"Sandbox(seed={self._seed}, bills={self._bills}, url={self._url or None!r})"

    @property
    def url(self) -> str:
        """The base URL, such as ``http://127.0.0.1:8080``.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        if self._running is None:
            raise RuntimeError("the sandbox is not running: use it in a with block")
        return self._url

    @property
    def api_key(self) -> str:
        """The access key id to log in with."""
        return self._access.api_key

    @property
    def api_secret(self) -> str:
        """The secret to log in with."""
        return self._access.api_secret

    @property
    def org_id(self) -> str:
        """The id of the one organization."""
        return self._store.organization.id

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that send a client here.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        return {
            "M3TER_BASE_URL": self.url,
            "M3TER_API_KEY": self.api_key,
            "M3TER_API_SECRET": self.api_secret,
            "M3TER_ORG_ID": self.org_id,
        }

    @property
    def applied(self) -> Counter[str]:
        """How many writes took effect, by operation id."""
        return self._store.applied

    @property
    def measurements(self) -> dict[str, dict[str, Any]]:
        """The measurements that were accepted and passed validation, by `uid`."""
        return self._store.measurements

    @property
    def requests(self) -> Counter[str]:
        """How many requests came in, by operation id."""
        return self._server.requests

    def truth(self) -> Truth:
        """Count and add up what the sandbox holds right now, without a detour over HTTP."""
        return self._store.truth()

    def expire_tokens(self) -> None:
        """End every access token handed out so far."""
        self._access.expire_all()

    def fail_next(
        self,
        count: int,
        kind: Kind,
        *,
        applied: bool = False,
        operation: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Let the next requests fail; these faults go before those at random.

        Args:
            count: How many requests.
            kind: An HTTP status such as 503, ``"drop"`` to close the connection without an answer, or ``"cut"`` to
                close it in the middle of the body.
            applied: Whether the calls take effect all the same; a cut answer was always preceded by its effect.
            operation: Only requests of this operation, such as ``"CreateCharge"``; None for any but the login.
            retry_after: Seconds to name in a `Retry-After` header; None sends no such header.

        Raises:
            ValueError: `count` is negative, or `kind` is none of these.
        """
        self._server.fault_injector.order(count, Fault(kind, applied, retry_after), operation)

    @property
    def now(self) -> datetime:
        """What its clock shows, which the `Date` of each answer has: it starts on a fixed day, and writes move it."""
        return self._store.time

    def pass_time(self, seconds: float) -> None:
        """Move its clock on. Events end after 28 days of it.

        Args:
            seconds: How far; not below 0.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("seconds must not be negative")
        self._between_requests(lambda: self._store.pass_time(seconds))

    def change_bill(self, bill_id: str, **fields: object) -> None:
        """Change a bill in a way that no operation offers, such as its date: a new version, and an event.

        Args:
            bill_id: Which.
            fields: What to set, by the names that the service has: ``billDate="2025-01-31"``.

        Raises:
            ValueError: There is no such bill, or it is locked.
        """
        self._between_requests(lambda: change_bill(self._world, bill_id, fields))

    def _between_requests(self, act: Callable[[], T]) -> T:
        """Run in the server's thread, which is the only one that writes."""
        if self._running is None or threading.current_thread() is self._running[0]:
            return act()
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(act())
            except ValueError as error:
                done.set_exception(error)

        self._running[1].call_soon_threadsafe(run)
        return done.result()

    def fail_next_job(self, *, cancelled: bool = False) -> None:
        """Let the next job that ends end as failed, or as cancelled.

        Args:
            cancelled: Whether it is cancelled instead of failing. Bill jobs can only be cancelled; exports, uploads and
                the jobs of lookup tables can only fail.
        """
        self._store.bad_ends.append(cancelled)

    def __enter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("the sandbox is running already")
        # Bound here and not in the thread: a taken port is an error of the caller, and connections queue up at once.
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host, self._port), family=family)
        except (OSError, OverflowError) as error:
            raise OSError(f"the sandbox cannot listen on {self._host} port {self._port}: {reason(error)}") from error
        # everybody's address is one to listen on; to call it, there is this machine's own
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        self._url = f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"
        self._server.reached_at(self._url, anywhere=not is_loopback(self._host))
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, started)), name="m3ter-sandbox", daemon=True
        )
        thread.start()
        self._running = (thread, *started.result())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._running is not None:
            thread, loop, stop = self._running
            self._running, self._url = None, ""
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    # Starting and stopping take milliseconds and wait for nobody. Done without an await, no cancellation can come in
    # between and leave a thread behind.
    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    async def _serve(
        self, listener: socket.socket, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
    ) -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        runner = web.ServerRunner(web.Server(self._server.handle), shutdown_timeout=LAST_REQUESTS_SECONDS)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        await stop.wait()
        # Before the listener closes, nothing may be half accepted: asyncio would drop such a connection unclosed.
        with suppress(NotImplementedError):
            asyncio.get_running_loop().remove_reader(listener)
        await turns()
        await runner.cleanup()
        await turns()
