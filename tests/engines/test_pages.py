"""The blocks of the pages that need an engine or a framework run here, where all of them are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3ter_async.sandbox import Sandbox
from tests.pages.blocks import blocks_of, read, runs
from tests.pages.test_pages import BILLS, RUNNABLE, name

PAGES = [page for page in RUNNABLE if any(block.libraries for block in blocks_of(page))]


def test_there_are_such_pages() -> None:
    assert [name(page) for page in PAGES] == ["docs/how-to/dataframes.md", "docs/how-to/fastapi.md"]


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")  # of Starlette, to its own users
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_block_runs_and_prints_what_is_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(runs(block) for block in blocks_of(page) if block.libraries)
    monkeypatch.chdir(tmp_path)
    with Sandbox(bills=BILLS) as sandbox:
        for variable, value in sandbox.environ.items():
            monkeypatch.setenv(variable, value)
        read(page, tmp_path)
