"""The data source ``m3ter``: what Spark asks for a schema and for readers.

It loads the rest when it is asked: Spark imports it in a process of its own just to learn its name.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from .base import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    SupportsTriggerAvailableNow,
    from_arrow_schema,
)

if TYPE_CHECKING:
    from .options import Options


class M3terDataSource(DataSource):
    """Listings of m3ter: ``spark.read.format("m3ter").option("resource", "bills").load()``."""

    @cached_property
    def _checked(self) -> Options:
        from .options import read_options

        return read_options(self.options)

    @classmethod
    def name(cls) -> str:
        """What it is called in ``format()``."""
        return "m3ter"

    def schema(self) -> Any:
        """The schema, known without a request.

        Raises:
            ValueError: An option is missing, unknown or of no use.
        """
        return from_arrow_schema(self._checked.schema)

    def reader(self, schema: Any) -> DataSourceReader:
        """A reader of a batch query.

        Raises:
            ValueError: An option is missing, unknown or of no use, or another schema was asked for.
        """
        self._check(schema)
        if self._checked.state is not None:
            raise ValueError("the option state goes with readStream: leave it out, or read a stream")
        from .readers import PushingReader, Reader

        # Spark refuses readers that take filters, unless it was told to hand them over
        return PushingReader(self._checked) if self._checked.pushdown else Reader(self._checked)

    def streamReader(self, schema: Any) -> DataSourceStreamReader:  # noqa: N802 (Spark's name)
        """A reader of a streaming query.

        Raises:
            ValueError: An option is missing, unknown or of no use, or another schema was asked for.
        """
        self._check(schema)
        if self._checked.state is None:
            raise ValueError("a stream needs the option state: a folder that the driver and all workers reach")
        if SupportsTriggerAvailableNow is object:
            raise ValueError("streams of m3ter need Spark 4.2 or newer")
        from .stream import StreamReader

        return StreamReader(self._checked)

    def _check(self, schema: Any) -> None:
        if schema != self.schema():
            raise ValueError("the source has a schema of its own: leave out .schema(), and select() columns of it")
