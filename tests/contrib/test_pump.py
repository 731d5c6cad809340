"""An async generator in a thread of its own: every item in order, its failure where it is asked for, and an end."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator

import anyio
import pytest

from m3ter_async.contrib._pump import pumped


async def numbers(count: int, ended: list[int] | None = None) -> AsyncGenerator[int]:
    async with anyio.create_task_group():  # held open over items, as a listing does
        try:
            for number in range(count):
                yield number
        finally:
            if ended is not None:
                ended.append(1)


def test_every_item_comes_once_and_in_order() -> None:
    with pumped(lambda: numbers(1000)) as found:
        assert list(found) == list(range(1000))


def test_who_leaves_early_stops_it() -> None:
    before, ended = threading.active_count(), list[int]()
    with pumped(lambda: numbers(10**9, ended)) as found:
        assert [next(found), next(found)] == [0, 1]
    assert (ended, threading.active_count() <= before + 1) == ([1], True)


def test_one_that_waits_for_ever_is_stopped_too() -> None:
    async def waits() -> AsyncGenerator[int]:
        yield 1
        await anyio.sleep_forever()

    with pumped(waits) as found:
        assert next(found) == 1


class Odd(BaseException):
    """One that nobody catches by its kind."""


@pytest.mark.parametrize("end", [Odd(), SystemExit(3), ExceptionGroup("several", [ValueError()])], ids=repr)
def test_who_leaves_early_does_not_wait_for_an_end_that_nobody_wants(end: BaseException) -> None:
    async def ends_oddly() -> AsyncGenerator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            raise end

    def leave() -> None:
        with pumped(ends_oddly) as found:
            next(found)
            time.sleep(0.2)  # until more lies ready, and more waits

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_its_failure_comes_where_an_item_is_asked_for_and_after_the_items() -> None:
    async def fails() -> AsyncGenerator[int]:
        yield 1
        raise ArithmeticError("no")

    with pumped(fails) as found:
        assert next(found) == 1
        with pytest.raises(ArithmeticError, match="no"):
            next(found)


def test_one_without_items_ends() -> None:
    with pumped(lambda: numbers(0)) as found:
        assert list(found) == []
