"""DuckDB and PostgreSQL hold, in SQL, what the service holds: row for row and digit for digit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from m3ter_async.sandbox import Faults, Sandbox

from ..export.support import sandbox_client
from ..pages import test_pages
from .warehouses.postgres import postgres_server
from .warehouses.second_client import TABLES, Row, SecondClient, held, in_sql

duckdb = pytest.importorskip("duckdb")
psycopg2 = pytest.importorskip("psycopg2")
pytest.importorskip("dlt")

RESOURCES = ("bills", "accounts", "balances.transactions")
# Of each listing, its tables.
CHAINS = (("bills", "line_items", "pricing_bands"), ("accounts",), ("transactions",))
ROUNDS, CHANGES = int(os.environ.get("M3TER_TEST_ROUNDS", "5")), 500


class Warehouse(NamedTuple):
    """A database to sync to, and what asks it."""

    to: str
    ask: Callable[[str], list[Row]]

    def rows(self) -> dict[str, list[Row]]:
        """What it holds."""
        return {name: sorted(self.ask(in_sql(name))) for name in TABLES}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["duckdb", "postgresql"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    if request.param == "duckdb":
        file = tmp_path / "billing.duckdb"

        def ask(query: str) -> list[Row]:
            with duckdb.connect(str(file)) as connection:
                return [tuple(row) for row in connection.execute(query).fetchall()]

        return Warehouse(f"duckdb:///{file}", ask)
    url: str = request.getfixturevalue("postgres")

    def ask_server(query: str) -> list[Row]:
        connection = psycopg2.connect(url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query)
                return [tuple(row) for row in (cursor.fetchall() if cursor.description else [])]
        finally:
            connection.close()

    ask_server("DROP SCHEMA IF EXISTS m3ter CASCADE")
    ask_server("DROP SCHEMA IF EXISTS m3ter_staging CASCADE")
    return Warehouse(url, ask_server)


def start(sandbox: Sandbox, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "m3ter_async", "sync", *arguments, "--rate-limit", "none"]
    environment = {**os.environ, **sandbox.environ}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sync(sandbox: Sandbox, *arguments: str) -> str:
    with start(sandbox, *arguments) as process:
        out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return out


def assert_same(there: dict[str, list[Row]], here: dict[str, list[Row]]) -> None:
    for name in TABLES:
        missing, ghosts = set(here[name]) - set(there[name]), set(there[name]) - set(here[name])
        assert (len(there[name]), list(missing)[:3], list(ghosts)[:3]) == (len(here[name]), [], []), name
        assert there[name] == here[name]


@pytest.mark.parametrize("cursors", ["place", "offset"])
def test_after_thousands_of_changes_and_kills_each_database_is_what_the_service_is(
    warehouse: Warehouse, cursors: Any
) -> None:
    """Changes come between syncs and during them; some syncs are killed, and the service fails now and then."""
    faults = Faults(0.02, status=(500, 503, 429), drop_rate=0)
    with Sandbox(seed=5, bills=150, cursors=cursors, search_lag=30, faults=faults) as sandbox:
        other, chance = SecondClient(sandbox, 11), Random(3)
        try:
            for number in range(ROUNDS):
                other.change(CHANGES // 2)
                with start(sandbox, *RESOURCES, "--to", warehouse.to) as process:
                    end = time.monotonic() + chance.uniform(0.5, 6)
                    during = 0
                    while during < CHANGES // 2:
                        other.change(5)
                        during += 5
                        if number % 3 == 2 and time.monotonic() > end:
                            process.kill()
                    _, errors = process.communicate(timeout=300)
                assert process.returncode in (0, -signal.SIGKILL), errors
                sandbox.pass_time(60)  # the index of the search has it all
                sync(sandbox, *RESOURCES, "--to", warehouse.to)
                assert_same(warehouse.rows(), held(other))
            assert other.changes >= ROUNDS * CHANGES
        finally:
            other.close()


def test_a_sync_that_is_killed_leaves_each_listing_as_it_was_or_as_it_is_after(warehouse: Warehouse) -> None:
    with Sandbox(seed=8, bills=400) as sandbox:
        other, chance = SecondClient(sandbox, 1), Random(2)
        try:
            sync(sandbox, *RESOURCES, "--to", warehouse.to)
            killed = 0
            for _ in range(8):
                before = warehouse.rows()
                other.change(150)
                after = held(other)
                with start(sandbox, *RESOURCES, "--to", warehouse.to) as process:
                    time.sleep(chance.uniform(1.5, 5.5))
                    process.kill()
                    process.communicate(timeout=60)
                killed += process.returncode == -signal.SIGKILL
                there = warehouse.rows()
                for chain in CHAINS:
                    rows = {name: there[name] for name in chain}
                    assert rows in ({name: before[name] for name in chain}, {name: after[name] for name in chain})
            assert killed
            sync(sandbox, *RESOURCES, "--to", warehouse.to)
            assert_same(warehouse.rows(), held(other))
        finally:
            other.close()


def test_of_two_syncs_into_one_database_one_stops(warehouse: Warehouse) -> None:
    with (
        Sandbox(bills=20) as sandbox,
        start(sandbox, "bills", "--to", warehouse.to, "--every", "1s") as first,
    ):
        assert first.stdout is not None
        assert "bills +20 -0" in first.stdout.readline()
        with start(sandbox, "bills", "--to", warehouse.to) as second:
            _, errors = second.communicate(timeout=60)
        assert (second.returncode, "another sync writes to" in errors, errors.count("\n")) == (1, True, 1)
        first.send_signal(signal.SIGTERM)
        _, errors = first.communicate(timeout=60)
        assert (first.returncode, errors) == (0, "")


def test_what_no_sync_made_is_not_touched(warehouse: Warehouse) -> None:
    warehouse.ask("CREATE SCHEMA m3ter")
    warehouse.ask("CREATE TABLE m3ter.bills (id VARCHAR)")
    with Sandbox(bills=5) as sandbox, start(sandbox, "bills", "--to", warehouse.to) as process:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, "holds something else" in errors, errors.count("\n")) == (2, True, 1)
        assert sandbox.requests.total() == 0
    assert warehouse.ask("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'm3ter'") == [(1,)]


def test_a_column_of_another_type_is_told_before_anything_is_read(warehouse: Warehouse) -> None:
    with Sandbox(bills=5) as sandbox:
        sync(sandbox, "bills", "--to", warehouse.to)
        warehouse.ask("ALTER TABLE m3ter.line_items ALTER COLUMN subtotal TYPE DOUBLE PRECISION")
        before = sandbox.requests.total()
        with start(sandbox, "bills", "--to", warehouse.to) as process:
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, "subtotal as double" in errors, errors.count("\n")) == (2, True, 1)
        assert sandbox.requests.total() == before


def test_a_password_is_never_shown(postgres: str) -> None:
    wrong = postgres.replace("p%40ss%20word", "s3cret%20thing")
    with Sandbox(bills=5) as sandbox, start(sandbox, "bills", "--to", wrong) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.count("\n")) == (1, 1)
    assert not any(word in out + errors for word in ("s3cret", "thing"))


def test_a_destination_that_cannot_hold_it_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    dlt: Any = pytest.importorskip("dlt")
    m3ter_source: Any = pytest.importorskip("m3ter_async.contrib.dlt").m3ter_source
    with Sandbox(bills=5) as sandbox:
        for destination, text in (
            (dlt.destinations.filesystem(str(tmp_path / "files")), "cannot replace rows"),
            (dlt.destinations.duckdb(str(tmp_path / "m3ter.duckdb")), "both named m3ter"),
        ):
            pipeline = dlt.pipeline("p", destination=destination, dataset_name="m3ter", pipelines_dir=str(tmp_path))
            source = m3ter_source(["bills"], client=lambda: sandbox_client(sandbox))
            with pytest.raises(Exception, match=text):
                pipeline.run(source)
        assert sandbox.requests.total() == 0


def test_the_page_about_databases_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))  # where dlt remembers pipelines, and their folders
    page = test_pages.ROOT / "docs" / "how-to" / "warehouses.md"
    test_pages.test_each_block_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch)
