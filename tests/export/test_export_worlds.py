"""Whatever goes wrong, in whatever order: in the end each record is in the files once, or accounted for."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest
from anyio.lowlevel import checkpoint

from m3ter_async import APIError
from m3ter_async.export import ExportProgress, ExportReport, export
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client
from .job import small_parts
from .support import FORMS, MEMORY, Form, Shelf, bill, csv_rows, exact, files, lines, parquet_rows

CHILDREN = "balances.transactions"
PERMANENT = (400, 403, 409, 500, 502)


class World:
    """A service in which things go wrong by a seed: for good, for a while, and from one run to the next."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        chance = self.chance
        self.size = chance.randint(2, 7)
        self.age = 0
        self.ages = chance.random() < 0.6  # whether tokens are good for one run only
        self.refusal = chance.choice([400, 404, 410, 422])
        self.flaky = chance.choice([0.0, 0.0, 0.05, 0.15])
        parents = chance.randint(1, 40)
        self.parents = [f"b{number}" for number in range(parents)]
        self.gone = {each for each in self.parents if chance.random() < 0.05}
        self.refused = {
            each: chance.choice(PERMANENT) for each in self.parents if chance.random() < 0.06 and each not in self.gone
        }
        # of a resource of which nothing can be read there is no export
        self.gone.discard("b0")
        self.refused.pop("b0", None)
        lists: dict[str, Any] = {"balances": [{"id": each} for each in self.parents]}
        for parent in self.parents:
            lists[f"balances/{parent}/transactions"] = self.spoilt(
                [{"id": f"{parent}-{n}", "amount": n, "description": "d" * 150} for n in range(chance.randint(0, 25))]
            )
        days = sorted((f"2024-{1 + n % 3:02d}-{1 + n % 27:02d}" for n in range(chance.randint(0, 120))), reverse=True)
        lists["bills"] = self.spoilt([bill(n, day, accountCode="x" * 150) for n, day in enumerate(days)], "billTotal")
        self.bad_days = {day for day in set(days) if chance.random() < 0.03}
        self.shelf = Shelf(lists, self.size)

    def spoilt(self, rows: list[Any], amount: str = "amount") -> list[Any]:
        """Some rows fit no column, and some come twice."""
        for row in rows:
            if self.chance.random() < 0.03:
                row[amount] = "NaN"
        for row in [row for row in rows if self.chance.random() < 0.02]:
            rows.insert(self.chance.randrange(len(rows)), dict(row))
        return rows

    async def serve(self, request: Request) -> Response:
        for _ in range(self.chance.randrange(3)):
            await checkpoint()
        url = urlsplit(request.url)
        path, query = url.path.split("/", 3)[3], dict(parse_qsl(url.query))
        if self.chance.random() < self.flaky:
            return answer({"message": "try again"}, 503)
        parent = path.split("/")[1] if "/" in path else ""
        if parent in self.gone:
            return answer({"message": "gone"}, 404)
        if parent in self.refused:
            return answer({"message": "no"}, self.refused[parent])
        start, end = query.get("billDateStart", ""), query.get("billDateEnd", "~")
        if path == "bills" and any(start <= day < end for day in self.bad_days):
            return answer({"message": "no"}, 500)
        token = query.get("nextToken")
        age, _, place = (token or f"{self.age}.0").partition(".")
        if self.ages and int(age) != self.age:
            return answer({"message": "token expired"}, self.refusal)
        page = self.shelf(
            Request(request.method, request.url.replace(f"nextToken={token}", f"nextToken={place}"), {}, None)
        )
        return answer(bytes(page.content).replace(b'"nextToken":"', b'"nextToken":"%d.' % self.age))


