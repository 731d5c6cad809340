"""A sandbox whose credentials are in the environment, as a shell would have them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from m3ter_async.sandbox import Sandbox


def variables(sandbox: Sandbox) -> dict[str, str]:
    return {
        "M3TER_BASE_URL": sandbox.url,
        "M3TER_API_KEY": sandbox.api_key,
        "M3TER_API_SECRET": sandbox.api_secret,
        "M3TER_ORG_ID": sandbox.org_id,
    }


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(seed=7, bills=230) as sandbox:
        for name, value in variables(sandbox).items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a service that nobody is to call."""
    for name in ("API_KEY", "API_SECRET", "ORG_ID"):
        monkeypatch.setenv(f"M3TER_{name}", f"the-{name}")
    monkeypatch.setenv("M3TER_BASE_URL", "http://127.0.0.1:9")
