"""All bills into a table of DuckDB, page by page: python duckdb_bills.py."""

import duckdb

from m3ter_async.blocking import Connection, reader


def main() -> None:
    database = duckdb.connect("billing.duckdb")
    database.register("incoming", reader(Connection(), "bills"))  # it can be read once
    database.execute("CREATE OR REPLACE TABLE bills AS FROM incoming")
    totals = database.execute("SELECT currency, sum(bill_total) FROM bills GROUP BY ALL ORDER BY ALL")
    for currency, total in totals.fetchall():
        print(currency, f"{total:f}")
    print(*database.execute("SELECT count(*) FROM bills").fetchone(), "bills")


if __name__ == "__main__":
    main()
