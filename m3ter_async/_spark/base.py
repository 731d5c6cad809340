"""pyspark, which is an extra: to type checkers the few classes that are used of it, so that they need no Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class InputPartition:
        """What one task reads."""

        def __init__(self, value: Any) -> None:
            self.value = value

    class DataSourceReader:
        """A reader of one query."""

        def partitions(self) -> list[InputPartition]: ...
        def read(self, partition: InputPartition) -> Iterator[Any]: ...
        def pushFilters(self, filters: list[Any]) -> Iterable[Any]: ...  # noqa: N802

    class DataSourceStreamReader:
        """A reader of one streaming query."""

    class SupportsTriggerAvailableNow:
        """A streaming reader that can stop at what is there now."""

    class DataSource:
        """A format that Spark reads."""

        options: Mapping[str, str]

        @classmethod
        def name(cls) -> str: ...
        def schema(self) -> Any: ...
        def reader(self, schema: Any) -> DataSourceReader: ...
        def streamReader(self, schema: Any) -> DataSourceStreamReader: ...  # noqa: N802

    def from_arrow_schema(arrow_schema: Any) -> Any:
        """A schema of Arrow as one of Spark."""

else:
    try:
        from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
        from pyspark.sql.pandas.types import from_arrow_schema
    except ModuleNotFoundError as _missing:
        if _missing.name is None or _missing.name.partition(".")[0] != "pyspark":
            raise
        raise ImportError('the data source "m3ter" needs Spark: pip install "m3ter-async[spark]"') from None
    try:
        from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow
    except ModuleNotFoundError:  # before Spark 4.2: without it a stream reads only a part of what is there
        SupportsTriggerAvailableNow = object

__all__ = [
    "DataSource",
    "DataSourceReader",
    "DataSourceStreamReader",
    "InputPartition",
    "SupportsTriggerAvailableNow",
    "from_arrow_schema",
]
