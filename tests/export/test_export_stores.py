"""An export into an object store: each row once, killed in any step, and whoever else writes to the same prefix."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from m3ter_async.export import ExportError, ExportReport, export
from m3ter_async.export.places.staging import Staging
from m3ter_async.export.places.store import StorePlace
from m3ter_async.export.run import parts

from .buckets import URL, MemoryBucket, downloaded, kept, named, place
from .job import odd_shelf, shelf, small_parts
from .support import FORMS, Form, Shelf, bill, content, lines
from .test_export_settle import Living, settled, whole

DAYS = {"since": "2024-01-01", "until": "2024-05-01"}
Objects = dict[str, bytes]
Content = dict[tuple[str, str], list[str]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Parts are small, and this is where they are staged."""
    small_parts(monkeypatch)
    staged = tmp_path / "staged"
    staged.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(staged))
    return staged


class Case:
    """Something to export, and what it comes to."""

    def __init__(self, shelf: Callable[[], Shelf], form: Form, folder: Path, **options: Any) -> None:
        self._shelf = shelf
        self._options = {**form.options, "resources": ["bills"], **options}
        self._folder = folder
        self.plain = shelf is not odd_shelf
        self.expected = self.content(anyio.run(partial(self.begin, folder / "plain")))

    async def begin(self, out: Any, **options: Any) -> ExportReport:
        asked = {**self._options, **options}
        resources = asked.pop("resources")
        async with self._shelf().client(max_retries=0) as m3ter:
            return await export(m3ter, resources, out, concurrency=3, **asked)

    async def go_on(self, objects: Objects, **bucket: Any) -> ExportReport:
        """Go on from another machine, or begin where there is nothing to go on with."""
        try:
            return await self.begin(place(MemoryBucket(objects, **bucket)), resume=True)
        except ValueError as error:
            if "holds no export to go on with" not in str(error):
                raise
            return await self.begin(place(MemoryBucket(objects, **bucket)))

    def content(self, report: ExportReport, objects: Objects | None = None) -> tuple[Any, ...]:
        """All rows, all that is set aside and all notes, in an order that does not depend on how it was read."""
        aside: list[str] = []
        if objects is not None:
            report = downloaded(report, objects, self._folder)
            for key, body in objects.items():
                if key.startswith("aside/"):
                    aside += [json.dumps(json.loads(line)["record"]) for line in body.decode().splitlines()]
        else:
            for path in self._folder.glob("plain/aside/*"):
                aside += [json.dumps(json.loads(line)["record"]) for line in path.read_text().splitlines()]
        notes = {note.kind: note.count for note in report.notes}
        return content(report), report.records, sorted(aside), notes

    def check(self, report: ExportReport, objects: Objects) -> None:
        """See that a finished export has each row once, and the store nothing else."""
        assert self.content(report, objects) == self.expected
        rest = [key for key in kept(objects) if not key.startswith("_ids/")]
        assert rest == named(report)
        if report.complete:
            assert rest == kept(objects)


@pytest.fixture(params=["ndjson", "parquet"])
def plain(request: pytest.FixtureRequest, folder: Path) -> Case:
    """Bills, nothing of which is odd."""
    return Case(shelf, FORMS[request.param], folder, **DAYS)


@pytest.fixture
def odd(folder: Path) -> Case:
    """Rows that come twice, rows that fit no column, parents that are gone and parents that fail."""
    return Case(odd_shelf, FORMS["csv"], folder, resources=["balances.transactions"])


@pytest.fixture(params=["plain", "odd"])
def case(request: pytest.FixtureRequest, folder: Path) -> Case:
    if request.param == "odd":
        return Case(odd_shelf, FORMS["csv"], folder, resources=["balances.transactions"])
    return Case(shelf, FORMS["ndjson"], folder, **DAYS)


# What is there at the end


