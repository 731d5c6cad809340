"""What every test here stands on: both event loops, and no credentials from the surroundings."""

from __future__ import annotations

import os

import pytest

from .wire import PAIR_IDS, PAIRS, Pair, ready


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both; one that needs aiohttp's client narrows this down for itself."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own account must never be called by a test."""
    for name in [name for name in os.environ if name.startswith("M3TER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(params=PAIRS, ids=PAIR_IDS)
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """An event loop with a transport that runs on it; the module that uses it runs its tests on `pair.backend`."""
    return ready(request.param, monkeypatch)
