"""Changes that a streaming query has been told of can be read until it has taken them, whatever ends in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa

from m3ter_async._spark.changelog import Changelog, read_rows

SCHEMA = pa.schema([("id", pa.string())])


def rows(*ids: str) -> list[Any]:
    return [pa.RecordBatch.from_pydict({"id": list(ids)}, SCHEMA)]


def ids(log: Changelog, start: int, end: int) -> list[str]:
    entries = log.between(start, end)
    return [id for each in entries for batch in read_rows(each.rows) for id in batch["id"].to_pylist()]


@pytest.fixture
def log(tmp_path: Path) -> Changelog:
    return Changelog(str(tmp_path / "state"))


def test_changes_are_numbered_and_read_by_their_numbers_as_often_as_it_takes(log: Changelog) -> None:
    assert (log.latest(), log.standing("org")) == (0, None)
    for number, id in enumerate("abc", 1):
        log.append("org", rows(id), SCHEMA, id.encode())
        assert (log.latest(), log.standing("org")) == (number, id.encode())
    for _ in range(2):
        assert (ids(log, 0, 3), ids(log, 1, 2), ids(log, 3, 3)) == (["a", "b", "c"], ["b"], [])


def test_a_change_without_rows_only_moves_the_mark(log: Changelog) -> None:
    log.append("org", rows(), SCHEMA, b"first")  # there is no other to move yet
    log.append("org", rows(), SCHEMA, b"second")
    log.append("org", [], SCHEMA, b"third")
    assert (log.latest(), log.standing("org"), ids(log, 0, 1)) == (1, b"third", [])


def test_what_was_taken_is_removed_and_no_mark_is_lost(log: Changelog) -> None:
    for number, name in enumerate(("one", "other", "one", "other", "one")):
        log.append(name, rows(str(number)), SCHEMA, f"{name}{number}".encode())
    log.forget(4)
    assert ids(log, 4, 5) == ["4"]
    assert (log.standing("one"), log.standing("other")) == (b"one4", b"other3")
    log.forget(5)
    assert (log.latest(), log.standing("one"), log.standing("other")) == (5, b"one4", b"other3")
    log.append("other", rows("5"), SCHEMA, b"other5")
    assert (log.latest(), ids(log, 5, 6)) == (6, ["5"])


def test_what_is_not_there_any_more_is_an_error_and_not_left_out(log: Changelog) -> None:
    for id in "abc":
        log.append("org", rows(id), SCHEMA, id.encode())
    log.forget(2)
    for start, end in ((0, 3), (1, 2), (2, 4)):
        with pytest.raises(RuntimeError, match="the checkpoint and the option state belong together"):
            ids(log, start, end)


def test_what_was_being_written_when_a_query_was_killed_is_no_change(log: Changelog, tmp_path: Path) -> None:
    log.append("org", rows("a"), SCHEMA, b"a")
    left = tmp_path / "state" / ".unfinished-1234"
    left.mkdir()
    (left / "rows.parquet").write_bytes(b"PAR1")
    assert (log.latest(), log.standing("org")) == (1, b"a")
    log.tidy()
    assert not left.exists()
    assert ids(log, 0, 1) == ["a"]


def test_a_folder_that_was_emptied_is_told_from_what_it_was(log: Changelog, tmp_path: Path) -> None:
    name = log.name
    assert name == Changelog(str(tmp_path / "state")).name
    (tmp_path / "state" / "name").unlink()
    assert log.name != name


def test_two_queries_in_one_folder_are_told_so(log: Changelog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Changelog(str(tmp_path / "state"))
    log.append("org", rows("a"), SCHEMA, b"a")
    monkeypatch.setattr(other, "entries", lambda: [])  # what it saw before
    with pytest.raises(RuntimeError, match="two queries write into"):
        other.append("org", rows("b"), SCHEMA, b"b")
    assert ids(log, 0, 1) == ["a"]
