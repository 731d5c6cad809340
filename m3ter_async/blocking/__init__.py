"""Reading without an event loop of one's own: for Spark, Ray, Dask, notebooks, and every other program that waits.

`plan` divides a listing into slices, `read` reads one as Arrow record batches, in any process of any machine; `reader`
is both in one. A process has one event loop for it, in a thread of its own, and one client for each `Connection`.
"""

from __future__ import annotations

from .connection import Connection
from .home import close
from .reading import plan, read, reader

__all__ = ["Connection", "close", "plan", "read", "reader"]

for _public in __all__:
    globals()[_public].__module__ = __name__  # users import it from here, wherever it stands
