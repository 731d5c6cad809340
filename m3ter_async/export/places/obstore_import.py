"""obstore, which is an extra: to type checkers it is Any, here and nowhere else."""

from __future__ import annotations

from typing import Any

from ..._untyped import untyped

_NEEDED = 'Object stores need obstore: pip install "m3ter-async[cloud]"'

obstore: Any = untyped("obstore", _NEEDED)
stores: Any = untyped("obstore.store", _NEEDED)
exceptions: Any = untyped("obstore.exceptions", _NEEDED)
