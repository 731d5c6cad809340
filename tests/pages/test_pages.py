"""Every block of the README and of the site runs as it is printed, and prints what stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3ter_async.sandbox import Sandbox
from tests.pages.blocks import OTHERS, RUN, SHOWN, blocks_of, read, runs

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("operations", "models")
PAGES = [
    ROOT / "README.md",
    ROOT / "MOVING.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name not in GENERATED),
]
RUNNABLE = [page for page in PAGES if any(block.language in RUN for block in blocks_of(page))]
# not there on each Python, or with the oldest versions of all else
LIBRARIES = ("dlt", "duckdb", "fastapi", "pandas", "pyarrow", "respx", "trio")
BILLS = 200  # what the pages tell people to begin with


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")  # of Starlette, to its own users
@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_each_block_runs_and_prints_what_is_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = [block for block in blocks_of(page) if runs(block)]
    for library in LIBRARIES:
        if any(f"import {library}" in block.content or f"from {library}" in block.content for block in copied):
            pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))  # where dlt would remember the file of another run
    with Sandbox(bills=BILLS) as sandbox:
        for variable, value in sandbox.environ.items():
            monkeypatch.setenv(variable, value)
        read(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_block_says_what_it_is(page: Path) -> None:
    unknown = [str(block) for block in blocks_of(page) if block.language not in (*RUN, *SHOWN, *OTHERS)]
    assert unknown == []


def test_the_readme_is_short_and_begins_without_an_account() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count("\n") <= 150
    for command in ("nox -s demo", "nox -s tests"):
        assert f"python -m pip install nox && {command}" in readme
