"""A service that changes, a disk that fails, runs that are killed: each difference is explained, or is a fault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import msgspec
import pytest

from m3ter_async.transports.protocol import Request, Response

from ..fakes import Answer
from .worlds import BACKENDS, Between, judge

pytestmark = pytest.mark.usefixtures("worlds_alone_are_collected")
_WORLDS = 24


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_record_is_there_once_or_its_difference_is_explained(backend: str) -> None:
    ends: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    for seed in range(_WORLDS):
        verdict = judge(seed, backend)
        assert not verdict.broken, f"{verdict.command}\n{verdict.broken[:3]}"
        assert not verdict.accounts.unexplained
        ends.update(end.partition(" ")[0] for end in verdict.ends)
        explained.update(verdict.accounts.explained)
    assert {"dies", "fails", "full", "pages", "requests", "rival"} <= ends.keys()
    assert explained["set aside"]
    assert explained["changed meanwhile"]


def test_a_seed_gives_the_same_world_again_in_any_process() -> None:
    program = "from tests.export.worlds import judge\nfor seed in (3, 2, 1): print(judge(seed, 'trio').digest)"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert said.split() == [judge(seed, "trio").digest for seed in (3, 2, 1)]


def _page(answered: Answer) -> dict[str, list[dict[str, object]]]:
    if not isinstance(answered, Response) or answered.status != 200:
        return {"data": []}
    page: dict[str, list[dict[str, object]]] = msgspec.json.decode(answered.content)
    return page


def _loses_a_row(request: Request, answered: Answer) -> Answer:
    page = _page(answered)
    if len(page["data"]) < 2 or "/balances?" in request.url:
        return answered
    return Response(200, {}, msgspec.json.encode({**page, "data": page["data"][1:]}))


def _changes_a_version(request: Request, answered: Answer) -> Answer:
    page = _page(answered)
    if not page["data"] or "/balances?" in request.url:
        return answered
    page["data"][0]["version"] = 99
    return Response(200, {}, msgspec.json.encode(page))


@pytest.mark.parametrize(
    ("between", "found"), [(_loses_a_row, "is missing"), (_changes_a_version, "as it never was sent")]
)
def test_a_fault_between_service_and_export_is_found(between: Between, found: str) -> None:
    told = [text for seed in range(12) for text in judge(seed, "asyncio", between).broken]
    assert [text for text in told if found in text]
