"""What is public: every name without an underscore is listed, documented, and named after where users import it from.

A module is public if no part of its dotted name begins with an underscore, and if it is not inside a package that has a
face. A package has a face if its ``__init__`` has an ``__all__``: what is in there is what it offers, and its modules
are engine rooms. They need no underscores: nobody meets their names, since each public name says of itself that it is
in the face. ``resources`` and ``contrib`` have no face: their modules are public one by one, and each is loaded alone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import m3ter_async
from m3ter_async.export import Position, Slice, SlicePage
from m3ter_async.models import Bill

HOUSE = Path(m3ter_async.__file__).parent
NAME = "m3ter_async"
ENTRY = "__main__"  # what `python -m` runs: nobody imports it


def names_of(path: Path) -> str:
    parts = (NAME, *path.relative_to(HOUSE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ALL_MODULES = {names_of(path): path for path in sorted(HOUSE.rglob("*.py"))}


def has_face(package: str) -> bool:
    return package != NAME and "\n__all__ = " in ALL_MODULES[package].read_text(encoding="utf-8")


def is_public(module: str) -> bool:
    first, *parts = module.split(".")
    above = [".".join([first, *parts[:end]]) for end in range(len(parts))]
    return not any(part.startswith("_") for part in parts) and not any(map(has_face, above))


PUBLIC = [module for module in ALL_MODULES if is_public(module)]
WITH_NAMES = [module for module in PUBLIC if module != f"{NAME}.resources"]


@cache
def imported(module: str) -> ModuleType:
    return importlib.import_module(module)


def every_name() -> Iterator[tuple[str, str]]:
    for module in WITH_NAMES:
        for name in imported(module).__all__:
            yield module, name


NAMES = list(every_name())
each_name = pytest.mark.parametrize(("module", "name"), NAMES, ids=[".".join(pair) for pair in NAMES])


def homes(name: str, value: object) -> list[str]:
    """The public modules that list this value, the shortest first."""
    found = [module for module, other in NAMES if other == name and getattr(imported(module), other) is value]
    return sorted(found, key=lambda module: module.count("."))


def test_the_public_modules_are_those_that_are_promised() -> None:
    one_by_one = (f"{NAME}.resources.", f"{NAME}.contrib.")
    outside = {module for module in PUBLIC if not module.startswith(one_by_one)}
    assert {NAME, *(f"{NAME}.{name}" for name in ("client", "errors", "events", "stats", "models"))} <= outside
    assert {f"{NAME}.{name}" for name in ("export", "sandbox", "testing", "transports", "cli")} <= outside
    assert {f"{NAME}.{name}" for name in ("telemetry", "pytest_plugin", "demo", "resources", "version")} <= outside
    assert max(module.count(".") for module in outside) == 1  # nothing inside a package with a face


@pytest.mark.parametrize("module", WITH_NAMES)
def test_what_a_public_module_defines_without_an_underscore_is_in_its_list(module: str) -> None:
    listed = set(imported(module).__all__)
    defined: set[str] = set()
    for node in ast.parse(ALL_MODULES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    visible = {name for name in defined if not name.startswith(("_", "pytest_"))}  # pytest names its hooks
    values = vars(imported(module))
    aliases = {name for name in visible if name.endswith("List") and module.startswith(f"{NAME}.resources.")}
    variables = {name for name in visible if isinstance(values[name], (typing.TypeVar, typing.ParamSpec))}
    assert visible - aliases - variables - listed == set()


@each_name
def test_a_public_name_says_that_it_is_where_users_import_it_from(module: str, name: str) -> None:
    value = getattr(imported(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        if value.__module__.split(".")[0] != NAME:
            assert value is str  # an enumeration of the contract: its values are texts
            return
        assert value.__module__ == homes(name, value)[0]
        assert value.__qualname__ == name


@each_name
def test_a_public_name_is_documented_and_shown(module: str, name: str) -> None:
    value = getattr(imported(module), name)
    assert name in dir(imported(module))
    if (inspect.isclass(value) or inspect.isfunction(value)) and value is not str:
        own = value.__doc__ if inspect.isfunction(value) else vars(value).get("__doc__")
        assert (own or "").strip()


@each_name
def test_public_classes_and_functions_survive_pickling_by_name(module: str, name: str) -> None:
    value = getattr(imported(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert pickle.loads(pickle.dumps(value)) is value


def test_public_structs_and_dataclasses_tell_the_types_of_their_fields() -> None:
    checked = 0
    for module, name in NAMES:
        value = getattr(imported(module), name)
        if is_dataclass(value) or (inspect.isclass(value) and issubclass(value, (msgspec.Struct, tuple))):
            hints = typing.get_type_hints(value)
            assert not any(isinstance(hint, (str, typing.ForwardRef)) for hint in hints.values())
            checked += 1
    assert checked > 140


def test_public_structs_decode_although_they_are_named_after_another_module() -> None:
    for module, name in NAMES:
        value = getattr(imported(module), name)
        if inspect.isclass(value) and issubclass(value, msgspec.Struct):
            msgspec.json.Decoder(value)  # resolves all annotations
            msgspec.structs.fields(value)


@pytest.mark.parametrize(
    "value",
    [
        Slice("bills.0", "bills.list", {"bill_date_start": "2024-01-01"}),
        Position(3, "token"),
        SlicePage([b"{}"], "parent", Position(1)),
        Bill(id="b", version=2),
        m3ter_async.IngestReport(accepted=1, refused=2, requests=3),
        m3ter_async.Page([1], "token"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_public_types_are_pickled_and_sent_as_json(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    if isinstance(value, msgspec.Struct):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


# Without an extra


WITHOUT_HTTPX = """
import sys
sys.modules["httpx"] = sys.modules["httpx2"] = None  # as if they were not installed
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", [NAME, f"{NAME}.transports"])
def test_all_of_the_help_is_printed_without_an_optional_library(module: str) -> None:
    page = run(f"{WITHOUT_HTTPX}import pydoc\nprint(pydoc.render_doc({module!r}, renderer=pydoc.plaintext))")
    assert "class AiohttpTransport" in page
    assert "class HttpxTransport" not in page
    assert len(page.splitlines()) > 50


@pytest.mark.parametrize("module", [NAME, f"{NAME}.transports"])
def test_all_names_can_be_listed_and_imported_without_an_optional_library(module: str) -> None:
    run(f"{WITHOUT_HTTPX}import inspect, {module} as module\ninspect.getmembers(module)\nfrom {module} import *")
    run(f"import inspect, {module} as module\nassert dict(inspect.getmembers(module))['HttpxTransport']")
    text = run(
        f"{WITHOUT_HTTPX}import {module} as module\n"
        "try:\n    module.HttpxTransport\nexcept ImportError as error:\n    print(error)"
    )
    assert 'pip install "m3ter-async[httpx]"' in text