async def test_a_store_gets_the_rows_that_a_folder_gets(plain: Case, small: Path) -> None:
    objects: Objects = {}
    report = await plain.begin(place(MemoryBucket(objects)))
    plain.check(report, objects)
    assert all(file.url is not None and file.url.startswith(f"{URL}/bills/") for file in report.files)
    assert os.listdir(small) == []


async def test_what_is_set_aside_is_in_the_store_too_and_said(odd: Case) -> None:
    objects: Objects = {}
    report = await odd.begin(place(MemoryBucket(objects)))
    odd.check(report, objects)
    assert {note.kind for note in report.notes} == {"record", "twice", "gone", "parent"}
    text = next(note.text for note in report.notes if note.kind == "record")
    assert f"{URL}/aside/balances.transactions/" in text
    again = await odd.go_on(objects)
    odd.check(again, objects)


async def test_a_finished_export_is_checked_and_nothing_is_written(plain: Case) -> None:
    objects: Objects = {}
    report = await plain.begin(place(MemoryBucket(objects)))
    before = dict(objects)
    again = await plain.go_on(objects)
    assert again.files == report.files
    assert again.records == report.records
    assert objects == before


async def test_a_file_that_is_not_there_any_more_is_told(plain: Case) -> None:
    objects: Objects = {}
    report = await plain.begin(place(MemoryBucket(objects)))
    del objects[named(report)[0]]
    with pytest.raises(ExportError, match=f"{URL}/bills/.* is not as it was finished"):
        await plain.go_on(objects)


async def test_an_object_of_the_manifest_that_is_not_there_any_more_is_told(plain: Case) -> None:
    objects: Objects = {}
    await plain.begin(place(MemoryBucket(objects)))
    del objects["manifest/0000000003.jsonl"]
    with pytest.raises(ExportError, match=rf"{URL}/manifest/0000000003.jsonl is not there any more"):
        await plain.go_on(objects)


async def test_a_second_export_is_refused_and_overwrite_removes_the_first(case: Case) -> None:
    objects: Objects = {}
    await case.begin(place(MemoryBucket(objects)))
    with pytest.raises(ValueError, match=f"{URL} holds an export already"):
        await case.begin(place(MemoryBucket(objects)))
    report = await case.begin(place(MemoryBucket(objects)), overwrite=True)
    case.check(report, objects)
    case.check(await case.go_on(objects), objects)


async def test_what_is_not_ours_is_left_alone(plain: Case) -> None:
    theirs = {"bills/bills/README.txt": b"x", "bills/00000.ndjson": b"x", "notes.txt": b"x", "_ids/x": b"x"}
    objects: Objects = dict(theirs)
    await plain.begin(place(MemoryBucket(objects)))
    await plain.begin(place(MemoryBucket(objects)), overwrite=True)
    assert objects.items() >= theirs.items()


async def test_what_would_be_taken_for_a_part_is_refused(plain: Case) -> None:
    objects: Objects = {"bills/bills/00000.ndjson": b"x"}
    with pytest.raises(ValueError, match=f"{URL}/bills/bills/00000.ndjson would be taken for a part"):
        await plain.begin(place(MemoryBucket(objects)))
    assert list(objects) == ["bills/bills/00000.ndjson"]


async def test_only_the_journal_since_the_last_overwrite_is_read(plain: Case) -> None:
    objects: Objects = {}
    for _ in range(3):
        await plain.begin(place(MemoryBucket(objects)), overwrite=True)
    keys = sorted(key for key in objects if key.startswith("manifest/"))
    begun = max(key for key in keys if b'"type":"begun"' in objects[key])
    for key in keys[: keys.index(begun) - 70]:
        objects[key] = b"never read"
    plain.check(await plain.go_on(objects), objects)


async def test_no_secret_of_the_client_is_in_the_store(plain: Case) -> None:
    objects: Objects = {}
    await plain.begin(place(MemoryBucket(objects)))
    everything = b"".join([key.encode() + body for key, body in objects.items()])
    for secret in (b"secret-of-the-tests", b"key-of-the-tests", b"token-of-the-tests"):
        assert secret not in everything


