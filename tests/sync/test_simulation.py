"""A second client changes everything, between syncs and during them: after a quiet moment nothing is missing or old."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from random import Random

import msgspec
import pytest

from m3ter_async import APIError
from tests.fakes import FakeClock, FakeTransport, client
from tests.sync.destination import Destination, Killed, parsed
from tests.sync.world import World

pytestmark = pytest.mark.anyio
pytest.importorskip("pyarrow")  # a destination may keep its state as rows


async def lived_through(seed: int, *, rounds: int = 8, counting: bool = False) -> World:
    """Some rounds: changes, syncs that are disturbed and killed, then a quiet moment after which all is compared."""
    random = Random(seed)
    world = World(
        seed,
        counting=counting,
        lag=random.choice([0, 30, 600]),
        bills=random.choice([0, 5, 40]),
        lock_moves=random.choice([1.0, 0.02]),
    )
    m3ter = client(FakeTransport(world), FakeClock(), max_retries=8)
    bills, transactions = Destination("bills"), Destination("balances.transactions")
    for _ in range(rounds):
        for _ in range(random.randrange(50)):
            world.change()
        world.during, world.faults = random.choice([(0.0, 0.0), (0.3, 0.02), (0.6, 0.2)])
        for _ in range(random.randrange(4)):
            for destination in (bills, transactions):
                full = random.choice([True, False, timedelta(days=1)])
                with suppress(Killed, APIError):
                    await destination.sync(m3ter, random, kills=0.2, full=full)
        world.during = world.faults = 0.0
        world.now += timedelta(seconds=random.choice([601, 3_000, 90_000, 40_000_000]))  # longer than the search lags
        for destination in (bills, transactions):
            await destination.sync(m3ter, random)
        assert parsed(bills.rows) == parsed(world.wholes())
        truth = {id: msgspec.json.encode(row) for id, row in world.transactions().items()}
        assert parsed(transactions.rows) == parsed(truth)
    await m3ter.aclose()
    return world


@pytest.mark.parametrize("counting", [False, True], ids=["tokens name a row", "tokens count rows"])
@pytest.mark.parametrize("seed", range(4))
async def test_after_each_quiet_moment_the_destination_holds_what_the_service_holds(seed: int, counting: bool) -> None:
    world = await lived_through(seed, counting=counting)
    assert sum(world.changes.values()) > 100
