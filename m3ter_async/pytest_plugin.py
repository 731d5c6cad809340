"""Fixtures for pytest, there wherever this package is installed: a sandbox for each test, and a client of it.

Nothing of the package is loaded before a test asks for one of them.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from .client import AsyncM3ter
    from .sandbox import Sandbox

__all__ = ["m3ter_client", "m3ter_sandbox"]

_BILLS = 50
_SCOPES: tuple[Literal["function", "class", "module", "package", "session"], ...] = (
    "function",
    "class",
    "module",
    "package",
    "session",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and the client's fixture to pytest-asyncio, which wants its own decorator on it."""
    config.addinivalue_line("markers", "m3ter_sandbox(**arguments): what the sandbox of this test is made with.")
    if config.pluginmanager.has_plugin("asyncio"):
        from pytest_asyncio import fixture

        for scope in _SCOPES:  # fixtures are looked for after this
            made = fixture(loop_scope=scope)(_client_of(scope))
            globals()[f"_m3ter_client_in_{scope}_loop"] = made


@pytest.fixture
def m3ter_sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[Sandbox]:
    """A running sandbox with 50 bills, of which no other test knows.

    ``@pytest.mark.m3ter_sandbox(...)`` takes what `Sandbox` takes. The environment points to it, so that an
    ``AsyncM3ter()`` anywhere in the tested code calls it and no real account.
    """
    from .sandbox import Sandbox

    marker = request.node.get_closest_marker("m3ter_sandbox") or pytest.mark.m3ter_sandbox.mark
    with Sandbox(*marker.args, **{"bills": _BILLS, **marker.kwargs}) as sandbox:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        for name in ("M3TER_API_TOKEN", "M3TER_INGEST_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        yield sandbox


@pytest.fixture
def m3ter_client(request: pytest.FixtureRequest, m3ter_sandbox: Sandbox) -> AsyncM3ter:
    """A client of `m3ter_sandbox` that waits for nothing, open until the test is over.

    It is for tests that anyio's plugin runs, on asyncio or trio, or pytest-asyncio.
    """
    asyncio_runs_it = request.node.get_closest_marker("asyncio") is not None
    by_anyio = "anyio_backend" in request.fixturenames
    if not request.config.pluginmanager.has_plugin("asyncio") or (by_anyio and not asyncio_runs_it):
        if not by_anyio:
            pytest.fail("m3ter_client needs a test marked with @pytest.mark.anyio, or pytest-asyncio", pytrace=False)
        name = "_m3ter_client_by_anyio"
    elif by_anyio:
        name = "_m3ter_client_beside_anyio"
    else:
        name = f"_m3ter_client_in_{_loop_scope(request)}_loop"
    client: AsyncM3ter = request.getfixturevalue(name)
    return client


def _loop_scope(request: pytest.FixtureRequest) -> str:
    """The scope of the event loop in which pytest-asyncio runs a test."""
    marker = request.node.get_closest_marker("asyncio")
    scope = marker.kwargs.get("loop_scope") if marker else None
    return scope or str(request.config.getini("asyncio_default_test_loop_scope") or "function")


@pytest.fixture
def _m3ter_client_beside_anyio(request: pytest.FixtureRequest, m3ter_sandbox: Sandbox) -> Generator[AsyncM3ter]:
    """The client of a test that pytest-asyncio runs although it has the fixture `anyio_backend`.

    anyio would run an asynchronous fixture in a loop of its own; so this one is none, and asks for the test's loop.
    """
    runner = request.getfixturevalue(f"_{_loop_scope(request)}_scoped_runner")
    client = _client(m3ter_sandbox)
    yield runner.run(anext(client))
    runner.run(client.aclose())


def _client_of(scope: str) -> Callable[[Sandbox], AsyncGenerator[AsyncM3ter]]:
    async def client(m3ter_sandbox: Sandbox) -> AsyncGenerator[AsyncM3ter]:
        async for each in _client(m3ter_sandbox):
            yield each

    client.__name__ = f"_m3ter_client_in_{scope}_loop"
    return client


async def _client(m3ter_sandbox: Sandbox) -> AsyncGenerator[AsyncM3ter]:
    from .client import AsyncM3ter
    from .testing import no_waits

    async with AsyncExitStack() as stack:
        transport = None
        if "trio" in sys.modules and sys.modules["trio"].lowlevel.in_trio_run():
            from httpx import AsyncClient

            from .transports import HttpxTransport

            # no certificates for plain http: loading them would take longer than the test
            transport = HttpxTransport(await stack.enter_async_context(AsyncClient(verify=False, trust_env=False)))
        with no_waits():
            client = AsyncM3ter(
                m3ter_sandbox.api_key,
                m3ter_sandbox.api_secret,
                m3ter_sandbox.org_id,
                base_url=m3ter_sandbox.url,
                transport=transport,
            )
        yield await stack.enter_async_context(client)


_m3ter_client_by_anyio = pytest.fixture(_client)
