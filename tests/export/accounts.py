"""How what an export wrote compares with what the service held: each difference is explained, or it is a fault."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from m3ter_async.export import ExportReport
from m3ter_async.export.places.local import LocalPlace
from m3ter_async.export.run.manifest import Manifest
from m3ter_async.export.run.standing import Standing

from ..sync.world import Row
from .restless import Life, Restless
from .support import Form, csv_rows, exact, files, lines, parquet_rows

Key = tuple[Any, ...]
_NAMED = 10  # ids that a note names


@dataclass
class Accounts:
    """What came out of comparing.

    Attributes:
        rows: Records in the files.
        aside: Records that were set aside.
        units: Parents and slices that were set aside or are gone.
        explained: Records that are not in the files as the service holds them, by why.
        unexplained: Others.
    """

    rows: int = 0
    aside: int = 0
    units: int = 0
    explained: Counter[str] = field(default_factory=Counter[str])
    unexplained: int = 0


def account(
    service: Restless, out: Path, report: ExportReport, form: Form, settled: bool
) -> tuple[Accounts, list[str]]:
    """Compare; also gives what does not hold."""
    return _Account(service, out, report, form, settled).done()


class _Account:
    def __init__(self, service: Restless, out: Path, report: ExportReport, form: Form, settled: bool) -> None:
        self.service = service
        self.out = out
        self.report = report
        self.form = form
        self.settled = settled
        (self.resource,) = report.records
        manifest = Manifest(LocalPlace(out))
        manifest.close()
        self.standing: Standing = manifest.resources[self.resource]
        self.accounts = Accounts()
        self.broken: list[str] = []
        self.found: dict[str, Key] = {}
        self.aside: dict[str, list[Key]] = {}

    def done(self) -> tuple[Accounts, list[str]]:
        for id, parent, key in self._rows():
            if id in self.found:
                self.broken.append(f"{id} is in the files twice")
            self.found[id] = key
            self._is_known(id, parent, key)
        self._read_aside()
        self._report()
        for id, life in self.service.lives.items():
            if (life.parent is None) is (self.resource == "bills"):
                self._compare(id, life)
        accounts = self.accounts
        accounts.rows, accounts.aside = len(self.found), len(self.aside)
        accounts.units = len(self.standing.units) + sum(len(part.gone) for part in self.standing.parts.values())
        return accounts, self.broken

    # what there is

    def _rows(self) -> Iterator[tuple[str, str | None, Key]]:
        """Of each row its id, its parent, and what tells one version of it from others."""
        report, resource = self.report, self.resource
        bills = resource == "bills"
        first = "bills" if bills else "transactions"
        if self.form.format == "ndjson":
            for text in lines(report, resource, first):
                row = exact(text)
                parent = None if bills else row.pop("balanceId")
                yield row["id"], parent, _fields(row)
            return
        read: Callable[[ExportReport, str, str], list[dict[str, Any]]]
        read = csv_rows if self.form.format == "csv" else parquet_rows
        below: dict[str, list[tuple[int, str]]] = {}
        if bills and not self.form.nested:
            for item in read(report, resource, "line_items"):
                below.setdefault(item["bill_id"], []).append((int(item["position"]), item["id"]))
        rows: list[Row] = read(report, resource, first)
        known = {row["id"] for row in rows}
        self.broken += [f"rows of {id} are in a table below and nothing above" for id in below.keys() - known]
        for row in rows:
            if not bills:
                yield row["id"], row["balance_id"], (int(row["version"]),)
                continue
            nested = [str(item["id"]) for item in row.get("line_items") or ()]
            names = nested if self.form.nested else [name for _, name in sorted(below.get(row["id"], ()))]
            yield row["id"], None, (int(row["version"]), str(row["bill_date"]), *names)

    def _key(self, row: Row) -> Key:
        """The same of a row as the service sent it."""
        if self.form.format == "ndjson":
            return _fields(exact(msgspec.json.encode(row)))
        if self.resource != "bills":
            return (row["version"],)
        return (row["version"], row["billDate"], *(line["id"] for line in row["lineItems"]))

    def _read_aside(self) -> None:
        path = self.out / "aside" / f"{self.resource}.ndjson"
        content = path.read_bytes().splitlines() if path.exists() else []
        for line in content:
            row = json.loads(line)["record"]
            row.pop("balanceId", None)
            if row["id"] not in self.service.odd or self.form.format == "ndjson":
                self.broken.append(f"{row['id']} was set aside")
            self.aside.setdefault(row["id"], []).append(self._key(row))
        told = sum(note.count or 0 for note in self.report.notes if note.kind == "record")
        if told != len(content):
            self.broken.append(f"{len(content)} records were set aside, {told} are told")

    # what is said of it

    def _report(self) -> None:
        report, standing = self.report, self.standing
        if report.records[self.resource] != len(self.found):
            self.broken.append(f"{report.records} are told, and there are {len(self.found)}")
        left = {name for name in files(self.out) if not name.startswith("aside/")}
        if left != {file.path.relative_to(self.out).as_posix() for file in report.files}:
            self.broken.append(f"other files than those that are told are left: {sorted(left)}")
        if drafts := [path.name for path in self.out.rglob("*.tmp")]:
            self.broken.append(f"drafts are left: {drafts}")
        told = Counter(note.kind for note in report.notes)
        parents = [unit.slice.parents[0] for unit in standing.units.values() if unit.slice.parent_argument]
        if (told["parent"], told["slice"]) != (len(parents), len(standing.units) - len(parents)):
            self.broken.append(f"{sorted(standing.units)} were set aside, and told is {dict(told)}")
        if strange := set(parents) - self.service.refused.keys():
            self.broken.append(f"{strange} were set aside for nothing")
        gone = {name for part in standing.parts.values() for name in part.gone}
        if strange := gone - self.service.closed:
            self.broken.append(f"{strange} are told to be gone and are there")
        if len(gone) != sum(note.count or 0 for note in report.notes if note.kind == "gone"):
            self.broken.append(f"{len(gone)} parents are gone, and not so many are told")
        for unit in standing.units.values():
            window = unit.slice.window
            if window is not None and (window.days or 0) > 1:
                self.broken.append(f"{unit} was set aside, and is more than a day")
            if window is None and unit.slice.parent_argument is None and len(unit.slice.ids) != 1:
                self.broken.append(f"{unit} was set aside, and is more than a record")
        aside = bool(standing.units or self.aside or standing.unsettled or standing.unseen)
        if report.complete is aside:
            self.broken.append(f"complete is {report.complete}, and {report.notes} are told")

    def _is_known(self, id: str, parent: str | None, key: Key) -> None:
        life = self.service.lives.get(id)
        if life is None or life.parent != parent:
            self.broken.append(f"{id} of {parent} is in the files, and never was")
        elif key not in [self._key(row) for _, row in life.sent]:
            self.broken.append(f"{id} is in the files as it never was sent")

    # what there should be

    def _compare(self, id: str, life: Life) -> None:
        rows = [row for _, row in life.versions]
        if not any(rows):
            if id in self.found or id in self.aside:
                self.broken.append(f"{id} is there and never was among what was asked for")
            return
        now = rows[-1]
        found = self.found.get(id)
        if self.settled and not self._is_settled(id, life):
            return
        if found is not None and now is not None and found == self._key(now):
            return
        why = self._why(id, life)
        if why is None:
            self.accounts.unexplained += 1
            state = "as it was" if found else "missing"
            self.broken.append(f"{id} is {state}: {life.steady=}, {[at for at, _ in life.sent]}, {life.versions}"[:600])
        else:
            self.accounts.explained[why] += 1

    def _why(self, id: str, life: Life) -> str | None:
        """Why a record is not in the files as it is now."""
        now = life.versions[-1][1]
        if id in self.aside:
            return "set aside"
        if unit := self._unit(life):
            return unit
        if id in self.found:
            return "deleted or re-dated meanwhile" if now is None else "changed meanwhile"
        if life.steady:
            return None
        return "deleted or re-dated meanwhile" if now is None else "made or re-dated meanwhile"

    def _unit(self, life: Life) -> str | None:
        """The unit that was set aside which a record is of."""
        for unit in self.standing.units.values():
            slice = unit.slice
            if slice.parent_argument is not None:
                if life.parent in slice.parents:
                    return "of a parent set aside"
                continue
            dates = [row["billDate"] for _, row in life.versions if row is not None]
            ids = [row["id"] for _, row in life.versions if row is not None]
            if slice.ids:
                if ids and ids[0] in slice.ids and ids[0] in self.service.poison:
                    return "of ids set aside"
            elif (window := slice.window) is not None:
                start, end = (None if day is None else day.isoformat() for day in window)
                if any((start or "") <= day < (end or "~") for day in dates):
                    return "of days set aside"
        return None

    def _is_settled(self, id: str, life: Life) -> bool:
        """Whether a record is as it was at some moment of the last look; else what is wrong is told."""
        unsettled = [note for note in self.report.notes if note.kind == "unsettled"]
        if any(id in note.names or (note.count or 0) > _NAMED for note in unsettled):
            self.accounts.explained["changing still"] += 1
            return False
        dates = {row["billDate"] for _, row in life.versions if row is not None}
        if dates & {name for note in unsettled for name in note.names}:
            self.accounts.explained["of a day that cannot be compared"] += 1
            return False
        if self._unit(life) is not None:
            return True
        look = self.service.looks[-1]
        before = [row for at, row in life.versions if at <= look]
        held = [*before[-1:], *([] if before else [None]), *(row for at, row in life.versions if at > look)]
        keys = [None if row is None else self._key(row) for row in held]
        there: list[Key | None] = [*self.aside.get(id, ())] or ([self.found[id]] if id in self.found else [None])
        if id in self.service.odd and there != [None]:
            keys.append(there[0])  # a credit changes what nobody can see from its head: its total is no number
        if there == [None] and len({row["billDate"] for row in held if row is not None}) > 1:
            self.accounts.explained["re-dated during the last look"] += 1  # from days not looked at to others
            return False
        if len(there) > 1 or there[0] not in keys:
            self.accounts.unexplained += 1
            state = "missing" if there[0] is None else "not as it was"
            told = [note.text for note in self.report.notes]
            self.broken.append(
                f"{id} is {state} at the last look: {look=}, {self.service.tick=}, {life.versions}, {told}"[:900]
            )
            return False
        return True


def _fields(row: Row) -> Key:
    return tuple(sorted(map(repr, row.items())))
