"""The page on object stores, whose blocks run where there is a bucket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from m3ter_async.sandbox import Sandbox

from ...pages.blocks import RUN, SHOWN, Reader, blocks_of, compare

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "object-stores.md"


@pytest.mark.usefixtures("s3")
def test_each_block_of_the_page_runs_and_prints_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Sandbox(bills=200) as sandbox:
        for variable, value in sandbox.environ.items():
            monkeypatch.setenv(variable, value)
        reader = Reader(tmp_path)
        ran = []
        printed = ""
        for block in blocks_of(PAGE):
            if block.language in SHOWN:
                compare(block.content, printed, str(block))
            elif block.language in RUN and block.reason != "it installs packages":
                printed = reader.copy(replace(block, reason=None))
                ran.append(block.language)
        reader.close()
    assert sorted(ran) == ["console", "python"]
