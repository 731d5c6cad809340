"""All bills in Daft, a task for each slice: python daft_bills.py."""

import asyncio

import daft
from daft.io.source import DataSource, DataSourceTask
from daft.recordbatch import RecordBatch

from m3ter_async.blocking import Connection, plan, read, reader

HERE = Connection()
SCHEMA = daft.Schema.from_pyarrow_schema(reader(HERE, "bills", table="bills").schema)


class Bills(DataSource):
    name = "m3ter bills"
    schema = SCHEMA

    async def get_tasks(self, pushdowns):
        for slice in plan(HERE, "bills", since="2000-01-01", until="2030-01-01", count=8):
            yield SliceTask(slice)


class SliceTask(DataSourceTask):
    schema = SCHEMA

    def __init__(self, slice):
        self.slice = slice

    async def read(self):
        batches = read(HERE, self.slice, table="bills")
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            yield RecordBatch.from_arrow_record_batches([batch], batch.schema)


def main() -> None:
    bills = Bills().read().collect()
    totals = bills.groupby("currency").agg(daft.col("bill_total").sum()).sort("currency")
    for row in totals.to_pylist():
        print(row["currency"], f"{row['bill_total']:f}")
    print(bills.count_rows(), "bills")


if __name__ == "__main__":
    main()
