"""A folder of Parquet files holds what the service holds, whatever happens to the process that writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from m3ter_async import AsyncM3ter, InternalServerError
from m3ter_async.sync import SyncError, lake_files, sync_lake
from m3ter_async.transports.protocol import Request
from tests.fakes import Answer, FakeTransport, answer, client
from tests.sync.world import World

pytest.importorskip("pyarrow")

from m3ter_async._tabular.batches import RecordBatches
from m3ter_async._tabular.pyarrow_import import pa, pq
from m3ter_async.models import Bill

pytestmark = pytest.mark.anyio

TABLES = ("bills", "line_items", "pricing_bands")


def over(world: World) -> AsyncM3ter:
    return client(FakeTransport(world))


def held(files: list[Path]) -> list[dict[str, Any]]:
    rows = [row for file in files for row in pq.ParquetFile(str(file)).read().to_pylist()]
    return sorted(rows, key=lambda row: (row.get("bill_id") or "", row.get("position") or 0, row.get("id") or ""))


def in_lake(lake: Path, resource: str = "bills", tables: tuple[str, ...] = TABLES) -> dict[str, list[dict[str, Any]]]:
    return {table: held(lake_files(lake, resource, table)) for table in tables}


def in_world(world: World) -> dict[str, list[dict[str, Any]]]:
    made = RecordBatches(Bill, "bills")(list(world.wholes().values()))
    key = lambda row: (row.get("bill_id") or "", row.get("position") or 0, row.get("id") or "")  # noqa: E731
    return {
        name: sorted((row for batch in batches for row in batch.to_pylist()), key=key)
        for name, batches in made.tables.items()
    }


def globbed(lake: Path) -> dict[str, list[dict[str, Any]]]:
    return {table: held(sorted((lake / "bills" / "current" / table).glob("*.parquet"))) for table in TABLES}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


async def test_the_tables_hold_what_the_service_holds_and_the_changes_of_each_round_are_beside_them(
    tmp_path: Path,
) -> None:
    world = World(1, bills=30)
    m3ter = over(world)
    report = await sync_lake(m3ter, "bills", tmp_path)
    assert (report.upserts, report.deletes, report.records) == (30, 0, 30)
    assert not [name for name in names(tmp_path) if "changes" in name]  # the first round is in the tables
    for round in range(1, 6):
        before = {row["id"]: row for row in in_lake(tmp_path)["bills"]}
        for _ in range(10):
            world.change()
        report = await sync_lake(m3ter, "bills", tmp_path)
        now = in_lake(tmp_path)
        assert now == in_world(world) == globbed(tmp_path)
        assert report.records == len(now["bills"]) == len(world.bills)
        beside = tmp_path / "bills" / "changes" / f"{round:06d}"
        gone = {row["id"] for row in held(sorted(beside.glob("bills-deleted-*.parquet")))}
        new = {row["id"]: row for row in held(sorted(set(beside.glob("bills-0*.parquet"))))}
        assert gone == before.keys() - {row["id"] for row in now["bills"]}
        assert {**{id: row for id, row in before.items() if id not in gone}, **new} == {
            row["id"]: row for row in now["bills"]
        }
        assert len(new) == report.upserts


# Killed at any step


class Killed(BaseException):
    """The process is gone."""


class _Watch:
    """Counts what is done to the files of a folder, and ends it at one of these steps."""

    def __init__(self) -> None:
        self.folder = ""
        self.left = -1
        self.fired = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.left < 0 or event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate"):
            return
        if str(arguments[0]).startswith(self.folder):
            self.left -= 1
            if self.left < 0:
                self.fired = True
                raise Killed


_watch = _Watch()
sys.addaudithook(_watch)  # there is no way to take it away again


@contextmanager
def killed_after(steps: int, folder: Path) -> Iterator[_Watch]:
    _watch.folder, _watch.left, _watch.fired = str(folder), steps, False
    try:
        yield _watch
    finally:
        _watch.left = -1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # all of it runs in threads
async def test_a_sync_that_is_killed_at_any_step_leaves_the_tables_as_they_were_or_as_they_are_after_it(
    tmp_path: Path,
) -> None:
    world, random = World(2, bills=20), Random(2)
    m3ter = over(world)
    outcomes: set[str] = set()
    steps = 0
    while True:
        before = None
        with suppress(ValueError):  # there may not have been a first transaction yet
            before = in_lake(tmp_path)
        for _ in range(4):
            world.change()
        after = in_world(world)
        with killed_after(steps, tmp_path) as watch, suppress(Killed):
            await sync_lake(m3ter, "bills", tmp_path, full=random.choice([True, False]))
        if not watch.fired:
            break
        steps += 1
        with suppress(ValueError):
            found = in_lake(tmp_path)
            assert found in (before, after)
            outcomes.add("before" if found == before else "after")
        if steps % 3 == 0:  # and now and then it is not killed
            await sync_lake(m3ter, "bills", tmp_path)
            assert in_lake(tmp_path) == in_world(world) == globbed(tmp_path)
    assert in_lake(tmp_path) == in_world(world) == globbed(tmp_path)
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]
    assert outcomes == {"before", "after"}
    assert steps > 20


async def test_a_sync_that_the_service_failed_goes_on_from_what_was_stored(tmp_path: Path) -> None:
    world, failing = World(3, bills=120), True

    def service(request: Request) -> Answer:
        if failing and "excludeLineItems" in request.url:
            return answer({"message": "broken"}, 500)
        return world(request)

    m3ter = client(FakeTransport(service), max_retries=0)
    with pytest.raises(InternalServerError):
        await sync_lake(m3ter, "bills", tmp_path)
    failing = False
    await sync_lake(m3ter, "bills", tmp_path)
    assert in_lake(tmp_path) == in_world(world)


# Whose folder it is


async def test_of_two_syncs_into_one_lake_one_stops(tmp_path: Path) -> None:
    world = World(4, bills=20)
    m3ter = over(world)
    stopped: list[str] = []

    async def another() -> None:
        with pytest.raises(SyncError, match="another sync writes to"):
            await sync_lake(m3ter, "bills", tmp_path)
        stopped.append("the second")

    asked = FakeTransport(world)

    async def service(request: Request) -> Answer:
        if "billconfig" in request.url and not stopped:
            await another()
        return world(request)

    asked = FakeTransport(service)
    await sync_lake(client(asked), "bills", tmp_path)
    assert stopped == ["the second"]
    assert in_lake(tmp_path) == in_world(world)
    await sync_lake(m3ter, "bills", tmp_path)  # and the next one may


async def test_a_folder_with_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    world = World(5)
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "letters.txt").write_text("dear")
    with pytest.raises(SyncError, match="holds something that is no table of a sync"):
        await sync_lake(over(world), "bills", tmp_path)
    assert names(tmp_path) == ["bills", "bills/letters.txt"]
    assert world.requests == {}


async def test_a_lake_of_another_organization_or_of_other_tables_is_refused(tmp_path: Path) -> None:
    world = World(6, bills=8)
    m3ter = over(world)
    await sync_lake(m3ter, "bills", tmp_path)
    before, sent = in_lake(tmp_path), dict(world.requests)
    with pytest.raises(SyncError, match="of organization org-1, not bills of org-2"):
        await sync_lake(m3ter.with_options(org_id="org-2"), "bills", tmp_path)
    with pytest.raises(SyncError, match="has the tables bills, line_items, pricing_bands, not bills"):
        await sync_lake(m3ter, "bills", tmp_path, nested=True)
    with pytest.raises(ValueError, match="no listing"):
        await sync_lake(m3ter, "bils", tmp_path)
    assert in_lake(tmp_path) == before
    assert world.requests == sent
    assert not [name for name in names(tmp_path) if not name.startswith("bills")]


async def test_a_lake_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no table of a sync"):
        lake_files(tmp_path, "bills")
    await sync_lake(over(World(7, bills=4)), "bills", tmp_path)
    with pytest.raises(ValueError, match="has no table invoices; it has bills, line_items, pricing_bands"):
        lake_files(tmp_path, "bills", "invoices")
    (tmp_path / "bills" / "_manifest.json").write_text("{}")
    with pytest.raises(SyncError, match="is of version None"):
        lake_files(tmp_path, "bills")


# Columns that come and go with a release


async def test_files_of_a_release_with_fewer_columns_get_the_new_ones(tmp_path: Path) -> None:
    world = World(8, bills=20)
    m3ter = over(world)
    await sync_lake(m3ter, "bills", tmp_path)
    for file in lake_files(tmp_path, "bills"):
        table = pq.ParquetFile(str(file)).read()
        pq.write_table(table.drop_columns(["bill_date"]), str(file))
    world.create()
    await sync_lake(m3ter, "bills", tmp_path)
    names = [pq.read_schema(str(file)).names for file in lake_files(tmp_path, "bills")]
    assert len(names) == 2
    assert names[0] == names[1]
    assert "bill_date" in names[0]


async def test_files_with_a_column_that_is_not_written_any_more_are_refused(tmp_path: Path) -> None:
    world = World(9, bills=20)
    m3ter = over(world)
    await sync_lake(m3ter, "bills", tmp_path)
    (file,) = lake_files(tmp_path, "bills")
    table = pq.ParquetFile(str(file)).read()
    pq.write_table(table.append_column("old", pa.nulls(table.num_rows, pa.string())), str(file))
    with pytest.raises(SyncError, match="has a column old of type string"):
        await sync_lake(m3ter, "bills", tmp_path)


# Files


async def test_small_files_are_put_together(tmp_path: Path) -> None:
    world = World(10, bills=10)
    m3ter = over(world)
    most = 0
    for _ in range(20):
        world.create()
        await sync_lake(m3ter, "bills", tmp_path)
        most = max(most, len(lake_files(tmp_path, "bills")))
    assert most <= 9
    assert in_lake(tmp_path) == in_world(world) == globbed(tmp_path)


async def test_one_id_below_two_parents_is_two_rows(tmp_path: Path) -> None:
    groups: dict[str, dict[str, int]] = {"g1": {"a": 1, "b": 1}, "g2": {"a": 1}}

    def service(request: Request) -> Answer:
        parts = request.url.partition("?")[0].split("/")
        if parts[-1] != "contents":
            return answer({"data": [{"id": group} for group in groups]})
        rows = [{"id": id, "version": version} for id, version in groups[parts[-2]].items()]
        return answer({"data": rows})

    m3ter = client(FakeTransport(service))
    where = {"type": "ACCOUNT"}

    async def synced() -> set[tuple[str, str, int]]:
        await sync_lake(m3ter, "resource_groups.list_contents", tmp_path, where=where)
        rows = held(lake_files(tmp_path, "resource_groups.list_contents"))
        return {(row["resource_group_id"], row["id"], row["version"]) for row in rows}

    assert await synced() == {("g1", "a", 1), ("g1", "b", 1), ("g2", "a", 1)}
    groups["g1"]["a"] = 2
    assert await synced() == {("g1", "a", 2), ("g1", "b", 1), ("g2", "a", 1)}
