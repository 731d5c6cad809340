"""What cannot be done is refused in one clear line, before anything is asked for or written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from m3ter_async import M3terError
from m3ter_async.export import ExportError, export, plan_slices

from .job import shelf
from .support import FORMS, MANIFEST, Form, Shelf, bill, content, files, lines

DAYS = {"since": "2024-01-01", "until": "2024-05-01"}


def snapshot(folder: Path) -> dict[Path, bytes]:
    """All files of a folder, with what is in them."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a text for a list": ("bills", {}, "resources must be a list of different names, not 'bills'"),
    "no resource": ([], {}, "resources must be a list"),
    "one resource twice": (["bills", "accounts", "bills"], {}, "resources must be a list of different names"),
    "an unknown resource": (["bils"], {}, "'bils' is no listing of this API; near to it: bills"),
    "nothing like it": (["zzzzzz"], {}, "'zzzzzz' is no listing of this API"),
    "one of two unknown": (["bills", "acounts"], {}, "'acounts' is no listing of this API; near to it: accounts"),
    "an unknown format": (["bills"], {"format": "xlsx"}, "format must be one of parquet, csv, ndjson, not 'xlsx'"),
    "nested CSV": (["bills"], {"format": "csv", "nested": True}, "nested is for Parquet"),
    "nested NDJSON": (["bills"], {"nested": True}, "nested is for Parquet"),
    "gzip": (["bills"], {"compression": "gzip"}, "compression can only be zstd"),
    "zstd of CSV": (["bills"], {"format": "csv", "compression": "zstd"}, "compression can only be zstd, and of NDJSON"),
    "no cursor": (["bills"], {"concurrency": 0}, "concurrency must be 1 or more, not 0"),
    "fewer than none": (["bills"], {"concurrency": -3}, "concurrency must be 1 or more, not -3"),
    "a day that is none": (
        ["bills"],
        {"since": "2024-02-30"},
        "since must be a day such as 2024-01-31, not 2024-02-30",
    ),
    "words for a day": (["bills"], {"until": "yesterday"}, "until must be a day such as 2024-01-31, not yesterday"),
    "an hour": (["bills"], {"since": datetime(2024, 1, 1, 5)}, "since must be a day"),
    "no day between": (["bills"], {"since": "2024-01-01", "until": "2024-01-01"}, "since must be before until"),
    "the wrong way round": (["bills"], {"since": "2024-02-01", "until": "2024-01-01"}, "since must be before until"),
    "days of accounts": (["accounts"], {"since": "2024-01-01"}, "accounts cannot be selected by since and until"),
    "days of one of two": (["bills", "accounts"], {"until": "2024-01-01"}, "accounts cannot be selected by since"),
    "days of transactions": (
        ["balances.transactions"],
        {"until": "2024-01-01"},
        "balances.transactions cannot be selected by since and until",
    ),
    "an unknown argument": (
        ["bills"],
        {"where": {"stat": "X"}},
        "bills cannot be selected by stat; did you mean status",
    ),
    "a missing argument": (["bills.list_by_account"], {}, "bills.list_by_account needs account_id"),
    "both ways on": (["bills"], {"resume": True, "overwrite": True}, "one or the other"),
    "nothing to go on with": (["bills"], {"resume": True}, "holds no export to go on with"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cannot_be_done_is_refused_before_anything_is_done(out: Path, what: str) -> None:
    resources, options, text = REFUSED[what]
    source = shelf()
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is looked at below
        await export(source.client(), resources, out, **options)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not source.asked
    assert not snapshot(out.parent)


async def test_days_may_be_dates_or_texts(out: Path) -> None:
    by_text = await export(shelf().client(), ["bills"], out / "a", since="2024-02-01", until="2024-03-01")
    by_date = await export(shelf().client(), ["bills"], out / "b", since=date(2024, 2, 1), until=date(2024, 3, 1))
    assert content(by_text) == content(by_date)
    assert by_text.records == {"bills": 10}


@pytest.mark.parametrize(("since", "until", "count"), [("2024-03-01", None, 20), (None, "2024-03-01", 20)])
async def test_either_end_may_be_open(out: Path, since: str | None, until: str | None, count: int) -> None:
    report = await export(shelf().client(), ["bills"], out, since=since, until=until)
    assert report.records == {"bills": count}


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda out: out.write_text("a file"), id="a file"),
        pytest.param(
            lambda out: out.parent.joinpath("export").symlink_to(out.parent / "nowhere" / "x"), id="a dead link"
        ),
        pytest.param(lambda out: (out / MANIFEST).mkdir(parents=True), id="a folder for the journal"),
    ],
)
async def test_a_folder_that_cannot_be_written_is_one_error(out: Path, prepare: Callable[[Path], object]) -> None:
    prepare(out)
    with pytest.raises((ExportError, ValueError), match="export"):
        await export(shelf().client(), ["bills"], out)


