"""The library that `HttpxTransport` sends through: httpx, or httpx2, which has the same names."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

_NAMES = ("httpx", "httpx2")  # the first that is installed is taken, where nothing says which


def library_of(client: object) -> Any:
    """The library that a client is of, also one of a class derived from it."""
    for kind in type(client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in _NAMES:
            return import_module(name)
    return default_library()


def default_library() -> Any:
    """The library for clients that are made here.

    Raises:
        ModuleNotFoundError: None is installed.
    """
    return import_module(next((name for name in _NAMES if find_spec(name) is not None), _NAMES[0]))
