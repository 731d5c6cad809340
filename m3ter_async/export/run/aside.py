"""The records that were set aside: a line for each record, with the reason.

A line is kept before the manifest names the part that it belongs to. Lines of parts that the manifest does not name,
because a process was killed or a part was replaced, are removed by whoever finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ..._tabular.fitting import Misfit
from ..formats.ndjson import one_line
from ..slices.record_id import id_of
from .entries import Group

_NAMED = 10  # records of a group whose ids are named
_PART = re.compile(rb'\{"part":(\d+),"at":(\d+),')


@dataclass
class _Line:
    """What stands before the record in a line."""

    part: int
    at: int
    id: str | None
    where: str
    why: str


def line(part: int, at: int, misfit: Misfit, record: bytes) -> bytes:
    """The line for a record.

    Args:
        part: The number of the part.
        at: The place of the record among those taken into the part.
        misfit: Why it is set aside.
        record: Its JSON.
    """
    name = id_of(record)
    head = _Line(part, at, None if name is None else name.decode(errors="replace"), misfit.where, misfit.why)
    return msgspec.json.encode(head)[:-1] + b',"record":' + one_line(record) + b"}\n"


def groups(lines: Iterable[bytes]) -> list[Group]:
    """What a manifest says of lines: those with one reason together."""
    found: dict[str, list[_Line]] = {}
    for each in lines:
        head = _head(each)
        found.setdefault(head.where, []).append(head)
    return [
        Group(where, heads[0].why, len(heads), [head.id for head in heads[:_NAMED] if head.id is not None])
        for where, heads in found.items()
    ]


def names_of(lines: Iterable[bytes]) -> dict[int, str]:
    """The ids of records that have one, by their places among those taken into the part."""
    return {head.at: head.id for head in map(_head, lines) if head.id is not None}


def _head(line: bytes) -> _Line:
    head, _, _ = line.partition(b',"record":')
    return msgspec.json.decode(head + b"}", type=_Line)


def moved(lines: Iterable[bytes], part: int, dropped: Sequence[tuple[int, int]]) -> list[bytes]:
    """The lines of a part that another takes the place of, without some of its records."""
    found: list[bytes] = []
    for each in lines:
        match = _PART.match(each)
        assert match is not None
        at = int(match[2])
        if any(start <= at < end for start, end in dropped):
            continue
        at -= sum(end - start for start, end in dropped if end <= at)
        found.append(b'{"part":%d,"at":%d,%b' % (part, at, each[match.end() :]))
    return found
