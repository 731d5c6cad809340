"""What a sync promises step by step: what it asks for, when it counts as taken, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from anyio.lowlevel import checkpoint

from m3ter_async import AsyncM3ter, PermissionDeniedError
from m3ter_async.sync import Change, Known, SyncError, changes
from m3ter_async.transports.protocol import Request, Response
from tests.fakes import Answer, FakeTransport, answer, client
from tests.sync.world import Row, World

pytestmark = pytest.mark.anyio


def over(world: World) -> AsyncM3ter:
    return client(FakeTransport(world))


async def synced(m3ter: AsyncM3ter, known: Known, resource: str = "bills", **options: Any) -> list[Change]:
    return [change async for change in changes(m3ter, resource, known, **{"arrow": False, **options})]


def ids(found: list[Change]) -> set[str]:
    return {id for change in found for id in change.ids}


def deletes(found: list[Change]) -> set[str]:
    return {id for change in found for id in change.deletes}


def notes(found: list[Change]) -> list[str]:
    return [note.kind for change in found for note in change.notes]


# What it asks for


async def test_a_quiet_sync_asks_for_the_heads_of_what_is_not_locked_and_for_what_is_new() -> None:
    world, known = World(1, bills=100, page=100), Known()
    m3ter = over(world)
    await synced(m3ter, known)
    world.now += timedelta(hours=2)
    await synced(m3ter, known)
    world.requests.clear()
    found = await synced(m3ter, known)
    assert world.requests == {"config": 1, "heads": 1, "search": 1}
    assert [(change.ids, change.deletes, change.last) for change in found] == [([], [], True)]


async def test_a_first_sync_brings_everything_whole_and_says_when_it_is_done() -> None:
    world, known = World(2, bills=120), Known()
    found = await synced(over(world), known, batch_bytes=1)
    assert len(found) > 2
    assert [change.last for change in found] == [*[False] * (len(found) - 1), True]
    assert {id: json for each in found for id, json in zip(each.ids, each.records, strict=True)} == world.wholes()
    assert len(known) == 120


async def test_locked_bills_are_looked_at_once_a_day_and_when_asked_to() -> None:
    world, known = World(3, bills=40, page=100), Known()
    m3ter = over(world)
    await synced(m3ter, known)
    world.lock()
    locked = next(bill for bill in world.bills.values() if bill["locked"])
    await synced(m3ter, known)
    locked["version"] += 1  # which cannot be, and shows who looks
    assert ids(await synced(m3ter, known)) == set()
    assert ids(await synced(m3ter, known, full=True)) == {locked["id"]}
    locked["version"] += 1
    world.now += timedelta(days=1)
    assert ids(await synced(m3ter, known, full=False)) == set()
    assert ids(await synced(m3ter, known, full=timedelta(days=2))) == set()
    assert ids(await synced(m3ter, known)) == {locked["id"]}


async def test_a_lock_date_that_moved_is_a_reason_to_look_at_everything() -> None:
    world, known = World(4, bills=40), Known()
    m3ter = over(world)
    await synced(m3ter, known)
    locked = next(bill for bill in world.bills.values() if bill["locked"])
    locked["version"] += 1
    world.config += 1
    assert ids(await synced(m3ter, known, full=False)) == {locked["id"]}


async def test_the_time_is_that_of_the_service() -> None:
    world, known = World(5), Known()
    await synced(over(world), known)
    assert known.since is not None
    assert abs(known.since - world.now) < timedelta(minutes=5)  # of a year that is over


async def test_forgotten_digests_let_everything_come_again() -> None:
    world, known = World(5), Known()
    m3ter = over(world)
    await synced(m3ter, known)
    known.forget_digests()
    assert ids(await synced(m3ter, known, full=False)) == set(world.bills)
    assert ids(await synced(m3ter, known)) == set()


# The first time


def days(request: Request) -> tuple[str | None, str | None]:
    query = dict(parse_qsl(request.url.partition("?")[2]))
    return query.get("billDateStart"), query.get("billDateEnd")


async def test_the_first_sync_reads_ranges_of_days_that_leave_no_day_out_and_overlap_in_none() -> None:
    world = World(26, bills=60)

    async def slow(request: Request) -> Answer:
        for _ in range(20):
            await checkpoint()
        return world(request)

    transport = FakeTransport(slow)
    await synced(client(transport), Known())
    found = {days(request) for request in transport.requests if days(request) != (None, None)}
    bounded = sorted((start or "", end or "9") for start, end in found)
    assert bounded[0][0] == ""
    assert bounded[-1][1] == "9"
    assert all(before[1] == after[0] for before, after in pairwise(bounded))
    assert transport.most_in_flight > 4


async def test_a_few_bills_are_read_in_one_page() -> None:
    world, known = World(27, bills=60, page=100), Known()
    world.now += timedelta(hours=2)
    assert ids(await synced(over(world), known)) == set(world.bills)
    assert world.requests == {"config": 1, "list": 1, "heads": 1, "search": 1}


async def test_a_first_sync_that_was_left_does_not_ask_again_for_what_is_stored() -> None:
    world, known, broken = World(28, bills=200, page=20), Known(), True

    def service(request: Request) -> Answer:
        return answer({"message": "no"}, 403) if broken and "excludeLineItems" in request.url else world(request)

    transport = FakeTransport(service)
    m3ter = client(transport)
    with pytest.raises(PermissionDeniedError):
        await synced(m3ter, known)
    assert len(known) == 200
    broken = False
    world.now += timedelta(days=3)  # the ranges are the same on another day
    world.create_and_lock()
    transport.requests.clear()
    found = await synced(m3ter, Known(known.mark))
    assert ids(found) == {next(reversed(world.bills))}
    assert {days(request) for request in transport.requests} == {(None, None)}


async def test_what_a_range_of_days_does_not_hold_comes_with_the_heads() -> None:
    world, known = World(29, bills=60), Known()
    m3ter = over(world)
    for bill in world.bills.values():
        if bill["accountId"] == "acc-1":
            del bill["billDate"]  # such a bill is in no range
    first = ids(await synced(m3ter, known))
    assert first >= {id for id, bill in world.bills.items() if not bill["locked"] or "billDate" in bill}
    assert first | ids(await synced(m3ter, known)) == set(world.bills)


# What counts as taken


async def test_a_change_counts_as_taken_when_the_next_one_is_asked_for() -> None:
    world, known = World(6, bills=120), Known()
    found = changes(over(world), "bills", known, arrow=False, batch_bytes=1)
    first = await anext(found)
    assert len(known) == 0
    after = Known(first.mark)
    assert len(after) == len(first.ids) > 0
    assert len(known) == 0  # to ask for the mark takes nothing
    await anext(found)
    assert known.mark == after.mark
    await found.aclose()
    assert known.mark == after.mark  # the second one was not taken


async def test_a_sync_that_was_left_brings_only_what_was_not_taken() -> None:
    world, known = World(7, bills=160), Known()
    m3ter = over(world)
    taken: set[str] = set()
    found = changes(m3ter, "bills", known, arrow=False, batch_bytes=1)
    async for change in found:
        if taken:
            break
        taken |= set(change.ids)
    await found.aclose()
    rest = ids(await synced(m3ter, Known(known.mark)))
    assert taken & rest == set()
    assert taken | rest == set(world.bills)


async def test_a_mark_and_a_bookmark_with_rows_say_the_same() -> None:
    pa = pytest.importorskip("pyarrow")
    world, known = World(8, bills=30), Known()
    found = await synced(over(world), known)
    last, rows = found[-1], pa.concat_tables([change.state for change in found]).drop_columns("deleted")
    assert Known.from_state(last.bookmark, [rows]).mark == known.mark == Known(known.mark).mark == last.mark
    assert Known.from_state(last.bookmark, rows.to_batches()).mark == known.mark
    assert len(last.bookmark) < 300


async def test_what_is_known_takes_forty_bytes_a_record_when_it_is_stored() -> None:
    world, known = World(9, bills=400, page=100), Known()
    await synced(over(world), known)
    assert len(known.mark) < 40 * 400 + 300


@pytest.mark.parametrize(
    "damage",
    [lambda mark: mark[:-1], lambda mark: mark[:99] + b"\0" + mark[100:], lambda mark: b"", lambda mark: mark * 2],
)
async def test_a_damaged_mark_is_refused(damage: Callable[[bytes], bytes]) -> None:
    known = Known()
    await synced(over(World(10)), known)
    with pytest.raises(SyncError, match="damaged"):
        Known(damage(known.mark))


async def test_a_mark_of_a_later_version_is_refused() -> None:
    with pytest.raises(SyncError, match="version 99; this release of m3ter-async reads version 1"):
        Known.from_state(b'{"v": 99, "new": true}')


async def test_what_is_known_of_something_else_is_refused_before_anything_is_sent() -> None:
    world, known = World(11), Known()
    m3ter = over(world)
    await synced(m3ter, known)
    sent = dict(world.requests)
    with pytest.raises(SyncError, match="of another resource"):
        changes(m3ter, "balances.transactions", known)
    with pytest.raises(SyncError, match="of another selection"):
        changes(m3ter, "bills", known, where={"account_id": "acc-1"})
    with pytest.raises(SyncError, match="of another organization"):
        changes(m3ter.with_options(org_id="org-2"), "bills", known)
    changes(m3ter, "bills", known, where={"page_size": 5})  # selects nothing
    assert world.requests == sent


async def test_one_known_is_used_by_one_sync_at_a_time() -> None:
    world, known = World(12, bills=120), Known()
    m3ter = over(world)
    first = changes(m3ter, "bills", known, arrow=False, batch_bytes=1)
    await anext(first)
    with pytest.raises(SyncError, match="another sync uses this Known"):
        await synced(m3ter, known)
    await first.aclose()
    await synced(m3ter, known)


@pytest.mark.parametrize(
    ("resource", "options", "why"),
    [
        ("bils", {}, "no listing"),
        ("marketplace.list_usage_reports", {}, "have no id"),
        ("bills", {"where": {"locked": True}}, "gives locked by itself"),
        ("bills", {"where": {"ids": ["a"]}}, "gives ids by itself"),
        ("bills", {"full": timedelta(days=-1)}, "full must not be negative"),
        ("bills", {"look_back": timedelta(days=-1)}, "look_back must not be negative"),
        ("bills", {"concurrency": 0}, "concurrency must be 1 or more"),
        ("bills", {"batch_bytes": 0}, "batch_bytes must be 1 or more"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    resource: str, options: dict[str, Any], why: str
) -> None:
    world = World(13)
    with pytest.raises(ValueError, match=why):
        changes(over(world), resource, Known(), **options)
    assert world.requests == {}


# What is gone, and what only seems so


async def test_a_bill_that_is_not_listed_and_is_still_there_is_not_deleted() -> None:
    world, known = World(14, bills=30, page=100), Known()
    m3ter = over(world)
    await synced(m3ter, known)
    hidden = next(id for id, bill in world.bills.items() if not bill["locked"])
    world.hidden.add(hidden)
    found = await synced(m3ter, known)
    assert deletes(found) == set()
    assert [(note.kind, note.names) for note in found[-1].notes] == [("not_answered", (hidden,))]
    assert hidden in known
    world.hidden.clear()
    world.bills[hidden]["version"] += 1
    assert ids(await synced(m3ter, known)) == {hidden}


async def test_a_bill_is_not_deleted_where_the_service_only_fails() -> None:
    world, known, failing = World(15, bills=30, page=100), Known(), False

    def service(request: Request) -> Answer:
        by_id = "/bills/" in request.url and "search" not in request.url
        return answer({"message": "no"}, 403) if failing and by_id else world(request)

    m3ter = client(FakeTransport(service))
    await synced(m3ter, known)
    before, failing = known.mark, True
    world.delete()
    with pytest.raises(PermissionDeniedError):
        await synced(m3ter, known)
    assert known.mark == before
    failing = False
    assert len(deletes(await synced(m3ter, known))) == 1


async def test_a_record_that_cannot_be_asked_for_by_id_is_not_deleted_and_that_is_said() -> None:
    world, known = World(16, bills=60), Known()
    m3ter = over(world)
    await synced(m3ter, known, "balances.transactions")
    balance = next(id for id, rows in world.balances.items() if rows)
    gone = world.balances[balance].popitem()[0]
    found = await synced(m3ter, known, "balances.transactions")
    assert deletes(found) == set()
    assert [(note.kind, note.count, note.names) for note in found[-1].notes] == [("not_deleted", 1, (gone,))]
    assert gone in known


async def test_what_belongs_to_a_parent_that_is_gone_is_gone() -> None:
    world, known = World(17, bills=60), Known()
    m3ter = over(world)
    await synced(m3ter, known, "balances.transactions")
    balance = next(id for id, rows in world.balances.items() if len(rows) > 1)
    rows = world.balances.pop(balance)
    assert deletes(await synced(m3ter, known, "balances.transactions")) == set(rows)
    assert len(known) == len(world.transactions())


async def test_a_bill_that_left_the_selection_is_followed_and_no_other_comes_in() -> None:
    world, known = World(18, bills=30), Known()
    m3ter = over(world)
    where = {"account_id": "acc-1"}
    first = ids(await synced(m3ter, known, where=where))
    assert first == {id for id, bill in world.bills.items() if bill["accountId"] == "acc-1"}
    moved = next(id for id in first if not world.bills[id]["locked"])
    world.bills[moved].update(accountId="acc-2", version=2)
    new: dict[str, str] = {}
    while len(set(new.values())) < 2:
        world.create_and_lock()
        latest = next(reversed(world.bills.values()))
        new[latest["id"]] = latest["accountId"]
    found = ids(await synced(m3ter, known, where=where))
    assert found == {moved, *(id for id, account in new.items() if account == "acc-1")}


# What a place lacks


async def test_without_a_time_of_the_service_everything_is_looked_at_each_time_and_that_is_said() -> None:
    world, known = World(19, bills=30), Known()

    def undated(request: Request) -> Answer:
        found = world(request)
        assert isinstance(found, Response)
        return Response(found.status, {}, found.content)

    m3ter = client(FakeTransport(undated))
    for _ in range(2):
        assert notes(await synced(m3ter, known)) == ["no_time"]
    locked = next(bill for bill in world.bills.values() if bill["locked"])
    locked["version"] += 1
    assert ids(await synced(m3ter, known)) == {locked["id"]}


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_where_bills_cannot_be_searched_all_heads_are_looked_at_and_that_is_said(status: int) -> None:
    world, known = World(20, bills=30), Known()

    def refusing(request: Request) -> Answer:
        return answer({"message": "no"}, status) if "search" in request.url else world(request)

    m3ter = client(FakeTransport(refusing))
    await synced(m3ter, known)
    world.create_and_lock()
    found = await synced(m3ter, known)
    assert ids(found) == {next(reversed(world.bills))}
    assert notes(found) == ["whole_look"]


async def test_without_leave_to_read_the_lock_date_bills_are_synced_all_the_same_and_that_is_said() -> None:
    world, known = World(21, bills=30), Known()

    def refusing(request: Request) -> Answer:
        return answer({"message": "no"}, 403) if "billconfig" in request.url else world(request)

    m3ter = client(FakeTransport(refusing))
    await synced(m3ter, known)
    world.create()
    found = await synced(m3ter, known)
    assert ids(found) == {next(reversed(world.bills))}
    assert notes(found) == ["no_locks"]
    assert known.since is not None


# Rows that move while they are listed


@pytest.mark.parametrize("when", ["seen before", "come and gone"])
async def test_a_locked_bill_that_was_passed_over_since_rows_moved_comes_with_the_next_sync(when: str) -> None:
    world, known, pages = World(22, bills=0, page=5, counting=True), Known(), 0
    moving = False

    def service(request: Request) -> Answer:
        nonlocal pages
        if moving and "excludeLineItems" in request.url and "locked" not in request.url:
            pages += 1
            if pages == 2 and when == "come and gone":
                world.create()
            if pages == (2 if when == "seen before" else 3):
                world.bills.popitem()  # the newest, which is before all others
        return world(request)

    m3ter = client(FakeTransport(service))
    await synced(m3ter, known)
    for _ in range(20):
        world.create_and_lock()
    if when == "seen before":
        world.create()
    world.now += timedelta(days=20)
    known = Known.from_state(known.bookmark.replace(b"2025-03-01", b"2025-03-20"))  # too late for a search to find them
    moving = True
    first = ids(await synced(m3ter, known, full=True))
    assert len(first) == 19
    moving = False
    assert first | ids(await synced(m3ter, known)) == set(world.bills)
    world.requests.clear()
    await synced(m3ter, known)
    assert world.requests["heads"] == 1  # and then it is quiet


# Tables


async def test_upserts_are_tables_with_their_children_and_unknown_fields_are_kept_and_said() -> None:
    pytest.importorskip("pyarrow")
    world = World(23, bills=12)
    bill = next(bill for bill in world.bills.values() if bill["lineItems"])
    bill["lineItems"][0]["region"] = "eu"
    found = await synced(over(world), Known(), arrow=True)
    bills = {row["id"]: row["bill_total"] for change in found for row in change.upserts["bills"].to_pylist()}
    lines = [row for change in found for row in change.upserts["line_items"].to_pylist()]
    assert bills == {id: world.whole(bill)["billTotal"] for id, bill in world.bills.items()}
    amounts = [line["subtotal"] for bill in world.bills.values() for line in bill["lineItems"]]
    assert sorted(line["subtotal"] for line in lines) == sorted(amounts)
    assert [line["_extra"] for line in lines if line["_extra"]] == ['{"region":"eu"}']
    for change in found:
        assert change.upserts["bills"]["id"].to_pylist() == change.ids == change.state["id"].to_pylist()
    said = [note for change in found for note in change.notes]
    assert [(note.kind, note.count, note.names) for note in said] == [("unknown_field", 1, ("line_items.region",))]
    nested = await synced(over(world), Known(), arrow=True, nested=True)
    assert set(nested[-1].upserts) == {"bills"}


async def test_a_record_that_fits_no_table_is_set_aside_and_tried_again() -> None:
    pytest.importorskip("pyarrow")
    world, known = World(24, bills=12), Known()
    m3ter = over(world)
    bad = next(bill for bill in world.bills.values() if bill["lineItems"] and not bill["locked"])
    good = bad["lineItems"][0]["subtotal"]
    bad["lineItems"][0]["subtotal"] = msgspec.Raw(b"1e30")
    world.sums = False
    for _ in range(2):
        found = await synced(m3ter, known, arrow=True)
        aside = [(each.id, each.where) for change in found for each in change.aside]
        assert aside == [(bad["id"], "line_items.subtotal")]
        assert bad["id"] not in known
        assert bad["id"] not in ids(found)
    bad["lineItems"][0]["subtotal"] = good
    assert ids(await synced(m3ter, known, arrow=True)) == {bad["id"]}


async def test_a_record_without_an_id_is_set_aside() -> None:
    rows: list[Row] = [{"id": "a", "name": "A"}, {"name": "nobody"}, {"id": ".."}, {"id": 7}]
    m3ter = client(FakeTransport(lambda _: answer({"data": rows})))
    found = await synced(m3ter, Known(), "products")
    assert [change.ids for change in found] == [["a", "7"]]
    assert [aside.why for aside in found[-1].aside] == ["it has no id", "'..' is no id: nothing can be asked for by it"]


# Other listings


async def test_other_listings_are_read_whole_and_compared() -> None:
    rows: dict[str, Row] = {id: {"id": id, "version": 1} for id in "abc"}
    asked: list[str] = []

    def service(request: Request) -> Answer:
        last = request.url.partition("?")[0].rpartition("/")[2]
        if last == "products":
            return answer({"data": [row for row in rows.values() if not row.get("archived")]})
        asked.append(last)
        return answer(rows[last]) if last in rows else answer({}, 404)

    m3ter, known = client(FakeTransport(service)), Known()
    assert ids(await synced(m3ter, known, "products")) == {"a", "b", "c"}
    del rows["a"]
    rows["b"].update(archived=True)
    rows["c"].update(version=2)
    found = await synced(m3ter, known, "products")
    assert ids(found) == {"b", "c"}  # one that is only not listed any more is there as it is
    assert deletes(found) == {"a"}
    assert sorted(asked) == ["a", "b"]
    assert ids(await synced(m3ter, known, "products")) == set()
