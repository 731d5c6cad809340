"""A disk that is full or fails for a while, and a process that dies in any step that changes something on it."""

from __future__ import annotations

import errno
import os
import random
import resource
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

# what changes a disk; of files that Python or Arrow has open, what they write is held up by their size
_STEPS = ("fsync", "replace", "write", "unlink", "mkdir", "rmdir", "ftruncate")
_truncate = os.ftruncate
_ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)


class Died(BaseException):
    """The process is killed: whatever it would do to the disk from now on does not take place."""


class FailingDisk:
    """The disk during one run of an export.

    Args:
        chance: Decides what fails, and how.
        fails_at: The first step that fails, counted from 0; None is no step.
        fails_for: How many steps after each other fail.
        dies_at: The step in which the process is killed.
        room: The largest size of a file, as long as the run lasts.
        synced: How much of each file was synced by earlier runs.

    Attributes:
        steps: How many were taken.
        failed: How many of them failed.
        dead: Whether the process was killed.
    """

    def __init__(
        self,
        chance: random.Random,
        *,
        fails_at: int | None = None,
        fails_for: int = 1,
        dies_at: int | None = None,
        room: int | None = None,
        synced: dict[int, int],
    ) -> None:
        self._chance = chance
        self._failing = range(0) if fails_at is None else range(fails_at, fails_at + fails_for)
        self._error = chance.choice(_ERRORS)
        self._dies_at = dies_at
        self._room = room
        self._synced = synced
        self.steps = 0
        self.failed = 0
        self.dead = False

    @contextmanager
    def used(self) -> Generator[None]:
        """Have all that is written within the block go through it."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with pytest.MonkeyPatch.context() as patch:
            for name in _STEPS:
                patch.setattr(os, name, self._through(name, getattr(os, name)))
            if self._room is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (self._room, limits[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def _through(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self.dead:
                raise Died
            step = self.steps
            self.steps += 1
            if step == self._dies_at:
                self.dead = True
                self._die(name, function, args, options)
                raise Died
            if step in self._failing:
                self.failed += 1
                if name == "write" and len(args[1]) > 1 and self._chance.random() < 0.5:
                    written: int = function(args[0], args[1][: len(args[1]) // 2])
                    return written  # and the rest fails, if that is tried within the time
                raise OSError(self._error, os.strerror(self._error), "the disk")
            result = function(*args, **options)
            if name == "fsync":
                file = os.fstat(args[0])
                self._synced[file.st_ino] = file.st_size
            return result

        return call

    def _die(self, name: str, function: Callable[..., Any], args: Any, options: Any) -> None:
        """In the middle of a step: before it, after it, or half way."""
        if self._chance.random() < 0.3:
            return
        if name == "write" and self._chance.random() < 0.7:
            function(args[0], args[1][: self._chance.randrange(len(args[1]) + 1)])
        elif name == "fsync" and self._chance.random() < 0.7:
            self._lose_power(args[0])
        else:
            function(*args, **options)

    def _lose_power(self, file: int) -> None:
        """What was not synced of a file may be there or not."""
        state = os.fstat(file)
        before = min(self._synced.get(state.st_ino, 0), state.st_size)
        if stat.S_ISREG(state.st_mode):
            _truncate(file, self._chance.randint(before, state.st_size))
