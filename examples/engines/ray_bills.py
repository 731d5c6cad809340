"""All bills in Ray Data, a task for each slice: python ray_bills.py."""

from functools import partial

import pyarrow as pa
import ray
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from m3ter_async.blocking import Connection, plan, read

HERE = Connection(limiter="1/2")  # two workers at a time keep half of the rate limit each


class Bills(Datasource):
    def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
        slices = plan(HERE, "bills", since="2000-01-01", until="2030-01-01", count=parallelism)
        unknown = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None)
        return [ReadTask(partial(tables, each), unknown) for each in slices]

    def estimate_inmemory_data_size(self):
        return None


def tables(slice):
    for batch in read(HERE, slice, table="bills"):
        yield pa.Table.from_batches([batch])


def main() -> None:
    # Ray does not repeat a task that fails, unless it is told to
    bills = ray.data.read_datasource(
        Bills(), override_num_blocks=8, concurrency=2, ray_remote_args={"retry_exceptions": True, "max_retries": 3}
    ).materialize()
    table = pa.concat_tables(ray.get(bills.select_columns(["currency", "bill_total"]).to_arrow_refs()))
    for row in table.group_by("currency").aggregate([("bill_total", "sum")]).sort_by("currency").to_pylist():
        print(row["currency"], f"{row['bill_total_sum']:f}")
    print(bills.count(), "bills")


if __name__ == "__main__":
    main()
