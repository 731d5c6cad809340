"""At the end the ids are counted, and no export ends well in which one is there twice."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from m3ter_async import APIResponseValidationError
from m3ter_async.export import ExportError, SlicePage, export
from m3ter_async.export.run.exported_ids import FOLDER, Ids, check
from m3ter_async.models import Bill

from ..fakes import FakeTransport, answer, client
from .job import processes, small_parts
from .support import Form, Shelf, bill, lines

TWICE = "ids of bills came more than once"


def rows(count: int, **twice: int) -> list[Any]:
    """Bills, the newest first, of which the one at some places is another's once more."""
    made = [bill(number, f"2024-{12 - number // 28:02d}-{28 - number % 28:02d}") for number in range(count)]
    for place, other in twice.items():
        number = int(place.removeprefix("at"))
        made[number] = {**made[number], "id": made[other]["id"]}
    return made


@pytest.mark.parametrize(
    ("what", "made"),
    [
        ("on one page", rows(30, at3=2)),
        ("on two pages", rows(30, at25=4)),
        ("at the ends", rows(30, at29=0)),
        ("many times", rows(30, **{f"at{n}": 0 for n in range(1, 30)})),
    ],
)
async def test_a_record_that_the_service_gives_twice_ends_in_an_error(
    out: Path, form: Form, what: str, made: list[Any]
) -> None:
    with pytest.raises(ExportError, match=TWICE) as caught:
        await export(Shelf({"bills": made}).client(), ["bills"], out, **form.options)
    extra = 29 if what == "many times" else 1
    assert f"{extra} of 30 {TWICE}" in str(caught.value)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_record_that_is_in_two_slices_ends_in_an_error(out: Path, concurrency: int) -> None:
    m3ter = Shelf({"bills": rows(200, at190=3)}, size=5).client()
    with pytest.raises(ExportError, match=TWICE):
        await export(m3ter, ["bills"], out, concurrency=concurrency, since="2024-01-01", until="2025-01-01")


