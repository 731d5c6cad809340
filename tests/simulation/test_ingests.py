"""Whatever cuts runs short: in the end each measurement is accepted, or told as refused, and none is lost."""

from __future__ import annotations

import pytest

from .ingests import IngestWorld
from .run import BACKENDS

_WORLDS = 30


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_measurement_is_accepted_or_told_as_refused(backend: str) -> None:
    worlds = [IngestWorld(seed, backend).run() for seed in range(_WORLDS)]
    for seed, world in enumerate(worlds):
        assert not world.failures, f"seed {seed} on {backend}: {world.failures[:3]}"
    assert any(world.bad for world in worlds)
    assert max(world.runs for world in worlds) > 2


def test_a_service_that_loses_one_is_found() -> None:
    worlds = [IngestWorld(seed, "asyncio", lambda batch: batch[1:]).run() for seed in range(3)]
    assert all("are not there" in world.failures[0] for world in worlds)
