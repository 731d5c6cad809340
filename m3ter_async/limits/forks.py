"""What a child process must not share with its parent."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """What is told in a child that it is in one."""

    def after_fork(self) -> None:
        """Let go of locks, threads, files and connections of the parent: a thread of it may have held or used them."""
        ...


_all: weakref.WeakSet[Forked] = weakref.WeakSet()


def tell_after_fork(what: Forked) -> None:
    """Call its `after_fork` in every child that this process has from now on."""
    _all.add(what)


def _in_child() -> None:
    for each in list(_all):
        each.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_child)
