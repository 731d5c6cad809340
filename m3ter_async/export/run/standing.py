"""Where an export stands by its journal, for one resource."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..slices.slice import START, Position, Slice
from .entries import Group, OfResource, Part, Planned, Replaced, Replanned, Retried, Settled, Split, Unit, Unplanned


class Standing:
    """What the entries come to, for one resource.

    Attributes:
        slices: Those that are still to be read, or to be read on.
        positions: Where those stand of which something was read.
        parts: What is in files, by number, in the order in which it was finished.
        units: Parents and slices that were set aside, by the ids of their slices.
        planned: Whether any slice was planned.
        next_parents: The page of parents that the next slices are made of.
        unplanned: The page of parents that was set aside.
        unusable: Parents that nothing can be asked for by.
        settled: What came of comparing the files with what is there; one after the other.
    """

    def __init__(self) -> None:
        self.slices: dict[str, Slice] = {}
        self.positions: dict[str, Position] = {}
        self.parts: dict[int, Part] = {}
        self.units: dict[str, Unit] = {}
        self.planned: bool = False
        self.next_parents: str | None = None
        self.parents_seen: set[str | None] = {None}
        self.unplanned: Unplanned | None = None
        self.unusable: list[Group] = []
        self._witness: Slice | None = None
        self.settled: list[Settled] = []
        self.named: int = 0  # slices that were ever planned, so that the next ones get other names
        self.ended: float = 0.0  # how much of the listing those were that were read to the end
        self.last_number: int = -1  # of all parts that ever were
        self._begun: dict[str, list[tuple[int, int, int]]] = {}

    def take(self, entry: OfResource) -> None:
        """Count an entry in."""
        match entry:
            case Planned():
                self.planned, self.next_parents = True, entry.next_parents
                self.parents_seen.add(entry.next_parents)
                self.unusable += entry.unusable
                self._add(entry.slices)
            case Replanned():
                self.planned, self.next_parents, self.parents_seen = False, None, {None}
            case Unplanned():
                self.next_parents, self.unplanned = None, entry
            case Split():
                self._drop(entry.slice)
                self.units.pop(entry.slice, None)
                self.parts = {number: part for number, part in self.parts.items() if entry.slice not in part.slices}
                self._add(entry.into)
            case Part():
                self._part(entry)
            case Replaced():
                self._replaced(entry)
            case Retried():
                self._retried(entry)
            case Settled():
                self.settled.append(entry)

    def _part(self, part: Part) -> None:
        self.parts[part.number] = part
        self.last_number = max(self.last_number, part.number)
        self._witness = part.witness or self._witness
        for unit in part.units:
            self._carve(unit)
        for name, position in part.slices.items():
            before = self.positions.get(name, START)
            if position is None or position.parent != before.parent:
                self._begun.pop(name, None)
            if position is None:
                self.ended += self._drop(name)
            else:
                self.positions[name] = position
        for name, (start, end) in part.begun.items():
            self._begun.setdefault(name, []).append((part.number, start, end))
        for unit in part.units:
            self.units[unit.slice.id] = unit
            self.slices.pop(unit.slice.id, None)
            self.positions.pop(unit.slice.id, None)

    def _carve(self, unit: Unit) -> None:
        """A parent in the middle of which its slice stood takes along what was read of it."""
        source, _, parent = unit.slice.id.rpartition("-")
        before = self.positions.get(source)
        if before is not None and before.token is not None and str(before.parent) == parent:
            self._begun[unit.slice.id] = self._begun.pop(source, [])

    def _drop(self, name: str) -> float:
        slice = self.slices.pop(name, None)
        self.positions.pop(name, None)
        self._begun.pop(name, None)
        return slice.weight if slice is not None else 0.0

    def _replaced(self, entry: Replaced) -> None:
        replaced = [entry.parts.get(number, part) for number, part in self.parts.items()]
        self.parts = {part.number: part for part in replaced}
        self.last_number = max([self.last_number, *(part.number for part in entry.parts.values())])
        self._begun = {
            name: [_moved(each, entry) for each in ranges]
            for name, ranges in self._begun.items()
            if name not in entry.positions
        }
        self.positions.update(entry.positions)

    def _retried(self, entry: Retried) -> None:
        for name in entry.units:
            unit = self.units.pop(name)
            self.slices[name] = unit.slice
            self.positions[name] = unit.position
        if entry.parents and self.unplanned is not None:
            self.next_parents, self.unplanned = self.unplanned.token, None

    def _add(self, slices: Sequence[Slice]) -> None:
        self.slices.update((each.id, each) for each in slices)
        self.named += len(slices)

    def position(self, slice: Slice) -> Position:
        """Where a slice stands by what is finished."""
        return self.positions.get(slice.id, START)

    def begun(self, slice: Slice) -> dict[int, list[tuple[int, int]]]:
        """By part, the records of the parent that a slice stands in the middle of."""
        found: dict[int, list[tuple[int, int]]] = {}
        for number, start, end in self._begun.get(slice.id, ()):
            if start < end:
                found.setdefault(number, []).append((start, end))
        return found

    @property
    def witnesses(self) -> Iterator[Slice]:
        """Slices and parents of which the service answered, the last one first; some come again."""
        for each in (self._witness, *(part.witness for part in reversed(self.parts.values()))):
            if each is not None:
                yield each

    @property
    def records(self) -> int:
        """Records in finished files."""
        return sum(part.records for part in self.parts.values())

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be read, but for what is set aside."""
        return not self.slices and self.next_parents is None

    @property
    def aside(self) -> bool:
        """Whether something is set aside, or still differs, that another run may read."""
        return bool(self.units) or self.unplanned is not None or self.unsettled > 0 or bool(self.unseen)

    @property
    def unsettled(self) -> int:
        """Records that were different at the last look still."""
        return self.settled[-1].left if self.settled else 0

    @property
    def unseen(self) -> Sequence[Group]:
        """What could not be looked at when all was compared with what is there."""
        return self.settled[-1].unread if self.settled else ()


def _moved(place: tuple[int, int, int], entry: Replaced) -> tuple[int, int, int]:
    """Where records are after others were dropped."""
    number, start, end = place
    part = entry.parts.get(number)
    if part is None:
        return place
    dropped = entry.dropped[number]
    return part.number, start - _below(dropped, start), end - _below(dropped, end)


def _below(ranges: Sequence[tuple[int, int]], place: int) -> int:
    return sum(min(end, place) - start for start, end in ranges if start < place)
