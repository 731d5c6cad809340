"""At the end the ids are counted: of two records with one id the later is kept, and that is told."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from m3ter_async.export import ExportError, ExportReport, SlicePage, export
from m3ter_async.export.places.local import LocalPlace
from m3ter_async.export.run.entries import Part
from m3ter_async.export.run.exported_ids import FOLDER, Taken, find_twice, name_of

from ..fakes import FakeTransport, answer, client
from .job import processes, small_parts
from .support import Form, Shelf, bill, content, csv_rows, exact, files, lines, parquet_rows


def twice(report: ExportReport) -> tuple[int | None, tuple[str, ...]]:
    """How many ids came twice, and which."""
    found = [note for note in report.notes if note.kind == "twice"]
    if not found:
        return 0, ()
    (note,) = found
    assert report.complete
    assert all(name in note.text for name in note.names)
    return note.count, note.names


def rows(count: int, **twice: int) -> list[Any]:
    """Bills, the newest first, of which the one at some places is another's once more."""
    made = [bill(number, f"2024-{12 - number // 28:02d}-{28 - number % 28:02d}") for number in range(count)]
    for place, other in twice.items():
        number = int(place.removeprefix("at"))
        made[number] = {**made[number], "id": made[other]["id"]}
    return made


def told(report: ExportReport, form: Form) -> dict[str, str]:
    """The account codes of the bills in the files, by id; each is there once."""
    if form.format == "ndjson":
        rows = [(row["id"], row["accountCode"]) for row in map(exact, lines(report, "bills", "bills"))]
    else:
        read = csv_rows if form.format == "csv" else parquet_rows
        rows = [(row["id"], row["account_code"]) for row in read(report, "bills", "bills")]
    assert len(dict(rows)) == len(rows) == report.records["bills"] == report.rows["bills"]["bills"]
    return dict(rows)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(
    ("what", "made"),
    [
        ("on one page", rows(30, at3=2)),
        ("on two pages", rows(30, at25=4)),
        ("at the ends", rows(30, at29=0)),
        ("many times", rows(30, **{f"at{n}": 0 for n in range(1, 30)})),
        ("in pairs", rows(30, **{f"at{n}": n - 1 for n in range(1, 30, 2)})),
    ],
)
async def test_of_records_that_come_twice_the_later_is_kept_and_the_export_ends_well(
    out: Path, monkeypatch: pytest.MonkeyPatch, form: Form, what: str, made: list[Any], concurrency: int
) -> None:
    small_parts(monkeypatch)
    made = [{**row, "accountCode": f"place {place}", "lineItems": items(place)} for place, row in enumerate(made)]
    report = await export(
        Shelf({"bills": made}, size=7).client(), ["bills"], out, concurrency=concurrency, **form.options
    )
    expected = {row["id"]: row["accountCode"] for row in made}
    assert told(report, form) == expected
    extra = len(made) - len(expected)
    assert twice(report)[0] == extra
    assert set(twice(report)[1]) <= set(expected)
    assert files(out) == sorted(file.path.relative_to(out).as_posix() for file in report.files)
    if form.format == "csv":
        kept = [int(code.removeprefix("place ")) for code in expected.values()]
        assert sorted(row["id"] for row in csv_rows(report, "bills", "line_items")) == sorted(
            item["id"] for place in kept for item in items(place)
        )
        assert len(csv_rows(report, "bills", "pricing_bands")) == sum(2 for place in kept for _ in items(place))
    again = await export(Shelf({}).client(), ["bills"], out, resume=True)
    assert (content(again), again.notes, again.records) == (content(report), report.notes, report.records)


def items(place: int) -> list[Any]:
    """None, one or two line items, each with two pricing bands."""
    return [
        {
            "id": f"i{place}-{n}",
            "description": 'of "two\nlines"',
            "usagePerPricingBand": [{"bandUnits": 1}, {"bandUnits": 2}],
        }
        for n in range(place % 3)
    ]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_record_that_is_in_two_slices_is_kept_once(out: Path, concurrency: int) -> None:
    m3ter = Shelf({"bills": rows(200, at190=3)}, size=5).client()
    report = await export(m3ter, ["bills"], out, concurrency=concurrency, since="2024-01-01", until="2025-01-01")
    assert report.records == {"bills": 199}
    assert twice(report) == (1, ("bill-3",))


