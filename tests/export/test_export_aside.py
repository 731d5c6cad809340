"""What a format cannot hold is in a file of its own, byte for byte and with the reason, once whatever happens."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from m3ter_async.export import ExportError, ExportProgress, ExportReport, export

from ..fakes import answer
from .job import small_parts
from .support import FORMS, MANIFEST, Form, Shelf, bill, content, csv_rows, exact, files, lines, parquet_rows

TABLES = {name: form for name, form in FORMS.items() if form.format != "ndjson"}
DAYS: dict[str, Any] = {"since": "2024-01-01", "until": "2025-01-01"}


@pytest.fixture(autouse=True)
def parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)


@pytest.fixture(params=list(TABLES.values()), ids=list(TABLES))
def table(request: pytest.FixtureRequest) -> Form:
    found: Form = request.param
    return found


def bills(count: int, every: int = 7) -> list[Any]:
    """Bills of which some cannot be kept in columns."""
    days = [f"2024-{12 - number // 28:02d}-{28 - number % 28:02d}" for number in range(count)]
    made = [bill(number, day, accountCode="x" * 300) for number, day in enumerate(days)]
    for number in range(3, count, every):
        made[number]["billTotal"] = "NaN"
    return made


def odd(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row["billTotal"] == "NaN"]


def aside(out: Path, resource: str = "bills") -> list[dict[str, Any]]:
    path = out / "aside" / f"{resource}.ndjson"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def check(out: Path, report: ExportReport, rows: list[Any]) -> None:
    """All rows are there once, in the files or set aside."""
    spoilt = odd(rows)
    assert report.records == {"bills": len(rows) - len(spoilt)}
    assert Counter(each["id"] for each in aside(out)) == Counter(row["id"] for row in spoilt)
    assert sorted((each["record"] for each in aside(out)), key=repr) == sorted(spoilt, key=repr)
    assert sum(note.count or 0 for note in report.notes if note.kind == "record") == len(spoilt)
    assert report.complete is not bool(spoilt)
    names = {file.path.relative_to(out).as_posix() for file in report.files}
    assert set(files(out)) == names | ({"aside/bills.ndjson"} if spoilt else set())


async def test_a_record_that_does_not_fit_is_aside_with_its_bytes_and_the_reason(out: Path, table: Form) -> None:
    strange = b'{"id":"s","billTotal":1e-19,"accountCode":"\\u00e9", "x":1.10000}'
    broken = b'{"id":"t","accountId":\r\n 5}'
    report = await export(
        Shelf({"bills": [bill(1), strange, bill(2), broken]}).client(), ["bills"], out, **table.options
    )
    found = (out / "aside" / "bills.ndjson").read_bytes().splitlines()
    if table.format == "csv":  # which has the digits as they are
        assert report.records == {"bills": 3}
    else:
        assert report.records == {"bills": 2}
        first = found.pop(0)
        assert first.endswith(b',"record":' + strange + b"}")
        assert exact(first)["where"] == "bills.bill_total"
        assert "1e-19 does not fit" in exact(first)["why"]
    (last,) = found
    assert exact(last)["record"] == {"id": "t", "accountId": 5}
    assert "Expected `str" in exact(last)["why"]
    assert exact(last)["where"] == "accountId"
    notes = [note for note in report.notes if note.kind == "record"]
    assert {note.names for note in notes} <= {("s",), ("t",)}
    assert all("aside/bills.ndjson" in note.text for note in notes)


async def test_ndjson_has_all_of_them(out: Path) -> None:
    rows = bills(50)
    report = await export(Shelf({"bills": rows}).client(), ["bills"], out)
    assert sorted(lines(report, "bills", "bills")) == sorted(answer(row).content for row in rows)
    assert report.complete
    assert not (out / "aside").exists()


async def stopped(service: Shelf, out: Path, page: int, **options: Any) -> None:
    told = 0

    def stop(_: ExportProgress) -> None:
        nonlocal told
        told += 1
        if told == page:
            scope.cancel()

    with anyio.CancelScope() as scope:
        await export(service.client(), ["bills"], out, on_progress=stop, **options)
    assert scope.cancelled_caught


@pytest.mark.parametrize("days", [{}, DAYS], ids=["whole", "days"])
async def test_each_is_aside_once_however_often_the_export_is_stopped(
    out: Path, table: Form, days: dict[str, Any]
) -> None:
    rows = bills(90)
    service = Shelf({"bills": rows}, size=4)
    await stopped(service, out, 5, concurrency=3, **days, **table.options)
    for page in (4, 7, 2):
        await stopped(service, out, page, concurrency=3, resume=True)
    report = await export(service.client(), ["bills"], out, resume=True)
    check(out, report, rows)
    alone = await export(service.client(), ["bills"], out.with_name("alone"), **days, **table.options)
    assert content(report) == content(alone)


async def test_slices_that_are_shared_out_leave_nothing_aside_twice(out: Path, table: Form) -> None:
    rows = bills(200)
    for row in rows:
        row["billDate"] = "2024-06-1" + row["billDate"][-1]
    service = Shelf({"bills": sorted(rows, key=lambda row: str(row["billDate"]), reverse=True)}, size=4)
    report = await export(service.client(), ["bills"], out, concurrency=6, **DAYS, **table.options)
    assert (out / MANIFEST).read_bytes().count(b'"type":"split"') > 0
    check(out, report, rows)


async def test_what_a_killed_run_left_in_the_file_is_removed(out: Path) -> None:
    rows = bills(60)
    service = Shelf({"bills": rows}, size=4)
    await stopped(service, out, 9, concurrency=1, format="csv")
    with (out / "aside" / "bills.ndjson").open("ab") as file:
        file.write(b'{"part":77,"at":0,"id":"x","where":"","why":"","record":{}}\n{"part":78,"at":0,"id"')
    report = await export(service.client(), ["bills"], out, resume=True)
    check(out, report, rows)
    # and of one that is finished
    with (out / "aside" / "bills.ndjson").open("ab") as file:
        file.write(b'{"part":99,"at"')
    check(out, await export(service.client(), ["bills"], out, resume=True), rows)


@pytest.mark.parametrize("finished", [True, False])
async def test_a_file_that_is_not_as_it_was_is_an_error_at_once(out: Path, finished: bool) -> None:
    service = Shelf({"bills": bills(60)}, size=4)
    if finished:
        await export(service.client(), ["bills"], out, format="csv")
    else:
        await stopped(service, out, 9, concurrency=1, format="csv")
    (out / "aside" / "bills.ndjson").unlink()
    service.asked.clear()
    with pytest.raises(ExportError, match=r"aside/bills\.ndjson is not as it was finished") as caught:
        await export(service.client(), ["bills"], out, resume=True)
    assert not caught.value.resumable
    assert not service.asked


async def test_overwrite_removes_what_was_set_aside(out: Path) -> None:
    await export(Shelf({"bills": bills(20)}).client(), ["bills"], out, format="csv")
    assert aside(out)
    report = await export(Shelf({"bills": [bill(1)]}).client(), ["bills"], out, format="csv", overwrite=True)
    assert report.complete
    assert not (out / "aside").exists()


async def test_a_copy_of_the_folder_has_what_was_set_aside(out: Path) -> None:
    rows = bills(60)
    service = Shelf({"bills": rows}, size=4)
    await stopped(service, out, 9, concurrency=1, format="csv")
    copy = out.with_name("copy")
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns(".*"))
    check(copy, await export(service.client(), ["bills"], copy, resume=True), rows)


async def test_of_a_record_that_came_twice_and_was_aside_at_first_the_later_is_in_the_files(out: Path) -> None:
    rows = [bill(1), {**bill(2), "billTotal": "NaN"}, bill(3), bill(2), bill(3)]
    report = await export(Shelf({"bills": rows}, size=2).client(), ["bills"], out, format="parquet", concurrency=1)
    assert sorted(row["id"] for row in parquet_rows(report, "bills", "bills")) == ["bill-1", "bill-2", "bill-3"]
    assert [each["id"] for each in aside(out)] == ["bill-2"]
    assert {note.kind: note.count for note in report.notes} == {"record": 1, "twice": 1}


async def test_children_that_are_no_objects_are_aside_in_every_format(out: Path, form: Form) -> None:
    lists: dict[str, Any] = {"balances": [{"id": "b"}], "balances/b/transactions": [b"5", {"id": "t"}, b"null", b"[]"]}
    report = await export(Shelf(lists).client(), ["balances.transactions"], out, **form.options)
    assert report.records == {"balances.transactions": 1}
    assert [each["record"] for each in aside(out, "balances.transactions")] == [5, None, []]


async def test_amounts_that_only_csv_can_hold_are_in_csv(out: Path) -> None:
    made = [
        b'{"id":"a","billTotal":1e-19}',
        b'{"id":"b","billTotal":379187512993718482571}',
        b'{"id":"c","billTotal":"Infinity"}',
    ]
    report = await export(Shelf({"bills": made}).client(), ["bills"], out, format="csv")
    assert [row["bill_total"] for row in csv_rows(report, "bills", "bills")] == ["1e-19", "379187512993718482571"]
    assert [each["id"] for each in aside(out)] == ["c"]


async def test_half_of_a_surrogate_pair_is_a_matter_of_its_record_alone(out: Path, form: Form) -> None:
    cut = b'{"id":"cut","purchaseOrderNumber":"x \\ud83d"}'
    report = await export(Shelf({"bills": [bill(1), cut, bill(2)]}).client(), ["bills"], out, **form.options)
    if form.format == "ndjson":
        assert cut in lines(report, "bills", "bills")
    else:
        assert report.records == {"bills": 2}
        assert (out / "aside" / "bills.ndjson").read_bytes().endswith(b'"record":' + cut + b"}\n")
