"""All bills in Polars: python polars_bills.py."""

import polars as pl

from m3ter_async.blocking import Connection, reader


def main() -> None:
    bills = pl.from_arrow(reader(Connection(), "bills"))
    for currency, total in bills.group_by("currency").agg(pl.col("bill_total").sum()).sort("currency").iter_rows():
        print(currency, f"{total:f}")
    print(bills.height, "bills")


if __name__ == "__main__":
    main()
