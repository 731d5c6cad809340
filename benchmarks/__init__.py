"""Benchmarks of m3ter_async beside the clients and loops a user would otherwise take: `python -m benchmarks`."""
