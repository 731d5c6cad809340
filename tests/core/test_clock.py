"""What the clock knows of its caller."""

from __future__ import annotations

import math

import anyio
import anyio.lowlevel
import pytest

from m3ter_async._core.clock import Clock


async def test_the_time_left_is_that_of_the_scopes_around_the_caller() -> None:
    """It asks anyio's backend by its inner name, which is quicker: this tells when that changes."""
    clock = Clock()
    assert clock.left() == math.inf
    with anyio.fail_after(50):
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(10):
            await anyio.lowlevel.checkpoint()
            assert clock.left() == pytest.approx(anyio.current_effective_deadline() - anyio.current_time(), abs=0.5)
            assert 9 < clock.left() <= 10
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            assert clock.left() == math.inf


def test_without_an_event_loop_nothing_bounds_the_caller() -> None:
    assert Clock().left() == math.inf