async def finished(out: Path, **options: Any) -> None:
    await export(shelf().client(), ["bills"], out, **{**DAYS, **options})


async def test_a_folder_that_holds_an_export_is_refused_and_left_as_it_is(out: Path) -> None:
    await finished(out)
    before = snapshot(out)
    source = shelf()
    for options in (DAYS, {}, {"format": "csv"}):
        for resources in (["bills"], ["accounts"]):
            if resources == ["accounts"] and "since" in options:
                continue
            refused: dict[str, Any] = dict(options)
            with pytest.raises(ValueError, match=r"holds an export already.* by resume, .* by overwrite"):
                await export(source.client(), resources, out, **refused)
    assert snapshot(out) == before
    assert not source.asked


async def test_overwrite_removes_the_export_and_nothing_else(out: Path) -> None:
    await finished(out)
    foreign = ["notes.txt", "bills/notes.csv", "bills/bills/notes.csv", "bills/bills/mine/00001.csv", "x/y/00001.csv"]
    for name in foreign:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    source = Shelf({"accounts": [{"id": "a1"}]})
    report = await export(source.client(), ["accounts"], out, overwrite=True, format="csv")
    assert files(out) == sorted([*foreign, "accounts/accounts/00000.csv"])
    assert report.records == {"accounts": 1}
    await export(source.client(), ["accounts"], out, resume=True)


async def test_overwrite_of_nothing_is_an_export(out: Path) -> None:
    report = await export(shelf().client(), ["bills"], out, overwrite=True)
    assert report.records == {"bills": 40}


async def test_overwrite_that_is_refused_leaves_the_export_as_it_is(out: Path) -> None:
    await finished(out)
    strange = out / "accounts" / "accounts" / "00000.ndjson"
    strange.parent.mkdir(parents=True)
    strange.write_text("mine")
    before = snapshot(out)
    m3ter = shelf().client()
    for resources, options in ((["accounts"], {}), (["nothing"], {}), (["bills"], {"format": "xlsx"})):
        refused: dict[str, Any] = {"overwrite": True, **options}
        with pytest.raises(ValueError, match=r"would be taken for a part|is no listing|format must be"):
            await export(m3ter, resources, out, **refused)
    assert snapshot(out) == before


async def test_files_that_would_be_taken_for_parts_are_not_written_between(out: Path) -> None:
    strange = out / "bills" / "line_items" / "00003.parquet"
    strange.parent.mkdir(parents=True)
    strange.write_text("mine")
    with pytest.raises(ValueError, match=r"00003\.parquet would be taken for a part of this export"):
        await export(shelf().client(), ["bills"], out)
    assert files(out) == ["bills/line_items/00003.parquet"]
    strange.unlink()
    report = await export(shelf().client(), ["bills"], out)
    assert report.records == {"bills": 40}


OTHERS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "resources": (["bills", "accounts"], {}),
    "format": (["bills"], {"format": "csv"}),
    "since": (["bills"], {"since": "2024-01-02"}),
    "until": (["bills"], {"until": "2024-05-02"}),
    "where": (["bills"], {"where": {"status": "PENDING"}}),
    "nested": (["bills"], {"nested": True}),
    "compression": (["bills"], {"compression": "zstd"}),
    "org_id": (["bills"], {}),
}


