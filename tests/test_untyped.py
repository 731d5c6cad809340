"""A library that is not there is told with what needs it; one that is broken says itself what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3ter_async._untyped import untyped


def test_a_library_that_is_not_installed_is_told_with_what_needs_it() -> None:
    with pytest.raises(ImportError, match=r"^Boats need harbours: pip install harbours$") as caught:
        untyped("harbours.piers", "Boats need harbours: pip install harbours")
    assert type(caught.value) is ImportError


def test_a_library_that_lacks_something_itself_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harbours.py").write_text("import water_of_harbours")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="water_of_harbours"):
        untyped("harbours", "Boats need harbours: pip install harbours")
