"""Which files a format makes of a resource, and what opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..slices.listings import Listing
from ..slices.slice import parent_key
from .csv import CsvSink
from .ndjson import NdjsonSink
from .sink import Sink
from .tables import flat

FormatName = Literal["parquet", "csv", "ndjson"]
Compression = Literal["zstd"]
FORMATS: Sequence[FormatName] = get_args(FormatName)


@dataclass(frozen=True)
class Layout:
    """The files that one resource is exported into.

    Attributes:
        tables: A file for each makes a part.
        suffix: What their names end with.
        open: Begins a part, given a path for each table.
    """

    tables: Sequence[str]
    suffix: str
    open: Callable[[Mapping[str, Path]], Sink]


def layout(listing: Listing, format: str, *, nested: bool, compression: str | None) -> Layout:
    """How records of `listing` are laid out in a format.

    Raises:
        ImportError: The format needs pyarrow, which is not installed.
    """
    name, key = listing.table, parent_key(listing)
    if format == "ndjson":
        if compression is None:
            return Layout([name], ".ndjson", lambda paths: NdjsonSink(name, paths[name].open("wb")))
        from .pyarrow_import import pa

        return Layout(
            [name],
            ".ndjson.zst",
            lambda paths: NdjsonSink(name, pa.CompressedOutputStream(str(paths[name]), compression)),
        )
    record = listing.operation.answer
    if format == "csv":
        table = flat(record, name, key)
        return Layout([each.name for each in table.walk()], ".csv", lambda paths: CsvSink(table, paths))
    if nested:
        from .nested import NestedSink

        return Layout([name], ".parquet", lambda paths: NestedSink(record, name, key, paths[name]))
    from .parquet import ParquetSink

    table = flat(record, name, key)
    return Layout([each.name for each in table.walk()], ".parquet", lambda paths: ParquetSink(table, paths))
