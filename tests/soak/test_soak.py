"""The long run, in short: `nox -s soak` is the same for ten minutes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ..wire import Pair
from .run import FAULTS, Outcome, soak

# a 429 is waited out in real time
QUICK = replace(FAULTS, status=(500, 502, 503, 504))


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


async def test_exports_and_tasks_that_are_cancelled_at_random_lose_double_and_leave_nothing(pair: Pair) -> None:
    def more(outcome: Outcome) -> bool:
        return outcome.rounds < 1

    outcome = await soak(pair.transport, bills=120, tasks=60, more=more, faults=QUICK)
    assert outcome.rows_wrong == []
    assert (outcome.writes_doubled, outcome.writes_mistold, outcome.handles_left) == (0, 0, 0)
    assert outcome.interruptions > 0, "nothing was put to the test"
    assert outcome.cancelled > 0
    assert outcome.writes > 0
