"""A sandbox that the environment points to, as it does for the workers of an engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from m3ter_async import blocking
from m3ter_async.sandbox import Sandbox

BILLS = 300


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(bills=BILLS) as sandbox:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    yield
    blocking.close()
