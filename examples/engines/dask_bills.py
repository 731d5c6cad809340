"""All bills in Dask, a partition for each slice: python dask_bills.py."""

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa

from m3ter_async.blocking import Connection, plan, read, reader

HERE = Connection(limiter="1/2")  # two workers at a time keep half of the rate limit each


def frame(slice):
    return pandas(pa.Table.from_batches(read(HERE, slice, table="bills")))


def pandas(table):
    return table.to_pandas(types_mapper=pd.ArrowDtype)  # amounts stay decimals


def main() -> None:
    slices = plan(HERE, "bills", since="2000-01-01", until="2030-01-01", count=8)
    meta = pandas(reader(HERE, slices, table="bills").schema.empty_table())
    bills = dd.from_map(frame, slices, meta=meta).persist(scheduler="processes", num_workers=2)
    # not .sum() of a column, which Dask cannot do with decimals
    for currency, total in bills.groupby("currency")["bill_total"].sum().compute().sort_index().items():
        print(currency, f"{total:f}")
    print(len(bills), "bills")


if __name__ == "__main__":
    main()
