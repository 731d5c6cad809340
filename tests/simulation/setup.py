"""What one world is like, drawn from its seed: the service's rules, the weather on the wire, the client's settings."""

from __future__ import annotations

import inspect
import random
from dataclasses import dataclass, field
from typing import Any

from m3ter_async import AsyncM3ter

from .service import LIMIT, Rules
from .wire import FAULTS, Outage, Weather

KINDS = ("storm", "close", "logins", "bulk", "hung", "outage", "crowd")
_SHARES = (48, 16, 14, 6, 6, 6, 4)

HAS_TOTAL_TIMEOUT = "total_timeout" in inspect.signature(AsyncM3ter.with_options).parameters
HAS_BULK = "bulk" in inspect.signature(AsyncM3ter.with_options).parameters


@dataclass
class Setup:
    """One world before it begins.

    Attributes:
        kind: What it is about. ``storm``: everything at once. ``close``: the client closes early. ``logins``: it is the
            logins that go wrong. ``bulk``: nothing is wrong, but there is much to do. ``hung``: one organization never
            answers. ``outage``: half a minute of 503. ``crowd``: many calls at one moment.
        fixed_token: A token that the client is given; ``never-good`` is taken by nobody.
        bounds: ``max_retry_time`` and ``total_timeout``, where the client is given them.
        small_call_bound: Seconds until a call that somebody waits for has left, at the latest.
        closes_at: When the client is closed while work goes on.
        eager: Whether tasks take their first steps at once, on asyncio and from Python 3.12 on.
        cancels_at: When somebody cancels all tasks of the event loop but the program's, where the loop allows that.
    """

    kind: str
    orgs: list[str]
    rules: Rules
    weather: Weather
    rate_limit: float | None
    max_connections: int
    timeout: float
    max_retries: int
    bounds: dict[str, float] = field(default_factory=dict)
    fixed_token: str | None = None
    skew: float = 0.0
    tasks: int = 4
    actions: int = 5
    small_call_bound: float | None = None
    closes_at: float | None = None
    revokes_at: tuple[float, ...] = ()
    cancels_at: tuple[float, ...] = ()
    eager: bool = False

    def client_options(self) -> dict[str, Any]:
        """Arguments for the client, beside key, secret and transport."""
        return {
            "org_id": self.orgs[0],
            "token": self.fixed_token,
            "rate_limit": self.rate_limit,
            "max_connections": self.max_connections,
            "timeout": self.timeout,
            "max_retries": self.max_retries,
            **self.bounds,
        }


def _faults(chance: random.Random, most: float) -> dict[str, float]:
    """Some faults, and not the others: many of each at once would hide what few of them do."""
    chosen = [fault for fault in FAULTS if chance.random() < 0.3]
    return {fault: chance.choice((0.01, 0.05, most)) for fault in chosen}


def _outages(chance: random.Random, orgs: list[str], count: int) -> list[Outage]:
    fates = ("error_before", "unreachable", "connect_hang", "silent_before", "throttled", "reset_before")
    outages: list[Outage] = []
    for _ in range(count):
        begins = chance.uniform(0, 20)
        where = chance.choice((None, "login", *orgs))
        outages.append(Outage(begins, begins + chance.choice((2, 30, 200)), where, chance.choice(fates)))
    return outages