async def test_the_next_pages_are_read_while_a_part_is_put() -> None:
    source = Shelf({"bills": [bill(number, accountCode="x" * 300) for number in range(120)]}, size=5)
    met: list[bool] = []

    def read_on(_: int) -> None:
        """Whether another page is asked for while this thread waits, unless all that may be were read before."""
        if bucket.steps[-1].startswith("put bills"):
            asked, until = source.asked["bills"], time.monotonic() + 0.5
            while source.asked["bills"] == asked and time.monotonic() < until:
                time.sleep(0.001)
            met.append(source.asked["bills"] > asked)

    bucket = MemoryBucket({}, before=read_on)
    report = await export(source.client(), ["bills"], place(bucket), concurrency=1)
    assert report.records == {"bills": 120}
    assert sum(met) > 2


async def test_what_is_put_in_one_request_is_not_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_FULL", 2**30)
    monkeypatch.setattr(StorePlace, "most", 90_000)
    source = Shelf({"bills": [bill(number, accountCode="x" * 9_000) for number in range(120)]}, size=5)
    report = await export(source.client(), ["bills"], place(MemoryBucket({})), concurrency=1)
    assert report.records == {"bills": 120}
    assert len(report.files) > 3
    assert all(file.bytes < 400_000 for file in report.files)  # files are written in pieces of 128 KiB at the most


# Killed in any step


def died(error: Exception) -> bool:
    """True; another error is raised."""
    if "it is dead" not in str(error):
        raise error
    return True


def count(case: Case) -> int:
    bucket = MemoryBucket({})
    anyio.run(partial(case.begin, place(bucket)))
    return len(bucket.steps)


def test_killed_in_any_step_another_machine_ends_it_with_each_row_once(case: Case) -> None:
    steps = count(case)
    failed = 0
    stride = 1 if case.plain else 5
    for step in range(0, steps, stride):
        objects: Objects = {}
        try:
            anyio.run(partial(case.begin, place(MemoryBucket(objects, die_at=step))))
        except (ExportError, ValueError) as error:
            failed += died(error)
        case.check(anyio.run(partial(case.go_on, objects)), objects)
    assert failed > steps // stride * 0.9


def test_killed_while_it_settles_it_ends_with_what_the_service_holds(folder: Path) -> None:
    for step in range(0, 90, 6):
        objects: Objects = {}
        service = Living(40)

        def changes(service: Living = service) -> None:
            service.change(1, billTotal=-5)
            service.bills.pop("bill-4")
            service.bills["bill-99"] = whole(99)

        service.events[9] = changes
        for resume, die_at in ((False, step), (True, None)):
            out = place(MemoryBucket(objects, die_at=die_at))
            try:
                report = anyio.run(partial(settled, service, out, resume=resume))
            except (ExportError, ValueError) as error:
                if "holds no export to go on with" in str(error):
                    report = anyio.run(partial(settled, service, place(MemoryBucket(objects))))
                else:
                    died(error)
        kept_now = content(downloaded(report, objects, folder))
        now = anyio.run(partial(settled, service, folder / f"now-{step}"))
        assert kept_now == content(now)
        assert [key for key in kept(objects) if not key.startswith("_ids/")] == named(report)


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_ends_with_each_row_once(case: Case, seed: int) -> None:
    chance = random.Random(seed)
    objects: Objects = {}
    for _ in range(8):
        try:
            anyio.run(partial(case.go_on, objects, die_at=chance.randrange(5, 60)))
        except (ExportError, ValueError) as error:
            died(error)
    case.check(anyio.run(partial(case.go_on, objects)), objects)


def test_killed_while_it_overwrites_the_next_overwrite_leaves_only_its_own(case: Case) -> None:
    for step in range(0, 60, 6):
        objects: Objects = {}
        anyio.run(partial(case.begin, place(MemoryBucket(objects))))
        with pytest.raises((ExportError, ValueError), match="it is dead"):
            anyio.run(partial(case.begin, place(MemoryBucket(objects, die_at=step)), overwrite=True))
        case.check(anyio.run(partial(case.begin, place(MemoryBucket(objects)), overwrite=True)), objects)