async def test_a_record_that_comes_again_in_another_run_is_kept_once(
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
    report = await export(shelf.client(), ["bills"], out, resume=True)
    assert report.records == {"bills": 60}
    assert twice(report)[0] == 1
    report = await export(shelf.client(), ["bills"], out, overwrite=True)
    assert report.records == {"bills": 61}
    assert twice(report)[0] == 0


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
    report = await export(Shelf({"bills": [b'{"id":"b1"}', b'{"id":"b2"}', spelling]}).client(), ["bills"], out)
    assert twice(report) == (1, ("b1",))
    assert [exact(line) for line in lines(report, "bills", "bills")] == [{"id": "b2"}, exact(spelling)]


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
    report = await export(Shelf(lists).client(), ["balances.transactions"], out, overwrite=True)
    assert report.records == {"balances.transactions": 3}
    assert twice(report) == (1, ("t1",))


@pytest.mark.parametrize("bad", [b'{"id":{"a":1}}', b'{"id":[1]}', b'{"id":1.5}'])
async def test_a_record_with_an_id_that_is_none_is_kept_where_it_can_be(out: Path, bad: bytes, form: Form) -> None:
    made: list[Any] = [bill(1), bad, bill(2), bad]
    report = await export(Shelf({"bills": made}).client(), ["bills"], out, **form.options)
    if form.format == "ndjson":
        assert report.complete
        assert sorted(lines(report, "bills", "bills")) == sorted(
            row if row is bad else answer(row).content for row in made
        )
    else:
        assert report.records == {"bills": 2}
        assert [(note.kind, note.count) for note in report.notes] == [("record", 2)]


async def test_records_that_have_no_id_are_not_told_apart(out: Path) -> None:
    made = [{"accountId": "same"}] * 4
    report = await export(Shelf({"bills": made}).client(), ["bills"], out)
    assert report.records == {"bills": 4}


def save(folder: Path, parts: int, each: int, *, first: int = 0) -> list[Part]:
    """The ids of some parts, as an export would have left them."""
    (folder / FOLDER).mkdir(exist_ok=True)
    made = []
    for number in range(first, first + parts):
        taken = Taken([])
        for page in range(0, each, 100):
            start = number * each + page
            records = [b'{"id":"%036d"}' % place for place in range(start, start + 100)]
            taken.add(SlicePage(records, None, None), identified=True)
        taken.converted(each, [], {})
        taken.save(folder / name_of("bills", f"{number:05d}"))
        made.append(Part(number, "bills", each, [], {}, each))
    return made


def check_many(folder: Path, parts: list[Part]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert find_twice(LocalPlace(folder), parts) == {}
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert more * (1 if sys.platform == "darwin" else 1024) < 40 * 2**20


def test_half_a_million_ids_are_counted_in_little_memory(folder: Path) -> None:
    parts = save(folder, 10, 50_000)
    process = processes().Process(target=check_many, args=(folder, parts))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    process.close()
    assert sorted(path.name for path in (folder / FOLDER).iterdir()) == [f"bills-{n:05d}" for n in range(10)]


def test_one_id_of_many_that_is_there_twice_is_found(tmp_path: Path) -> None:
    parts = save(tmp_path, 5, 50_000)
    again = Taken([])
    again.add(SlicePage([b'{"id":"%036d"}' % 123_456], None, None), identified=True)
    again.converted(1, [], {})
    again.save(tmp_path / name_of("bills", "00005"))
    assert find_twice(LocalPlace(tmp_path), parts) == {}
    assert find_twice(LocalPlace(tmp_path), [*parts, Part(5, "bills", 1, [], {}, 1)]) == {2: [(23_456, 23_457)]}


async def test_a_copy_without_what_is_kept_of_the_ids_is_refused_at_once(out: Path) -> None:
    """Nothing is read again only to fail at the last step."""
    shelf = Shelf({"bills": rows(60)}, size=5)

    def stop(_: object) -> None:
        if shelf.asked["bills"] == 5:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        await export(shelf.client(), ["bills"], out, concurrency=1, on_progress=stop)
    asked = shelf.asked["bills"]
    for path in (out / FOLDER).iterdir():
        path.unlink()
    with pytest.raises(
        ExportError, match=rf"{FOLDER}/bills-\d+ is not as it was finished.* Copy it with {FOLDER}"
    ) as caught:
        await export(shelf.client(), ["bills"], out, resume=True)
    assert not caught.value.resumable
    assert shelf.asked["bills"] == asked


async def test_only_the_ids_of_one_resource_are_compared(out: Path) -> None:
    shelf = Shelf({"bills": [{"id": "one"}], "accounts": [{"id": "one"}]})
    report = await export(shelf.client(), ["bills", "accounts"], out)
    assert report.records == {"bills": 1, "accounts": 1}


async def test_a_listing_whose_token_repeats_is_set_aside_from_there(out: Path) -> None:
    numbers = count()
    m3ter = client(FakeTransport(lambda _: answer({"data": [bill(next(numbers))], "nextToken": "again"})))
    report = await export(m3ter, ["bills"], out)
    assert not report.complete
    (note,) = report.notes
    assert note.kind == "slice"
    assert "gave before" in note.text


@pytest.mark.parametrize("read", [(100.0, 200.0), (200.0, 100.0), (100.0, 100.0)])
def test_of_two_records_the_one_that_was_read_later_counts_whichever_part_was_finished_first(
    tmp_path: Path, read: tuple[float, float]
) -> None:
    (tmp_path / FOLDER).mkdir()
    for number, when in enumerate(read):
        taken = Taken([])
        for name in (b"%d" % number, b"both"):
            taken.add(SlicePage([b'{"id":"' + name + b'"}'], None, None), identified=True)
        taken.converted(2, [], {})
        taken.read[1] = when
        taken.save(tmp_path / name_of("bills", f"{number:05d}"))
    parts = [Part(number, "bills", 2, [], {}, 2) for number in (0, 1)]
    older = 1 if read[1] < read[0] else 0
    assert find_twice(LocalPlace(tmp_path), parts) == {older: [(1, 2)]}


def test_records_that_are_left_keep_the_moment_when_they_were_read() -> None:
    taken = Taken([])
    for page in range(3):
        taken.add(SlicePage([b'{"id":"%d-%d"}' % (page, n) for n in range(3)], None, None), identified=True)
    taken.converted(9, [], {})
    rest = taken.without([(1, 4), (5, 6)])
    assert list(rest.ends) == [1, 2, 5]
    assert rest.read == taken.read
