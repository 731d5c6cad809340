"""What is printed for a small document, byte for byte; ``UPDATE_GOLDEN=1 pytest tests/codegen`` writes it anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codegen.__main__ import NO_DOCUMENT, differences, generate, main, write
from codegen.corrections import Corrections
from codegen.python_names import camel, singular, snake
from codegen.read_contract import ContractError

from .support import CORRECTIONS, HERE, TABLE, document, needs_ruff

GOLDEN = HERE / "golden.txt"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return generate(document(), table=TABLE, corrections=CORRECTIONS, tags=None)


@needs_ruff
def test_the_output_is_the_golden_one(files: dict[str, str]) -> None:
    text = "".join(f"===== {name}\n{content}" for name, content in files.items())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@needs_ruff
def test_a_selection_moves_nothing(files: dict[str, str]) -> None:
    """Printing more of the contract later must not move what is printed today, or imports of users would break."""
    some = generate(document(), table=TABLE, corrections=CORRECTIONS, tags=["Harvest"])
    assert set(some) < set(files)
    assert "class Spot(" in some["models/trees.py"]
    assert "Tree(" not in some["models/trees.py"]


@needs_ruff
def test_check_names_a_changed_a_missing_and_a_stale_file(files: dict[str, str], tmp_path: Path) -> None:
    write(files, tmp_path)
    assert differences(files, tmp_path) == []
    changed = tmp_path / "models" / "trees.py"
    changed.write_bytes(changed.read_bytes().replace(b"row", b"Row", 1))
    (tmp_path / "resources" / "weather.py").unlink()
    (tmp_path / "models" / "gone.py").write_text("")
    (tmp_path / "resources" / "_base.py").write_text("")
    assert differences(files, tmp_path) == [
        "differs: models/trees.py",
        "missing: resources/weather.py",
        "stale: models/gone.py",
    ]
    write(files, tmp_path)
    assert differences(files, tmp_path) == []
    assert not (tmp_path / "models" / "gone.py").exists()
    assert (tmp_path / "resources" / "_base.py").exists()


@pytest.mark.parametrize(
    "stale",
    [
        {"anything": {"Gone": "?"}},
        {"answers": {"FellTree": ("FellTree", "?")}},
        {"answers": {"Gone": ("ListTrees", "?")}},
        {"records": {"Gone": ("ListTrees", "?")}},
        {"pages": {"PlantTree": "takes no page parameters"}},
        {"types": {"query:pageSize": ("date", "is no string")}},
        {"types": {"TreeRequest.gone": ("date", "?")}},
        {"model_names": {"Gone": ("Here", "?")}},
        {"class_names": {"gone": ("Here", "?")}},
        {"repeat": {"ListTrees": ("read", "is what the rules say")}},
        {"scope": {"Gone": ("ingest", "?")}},
        {"busy": {"Gone": "?"}},
        {"secrets": {"TreeResponse.gone": "?"}},
        {"anew": {"trees.gone": "?"}},
        {"no_edit": {"gone": "?"}},
        {"jobs": {"gone": ("status", "?")}},
        {"jobs": {"weather": ("status", "it has none")}},
        {"files": {"Gone": "?"}},
        {"statements": {"gone": ("trees", "?")}},
        {"statements": {"trees": ("gone", "?")}},
    ],
)
def test_a_correction_that_changes_nothing_is_an_error(stale: dict[str, Any]) -> None:
    tables = {name: {**getattr(CORRECTIONS, name), **entries} for name, entries in stale.items()}
    with pytest.raises(ContractError):
        generate(document(), table=TABLE, corrections=replace(CORRECTIONS, **tables), tags=None)


def test_what_cannot_be_named_or_printed_is_an_error() -> None:
    with pytest.raises(ContractError, match="needs a name"):
        generate(document(), table=TABLE, corrections=replace(CORRECTIONS, model_names={}), tags=None)
    with pytest.raises(ContractError, match="GetWeather"):
        generate(document(), table={**TABLE, "weather": ""}, corrections=CORRECTIONS, tags=None)
    with pytest.raises(ContractError, match="Moon"):
        generate(document(), table=TABLE, corrections=CORRECTIONS, tags=["Moon"])
    odd = document()
    odd["paths"]["/organizations/{orgId}/weather"]["get"]["parameters"].append(
        {"in": "query", "name": "nextToken", "schema": {"type": "string"}}
    )
    with pytest.raises(ContractError, match="answers no page"):
        generate(odd, table=TABLE, corrections=CORRECTIONS, tags=None)
    odd = document()
    odd["components"]["schemas"]["Spot"]["properties"]["row"]["type"] = "quaternion"
    with pytest.raises(ContractError, match="quaternion"):
        generate(odd, table=TABLE, corrections=Corrections(), tags=None)


@pytest.mark.parametrize(
    ("wire", "python"),
    [
        ("startDateTimeUTC", "start_date_time_utc"),
        ("from", "from_"),
        ("ACCOUNTPLAN", "accountplan"),
        ("COUNTER_PRICINGS", "counter_pricings"),
        ("Payload", "payload"),
        ("token_type", "token_type"),
        ("m3terId", "m3ter_id"),
        ("addressLine1", "address_line1"),
    ],
)
def test_names_are_snake_case(wire: str, python: str) -> None:
    assert snake(wire) == python


def test_a_name_that_camel_case_does_not_bring_back_is_recognized() -> None:
    assert camel("from_") == "from"
    assert camel("m3ter_id") == "m3terId"
    assert camel("start_date_time_utc") != "startDateTimeUTC"


def test_plurals_lose_their_ending() -> None:
    assert [singular(word) for word in ("bills", "currencies", "address", "usage")] == [
        "bill",
        "currency",
        "address",
        "usage",
    ]


def test_a_document_that_is_not_there_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "openapi.json"
    assert main([str(missing)]) == NO_DOCUMENT
    assert capsys.readouterr().err == f"there is no file {missing}\n"
