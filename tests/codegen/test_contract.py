"""The committed output against the service's own document, which is read here a second time, by other code."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from codegen import docstrings
from codegen.__main__ import PACKAGE, differences, generate, write
from codegen.corrections import M3TER
from codegen.operation_names import TABLE
from codegen.plan import Plan
from codegen.python_names import snake
from codegen.read_contract import read
from m3ter_async import models
from m3ter_async._core.operation import Operation
from m3ter_async.resources import _base, _editing

from .support import contract, needs_contract, needs_ruff

pytestmark = needs_contract


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return contract()


def _calls(
    document: Mapping[str, Any], tags: tuple[str, ...] | None = None
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, call in item.items():
            if tags is None or call["tags"][0] in tags:
                yield method.upper(), path, call


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> set[str]:
    """All field names of an object, by a reading of the document that shares nothing with the generator's."""
    if "$ref" in schema:
        return _fields(document, document["components"]["schemas"][schema["$ref"].split("/")[-1]])
    found = set(schema.get("properties", {}))
    for part in [*schema.get("allOf", ()), *schema.get("anyOf", ())]:
        found |= _fields(document, part)
    return found


def _operations(package: str) -> dict[str, list[Operation[Any]]]:
    found: dict[str, list[Operation[Any]]] = {}
    for path in sorted((PACKAGE / "resources").glob("[!_]*.py")):
        module = importlib.import_module(f"{package}.resources.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, Operation):
                found.setdefault(value.id, []).append(value)
    return found


@needs_ruff
def test_the_disk_holds_what_would_be_printed(document: dict[str, Any]) -> None:
    assert differences(generate(document), PACKAGE) == []


def test_every_selected_operation_is_there_once(document: dict[str, Any]) -> None:
    printed = _operations("m3ter_async")
    declared = {call["operationId"]: (method, path) for method, path, call in _calls(document)}
    assert {name: [(o.method, o.path) for o in found] for name, found in printed.items()} == {
        name: [where] for name, where in declared.items()
    }


def test_every_parameter_and_body_field_is_a_keyword(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each method is called with all it takes: what arrives must be all that the document declares, under its names."""
    seen: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {}

    def catch(
        self: object, operation: Operation[Any], path: Any = None, query: Any = None, body: Any = msgspec.UNSET
    ) -> None:
        assert operation.id not in seen
        seen[operation.id] = (path or {}, query or {}, {} if body is msgspec.UNSET else body)

    async def catch_call(*arguments: Any, **keywords: Any) -> None:
        catch(*arguments, **keywords)

    monkeypatch.setattr(_base.Resource, "_call", catch_call)

    async def catch_put(self: object, read: object, *arguments: Any, **keywords: Any) -> None:
        catch(self, *arguments, **keywords)

    monkeypatch.setattr(_base.Resource, "_put", catch_put)
    monkeypatch.setattr(_base.Resource, "_list", catch)
    for path in (PACKAGE / "resources").glob("[!_]*.py"):
        module = importlib.import_module(f"m3ter_async.resources.{path.stem}")
        for kind in vars(module).values():
            if inspect.isclass(kind) and issubclass(kind, _base.Resource) and kind is not _base.Resource:
                for name, method in vars(kind).items():
                    # what is more than one call has other ways
                    if inspect.isfunction(method) and {"_call", "_list", "_put"} & set(method.__code__.co_names):
                        names = [n for n in inspect.signature(method).parameters if n not in ("self", "wait_for_slot")]
                        result = getattr(kind(None), name)(**{n: f"<{n}>" for n in names})  # type: ignore[arg-type]
                        if inspect.iscoroutine(result):
                            asyncio.run(result)
    for _, path_, call in _calls(document):
        path_given, query, body = seen[call["operationId"]]
        declared = [parameter for parameter in call.get("parameters", ()) if parameter["name"] != "orgId"]
        assert list(path_given) == [name for name in re.findall(r"{(\w+)}", path_) if name != "orgId"]
        assert set(query) == {parameter["name"] for parameter in declared if parameter["in"] == "query"}
        content = call.get("requestBody", {}).get("content", {}).get("application/json", {})
        assert set(body) == _fields(document, content.get("schema", {}))
        for wire, value in {**path_given, **query, **body}.items():
            assert value.strip("<_>").replace("_", "") == wire.replace("_", "").lower()


def test_an_edit_writes_back_every_field_of_the_update(document: dict[str, Any]) -> None:
    """Fields that the document lists are found again under the names that `update` has for them."""
    calls = {call["operationId"]: call for _, _, call in _calls(document)}
    checked = 0
    for path in (PACKAGE / "resources").glob("[!_]*.py"):
        module = importlib.import_module(f"m3ter_async.resources.{path.stem}")
        for constant, fields in vars(module).items():
            if not isinstance(fields, _editing.Fields):
                continue
            update = vars(module)[constant.removesuffix("_FIELDS")]
            schema = calls[update.id]["requestBody"]["content"]["application/json"]["schema"]
            known = fields._known
            assert {wire for wire, _ in known.values()} == _fields(document, schema) - {"version"}
            assert all(name.replace("_", "") == wire.replace("_", "").lower() for name, (wire, _) in known.items())
            checked += 1
    assert checked == 45


def test_pages_are_as_large_as_the_service_gives(document: dict[str, Any]) -> None:
    printed = _operations("m3ter_async")
    for _, _, call in _calls(document):
        sizes = [p["schema"]["maximum"] for p in call.get("parameters", ()) if p["name"] == "pageSize"]
        operation = printed[call["operationId"]][0]
        assert [operation.page_size] == (sizes or [None])
        assert (operation.page is not None) == bool(sizes)


def test_money_is_never_sent_twice(document: dict[str, Any]) -> None:
    """Whatever a rule or a correction says: these are the calls whose repeat would count twice."""
    printed = _operations("m3ter_async")
    once = {"PostBalanceTransaction", "CreateCharge", "PostCreditLineItem", "PostDebitLineItem", "PostBalance"}
    once |= {
        "CreateBalanceChargeSchedule",
        "CreateBalanceTransactionSchedule",
        "CreateBillJob",
        "PostCounterAdjustment",
    }
    assert {printed[name][0].repeat for name in once} == {"never"}
    posts = {found[0].id for found in printed.values() if found[0].method == "POST" and found[0].repeat != "never"}
    assert posts == {
        "DownloadBillsCsvUrl",
        "EvaluateCalculation",
        "GenerateLookupTableDataUploadUrl",
        "GenerateToken",
        "GenerateUploadUrl",
        "GetLookupTableRevisionArchivedDataUrl",
        "ListResourceGroupsForId",
        "PostQueryBillData",
        "PostUsageDataQuery",
        "PreviewBalanceTransactionSchedule",
        "PreviewBill",
        "PreviewScheduledCharge",
    }
    puts = {found[0].id for found in printed.values() if found[0].method == "PUT" and found[0].repeat != "versioned"}
    assert puts == {
        "ActivateWebhookDestination",
        "AdminResendTempPass",
        "EndDateBillingEntitiesForAccount",
        "EndDateBillingEntitiesForContract",
        "LockBill",
        "UpdateBillStatus",
    }


def test_no_repr_shows_a_secret(document: dict[str, Any]) -> None:
    names = Plan(read(document), TABLE, M3TER, None).model_names
    for key in M3TER.secrets:
        schema, _, field = key.partition(".")
        struct = getattr(models, names[schema])
        name = next(f.name for f in msgspec.structs.fields(struct) if f.encode_name == field)
        value = struct(**{name: "hush-hush"})
        assert getattr(value, name) == "hush-hush"
        assert "hush" not in f"{value} {value!r} {[value]}"
        assert f"{name}='[redacted]'" in repr(value)


def test_the_prose_speaks_of_what_exists(document: dict[str, Any]) -> None:
    plan = Plan(read(document), TABLE, M3TER, None)
    assert docstrings.stale((call["operationId"] for _, _, call in _calls(document)), plan.models) == []


def test_every_argument_with_known_values_names_them_in_the_docstring(document: dict[str, Any]) -> None:
    """A reader of the docstring needs no other page to fill in a filter."""
    schemas = document["components"]["schemas"]

    def values(schema: dict[str, Any]) -> list[str]:
        while "$ref" in schema:
            schema = schemas[schema["$ref"].split("/")[-1]]
        found: list[str] = schema.get("enum", [])
        return found

    methods = {
        operation: inspect.getdoc(method) or ""
        for path in (PACKAGE / "resources").glob("[!_]*.py")
        for kind in vars(importlib.import_module(f"m3ter_async.resources.{path.stem}")).values()
        if inspect.isclass(kind) and issubclass(kind, _base.Resource)
        for method in vars(kind).values()
        if inspect.isfunction(method)
        for operation in method.__code__.co_names
    }
    checked = 0
    for _, _, call in _calls(document):
        text = " ".join(methods["_" + snake(call["operationId"]).upper()].split())
        for parameter in call.get("parameters", ()):
            if known := values(parameter["schema"]):
                _, _, said = text.partition(f" {snake(parameter['name'])}: ")
                assert all(value in said for value in known) or f"the {len(known)} values of `" in said
                checked += 1
    assert checked > 10


@needs_ruff
def test_the_whole_contract_prints_and_works(document: dict[str, Any], tmp_path: Path) -> None:
    """All operations, not just the committed ones: they import, their answers decode, and type checkers accept them."""
    package = tmp_path / "m3ter_async"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    files = generate(document, tags=None)
    write(files, package)
    for name, text in files.items():
        compile(text, name, "exec")
    script = (
        "import importlib, pathlib, sys\n"
        "from m3ter_async._core.operation import Operation\n"
        "found = {}\n"
        "for path in sorted(pathlib.Path(sys.argv[1], 'resources').glob('[!_]*.py')):\n"
        "    module = importlib.import_module('m3ter_async.resources.' + path.stem)\n"
        "    for value in vars(module).values():\n"
        "        if isinstance(value, Operation):\n"
        "            assert value.id not in found\n"
        "            found[value.id] = value.answer and value.decoder\n"
        "import m3ter_async.models, m3ter_async.sandbox.contract as contract\n"
        "assert all(hasattr(m3ter_async.models, name) for name in m3ter_async.models.__all__)\n"
        "assert {route.operation for route in contract.ROUTES} == set(found)\n"
        "print(len(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(package)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{len(list(_calls(document, None)))}\n", "")
    if find_spec("mypy") is None:
        pytest.skip("printed and imported, but mypy is not installed to check the types")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--python-version=3.11", "--follow-imports=silent"),
            *("--config-file=", f"--cache-dir={tmp_path}/cache"),
            *(f"{package}/models", f"{package}/resources", f"{package}/sandbox/contract/generated.py"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
