"""Engines and libraries that read m3ter over the two calls of `m3ter_async.blocking`, or over Spark's data source.

Each prints the exact sum of all bills, currency by currency, and how many bills there are. Credentials come from the
environment, in each worker: M3TER_API_KEY, M3TER_API_SECRET, M3TER_ORG_ID.
"""