def draw(seed: int) -> Setup:
    """The world of a seed."""
    chance = random.Random(f"{seed}/setup")
    kind = chance.choices(KINDS, _SHARES)[0]
    orgs = [f"org-{index}" for index in range(chance.randint(1, 3))]
    life = chance.choice((18_000.0, 18_000.0, 600.0, 20.0, 3.0))
    rules = Rules(
        token_life=life,
        told_life=chance.choice((life, life, life, None, life * 2)),
        ended_status=chance.choice((401, 403, 403)),
        retry_after=chance.choice(("none", "seconds", "date")),
        others=[chance.choice((0, 0, 20, 45, 60)) if chance.random() < 0.3 else 0 for _ in range(16)],
        page=chance.randint(1, 7),
        tail=chance.choice(("absent", "null", "empty")),
    )
    weather = Weather(
        latency=chance.choice((0.01, 0.2, 1.5)),
        faults=_faults(chance, 0.25),
        login=_faults(chance, 0.5) if chance.random() < 0.3 else {},
        outages=_outages(chance, orgs, chance.choice((0, 0, 1, 2))),
        owned=False,
    )
    setup = Setup(
        kind,
        orgs,
        rules,
        weather,
        rate_limit=chance.choice((None, float(LIMIT), float(LIMIT), 5.0, 2.0)),
        max_connections=chance.choice((1, 2, 3, 8, 20)),
        timeout=chance.choice((1.0, 5.0, 60.0)),
        max_retries=chance.choice((0, 2, 5, 5)),
        tasks=chance.randint(1, 8),
        actions=chance.randint(1, 6),
        skew=chance.choice((0.0, 0.0, -240.0, 3600.0)),
    )
    if chance.random() < 0.3:
        setup.bounds["max_retry_time"] = chance.choice((2.0, 10.0, 60.0))
    if HAS_TOTAL_TIMEOUT and chance.random() < 0.3:
        setup.bounds["total_timeout"] = chance.choice((1.0, 5.0, 30.0))
    if chance.random() < 0.2:
        setup.fixed_token = chance.choice(("given", "never-good", "never-good"))
    if chance.random() < 0.3:
        setup.revokes_at = tuple(sorted(chance.uniform(0, 15) for _ in range(chance.randint(1, 2))))
    if chance.random() < 0.15:
        count = chance.randint(1, 4)
        setup.cancels_at = tuple(chance.choice((0.0, 0.0, chance.uniform(0, 10))) for _ in range(count))
    _special(setup, chance)
    setup.eager = chance.random() < 0.3
    return setup


def _special(setup: Setup, chance: random.Random) -> None:
    """What the kind of a world asks for."""
    rules, weather = setup.rules, setup.weather
    if setup.kind == "storm":
        return
    if setup.kind == "close":
        setup.closes_at = chance.choice((0.0, chance.uniform(0, 1), chance.uniform(0, 10)))
        setup.tasks = chance.randint(4, 12)
        setup.weather.owned = chance.random() < 0.5
    elif setup.kind == "logins":
        rules.good_credentials = chance.random() < 0.7
        rules.token_life = chance.choice((3.0, 20.0, 600.0))
        rules.told_life = rules.token_life
        weather.faults = {}
        weather.login = _faults(chance, 0.5)
        weather.outages = [Outage(chance.choice((0, 1, 5)), chance.choice((6, 60)), "login", "connect_hang")]
        if chance.random() < 0.5:
            weather.outages = _outages(chance, ["login"], 2)
    else:
        _calm(setup, chance)


def _calm(setup: Setup, chance: random.Random) -> None:
    """One thing, and nothing else, goes wrong."""
    setup.rules.token_life = setup.rules.told_life = 18_000.0
    setup.rules.others = [0]
    setup.weather = Weather(latency=chance.choice((0.05, 0.3)), connect=0.0)
    setup.bounds, setup.fixed_token, setup.revokes_at, setup.cancels_at = {}, None, (), ()
    setup.timeout, setup.max_retries = 60.0, 5
    setup.max_connections = chance.choice((4, 8, 20))
    setup.rate_limit = chance.choice((10.0, float(LIMIT)) if setup.kind == "bulk" else (10.0, float(LIMIT), None))
    if setup.kind == "outage":
        begins = chance.uniform(0.5, 3)
        setup.weather.outages = [Outage(begins, begins + 30.0, None, "error_before")]
        return
    if setup.kind == "crowd":
        setup.tasks = 0
        setup.rules.limit = 10_000 if setup.rate_limit is None else LIMIT
        return
    # the login, a stretch of the rate limit, and the slowest request that may hold its place
    setup.small_call_bound = 2.0 + 3 * setup.weather.latency
    if setup.kind == "hung":
        setup.orgs = ["org-0", "org-1"]
        setup.weather.outages = [Outage(1.0, 10_000.0, "org-1", "silent_before")]
