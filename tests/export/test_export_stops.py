"""An export that stops, wherever that is, can be gone on with, and what it had finished is kept."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from m3ter_async import APIError, AsyncM3ter
from m3ter_async.export import ExportError, ExportProgress, ExportReport, export
from m3ter_async.export.places.local import LocalPlace
from m3ter_async.export.run.manifest import Manifest
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .job import has_begun, shelf, small_parts
from .support import FORMS, MANIFEST, MEMORY, Form, Shelf, bill, content, files, lines

DAYS = {"since": "2024-01-01", "until": "2024-05-01"}


@pytest.fixture(autouse=True)
def parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)


async def whole(out: Path, form: Form = FORMS["ndjson"], source: Shelf | None = None, **options: Any) -> ExportReport:
    """An export of the shelf, begun or gone on with, to its end."""
    begun: dict[str, Any] = {"resume": True} if has_begun(out) else {**DAYS, **form.options}
    m3ter = (source or shelf()).client()
    report = await export(m3ter, ["bills"], out, **{"concurrency": 3, **begun, **options})
    assert files(out) == sorted(file.path.relative_to(out).as_posix() for file in report.files)
    return report


Content = dict[tuple[str, str], list[str]]


@cache
def never_stopped(form: Form) -> Content:
    with TemporaryDirectory(dir=MEMORY) as name:
        return content(anyio.run(partial(whole, Path(name, "whole"), form)))


@pytest.fixture
def expected(form: Form) -> Content:
    """What is in an export that was never stopped."""
    return never_stopped(form)


@pytest.fixture
def plain() -> Content:
    """The same, of NDJSON."""
    return never_stopped(FORMS["ndjson"])


def kept(out: Path) -> int:
    """How many records are in finished files."""
    manifest = Manifest(LocalPlace(out))
    manifest.close()
    return manifest.resources["bills"].records


def leftovers(out: Path) -> list[str]:
    return [name for name in files(out) if name.endswith(".tmp")]


def stop_at(count: int, stop: Callable[[], object], told: list[int]) -> Callable[[ExportProgress], None]:
    """Notes how many rows there are, and does something when it is told for the nth time."""

    def on_progress(progress: ExportProgress) -> None:
        told.append(progress.rows)
        if len(told) == count:
            stop()

    return on_progress


PAGES = [*(("ndjson", page) for page in (1, 2, 5, 9, 14, 20)), *((name, page) for name in FORMS for page in (3, 11))]


@pytest.mark.parametrize(("form", "page"), [(FORMS[name], page) for name, page in PAGES], ids=map(str, PAGES))
async def test_an_export_that_is_cancelled_keeps_what_it_read_and_goes_on_from_there(
    out: Path, form: Form, page: int, expected: Content
) -> None:
    told: list[int] = []
    with anyio.CancelScope() as scope:
        await whole(out, form, on_progress=stop_at(page, scope.cancel, told))
    assert scope.cancelled_caught
    assert not leftovers(out)
    assert content(await whole(out, form)) == expected


@pytest.mark.parametrize("page", [1, 2, 3, 7, 12])
async def test_what_was_read_before_it_was_cancelled_is_not_read_again(out: Path, page: int) -> None:
    told: list[int] = []
    with anyio.CancelScope() as scope:
        # alone there is nobody to share a slice out to, which begins it anew
        await whole(out, concurrency=1, on_progress=stop_at(page, scope.cancel, told))
    assert kept(out) == told[-1] == max(told)
    report = await whole(out, concurrency=1)
    assert report.records == {"bills": 40}


@pytest.mark.parametrize("form", [FORMS["parquet"]], ids=["parquet"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("page", [1, 3, 6, 12])
async def test_asyncios_own_cancellation_stops_it_cleanly_too(
    out: Path, page: int, times: int, expected: Content
) -> None:
    told: list[int] = []

    def stop() -> None:
        for delay in range(times):
            asyncio.get_running_loop().call_later(delay / 1000, task.cancel)

    task = asyncio.create_task(whole(out, FORMS["parquet"], on_progress=stop_at(page, stop, told)))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not leftovers(out)
    report = await whole(out)
    assert content(report) == expected


@pytest.mark.parametrize("page", [1, 4, 10])
async def test_a_failing_callback_surfaces_as_itself_and_the_export_can_be_gone_on_with(
    out: Path, page: int, plain: Content
) -> None:
    failure = RuntimeError("the callback's own")

    def fail() -> None:
        raise failure

    with pytest.raises(RuntimeError) as caught:
        await whole(out, on_progress=stop_at(page, fail, []))
    assert caught.value is failure
    assert not leftovers(out)
    assert content(await whole(out)) == plain


async def test_a_callback_that_cannot_print_surfaces_as_itself_too(out: Path) -> None:
    def fail() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        await whole(out, on_progress=stop_at(2, fail, []))


@pytest.mark.parametrize("number", [1, 2, 4, 7])
async def test_a_failure_of_the_service_comes_out_as_itself_and_what_was_read_is_kept(
    out: Path, number: int, plain: Content
) -> None:
    source = shelf()
    asked = 0

    def serve(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return source(request) if asked < number else answer({"message": "no"}, 403, x_amzn_requestid="r-1")

    told: list[int] = []
    options: dict[str, Any] = {**DAYS, "on_progress": stop_at(0, lambda: None, told), "concurrency": 1}
    with pytest.raises(APIError, match="no") as caught:
        await export(client(FakeTransport(serve)), ["bills"], out, **options)
    assert type(caught.value).__name__ == "PermissionDeniedError"
    assert caught.value.request_id == "r-1"
    assert not leftovers(out)
    assert kept(out) == max(told, default=0)
    report = await whole(out)
    assert content(report) == plain


STEPS = {
    "ndjson": range(26),
    "zstd": range(3, 26, 8),
    "csv": range(0, 48, 7),
    "parquet": range(2, 48, 5),
    "nested": range(5, 26, 8),
}
EVERY = [(name, step) for name, steps in STEPS.items() for step in steps]


@pytest.mark.parametrize(("form", "step"), [(FORMS[name], step) for name, step in EVERY], ids=map(str, EVERY))
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_step_of_finishing_that_fails_is_one_error_and_made_up_for(
    out: Path, monkeypatch: pytest.MonkeyPatch, form: Form, step: int, expected: Content
) -> None:
    count = -1

    def failing(function: Callable[..., Any], *args: Any) -> Any:
        nonlocal count
        count += 1
        if count == step:
            raise OSError(errno.ENOSPC, "No space left on device", "the disk")
        return function(*args)

    with monkeypatch.context() as patch:
        for step_name in ("fsync", "replace", "write"):
            patch.setattr(os, step_name, partial(failing, getattr(os, step_name)))
        # before it has begun the folder is to blame
        with pytest.raises((ExportError, ValueError), match=r"cannot write .*No space left"):
            await whole(out, form)
    assert not leftovers(out)
    assert content(await whole(out, form)) == expected


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_half_a_line_that_cannot_be_cut_off_hides_none_of_those_after_it(
    out: Path, monkeypatch: pytest.MonkeyPatch, plain: Content
) -> None:
    """The disk fails in the middle of a line of the journal, and again when that is to be cut off."""
    written, count = os.write, 0

    def half(file: int, content: memoryview) -> int:
        nonlocal count
        count += 1
        if count == 4:
            return written(file, content[: len(content) // 2])
        if count == 5:
            raise OSError(errno.EIO, "Input/output error")
        return written(file, content)

    def cut(file: int, size: int) -> None:
        monkeypatch.setattr(os, "ftruncate", truncate)
        raise OSError(errno.EIO, "Input/output error")

    truncate = os.ftruncate
    monkeypatch.setattr(os, "ftruncate", cut)
    monkeypatch.setattr(os, "write", half)
    with pytest.raises(ExportError, match="cannot write"):
        await whole(out)
    assert count > 6  # others finished what they had read
    assert content(await whole(out)) == plain


async def stopped(out: Path, form: Form = FORMS["ndjson"], page: int = 8) -> None:
    """An export that was cancelled after some pages."""
    with anyio.CancelScope() as scope:
        await whole(out, form, on_progress=stop_at(page, scope.cancel, []))
    assert scope.cancelled_caught


@pytest.mark.parametrize("cut", [1, 2, 10, 50, 0])
async def test_a_last_line_of_the_journal_that_is_cut_short_counts_as_not_written(
    out: Path, cut: int, plain: Content
) -> None:
    await stopped(out)
    journal = out / MANIFEST
    *before, last = journal.read_bytes().splitlines(keepends=True)
    assert b"part" in last
    journal.write_bytes(b"".join(before) + (last[:-cut] if cut else b""))
    assert content(await whole(out)) == plain


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda line: line[: len(line) // 2] + line[len(line) // 2 + 3 :], id="bytes gone"),
        pytest.param(
            lambda line: re.sub(rb"\d", lambda found: b"%d" % (9 - int(found[0])), line, count=1), id="another digit"
        ),
        pytest.param(lambda line: b"\0" * (len(line) - 1) + b"\n", id="zeros"),
        pytest.param(lambda line: b"\n", id="an empty line"),
        pytest.param(lambda line: line.replace(b"bills", b"b\xff\xfels", 1), id="no UTF-8"),
        pytest.param(lambda line: line.replace(b'"bills"', b'"balances"'), id="another resource"),
        pytest.param(
            lambda line: line[:20] + b"\r" + line[21:],
            id="a carriage return",
        ),
        pytest.param(lambda line: line.replace(b'"type":"', b'"type":"un', 1), id="an unknown entry"),
    ],
)
async def test_a_journal_that_is_damaged_in_the_middle_is_an_error(out: Path, damage: Callable[[bytes], bytes]) -> None:
    await stopped(out)
    journal = out / MANIFEST
    entries = journal.read_bytes().splitlines(keepends=True)
    assert len(entries) > 4
    entries[2] = damage(entries[2])
    journal.write_bytes(b"".join(entries))
    with pytest.raises(ExportError, match=r"damaged|not as it was"):
        await whole(out)
    assert journal.read_bytes() == b"".join(entries)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("what", ["removed", "shorter", "longer"])
async def test_a_finished_file_that_is_not_as_it_was_is_an_error(out: Path, what: str, finished: bool) -> None:
    await (whole(out) if finished else stopped(out))
    path = max((out / name for name in files(out)), key=lambda file: file.stat().st_size)
    if what == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if what == "shorter" else path.read_bytes() + b"\n")
    with pytest.raises(ExportError, match=f"{path.name} is not as it was finished"):
        await whole(out)


async def test_what_a_killed_run_left_behind_is_removed_and_nothing_else(out: Path) -> None:
    await stopped(out)
    ours = ["bills/bills/00077.ndjson", "bills/bills/00078.ndjson.tmp", "bills/bills/100000.ndjson.tmp"]
    foreign = [
        "notes.txt",
        "00001.ndjson",
        "bills/notes.ndjson",
        "bills/00001.ndjson",
        "bills/bills/notes.csv",
        "bills/bills/0001.ndjson",
        "bills/bills/00001.ndjson.bak",
        "bills/bills/00001.ndjson.gz",
        "bills/bills/my/00001.ndjson",
        "accounts/accounts/00001.ndjson",
    ]
    for name in [*ours, *foreign]:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    m3ter = shelf().client()
    report = await export(m3ter, ["bills"], out, resume=True)
    assert report.records == {"bills": 40}
    assert not [name for name in ours if (out / name).exists()]
    assert all((out / name).exists() for name in foreign)


async def test_two_exports_into_one_folder_at_once_are_refused(out: Path) -> None:
    first = anyio.Event()
    refused: list[BaseException] = []

    async def second() -> None:
        await first.wait()
        asked: list[dict[str, Any]] = [{"resume": True}, {"overwrite": True, **DAYS}, DAYS]
        for options in asked:
            with pytest.raises(ExportError, match="another export is writing") as caught:
                await export(shelf().client(), ["bills"], out, **options)
            refused.append(caught.value)

    async with anyio.create_task_group() as group:
        group.start_soon(second)
        report = await whole(out, on_progress=lambda _: first.set())
        await anyio.sleep(0.02)
    assert len(refused) == 3
    assert content(report) == content(await whole(out))


async def test_an_export_that_is_finished_asks_the_service_for_nothing(out: Path, form: Form) -> None:
    first = await whole(out, form)
    source = shelf()
    again = await whole(out, source=source)
    assert not source.asked
    assert content(again) == content(first)
    assert (again.records, again.rows, again.files) == (first.records, first.rows, first.files)
    assert again.pages == 0


async def test_an_export_can_be_stopped_and_gone_on_with_as_often_as_it_takes(out: Path, plain: Content) -> None:
    """Each run reads two pages at the most, and still it ends."""
    runs = 0
    while True:
        runs += 1
        with anyio.CancelScope() as scope:
            report = await whole(out, on_progress=stop_at(2, scope.cancel, []))
            break
        assert runs < 200
    assert runs > 3
    assert content(report) == plain


async def test_what_follows_a_journal_is_its_own(out: Path) -> None:
    """A copy of a folder is an export too, and goes on without the other."""
    await stopped(out)
    copy = out.with_name("copy")
    shutil.copytree(out, copy)
    assert content(await whole(copy)) == content(await whole(out))


async def test_the_journal_says_what_there_is(out: Path) -> None:
    report = await whole(out)
    manifest = Manifest(LocalPlace(out))
    try:
        assert manifest.finished
        assert manifest.resources["bills"].records == 40
        assert not manifest.resources["bills"].slices
        names = {file.path for part in manifest.resources["bills"].parts.values() for file in part.files}
        assert names == set(files(out))
    finally:
        manifest.close()
    assert not (out / ".ids").exists()
    assert len(lines(report, "bills", "bills")) == 40


async def test_a_listing_that_is_searched_by_offset_goes_on_from_its_offset(out: Path) -> None:
    rows = [bill(number) for number in range(35)]

    def serve(request: Request) -> Response:
        place = int(request.url.partition("fromDocument=")[2].partition("&")[0] or 0)
        asked.append(place)
        size = 1 if "pageSize=1&" in request.url + "&" else 5
        return answer({"data": rows[place : place + size]})

    asked: list[int] = []
    m3ter: AsyncM3ter = client(FakeTransport(serve))
    with anyio.CancelScope() as scope:
        where = {"search_query": "status:PENDING"}
        await export(m3ter, ["bills.search"], out, where=where, on_progress=stop_at(3, scope.cancel, []), concurrency=9)
    asked.clear()
    report = await export(m3ter, ["bills.search"], out, resume=True)
    # 5, and twice 4 behind the row that is asked for again; before, whether that one still stands there is looked at
    assert asked[:2] == [12, 13]
    assert len(lines(report, "bills.search", "bills")) == 35
