"""What the benchmarks say of others and of this client has to be right, or is not said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from string import Formatter

import pytest

from benchmarks import columns, contest, stages, typescript
from benchmarks.contenders import BY_HAND_RETRYING, NODE, OURS, TYPESCRIPT, Contender, all_clients, refused
from benchmarks.figure import Figure
from benchmarks.figures import figures, promises
from benchmarks.report import into_page, notes
from benchmarks.server import Answers
from benchmarks.works import WORKS, Work

GETS = Work("{count:,} GETs", "gets", 60, 60, refused("gets")[:2])

# as much of m3ter's package for node as is called, since that itself may not be had
NODE_PACKAGE = """
exports.default = class {
  constructor({ baseURL, orgID, token }) {
    const get = async (path) => {
      const url = `${baseURL}/organizations/${orgID}${path}`;
      return (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).json();
    };
    const list = async function* (path, { pageSize }) {
      for (let next = ""; next !== undefined; ) {
        const page = await get(`${path}?pageSize=${pageSize}${next && `&nextToken=${next}`}`);
        yield* page.data;
        next = page.nextToken;
      }
    };
    this.bills = { list: (query) => list("/bills", query) };
    this.balances = { transactions: { list: (id, query) => list(`/balances/${id}/transactions`, query) } };
    this.billJobs = { retrieve: (id) => get(`/billjobs/${id}`) };
  }
};
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with contest.server() as port:
        yield port


def test_a_request_is_refused_once_and_the_same_ones_in_every_run() -> None:
    answers = Answers()
    for _ in range(2):
        targets = [b"/organizations/100f/billjobs/%012d" % number for number in range(50)]
        first = {number: answers.answer(target)[9:12] for number, target in enumerate(targets)}
        assert {number: status for number, status in first.items() if status != b"200"} == {7: b"429", 32: b"503"}
        assert answers.answer(targets[7])[9:12] == answers.answer(targets[32])[9:12] == b"200"


def test_nothing_is_refused_that_was_not_to_be() -> None:
    answers = Answers()
    targets = [b"/organizations/100/billjobs/%012d" % number for number in range(50)]
    assert {answers.answer(target)[9:12] for target in targets} == {b"200"}


def test_who_is_not_there_is_left_out_and_why_is_said(port: int) -> None:
    absent = Contender("absent", "by_hand", "aiohttp", "gets", needs="no_such_package")
    work = Work("{count:,} GETs", "gets", 60, 60, (*GETS.contenders, absent))
    outcome = contest.run(work, port, quick=True, rounds=1, progress=lambda message: None)
    assert notes(outcome) == ["absent is left out: no_such_package is not installed."]
    assert outcome.ratio(BY_HAND_RETRYING, OURS) is not None
    _, rows = columns.table(outcome)
    assert [row[:2] for row in rows if row[0] == "absent"] == [["absent", "left out"]]


@pytest.fixture
def node_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that npm installs as m3ter's package for node."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "index.js").write_text(NODE_PACKAGE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(typescript.OTHER, str(folder))
    typescript.installed.cache_clear()
    yield folder
    typescript.installed.cache_clear()


@pytest.mark.skipif(not (which("node") and which("npm")), reason="node and npm are not installed")
def test_the_package_for_node_does_the_same_work(port: int, node_package: Path) -> None:
    (node_package / "package.json").write_text('{"name": "m3ter-sdk", "version": "0.3.1"}')
    for task in ("bills", "transactions", "gets"):
        (node,) = (each for each in all_clients(task) if each.needs == NODE)
        outcome = contest.run(
            Work("{count:,}", task, 250, 250, (node,)), port, quick=True, rounds=1, progress=lambda message: None
        )
        assert notes(outcome) == []
        (result,) = outcome.results(TYPESCRIPT)  # its rows, line items and sums were those that the server counted
        assert result["rows"] == 250
        assert min(result[name] for name in ("seconds", "cpu", "first_call", "peak_memory")) > 0


@pytest.mark.skipif(not (which("node") and which("npm")), reason="node and npm are not installed")
def test_another_version_of_the_package_for_node_is_not_taken_for_it(node_package: Path) -> None:
    (node_package / "package.json").write_text('{"name": "m3ter-sdk", "version": "9.9.9"}')
    assert contest.missing(NODE) == f"{node_package} is version 9.9.9, and 0.3.1 is what is measured"


def test_who_sees_wrong_rows_has_no_time(port: int) -> None:
    with pytest.raises(contest.WrongResultError, match="rows: 59 instead of 60"):
        contest.check({"rows": 59}, {"rows": 60})
    with pytest.raises(contest.WrongResultError, match="amounts"):
        contest.check({"rows": 1, "amounts": "1.01", "exact": False}, {"rows": 1, "amounts": "1.02"})
    broken = Contender(OURS, "this_client", "aiohttp", "no such task")
    outcome = contest.run(
        Work("{count:,}", "gets", 1, 1, (broken,)), port, quick=True, rounds=1, progress=lambda message: None
    )
    assert OURS in outcome.failures
    assert outcome.median(OURS, "seconds") is None


def test_every_work_has_only_columns_that_there_are() -> None:
    for name, work in WORKS.items():
        outcome = contest.Outcome(work, work.quick)
        header, rows = columns.table(outcome)
        assert {len(row) for row in rows} == {len(header)}, name
        assert set(work.columns) <= columns.NAMES, name


def test_every_figure_names_the_limit_that_it_runs_into() -> None:
    for figure in promises({}, {}):
        assert figure.held_by, figure.what
        named = {name for _, name, _, _ in Formatter().parse(figure.held_by) if name}
        assert named <= stages.NAMES | {"bill_bytes", "bill_amounts"}, figure.what
    for figure in figures({}, {}, stages.Stages()):
        assert "{" not in figure.held_by
        assert figure.verdict == "not measured"


def test_the_stages_that_explain_misses_are_those_of_this_client(port: int) -> None:
    timed = stages.measure(port, quick=True)
    assert stages.NAMES - timed.values.keys() <= {"bill_isal", "bill_arrow", "bill_parquet", "httpx_many", "httpx_few"}
    titles = [title for title, _ in timed.parts()]
    assert titles[0] == "One bill of 81,073 bytes with 1,203 amounts"
    assert re.fullmatch(r"decimals: \d+ µs of 1,203", timed.told("decimals: {bill_decimals} of {bill_amounts}"))
    assert timed.told("a limit: {no_such_stage}") == "a limit"


def test_the_page_keeps_what_is_around_its_figures() -> None:
    figure = Figure("speed", 2, "x", 2.5, "the speed of light")
    page = "before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n"
    made = into_page(page, [figure])
    assert made.startswith("before\n<!-- figures -->\n| figure |")
    assert "| speed | ≥ 2x | 2.50x |  | pass | the speed of light |\n<!-- /figures -->\nafter\n" in made
    assert into_page(made, [figure]) == made
    with pytest.raises(ValueError, match="no place"):
        into_page("a page", [figure])
