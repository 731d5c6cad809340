"""What the tests of the generator share: a small document of their own, and the service's if it is there."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from codegen.corrections import Corrections
from codegen.document import DOCUMENT, MISSING

HERE = Path(__file__).parent

needs_ruff = pytest.mark.skipif(
    find_spec("ruff") is None, reason="the generator formats with ruff, which is not installed"
)
needs_contract = pytest.mark.skipif(not DOCUMENT.exists(), reason=MISSING)

TABLE = {
    "trees": "list=ListTrees create=PlantTree retrieve=GetTree update=ReplaceTree delete=FellTree",
    "trees.harvests": "of_day=GetHarvests",
    "weather": "retrieve=GetWeather",
}
CORRECTIONS = Corrections(
    types={
        "query:plantedBefore": ("date", "a day"),
        "path:day": ("date", "a day"),
    },
    model_names={"RainResponse|SunResponse": ("Weather", "one struct for both")},
    scope={"GetWeather": ("explorer", "slow")},
    secrets={"TreeResponse.from": "where the orchard is"},
    anew={"trees.spot": "answers leave out the half of it"},
    busy={"PlantTree": "one hole at a time"},
    jobs={"trees": ("ripeness", "a tree is done when it is ripe")},
    files={"GetHarvests": "what a day brought"},
    statements={"trees.harvests": ("trees", "trees tell")},
)


def document() -> dict[str, Any]:
    """The small document."""
    loaded: dict[str, Any] = json.loads((HERE / "document.json").read_bytes())
    return loaded


def contract() -> dict[str, Any]:
    """The service's document."""
    loaded: dict[str, Any] = json.loads(DOCUMENT.read_bytes())
    return loaded
