"""A folder of Parquet files as a destination: a current table, and the changes of each round beside it."""
