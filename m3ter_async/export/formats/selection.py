"""Files of a part without some of their rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import msgspec

_NAMED = 10  # ids of rows that are left out


def copy_rows(source: Path, target: Path, suffix: str, ranges: Sequence[tuple[int, int]]) -> tuple[int, list[str]]:
    """Copy the rows in some half-open ranges, which are in order.

    Returns:
        How many they are, and the ids of the first of those that are left out.
    """
    if suffix == ".parquet":
        return _parquet(source, target, ranges)
    if suffix == ".csv":
        return _csv(source, target, ranges)
    if suffix == ".ndjson":
        with source.open("rb") as lines, target.open("wb") as file:
            return _lines(lines, file, ranges)
    from ..._tabular.pyarrow_import import pa

    with (
        pa.CompressedInputStream(pa.OSFile(str(source)), "zstd") as packed,
        pa.CompressedOutputStream(str(target), "zstd") as file,
    ):
        return _lines(_split(packed), file, ranges)


def ids_at(source: Path, suffix: str, places: Sequence[int]) -> list[str]:
    """The ids of the rows at some places, which are in order. Blocking."""
    wanted = set(places)
    if suffix == ".parquet":
        from ..._tabular.pyarrow_import import pa, pq

        with pq.ParquetFile(str(source)) as file:
            return [str(name) for name in file.read(["id"]).column("id").take(pa.array(places)).to_pylist()]
    if suffix == ".csv":
        with source.open("rb") as lines:
            rows = _csv_rows(lines)
            column = _cells(next(rows)).index("id")
            return [_cells(row)[column] for place, row in enumerate(rows) if place in wanted]
    if suffix == ".ndjson":
        with source.open("rb") as lines:
            return [str(_decoder.decode(line).id) for place, line in enumerate(lines) if place in wanted]
    from ..._tabular.pyarrow_import import pa

    with pa.CompressedInputStream(pa.OSFile(str(source)), "zstd") as packed:
        return [str(_decoder.decode(line).id) for place, line in enumerate(_split(packed)) if place in wanted]


class _Identified(msgspec.Struct):
    id: str | int | None = None


_decoder = msgspec.json.Decoder(_Identified)


def _lines(
    lines: Iterable[bytes],
    file: IO[bytes],
    ranges: Sequence[tuple[int, int]],
    name: Callable[[bytes], str] = lambda line: str(_decoder.decode(line).id),
) -> tuple[int, list[str]]:
    rows = 0
    names: list[str] = []
    for line, kept in zip(lines, _flags(ranges), strict=False):
        if kept:
            file.write(line)
            rows += 1
        elif len(names) < _NAMED:
            names.append(name(line))
    return rows, names


def _flags(ranges: Sequence[tuple[int, int]]) -> Iterator[bool]:
    """For each row whether it is in one of the ranges, without end."""
    place = 0
    for start, end in ranges:
        yield from (False for _ in range(place, start))
        yield from (True for _ in range(start, end))
        place = end
    while True:
        yield False


def _split(stream: Any) -> Iterator[bytes]:
    """The lines of a stream."""
    rest = b""
    while chunk := stream.read(2**20):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in lines)


def _csv(source: Path, target: Path, ranges: Sequence[tuple[int, int]]) -> tuple[int, list[str]]:
    with source.open("rb") as lines, target.open("wb") as file:
        rows = _csv_rows(lines)
        header = next(rows)
        file.write(header)
        titles = _cells(header)
        column = titles.index("id") if "id" in titles else None
        return _lines(rows, file, ranges, lambda row: "" if column is None else _cells(row)[column])


def _csv_rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Rows as they stand in the file: a line break between quotes does not end one."""
    row = b""
    for line in lines:
        row += line
        if row.count(b'"') % 2 == 0:
            yield row
            row = b""


def _cells(row: bytes) -> list[str]:
    return next(csv.reader([row.decode()]))


def _parquet(source: Path, target: Path, ranges: Sequence[tuple[int, int]]) -> tuple[int, list[str]]:
    from ..._tabular.pyarrow_import import pq
    from .parquet import RowGroups

    names: list[str] = []
    with pq.ParquetFile(str(source)) as file:
        made = RowGroups(target, file.schema_arrow)
        first = 0
        for batch in file.iter_batches():
            end = first + batch.num_rows
            kept = [
                (max(low, first) - first, min(high, end) - first) for low, high in ranges if low < end and high > first
            ]
            for low, high in kept:
                made.write(batch.slice(low, high - low))
            if "id" in batch.schema.names and len(names) < _NAMED:
                edges = [0, *chain.from_iterable(kept), batch.num_rows]
                for low, high in zip(edges[::2], edges[1::2], strict=True):
                    names += batch.column("id").slice(low, min(high - low, _NAMED)).to_pylist()
            first = end
        made.close()
    return made.rows, names[:_NAMED]