async def test_an_answer_that_is_lost_is_not_taken_for_a_rival(case: Case) -> None:
    """A store's client repeats a request whose answer did not come, and is told that there is such an object."""
    objects: Objects = {}
    report = await case.begin(place(MemoryBucket(objects, lose=True)))
    case.check(report, objects)


async def test_after_an_entry_that_may_or_may_not_be_there_none_is_written(plain: Case) -> None:
    """Else it would be left out of what this process knows, and be in the journal."""
    objects: Objects = {}
    with pytest.raises(ExportError, match="it is dead"):
        await plain.begin(place(MemoryBucket(objects, die_at=31)))
    plain.check(await plain.go_on(objects), objects)


@pytest.mark.parametrize("page", [1, 4, 9])
async def test_cancelled_it_keeps_what_was_read_and_another_machine_goes_on(
    plain: Case, page: int, small: Path
) -> None:
    objects: Objects = {}
    told: list[int] = []
    with anyio.CancelScope() as scope:

        def stop(progress: Any) -> None:
            told.append(progress.rows)
            if len(told) == page:
                scope.cancel()

        await plain.begin(place(MemoryBucket(objects)), on_progress=stop)
    assert scope.cancelled_caught
    assert os.listdir(small) == []
    entered = b"".join(body for key, body in objects.items() if key.startswith("manifest/"))
    for key in kept(objects):
        assert key.startswith("_ids/") or key.encode() in entered
    plain.check(await plain.go_on(objects), objects)


# Two exports into one prefix


def rivals(
    case: Case, step: int, other: Callable[[Objects], Any], *, overwrite: bool = False
) -> tuple[Objects, Any, Any]:
    """Run an export, and another one as a whole before some step of it; give what became of both."""
    objects: Objects = {}
    if overwrite:
        anyio.run(partial(case.begin, place(MemoryBucket(objects))))
    second: list[Any] = []

    def before(number: int) -> None:
        if number == step:
            try:
                second.append(other(objects))
            except (ExportError, ValueError) as error:
                second.append(error)

    try:
        out = place(MemoryBucket(objects, before=before))
        first: Any = anyio.run(partial(case.begin, out, overwrite=overwrite))
    except (ExportError, ValueError) as error:
        first = error
    return objects, first, second[0] if second else None


def steps_of(case: Case) -> Iterator[int]:
    """Some of the steps of an export, up to its end; how many it takes differs a little from run to run."""
    return iter(range(0, count(case) - 10, 3 if case.plain else 7))


def test_whoever_is_taken_over_stops_and_the_other_has_each_row_once(case: Case) -> None:
    stopped = 0
    for step in steps_of(case):
        objects, first, second = rivals(case, step, lambda objects: anyio.run(partial(case.go_on, objects)))
        if second is None:  # this time it had ended before that step
            continue
        assert isinstance(second, ExportReport)
        case.check(second, objects)
        if isinstance(first, ExportReport):
            case.check(first, objects)
        else:
            stopped += 1
            told = str(first)
            already = f"{URL} holds an export already" in told or "would be taken for a part" in told
            assert f"another export took over {URL}" in told or f"another export is writing to {URL}" in told or already
    assert stopped > 5


def test_an_export_that_is_overwritten_meanwhile_stops_and_the_other_has_each_row_once(case: Case) -> None:
    def overwrite(objects: Objects) -> Any:
        return anyio.run(partial(case.begin, place(MemoryBucket(objects)), overwrite=True))

    stopped = 0
    for step in steps_of(case):
        objects, first, second = rivals(case, step, overwrite)
        if second is None:  # this time it had ended before that step
            continue
        assert isinstance(second, ExportReport)
        case.check(anyio.run(partial(case.go_on, objects)), objects)
        stopped += not isinstance(first, ExportReport)
    assert stopped > 5


