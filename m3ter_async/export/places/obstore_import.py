"""obstore, which is an extra: to type checkers it is Any, here and nowhere else."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise ImportError('Object stores need obstore: pip install "m3ter-async[cloud]"') from None


obstore: Any = _module("obstore")
stores: Any = _module("obstore.store")
exceptions: Any = _module("obstore.exceptions")
