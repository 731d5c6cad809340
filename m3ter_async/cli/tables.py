"""Answers as tables, for people; every number stands in them digit for digit."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from .console import one_line

_GAP = "  "
_LONGEST = 48  # columns of a terminal that a text gets; a number gets what it needs
_LAST = ("version", "dtCreated", "createdBy", "dtLastModified", "lastModifiedBy")


class _Number(str):
    """The digits of a number, as they came."""


class _Cell(NamedTuple):
    text: str
    number: bool = False
    parts: bool = False  # whether it only says how much there is in it


_decoder = msgspec.json.Decoder(float_hook=_Number)


class Table:
    """Records under each other, page after page; the first page decides which columns fit.

    Args:
        width: Of the terminal, in columns.

    Attributes:
        left_out: How many fields of the records have no column.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._columns: dict[str, int] | None = None
        self.left_out: int = 0

    def page(self, records: Sequence[bytes]) -> str:
        """The lines of some records; those of the first page have a line of names above them."""
        rows = [_row(record) for record in records]
        lines: list[str] = []
        if self._columns is None:
            self._columns = self._fitting(rows)
            lines.append(_line((_Cell(name), width) for name, width in self._columns.items()))
        for row in rows:
            lines.append(_line((row.get(name, _Cell("")), width) for name, width in self._columns.items()))
        return "\n".join(lines)

    def _fitting(self, rows: Sequence[Mapping[str, _Cell]]) -> dict[str, int]:
        widths: dict[str, int] = {}
        parts: set[str] = set()
        for row in rows:
            for name, cell in row.items():
                if cell.text:
                    widths[name] = max(widths.get(name, _columns(name)), _columns(cell.text))
                    if cell.parts:
                        parts.add(name)
        # what people look for comes first: where the terminal is narrow, the rest goes
        in_order = sorted(
            widths, key=lambda name: (name != "id", name in _LAST, name in parts, name.endswith(("Id", "Ids")))
        )
        fitting: dict[str, int] = {}
        left = self._width
        for name in in_order:
            if widths[name] <= left or not fitting:
                fitting[name] = widths[name]
                left -= widths[name] + len(_GAP)
        self.left_out = len(widths) - len(fitting)
        return {name: fitting[name] for name in sorted(fitting, key=in_order.index)}


def fields(answer: bytes) -> str | None:
    """One answer, a line for each field that has a value; None where it is no object."""
    value = _decoder.decode(answer)
    if not isinstance(value, dict):
        return None
    row = {name: cell for name, cell in _row(answer, cut=False).items() if cell.text}
    wide = max(map(_columns, row), default=0)
    return "\n".join(f"{_padded(name, wide)}{_GAP}{cell.text}" for name, cell in row.items())


def _row(record: bytes, *, cut: bool = True) -> dict[str, _Cell]:
    value = _decoder.decode(record)
    if not isinstance(value, dict):
        return {"": _cell(value, cut)}
    return {one_line(name): _cell(each, cut) for name, each in cast("dict[str, Any]", value).items()}


def _cell(value: Any, cut: bool) -> _Cell:
    if value is None:
        return _Cell("")
    if isinstance(value, bool):
        return _Cell("true" if value else "false")
    if isinstance(value, (_Number, int)):
        return _Cell(str(value), number=True)
    if isinstance(value, (list, dict)):
        size = len(cast("list[object] | dict[str, object]", value))
        counted = f"{size} {'item' if isinstance(value, list) else 'field'}{'' if size == 1 else 's'}"
        return _Cell("" if not size else f"[{counted}]" if isinstance(value, list) else f"{{{counted}}}", parts=True)
    text = one_line(str(value))
    return _Cell(text[: _LONGEST - 1] + "…" if cut and len(text) > _LONGEST else text)


def _line(cells: Iterable[tuple[_Cell, int]]) -> str:
    return _GAP.join(
        f"{' ' * (width - _columns(cell.text))}{cell.text}" if cell.number else _padded(cell.text, width)
        for cell, width in cells
    ).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: some characters take two, and accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )
