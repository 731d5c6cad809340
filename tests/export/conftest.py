from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from m3ter_async.sandbox import Sandbox

from ..wire import PAIRS, Pair, ready
from .support import FORMS, Form


@pytest.fixture(params=[PAIRS[0], PAIRS[2]], ids=["asyncio", "trio"])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Each event loop once: that all transports do the same is held elsewhere."""
    return ready(request.param, monkeypatch)


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox for tests that only read."""
    with Sandbox(seed=5, bills=110) as shared:
        yield shared


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where to export to; it is not there yet."""
    return tmp_path / "export"


@pytest.fixture(params=list(FORMS.values()), ids=list(FORMS))
def form(request: pytest.FixtureRequest) -> Form:
    found: Form = request.param
    return found
