"""Which files a format makes of a resource, and what opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ..._tabular.shapes import Reader
from ..._tabular.tables import flat
from ..slices.listings import Listing
from ..slices.parent_names import parent_column
from .csv import CsvSink
from .ndjson import NdjsonSink
from .sink import Sink

FormatName = Literal["parquet", "csv", "ndjson"]
Compression = Literal["zstd"]
FORMATS: Sequence[FormatName] = get_args(FormatName)


@dataclass(frozen=True)
class Layout:
    """The files that one resource is exported into.

    Attributes:
        tables: A file for each makes a part; the first has a row for each record.
        suffix: What their names end with.
        open: Begins a part, given a path for each table.
        columns: What each table has, where the format has columns: names and kinds.
        head: Makes a digest of a record that is kept of it beside its id; None where none is.
    """

    tables: Sequence[str]
    suffix: str
    open: Callable[[Mapping[str, Path]], Sink]
    columns: Mapping[str, Sequence[str]] = field(default_factory=lambda: {})
    head: Callable[[bytes], bytes] | None = None


def layout(listing: Listing, format: str, *, nested: bool, compression: str | None) -> Layout:
    """How records of `listing` are laid out in a format.

    Raises:
        ImportError: The format needs pyarrow, which is not installed.
    """
    name, parent = listing.table, parent_column(listing)
    child = listing.parent is not None
    if format == "ndjson":
        if compression is None:
            return Layout([name], ".ndjson", lambda paths: NdjsonSink(name, paths[name].open("wb"), objects=child))
        from ..._tabular.pyarrow_import import pa

        return Layout(
            [name],
            ".ndjson.zst",
            lambda paths: NdjsonSink(name, pa.CompressedOutputStream(str(paths[name]), compression), objects=child),
        )
    record = listing.operation.answer
    if format == "csv":
        table = flat(record, name, parent)
        reader = Reader(table.shape)
        columns = {each.name: [f"{column.title} {column.kind}" for column in each.header] for each in table.walk()}
        return Layout(list(columns), ".csv", lambda paths: CsvSink(table, reader, paths), columns)
    from .converters import of_listing
    from .parquet import ParquetSink

    batches = of_listing(listing, nested=nested)
    columns = {table: [f"{each.name} {each.type}" for each in schema] for table, schema in batches.schemas.items()}
    return Layout(list(columns), ".parquet", lambda paths: ParquetSink(batches, paths), columns)