async def test_a_record_that_comes_again_in_another_run_ends_in_an_error(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    made = rows(60)
    shelf = Shelf({"bills": made[:]}, size=5)

    def stop(_: object) -> None:
        if shelf.asked["bills"] == 5:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        await export(shelf.client(), ["bills"], out, concurrency=1, on_progress=stop)
    # what was written meanwhile moves a record that was read already onto a page that was not
    shelf.lists["bills"] = [bill(99), *made]
    with pytest.raises(ExportError, match=TWICE):
        await export(shelf.client(), ["bills"], out, resume=True)
    with pytest.raises(ExportError, match=TWICE):
        await export(shelf.client(), ["bills"], out, resume=True)
    report = await export(shelf.client(), ["bills"], out, overwrite=True)
    assert report.records == {"bills": 61}


SPELLINGS = [
    b'{"id":"b1"}',
    b'{"id": "b1"}',
    b'{"id":"\\u0062\\u0031"}',
    b'{ "id":"b1" }',
    b'{"version":1,"id":"b1"}',
    b'{"accountId":"x","id":"b1"}',
    b'{"accountId":"x\\"id","id":"b1"}',
    b'{"lineItems":[{"id":"b2"}],"id":"b1"}',
    b'{"\xc3\xa9":{"id":"b3"},"id":"b1"}',
    b'{\n"id"\n:\n"b1"\n}',
]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_id_is_the_same_however_it_is_spelled(out: Path, spelling: bytes) -> None:
    with pytest.raises(ExportError, match=f"1 of 3 {TWICE}"):
        await export(Shelf({"bills": [b'{"id":"b1"}', b'{"id":"b2"}', spelling]}).client(), ["bills"], out)


async def test_ids_that_are_not_the_records_own_do_not_count(out: Path) -> None:
    made = [
        b'{"accountId":"b1","id":"b1"}',
        b'{"accountId":"b1","lineItems":[{"id":"b1"}],"id":"b2"}',
        b'{"lineItems":[{"id":"b1"},{"id":"b1"}]}',
        b'{"currency":"\\",\\"id\\":\\"b1","id":"b4"}',
        b'{"id":null}',
        b'{"id":"b5","status":{"id":"b1"}}',
    ]
    report = await export(Shelf({"bills": made}).client(), ["bills"], out)
    assert report.records == {"bills": 6}


async def test_children_of_different_parents_may_have_the_same_id(out: Path) -> None:
    lists: dict[str, Sequence[Any]] = {"balances": [{"id": "a"}, {"id": "b"}]}
    for name in "ab":
        lists[f"balances/{name}/transactions"] = [{"id": "t1"}, {"id": "t2"}]
    report = await export(Shelf(lists).client(), ["balances.transactions"], out)
    assert report.records == {"balances.transactions": 4}
    lists["balances/b/transactions"] = [{"id": "t1"}, {"id": "t1"}]
    with pytest.raises(ExportError, match=r"1 of 4 ids of balances\.transactions"):
        await export(Shelf(lists).client(), ["balances.transactions"], out, overwrite=True)


@pytest.mark.parametrize("bad", [b'{"id":{"a":1}}', b'{"id":[1]}', b'{"id":1.5}'])
async def test_a_record_with_an_id_that_is_none_is_an_error_and_made_up_for_once_it_is_right(
    out: Path, bad: bytes
) -> None:
    made: list[Any] = [bill(1), bill(2), bad, bill(4)]
    shelf = Shelf({"bills": made})
    with pytest.raises(ExportError, match="a record has no id that can be read"):
        await export(shelf.client(), ["bills"], out)
    made[2] = bill(3)
    report = await export(shelf.client(), ["bills"], out, resume=True)
    assert sorted(lines(report, "bills", "bills")) == sorted(answer(row).content for row in made)


async def test_records_that_have_no_id_are_not_told_apart(out: Path) -> None:
    made = [{"accountId": "same"}] * 4
    report = await export(Shelf({"bills": made}).client(), ["bills"], out)
    assert report.records == {"bills": 4}


def save(folder: Path, parts: int, each: int) -> None:
    """The ids of some parts, as an export would have left them."""
    for number in range(parts):
        ids = Ids(Bill)
        for page in range(0, each, 100):
            first = number * each + page
            ids.add(SlicePage([b'{"id":"%036d"}' % place for place in range(first, first + 100)], None, None))
        ids.save(folder, "bills", number)


def check_many(folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert check(folder, "bills", range(10)) == 500_000
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert more * (1 if sys.platform == "darwin" else 1024) < 40 * 2**20


def test_half_a_million_ids_are_counted_in_little_memory(folder: Path) -> None:
    save(folder, 10, 50_000)
    process = processes().Process(target=check_many, args=(folder,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    process.close()
    assert sorted(path.name for path in (folder / FOLDER).iterdir()) == [f"bills-{n:05d}" for n in range(10)]


def test_one_id_of_many_that_is_there_twice_is_found(tmp_path: Path) -> None:
    save(tmp_path, 5, 50_000)
    again = Ids(Bill)
    again.add(SlicePage([b'{"id":"%036d"}' % 123_456], None, None))
    again.save(tmp_path, "bills", 5)
    assert check(tmp_path, "bills", range(5)) == 250_000
    with pytest.raises(ExportError, match=f"1 of 250001 {TWICE}"):
        check(tmp_path, "bills", range(6))


async def test_only_the_ids_of_one_resource_are_compared(out: Path) -> None:
    shelf = Shelf({"bills": [{"id": "one"}], "accounts": [{"id": "one"}]})
    report = await export(shelf.client(), ["bills", "accounts"], out)
    assert report.records == {"bills": 1, "accounts": 1}


async def test_a_token_that_repeats_is_the_services_error(out: Path) -> None:
    m3ter = client(FakeTransport(lambda _: answer({"data": [], "nextToken": "again"})))
    with pytest.raises(APIResponseValidationError, match="gave before"):
        await export(m3ter, ["bills"], out)
