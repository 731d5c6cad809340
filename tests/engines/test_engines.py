"""The examples for engines other than Spark: exact and complete, and what becomes of a failure in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal, localcontext
from importlib.util import find_spec
from pathlib import Path

import pytest

from m3ter_async import AsyncM3ter
from m3ter_async.sandbox import Sandbox
from tests.engines.processes import below
from tests.engines.watch import during
from tests.processes import running

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "engines"
BILLS = 600
# Each example with its library, and how many processes read in it.
ENGINES = {
    "ray_bills": ("ray", 2),
    "dask_bills": ("dask", 2),
    "daft_bills": ("daft", 1),
    "polars_bills": ("polars", 1),
    "duckdb_bills": ("duckdb", 1),
    "delta_bills": ("deltalake", 1),
}
SPARK = {"spark_bills"}


def needs(name: str) -> pytest.MarkDecorator:
    library = ENGINES[name][0]
    return pytest.mark.skipif(find_spec(library) is None, reason=f"{library} has no wheel for this Python")


each_engine = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in ENGINES])


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(bills=BILLS, latency=0.02) as sandbox:  # so that there is a middle
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def expected(sandbox: Sandbox) -> dict[str, Decimal]:
    """The sums of all bills, from the JSON as it was sent."""

    async def ask() -> dict[str, Decimal]:
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        async with AsyncM3ter() as m3ter:
            async for record in m3ter.bills.list(include_bill_total=True).raw():
                bill = json.loads(record, parse_float=Decimal)
                sums[bill["currency"]] += bill["billTotal"]
        return dict(sums)

    with localcontext(prec=60):
        found = asyncio.run(ask())
    sandbox.requests.clear()
    return found


def surroundings() -> dict[str, str]:
    quiet = {"RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT)}


def started(name: str, folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    words = [sys.executable, str(EXAMPLES / f"{name}.py")]
    return running(words, seconds=150, cwd=folder, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(name: str, folder: Path) -> tuple[int, str, str]:
    with started(name, folder) as process:
        out, errors = process.communicate()
    return process.returncode, out, errors


def sums(out: str) -> dict[str, Decimal]:
    """What an example printed, between what its engine may have to say."""
    assert out.splitlines()[-1] == f"{BILLS} bills"
    return {currency: Decimal(total) for currency, total in re.findall(r"^([A-Z]{3}) (\S+)$", out, re.MULTILINE)}


def test_every_example_for_an_engine_is_tried_here_or_with_spark() -> None:
    assert {path.stem for path in EXAMPLES.glob("[!_]*.py")} == {*ENGINES, *SPARK}


@each_engine
def test_every_bill_is_counted_once_and_every_sum_is_exact_with_one_login_per_worker(
    name: str, sandbox: Sandbox, expected: dict[str, Decimal], tmp_path: Path
) -> None:
    status, out, errors = run(name, tmp_path)
    assert status == 0, errors
    assert sums(out) == expected
    assert sandbox.requests["GenerateToken"] <= ENGINES[name][1]


@each_engine
def test_a_failure_in_the_middle_is_told_or_tried_again(
    name: str, sandbox: Sandbox, expected: dict[str, Decimal], tmp_path: Path
) -> None:
    with during(sandbox, 3, lambda: sandbox.fail_next(1, 400, operation="ListBills")):
        status, out, errors = run(name, tmp_path)
    if name == "ray_bills":  # which was told to try again
        assert status == 0, errors
        assert sums(out) == expected
    else:
        assert status != 0
        assert "400 Bad Request" in errors
        assert out == ""
        status, out, errors = run(name, tmp_path)  # over what is left of the first one
        assert status == 0, errors
        assert sums(out) == expected


@needs("ray_bills")
def test_a_worker_of_ray_that_is_killed_costs_a_task_and_nothing_else(
    sandbox: Sandbox, expected: dict[str, Decimal], tmp_path: Path
) -> None:
    killed: list[int] = []
    with started("ray_bills", tmp_path) as process:

        def kill() -> None:
            for worker in below(process.pid, b"ray::Read"):
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)

        with during(sandbox, 3, kill):
            out, errors = process.communicate()
    assert killed
    assert process.returncode == 0, errors
    assert sums(out) == expected


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in ("duckdb_bills", "delta_bills")])
def test_a_failure_in_the_middle_leaves_the_table_as_it_was(
    name: str, sandbox: Sandbox, expected: dict[str, Decimal], tmp_path: Path
) -> None:
    assert run(name, tmp_path)[0] == 0
    with during(sandbox, 3, lambda: sandbox.fail_next(1, 400, operation="ListBills")):
        assert run(name, tmp_path)[0] != 0
    if name == "duckdb_bills":
        import duckdb

        with duckdb.connect(tmp_path / "billing.duckdb") as database:
            rows = database.execute("SELECT currency, sum(bill_total) FROM bills GROUP BY ALL").fetchall()
            assert dict(rows) == expected
    else:
        from deltalake import DeltaTable

        table = DeltaTable(tmp_path / "bills")
        assert (table.version(), table.to_pyarrow_table().num_rows) == (0, BILLS)
