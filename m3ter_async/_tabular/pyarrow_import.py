"""pyarrow, which is an extra and says nothing of its types: to type checkers it is Any, here and nowhere else."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise ImportError('Arrow, Parquet and zstd need pyarrow: pip install "m3ter-async[export]"') from None


pa: Any = _module("pyarrow")
pc: Any = _module("pyarrow.compute")
pq: Any = _module("pyarrow.parquet")
