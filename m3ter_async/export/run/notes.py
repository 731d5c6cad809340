"""What an export has to say of what is not in its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ..places.place import Place
from ..report import Note
from ..slices.listings import Listing
from .entries import Group
from .manifest import Manifest
from .standing import Standing

_NAMED = 10


def notes(manifest: Manifest, listings: Mapping[str, Listing]) -> Iterator[Note]:
    """All notes, by resource."""
    for resource, standing in manifest.resources.items():
        yield from _set_aside(manifest.place, resource, standing)
        yield from _settled(resource, standing)
        yield from _left_out(resource, listings[resource], standing)


def _set_aside(place: Place, resource: str, standing: Standing) -> Iterator[Note]:
    by_where: dict[str, list[Group]] = {}
    for part in standing.parts.values():
        for group in part.aside:
            by_where.setdefault(group.where, []).append(group)
    for where, groups in by_where.items():
        count = sum(group.count for group in groups)
        names = _some(name for group in groups for name in group.names)
        text = f"{_counted(count, 'record')} of {resource} set aside in {place.aside(resource).shown}: "
        yield Note("record", resource, count, f"{text}{f'{where}: ' if where else ''}{groups[0].why}", names)
    for _, unit in sorted(standing.units.items()):
        if unit.slice.parent_argument is not None:
            parent = unit.slice.parents[0]
            what = "the rest of the records" if unit.position.token is not None else "the records"
            text = f"{what} of {resource} of {parent} set aside: {unit.why}"
            yield Note("parent", resource, 1, text, (parent,), again=True)
        else:
            window = unit.slice.window
            days = f" from {window.start or 'the first'} to {window.end or 'the last'}" if window is not None else ""
            what = "the rest of a slice" if unit.position.token is not None else "a slice"
            text = f"{what} of {resource}{days} set aside: {unit.why}"
            yield Note("slice", resource, 1, text, (unit.slice.id,), again=True)
    if (unplanned := standing.unplanned) is not None:
        text = f"the parents of {resource} after a page that cannot be had are set aside: {unplanned.why}"
        yield Note("parents", resource, None, text, again=True)
    for group in standing.unusable:
        yield Note(
            "parent", resource, group.count, f"a parent of {resource} among {group.where} set aside: {group.why}"
        )


def _settled(resource: str, standing: Standing) -> Iterator[Note]:
    again, removed = (sum(getattr(each, name) for each in standing.settled) for name in ("again", "removed"))
    if again or removed:
        text = (
            f"{_counted(again, 'record')} of {resource} changed or new while it was exported and read again, "
            f"{removed:,} not there any more and removed"
        )
        yield Note("settled", resource, again + removed, text)
    if left := standing.unsettled:
        names = tuple(standing.settled[-1].names)
        text = f"{_counted(left, 'record')} of {resource} changing still at the last look: {', '.join(names)}"
        yield Note("unsettled", resource, left, text, names, again=True)
    if unseen := standing.unseen:
        names = _some(group.where for group in unseen)
        what = _counted(len(unseen), "slice")
        text = f"{what} of {resource} not compared at the last look: {', '.join(names)}: {unseen[0].why}"
        yield Note("unsettled", resource, len(unseen), text, names, again=True)


def _left_out(resource: str, listing: Listing, standing: Standing) -> Iterator[Note]:
    parts = standing.parts.values()
    if gone := sorted({name for part in parts for name in part.gone}):
        text = f"{_counted(len(gone), 'parent')} of {resource} not there any more: {', '.join(_some(gone))}"
        yield Note("gone", resource, len(gone), text, _some(gone))
    if twice := sum(part.twice_count for part in parts):
        names = _some(name for part in parts for name in part.twice)
        text = f"{_counted(twice, 'id')} of {resource} came twice, the later record is kept: {', '.join(names)}"
        yield Note("twice", resource, twice, text, names)
    unknown: Counter[str] = Counter()
    for part in parts:
        unknown.update(part.unknown)
    for name, count in sorted(unknown.items()):
        text = f"{name} of {resource} is a field that this version does not know: {count:,} times, in the column _extra"
        yield Note("unknown_field", resource, count, text, (name,))
    if contradicted := sum(part.contradicted for part in parts):
        text = f"{_counted(contradicted, 'record')} of {resource} named another parent than the one it was listed for"
        yield Note("other_parent", resource, contradicted, text)
    dated = next((each for each in (listing, listing.parent) if each is not None and each.dates is not None), None)
    if dated is not None and dated.dates is not None and set(dated.dates) & set(dated.arguments):
        text = f"{resource}: records of {dated.resource} without a date are in no range of dates and are left out"
        yield Note("undated", resource, None, text)


def _some(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name, _ in zip(names, range(_NAMED), strict=False))


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"
