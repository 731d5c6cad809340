"""The files that an export writes: NDJSON, CSV, Parquet."""
