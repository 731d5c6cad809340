"""What a contract that has changed meets: a report of all that has to be decided, and of what changes for users."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from codegen.__main__ import PACKAGE, UNDECIDED, draft, generate, main, write
from codegen.operation_names import TABLE as OPERATION_NAMES
from codegen.public_interface import changes, interface
from codegen.read_contract import ContractError, read
from codegen.suggested_names import suggested

from .support import CORRECTIONS, TABLE, contract, document, needs_contract, needs_ruff

TREES = "/organizations/{orgId}/trees"
TREE = TREES + "/{treeId}"
HARVESTS = TREE + "/harvests/{day}"
TEXT = {"type": "string"}


def operation(name: str, *parameters: dict[str, Any], answer: str = "TreeResponse") -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    org = {"in": "path", "name": "orgId", "required": True, "schema": TEXT}
    return {
        "operationId": name,
        "tags": ["Tree"],
        "parameters": [org, *parameters],
        "responses": {"200": {"content": content}},
    }


def in_path(name: str) -> dict[str, Any]:
    return {"in": "path", "name": name, "required": True, "schema": TEXT}


def problems(changed: dict[str, Any]) -> list[str]:
    with pytest.raises(ContractError) as caught:
        generate(changed, table=TABLE, corrections=CORRECTIONS)
    return list(caught.value.problems)


def difference(changed: dict[str, Any]) -> list[str]:
    before, _ = draft(document(), TABLE, CORRECTIONS)
    after, _ = draft(changed, TABLE, CORRECTIONS)
    return changes(interface(before), interface(after))


def schemas(changed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = changed["components"]["schemas"]
    return found


def test_a_contract_that_did_not_change_needs_and_changes_nothing() -> None:
    assert difference(document()) == []
    _, plan = draft(document(), TABLE, CORRECTIONS)
    assert plan.problems == []


@pytest.mark.parametrize(
    ("path", "method", "parameters", "suggestion"),
    [
        (TREE + "/prune", "post", ["treeId"], '"trees": prune=NewCall'),
        (TREE + "/nests", "post", ["treeId"], '"trees.nests": create=NewCall'),
        (TREE + "/nests/{nestId}", "get", ["treeId", "nestId"], '"trees.nests": retrieve=NewCall'),
        (TREE + "/nests/{nestId}", "delete", ["treeId", "nestId"], '"trees.nests": delete=NewCall'),
        ("/organizations/{orgId}/fences", "post", [], '"fences": create=NewCall'),
        ("/organizations/{orgId}/fences/{id}", "put", ["id"], '"fences": update=NewCall'),
        ("/organizations/{orgId}/fences/search", "get", [], '"fences": search=NewCall'),
        ("/weather", "get", [], '"weather": new_call=NewCall'),  # its `retrieve` has a name already
    ],
)
def test_a_new_operation_is_reported_with_a_name_by_the_conventions(
    path: str, method: str, parameters: list[str], suggestion: str
) -> None:
    changed = document()
    changed["paths"].setdefault(path, {})[method] = operation("NewCall", *map(in_path, parameters))
    (line,) = problems(changed)
    assert line.startswith(f"new operation: NewCall ({method.upper()} {path}) has no name; ")
    assert line.endswith(suggestion)
    assert any("NewCall" not in line and line.startswith("- method `") for line in difference(changed))


def test_a_new_listing_is_a_list() -> None:
    changed = document()
    token = {"in": "query", "name": "nextToken", "schema": TEXT}
    changed["paths"]["/organizations/{orgId}/fences"] = {"get": operation("ListFences", token, answer="TreePage")}
    (line,) = problems(changed)
    assert line.endswith('"fences": list=ListFences')
    assert "- method `fences.list(*, …)`" in difference(changed)


def test_a_gone_operation_is_reported_with_every_correction_that_names_it() -> None:
    changed = document()
    del changed["paths"][HARVESTS]
    found = problems(changed)
    assert "gone operation: GetHarvests; take of_day=GetHarvests of trees.harvests out of operation_names.py" in found
    corrected = {line.partition(" changes")[0] for line in found if line.startswith("no longer corrected: ")}
    assert {line.removeprefix("no longer corrected: ") for line in corrected} == {
        'types["path:day"]',
        'files["GetHarvests"]',
        'statements["trees.harvests"]',
    }
    assert "- resource `trees.harvests`" in difference(changed)
    assert "- model `Harvest`" in difference(changed)


def test_an_operation_with_another_id_is_recognized_by_its_place() -> None:
    changed = document()
    changed["paths"][TREE]["get"]["operationId"] = "FetchTree"
    new, gone = problems(changed)
    assert new.endswith('"trees": retrieve=FetchTree, in place of GetTree')
    assert gone.startswith("gone operation: GetTree; ")
    assert gone.endswith("FetchTree may be the same one")
    assert difference(changed) == []  # nothing for users, once it is named


def test_a_renamed_path_argument_changes_the_interface_and_needs_no_decision() -> None:
    changed = document()
    calls = changed["paths"].pop(TREE)
    changed["paths"][TREES + "/{id}"] = calls
    for call in calls.values():
        call["parameters"][1]["name"] = "id"
    _, plan = draft(changed, TABLE, CORRECTIONS)
    assert plan.problems == []
    lines = difference(changed)
    assert "- argument `tree_id` of `trees.retrieve` is called `id`" in lines
    assert "- argument `tree_id` of `trees.update` is called `id`" in lines
    assert not any("New" in line or "Gone" in line for line in lines)


def test_a_renamed_path_argument_that_was_corrected_needs_a_decision() -> None:
    changed = document()
    call = changed["paths"].pop(HARVESTS)
    changed["paths"][HARVESTS.replace("{day}", "{date}")] = call
    call["get"]["parameters"][2]["name"] = "date"
    (line,) = problems(changed)
    assert line.startswith('no longer corrected: types["path:day"]')


def test_a_field_gone_that_a_correction_names_needs_a_decision() -> None:
    changed = document()
    own = schemas(changed)["TreeResponse"]["allOf"][2]["properties"]
    own["origin"] = own.pop("from")  # a secret, under another name
    (line,) = problems(changed)
    assert line.startswith('no longer corrected: secrets["TreeResponse.from"]')
    lines = difference(changed)
    assert lines.index("Gone:") < lines.index("- field `Tree.from_`: `str | None`")
    assert "- field `Tree.origin`: `str | None`" in lines


@needs_ruff
def test_a_new_field_flows_through_by_itself() -> None:
    changed = document()
    schemas(changed)["Spot"]["properties"]["shade"] = {"type": "boolean"}
    files = generate(changed, table=TABLE, corrections=CORRECTIONS)
    assert "    shade: bool | None = None\n" in files["models/trees.py"]
    assert difference(changed) == ["New:", "- field `Spot.shade`: `bool | None`"]


def test_new_schemas_values_and_parameters_are_told_to_users() -> None:
    changed = document()
    schemas(changed)["Fence"] = {"type": "object", "properties": {"height": {"type": "number"}}}
    schemas(changed)["Spot"]["properties"]["fence"] = {"$ref": "#/components/schemas/Fence"}
    schemas(changed)["Ripeness"]["enum"].append("ROTTEN")
    parameters = changed["paths"][TREES]["get"]["parameters"]
    parameters.append({"in": "query", "name": "owner", "required": True, "schema": TEXT})
    parameters.append({"in": "query", "name": "shade", "schema": {"type": "boolean"}})
    parameters[2]["required"] = True  # from
    parameters[7]["schema"]["maximum"] = 50  # pageSize
    _, plan = draft(changed, TABLE, CORRECTIONS)
    assert plan.problems == []
    assert difference(changed) == [
        "New:",
        "- argument `owner` of `trees.get_by_code`: `str`, required",
        "- argument `shade` of `trees.get_by_code`: `bool`, optional",
        "- argument `owner` of `trees.list`: `str`, required",
        "- argument `shade` of `trees.list`: `bool`, optional",
        "- model `Fence`",
        "- field `Spot.fence`: `Fence | None`",
        "- value `ROTTEN` of `Ripeness`",
        "Changed:",
        "- argument `from_` of `trees.get_by_code` is required now",
        "- argument `from_` of `trees.list` is required now",
        "- operation ListTrees: page_size is 50, before it was 30",
    ]


def test_types_and_answers_that_change_are_told_to_users() -> None:
    changed = document()
    schemas(changed)["Spot"]["properties"]["row"] = TEXT
    changed["paths"][TREE]["delete"]["responses"] = operation("x")["responses"]
    assert difference(changed) == [
        "Changed:",
        "- `trees.delete` answers `Tree`, before it was `None`",
        "- field `Spot.row` is `str | None`, before it was `int | None`",
    ]


def test_a_pattern_of_an_argument_that_nobody_knows_needs_a_decision() -> None:
    changed = document()
    schemas(changed)["Spot"]["properties"]["gpsUTM"]["pattern"] = "^[0-9]+[A-Z]$"
    schemas(changed)["RainResponse"]["properties"]["of"] = {"type": "string", "pattern": "of an answer"}
    (line,) = problems(changed)
    assert line.startswith("new pattern: ^[0-9]+[A-Z]$ is not known; add it to _FORMS, or to _UNCHECKED")


def test_a_bound_that_changes_within_an_argument_is_told_to_users() -> None:
    changed = document()
    schemas(changed)["Spot"]["properties"]["row"]["maximum"] = 12
    _, plan = draft(changed, TABLE, CORRECTIONS)
    assert plan.problems == []
    assert difference(changed) == [
        "Changed:",
        "- field `Spot.row` has to be int32(,12) as an argument, before it was int32",
    ]


def test_schemas_that_cannot_be_named_by_rule_are_reported_with_a_name() -> None:
    changed = document()
    schemas(changed)["SnowResponse"] = {"type": "object", "properties": {"centimetres": {"type": "number"}}}
    answer = changed["paths"]["/organizations/{orgId}/weather"]["get"]["responses"]["200"]
    answer["content"]["application/json"]["schema"]["anyOf"].append({"$ref": "#/components/schemas/SnowResponse"})
    schemas(changed)["Harvest"] = {"type": "object", "properties": {"year": {"type": "integer"}}}
    schemas(changed)["Spot"]["properties"]["best"] = {"$ref": "#/components/schemas/Harvest"}
    found = problems(changed)
    union = "RainResponse|SunResponse|SnowResponse"
    assert f'new schema: {union} needs a name; suggested for model_names in corrections.py: "{union}": (' in "\n".join(
        found
    )
    assert any(line.startswith("new schema: HarvestResponse would be Harvest, as Harvest is; ") for line in found)
    assert any(line.startswith('no longer corrected: model_names["RainResponse|SunResponse"]') for line in found)


def test_what_cannot_be_printed_is_reported_with_all_else() -> None:
    changed = document()
    schemas(changed)["Spot"]["properties"]["row"]["type"] = "quaternion"
    changed["paths"][TREE]["get"]["parameters"].append({"in": "header", "name": "X-Mood", "schema": TEXT})
    changed["paths"][TREES]["get"]["parameters"].append({"in": "query", "name": "planted_before", "schema": TEXT})
    changed["paths"]["/organizations/{orgId}/weather"]["get"]["parameters"].append(
        {"in": "query", "name": "nextToken", "schema": TEXT}
    )
    found = problems(changed)
    assert len(found) == 4
    assert all(line.startswith("not printable: ") for line in found)
    for word in ("quaternion", "X-Mood in the header", "plantedBefore, planted_before", "GetWeather"):
        assert any(word in line for line in found)


def test_many_changes_are_all_reported_at_once() -> None:
    changed = document()
    del changed["paths"][HARVESTS]
    del changed["paths"][TREE]["delete"]
    changed["paths"][TREE + "/prune"] = {"post": operation("PruneTree", in_path("treeId"))}
    changed["paths"]["/organizations/{orgId}/fences"] = {"post": operation("BuildFence")}
    del schemas(changed)["TreeResponse"]["allOf"][2]["properties"]["from"]
    kinds = [line.partition(":")[0] for line in problems(changed)]
    assert kinds.count("new operation") == 2
    assert kinds.count("gone operation") == 2
    assert kinds.count("no longer corrected") == 4
    lines = difference(changed)
    for line in ("- resource `fences`", "- method `trees.prune(tree_id)`", "- method `trees.delete(tree_id)`"):
        assert line in lines


@needs_ruff
def test_a_schema_that_holds_itself_is_printed_and_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = document()
    spot = {"$ref": "#/components/schemas/Spot"}
    schemas(changed)["Spot"]["properties"] |= {"beside": spot, "around": {"type": "array", "items": spot}}
    write(generate(changed, table=TABLE, corrections=CORRECTIONS), tmp_path / "orchard")
    (tmp_path / "orchard" / "__init__.py").write_text("")
    for name in ("_base", "_exactness", "_pydantic", "_values"):  # what is written by hand, and not printed
        shutil.copy(PACKAGE / "models" / f"{name}.py", tmp_path / "orchard" / "models")
    monkeypatch.syspath_prepend(str(tmp_path))
    from orchard import models  # type: ignore[import-not-found]

    decoded = msgspec.json.decode('{"beside": {"row": 1}, "around": [{"row": 2}]}', type=models.Spot)
    assert (decoded.beside.row, decoded.around[0].row) == (1, 2)
    assert type(decoded.beside) is models.Spot


# The command, on the service's own document


def run(changed: dict[str, Any], tmp_path: Path, *options: str) -> int:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(changed))
    return main([str(path), *options], tmp_path / "package")


@needs_contract
def test_nothing_is_written_while_something_has_to_be_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = contract()
    bills = changed["paths"]["/organizations/{orgId}/bills"]
    changed["paths"]["/organizations/{orgId}/bills/{id}/freeze"] = {
        "put": {**copy.deepcopy(bills["get"]), "operationId": "FreezeBill", "parameters": []}
    }
    del changed["paths"]["/organizations/{orgId}/bills/latest/{accountId}"]
    fields = changed["components"]["schemas"]["ObjectUrlResponse"]["properties"]
    fields["link"] = fields.pop("downloadUrl")
    for options in ((), ("--check",), ("--diff",)):
        assert run(changed, tmp_path, *options) == UNDECIDED
        told = capsys.readouterr().err
        assert '"bills": freeze=FreezeBill' in told
        assert "gone operation: GetLatestBill; take latest_by_account=GetLatestBill of bills out" in told
        assert "no longer described: GetLatestBill is gone; take it out of SUMMARIES in docstring_words.py" in told
        assert 'no longer corrected: secrets["ObjectUrlResponse.downloadUrl"]' in told
    assert not (tmp_path / "package").exists()


@needs_contract
def test_the_difference_is_told_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = contract()
    bill = changed["components"]["schemas"]["BillResponse"]
    next(part for part in [bill, *bill.get("allOf", ())] if "properties" in part)["properties"]["mood"] = TEXT
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(changed))
    assert main([str(path), "--diff"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["New:", "- field `Bill.mood`: `str | None`"]


@needs_contract
def test_the_names_that_stand_are_those_that_would_be_suggested() -> None:
    """The conventions are good ones if they give most operations the name that the published package has for them."""
    calls = {call.id: call for call in read(contract()).calls}
    named: dict[str, tuple[str, str]] = {}
    for resource, entries in OPERATION_NAMES.items():
        for entry in entries.split():
            method, _, name = entry.partition("=")
            named[name] = (resource, method)
    right = sum(
        suggested(calls[name], {other: at for other, at in named.items() if other != name}, calls) == place
        for name, place in named.items()
    )
    assert right >= len(named) * 3 // 4, f"{right} of {len(named)}"
