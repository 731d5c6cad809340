"""What every test here stands on: both event loops, and no credentials from the surroundings."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from .processes import heed_interrupts
from .wire import PAIR_IDS, PAIRS, Pair, ready

# The same examples each time, so that a build fails for what it changed; "search" looks for new ones:
# pytest tests/test_properties.py --hypothesis-profile search
_CHECKS = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, max_examples=60, suppress_health_check=_CHECKS
)
settings.register_profile(
    "search", database=None, deadline=None, max_examples=2_000, suppress_health_check=_CHECKS, print_blob=True
)
settings.load_profile("same")

heed_interrupts()


def pytest_configure() -> None:
    """Programs that are started here obey Ctrl-C, also where a shell has started the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both; one that needs aiohttp's client narrows this down for itself."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own account must never be called by a test, nor anything through a proxy of the machine."""
    network = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
    for name in list(os.environ):
        if name.startswith("M3TER_") or name.upper().endswith("_PROXY") or name in network:
            monkeypatch.delenv(name)


@pytest.fixture
def worlds_alone_are_collected() -> Iterator[None]:
    """Each world collects its garbage, and that of everything else would take longer than the world."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What one test asks of the log, a page of the documentation say, is nothing to the next one."""
    log = logging.getLogger("m3ter_async")
    level = log.level
    yield
    log.setLevel(level)


@pytest.fixture(params=PAIRS, ids=PAIR_IDS)
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """An event loop with a transport that runs on it; the module that uses it runs its tests on `pair.backend`."""
    return ready(request.param, monkeypatch)