@pytest.mark.parametrize("done", [True, False], ids=["finished", "stopped"])
@pytest.mark.parametrize("name", OTHERS)
async def test_going_on_with_anything_else_is_refused_with_the_difference_named(
    out: Path, name: str, done: bool
) -> None:
    if done:
        await finished(out)
    else:
        with anyio.CancelScope() as scope:
            await finished(out, on_progress=lambda _: scope.cancel())
    before = (out / MANIFEST).read_bytes()
    resources, options = OTHERS[name]
    m3ter = shelf().client(org_id="another") if name == "org_id" else shelf().client()
    with pytest.raises(ValueError, match=rf"was begun with {name}=.*, not .*: go on with the same options"):
        await export(m3ter, resources, out, resume=True, **options)
    assert (out / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("form", [FORMS["zstd"], FORMS["nested"]], ids=["zstd", "nested"])
async def test_going_on_may_repeat_what_was_asked_for_or_leave_it_out(out: Path, form: Form) -> None:
    where = {"status": "PENDING"}
    with anyio.CancelScope() as scope:
        await finished(out, **form.options, where=where, on_progress=lambda _: scope.cancel())
    report = await export(shelf().client(), ["bills"], out, resume=True)
    assert report.records == {"bills": 40}
    again = await export(shelf().client(), ["bills"], out, resume=True, where=where, concurrency=1, **form.options)
    assert content(again) == content(report)


async def test_a_journal_of_another_version_is_refused(out: Path) -> None:
    await finished(out)
    journal = out / MANIFEST
    journal.write_bytes(journal.read_bytes().replace(b'"since"', b'"version":99,"since"', 1))
    for resume in (True, False):
        with pytest.raises(ExportError, match="another version of this package: remove"):
            await export(shelf().client(), ["bills"], out, resume=resume)


def no_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    tabular = (f"_tabular.{name}" for name in ("pyarrow_import", "arrays", "batches", "nested", "together"))
    for module in ("export.formats.parquet", *tabular):
        monkeypatch.delitem(sys.modules, f"m3ter_async.{module}", raising=False)


@pytest.mark.parametrize(
    "name",
    ["parquet", "nested", "zstd"],
)
async def test_without_pyarrow_the_error_says_what_to_install(
    out: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    no_pyarrow(monkeypatch)
    source = shelf()
    with pytest.raises(ImportError, match=r'pip install "m3ter-async\[export\]"'):
        await export(source.client(), ["bills"], out, **FORMS[name].options)
    assert not source.asked
    assert not snapshot(out.parent)


async def test_plain_ndjson_and_csv_need_no_pyarrow(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_pyarrow(monkeypatch)
    for name in ("ndjson", "csv"):
        report = await export(shelf().client(), ["bills"], out / name, **FORMS[name].options)
        assert report.records == {"bills": 40}


async def test_an_export_error_is_one_of_the_packages_errors() -> None:
    assert issubclass(ExportError, M3terError)


async def test_a_bill_whose_date_is_none_is_exported_as_it_is(out: Path) -> None:
    made = [bill(number, "2024-01-05") for number in range(30)]
    made[9]["billDate"] = "2024-01-05T00:00:00Z"
    made[19]["billDate"] = "2024-01-05 or so"
    m3ter = Shelf({"bills": made}, size=10).client()
    report = await export(m3ter, ["bills"], out, since="2024-01-01", until="2024-02-01", concurrency=3)
    assert len(lines(report, "bills", "bills")) == 30


@pytest.mark.parametrize("count", [0, -1])
async def test_slices_that_are_none_are_refused(count: int) -> None:
    for resource in ("bills", "balances.transactions"):
        with pytest.raises(ValueError, match="count"):
            _ = [each async for each in plan_slices(shelf().client(), resource, count=count)]


async def test_slices_of_days_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="since must be before until"):
        _ = [each async for each in plan_slices(shelf().client(), "bills", since="2024-02-01", until="2024-01-01")]


async def test_days_that_are_given_as_other_arguments_are_days_too(out: Path) -> None:
    where = {"bill_date_start": "2024-01-05", "bill_date_end": "2024-02-05"}
    report = await export(shelf().client(), ["bills"], out / "a", where=where)
    assert report.records == {"bills": 10}
    with pytest.raises(ValueError, match="bill_date_start"):
        await export(shelf().client(), ["bills"], out / "b", where={"bill_date_start": "soon"})
    assert not (out / "b").exists()