async def outcome(world: World, out: Path, form: Form) -> ExportReport:
    """The export of a world, stopped at random and gone on with until it ends."""
    begun = False
    days: dict[str, Any] = {"since": "2024-01-01", "until": "2024-04-01"}
    resources = (
        ["bills", CHILDREN] if not world.chance.randrange(3) else ["bills"] if world.chance.randrange(2) else [CHILDREN]
    )
    if CHILDREN in resources:
        days = {}
        world.bad_days = set()  # without dates nobody can read around them
    for run in range(60):
        stop_at = world.chance.choice([3, 8, 20, 10**9]) if run < 8 else 10**9
        if run >= 20:
            world.flaky = 0.0
        told = 0

        def stop(_: ExportProgress, stop_at: int = stop_at) -> None:
            nonlocal told
            told += 1
            if told == stop_at:
                scope.cancel()

        with anyio.CancelScope() as scope:
            m3ter = client(FakeTransport(world.serve), rate_limit=None, max_retries=1)
            options = {"resume": True} if begun else {**days, **form.options}
            begun = True
            concurrency = world.chance.randint(1, 5)
            try:
                report = await export(m3ter, resources, out, on_progress=stop, concurrency=concurrency, **options)
            except APIError:
                pass  # nothing of a resource could be read: another run may be luckier
            else:
                if not world.flaky:
                    return report
                world.flaky = 0.0  # what failed by chance is asked for again
        world.age += 1
    raise AssertionError("it does not come to an end")


def check(world: World, out: Path, report: ExportReport, form: Form) -> None:
    """Each record is in the files, aside, or of something that the notes name."""
    for resource, table, amount in (("bills", "bills", "billTotal"), (CHILDREN, "transactions", "amount")):
        if resource not in report.records:
            continue
        if form.format == "ndjson":
            found = [exact(line)["id"] for line in lines(report, resource, table)]
        else:
            read = csv_rows if form.format == "csv" else parquet_rows
            found = [row["id"] for row in read(report, resource, table)]
        assert len(found) == report.records[resource]
        there = Counter(found)
        assert not [name for name, count in there.items() if count > 1], "twice in the files"
        path = out / "aside" / f"{resource}.ndjson"
        aside = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        notes = [note for note in report.notes if note.resource == resource]
        assert sum(note.count or 0 for note in notes if note.kind == "record") == len(aside)
        named = {name for note in notes if note.kind in ("parent", "gone") for name in note.names}
        expected: set[str] = set()
        lists = world.shelf.lists
        odd = set()
        again = 0
        for where in lists if resource == CHILDREN else ["bills"]:
            parent = where.split("/")[1] if "/" in where else ""
            if (resource == CHILDREN) != bool(parent):
                continue
            rows: Any = lists[where]
            if parent in named:
                assert parent in world.gone or parent in world.refused
                continue
            for row in rows:
                if row.get("billDate") in world.bad_days:
                    continue
                again += row["id"] in expected and (row[amount] != "NaN" or form.format == "ndjson")
                expected.add(row["id"])
                if row[amount] == "NaN" and form.format != "ndjson":
                    odd.add(row["id"])
        assert set(there) | {each["id"] for each in aside} == expected
        assert {each["id"] for each in aside} == odd
        assert not odd & set(there)
        assert named == (world.gone | set(world.refused) if resource == CHILDREN else set())
        assert sum(note.count or 0 for note in notes if note.kind == "twice") == again
        slices = [note for note in notes if note.kind == "slice"]
        assert len(slices) == (len(world.bad_days) if resource == "bills" else 0)
    left = {name for name in files(out) if not name.startswith("aside/")}
    assert left == {file.path.relative_to(out).as_posix() for file in report.files}


@pytest.mark.parametrize("seed", range(60))
def test_each_record_is_there_once_or_accounted_for(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)
    form = [FORMS["ndjson"], FORMS["csv"], FORMS["parquet"]][seed % 3]
    world = World(seed)

    async def main() -> None:
        with TemporaryDirectory(dir=MEMORY) as name:
            out = Path(name, "out")
            check(world, out, await outcome(world, out, form), form)

    anyio.run(partial(main), backend="asyncio" if seed % 2 else "trio")
