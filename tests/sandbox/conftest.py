from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from m3ter_async.sandbox import Sandbox

from .raw import Raw, RawFactory


@pytest.fixture(scope="module")
def shared() -> Iterator[Raw]:
    """A sandbox for tests that only read."""
    with Sandbox(seed=3, bills=300) as sandbox:
        raw = Raw(sandbox)
        with closing(raw.http):
            yield raw


@pytest.fixture
def start() -> Iterator[RawFactory]:
    """Start a sandbox of the test's own; it ends with the test."""
    with ExitStack() as stack:

        def starter(**options: Any) -> Raw:
            settings: dict[str, Any] = {"seed": 3, "bills": 60, **options}
            sandbox = stack.enter_context(Sandbox(**settings))
            raw = Raw(sandbox)
            stack.callback(raw.http.close)
            return raw

        yield starter


@pytest.fixture
def raw(start: RawFactory) -> Raw:
    """A small sandbox that the test may write to."""
    return start()
