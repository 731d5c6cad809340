"""pyarrow, which is an extra: to type checkers it is Any, here and nowhere else."""

from __future__ import annotations

from typing import Any

from .._untyped import untyped

_NEEDED = 'Arrow, Parquet and zstd need pyarrow: pip install "m3ter-async[export]"'

pa: Any = untyped("pyarrow", _NEEDED)
pc: Any = untyped("pyarrow.compute", _NEEDED)
pq: Any = untyped("pyarrow.parquet", _NEEDED)
