"""The figures of what must not grow: memory and time where there is ten or a hundred times as much to do."""

from __future__ import annotations

from collections.abc import Mapping

from . import contenders as by
from .contest import Outcome
from .figure import Figure, growth, slowness

KB = 1e3
_STREAM = "the page that is read and the one ahead, whatever comes after them"


def growth_figures(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    """What stays as it is."""
    organizations = outcomes.get("organizations")
    bills, accounts, known = (outcomes.get(name) for name in ("more-bills", "more-accounts", "more-known"))
    many, few = by.HUNDRED_TIMES, by.ONCE
    return [
        slowness(
            "a GET where a client calls 1,000 organizations, of the time where it calls one",
            1.15,
            organizations,
            by.THOUSAND_ORGANIZATIONS,
            by.ONE_ORGANIZATION,
            "making 1,000 views, and a limit for each",
        ),
        _memory_each(
            "memory of an organization of 1,000 on one client",
            16,
            " KB",
            organizations,
            by.THOUSAND_ORGANIZATIONS,
            by.ONE_ORGANIZATION,
            999,
            KB,
            "its limit, its lane in the queue, and the view that calls it",
        ),
        growth("bills, peak memory at a hundred times, of that at once", 1.1, bills, many, few, _STREAM),
        slowness("a bill at a hundred times, of the time at once", 1.1, bills, many, few, "nothing that grows"),
        growth("accounts, peak memory at a hundred times, of that at once", 1.1, accounts, many, few, _STREAM),
        slowness("an account at a hundred times, of the time at once", 1.1, accounts, many, few, "nothing that grows"),
        slowness(
            "a known record of a sync at a hundred times, of the time at once",
            1.1,
            known,
            many,
            few,
            "looking for its id and noting that it was seen: two B-trees in memory, deeper where there is more",
        ),
        _memory_each(
            "memory of a known record of a sync",
            100,
            " bytes",
            known,
            many,
            by.TEN_TIMES,
            _more(known),
            1.0,
            "its id twice and its digest, in tables in memory: what is known, and what this round has seen",
        ),
    ]


def _memory_each(
    what: str,
    asked: float,
    unit: str,
    outcome: Outcome | None,
    more: str,
    less: str,
    more_of_them: float,
    size: float,
    held_by: str,
) -> Figure:
    """What each of those takes that there are more of."""
    many = outcome.highest(more, "peak_memory") if outcome else None
    few = outcome.highest(less, "peak_memory") if outcome else None
    measured = None if many is None or few is None else max(0.0, many - few) / more_of_them / size
    return Figure(what, asked, unit, measured, held_by, at_most=True)


def _more(outcome: Outcome | None) -> float:
    return 1 if outcome is None else outcome.count_of(by.HUNDRED_TIMES) - outcome.count_of(by.TEN_TIMES)