def test_of_two_that_overwrite_an_export_only_one_has_its_files_there(case: Case) -> None:
    def overwrite(objects: Objects) -> Any:
        return anyio.run(partial(case.begin, place(MemoryBucket(objects)), overwrite=True))

    stopped = 0
    for step in steps_of(case):
        objects, first, second = rivals(case, step, overwrite, overwrite=True)
        if second is None:
            continue
        assert isinstance(second, ExportReport)
        ended = isinstance(first, ExportReport)  # it began after the other had ended, or found nothing of it
        case.check(first if ended else second, objects)
        stopped += not ended
    assert stopped > 5


def test_a_rival_that_dies_leaves_a_prefix_that_can_be_gone_on_with(case: Case) -> None:
    chance = random.Random(3)
    for step in steps_of(case):

        def die(objects: Objects) -> Any:
            return anyio.run(partial(case.go_on, objects, die_at=chance.randrange(3, 40)))

        objects, first, _ = rivals(case, step, die)
        if isinstance(first, ExportReport):
            case.check(first, objects)
        case.check(anyio.run(partial(case.go_on, objects)), objects)


# What cannot be done


async def test_a_store_that_cannot_keep_two_exports_apart_is_refused_before_anything_is_read() -> None:
    source, objects = Shelf({"bills": [bill(1)]}), dict[str, bytes]()
    with pytest.raises(ValueError, match=f"^cannot write to {URL}: the store cannot create an object only where"):
        await export(source.client(), ["bills"], place(MemoryBucket(objects, conditions=False)))
    assert not source.asked
    assert objects == {}


async def test_there_is_nothing_to_go_on_with(plain: Case) -> None:
    objects: Objects = {}
    with pytest.raises(ValueError, match=f"{URL} holds no export to go on with"):
        await plain.begin(place(MemoryBucket(objects)), resume=True)
    assert objects == {}


async def test_going_on_with_other_options_is_refused_and_nothing_is_written(plain: Case) -> None:
    objects: Objects = {}
    with pytest.raises(ExportError, match="it is dead"):
        await plain.begin(place(MemoryBucket(objects, die_at=30)))
    before = dict(objects)
    with pytest.raises(ValueError, match=f"{URL} was begun with until="):
        await plain.begin(place(MemoryBucket(objects)), resume=True, until="2024-03-01")
    assert objects == before


async def test_a_store_is_refused_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "m3ter_async.export.places.obstore_bucket", raising=False)
    monkeypatch.delitem(sys.modules, "m3ter_async.export.places.obstore_import", raising=False)
    source = Shelf({"bills": [bill(1)]})
    with pytest.raises(ImportError, match=r'^Object stores need obstore: pip install "m3ter-async\[cloud\]"$'):
        await export(source.client(), ["bills"], "s3://bucket/prefix")
    assert not source.asked


# The folder of this machine


def test_what_killed_processes_staged_is_removed_and_what_others_stage_is_not(small: Path) -> None:
    alive = Staging()
    dead = small / "m3ter-async-export-dead"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "drafts").mkdir()
    strange = small / "m3ter-async-export-strange"
    strange.mkdir()
    (strange / "file").touch()
    half = small / "m3ter-async-export-half-removed"
    half.mkdir()
    again = Staging()
    assert sorted(small.iterdir()) == sorted([alive.path, again.path, strange])
    alive.remove()
    again.remove()
    assert list(small.iterdir()) == [strange]


async def test_one_bill_is_a_line_of_one_object(folder: Path) -> None:
    objects: Objects = {}
    source = Shelf({"bills": [bill(1)]})
    report = await export(source.client(), ["bills"], place(MemoryBucket(objects)))
    assert lines(downloaded(report, objects, folder), "bills", "bills") == [
        json.dumps(bill(1), separators=(",", ":")).encode()
    ]
