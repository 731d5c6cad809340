"""All bills into a Delta table, page by page and in one commit: python delta_bills.py."""

from deltalake import DeltaTable, write_deltalake

from m3ter_async.blocking import Connection, reader


def main() -> None:
    write_deltalake("bills", reader(Connection(), "bills"), mode="overwrite")
    bills = DeltaTable("bills").to_pyarrow_table(columns=["currency", "bill_total"])
    for row in bills.group_by("currency").aggregate([("bill_total", "sum")]).sort_by("currency").to_pylist():
        print(row["currency"], f"{row['bill_total_sum']:f}")
    print(bills.num_rows, "bills")


if __name__ == "__main__":
    main()
