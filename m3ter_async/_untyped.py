"""Libraries that are extras and say nothing of their types: to type checkers what they hold is Any."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def untyped(name: str, needed: str) -> Any:
    """A module of such a library.

    Args:
        name: The module.
        needed: What to say where the library is not installed: what needs it, and how to install it.

    Raises:
        ImportError: The library is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != name.partition(".")[0]:
            raise  # the library is there, and lacks something itself
        raise ImportError(needed) from None
