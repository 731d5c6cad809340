"""The house stands as it was drawn, beyond what import-linter says: little is loaded, nothing is unfinished."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import m3ter_async
from m3ter_async import models

HOUSE = Path(m3ter_async.__file__).parent
NAME = "m3ter_async"

GENERATED = {"models", "resources"}


def modules() -> dict[str, Path]:
    """Every module by its dotted name within the package; a package is named by its folder."""
    found = {}
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def for_checkers_only(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and "not" not in ast.unparse(node.test)
    )


def statements(node: ast.AST, *, checking: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import in `node`, and whether only type checkers see it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, checking
        elif isinstance(child, ast.If) and for_checkers_only(child):
            for part in child.body:
                yield from statements(ast.Module([part], []), checking=True)
            for part in child.orelse:
                yield from statements(ast.Module([part], []), checking=checking)
        else:
            yield from statements(child, checking=checking)


# What is loaded


def loaded(code: str) -> set[str]:
    """What is in `sys.modules` after `code` ran in a process of its own."""
    script = f"{code}\nimport sys\nprint(*sorted(sys.modules), sep='\\n')"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def rooms(names: set[str], room: str) -> set[str]:
    """What is loaded of a room, but for what all in it stands on."""
    below = {"_namespaces", "_base", "_shared", "_editing", "_exactness", "_values"}
    return {name.rpartition(".")[2] for name in names if name.startswith(f"{NAME}.{room}.")} - below


BARE_MODULES = {NAME, f"{NAME}.version"}


def test_importing_the_package_loads_next_to_nothing() -> None:
    names = loaded("import m3ter_async; m3ter_async.__version__; dir(m3ter_async)")
    assert {name for name in names if name.startswith(NAME)} == BARE_MODULES
    assert not names & {"aiohttp", "httpx", "anyio", "trio", "msgspec", "asyncio", "rich", "opentelemetry"}


def test_importing_the_client_loads_no_backend_and_no_resource() -> None:
    names = loaded("from m3ter_async import AsyncM3ter")
    assert f"{NAME}.client" in names
    assert not names & {"aiohttp", "httpx", "trio", "rich", "opentelemetry"}
    assert rooms(names, "resources") == rooms(names, "models") == set()
    assert not any(name.startswith(f"{NAME}.sandbox") for name in names)


MAKE = """
from m3ter_async import AsyncM3ter
class Wire:
    async def send(self, request): ...
    async def aclose(self): ...
m3ter = AsyncM3ter("key", "secret", "org", transport=Wire())
"""


def test_the_first_use_of_a_resource_loads_that_one_and_its_models_only() -> None:
    names = loaded(MAKE)
    assert rooms(names, "resources") == rooms(names, "models") == set()
    names = loaded(MAKE + "m3ter.bills")
    assert rooms(names, "resources") == rooms(names, "models") == {"bills"}
    assert "aiohttp" not in names
    names = loaded(MAKE + "m3ter.balances.transactions.list('b')")
    assert rooms(names, "resources") == rooms(names, "models") == {"balances"}


def test_a_model_loads_its_own_module_only() -> None:
    names = loaded("from m3ter_async.models import Bill")
    assert rooms(names, "models") == {"bills"}
    assert rooms(names, "resources") == set()
    assert not names & {"aiohttp", "anyio", f"{NAME}.client", f"{NAME}._core.pipeline"}
    assert rooms(loaded("import m3ter_async.models; dir(m3ter_async.models)"), "models") == set()


@pytest.mark.parametrize(
    ("use", "wanted", "unwanted"),
    [("AiohttpTransport", "aiohttp", "httpx"), ("HttpxTransport", "httpx", "aiohttp")],
)
def test_a_backend_loads_its_own_library_only(use: str, wanted: str, unwanted: str) -> None:
    names = loaded(f"from m3ter_async import {use}")
    assert wanted in names
    assert unwanted not in names


# What is public


@pytest.mark.parametrize("package", [m3ter_async, models], ids=lambda package: package.__name__)
def test_every_public_name_exists_and_is_shown(package: object) -> None:
    names: list[str] = package.__all__  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(package, name) is not None
        assert name in dir(package)
    with pytest.raises(AttributeError, match="Nonesuch"):
        package.Nonesuch  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("package", [m3ter_async, models], ids=lambda package: package.__name__)
def test_every_public_name_is_in_the_list_that_type_checkers_see(package: object) -> None:
    module = package.__name__.partition(".")[2]  # type: ignore[attr-defined]
    seen = {alias.name for statement, _ in statements(tree(module)) for alias in statement.names}
    assert set(package.__all__) <= seen  # type: ignore[attr-defined]


def public() -> Iterator[tuple[str, object]]:
    for package in (m3ter_async, models):
        for name in package.__all__:
            if inspect.isclass(value := getattr(package, name)) and value.__module__.startswith(NAME):
                yield f"{package.__name__}.{name}", value
    for info in pkgutil.iter_modules([str(HOUSE / "resources")]):
        module = importlib.import_module(f"{NAME}.resources.{info.name}")
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                yield f"{module.__name__}.{name}", value


@pytest.mark.parametrize(("name", "value"), list(public()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_name_is_documented(name: str, value: type) -> None:
    doc = vars(value).get("__doc__") or ""
    assert doc.strip(), name
    if issubclass(value, Exception) or not name.startswith(f"{NAME}.models"):
        for attribute, member in vars(value).items():
            if attribute.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
                continue
            if "overload" in repr(member):
                continue
            assert (inspect.getdoc(member) or "").strip(), f"{name}.{attribute}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_holds(module: str) -> None:
    assert ast.get_docstring(tree(module)) or module == "version"


def test_every_method_of_a_resource_names_the_call_that_it_makes() -> None:
    missing = []
    for name, value in public():
        if ".resources." in name and not any(each in name for each in ("_base", "_editing", "_namespaces")):
            for attribute, member in vars(value).items():
                if inspect.isfunction(member) and not attribute.startswith("_") and "``" not in (member.__doc__ or ""):
                    missing.append(f"{name}.{attribute}")
    assert missing == []


# What is left lying about


def written_by_hand() -> list[str]:
    return [
        module
        for module, path in MODULES.items()
        if module.split(".")[0] not in GENERATED and "Generated by" not in path.read_text(encoding="utf-8")[:300]
    ]


@pytest.mark.parametrize("module", written_by_hand())
def test_a_module_written_by_hand_stays_short(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{module} has {lines} lines: what else does it hold?"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_left_unfinished(module: str) -> None:
    source = MODULES[module].read_text(encoding="utf-8")
    for word in ("TODO", "FIXME", "XXX", "breakpoint(", "pdb"):
        assert word not in source, f"{word} in {module}"
    if module != "sandbox.__main__":  # which is a command
        calls = [
            node.func.id
            for node in ast.walk(tree(module))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "print" not in calls


def test_the_package_says_that_it_is_typed() -> None:
    assert (HOUSE / "py.typed").exists()


def test_no_module_but_for_the_lazy_ones_hides_names_from_type_checkers() -> None:
    lazy = {module for module in MODULES if "def __getattr__" in MODULES[module].read_text(encoding="utf-8")}
    assert lazy == {"", "models", "transports"}
    for module in lazy:
        for node in tree(module).body:
            assert not (isinstance(node, ast.FunctionDef) and node.name == "__getattr__"), module


# What newcomers are told


MAP = (HOUSE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_map_shows_every_room() -> None:
    here = {module.split(".")[0] for module in MODULES if module}
    assert {room for room in here if not re.search(rf"\b{room}(/|\.py)", MAP)} == set()


def test_the_map_names_no_file_that_is_gone() -> None:
    named = set(re.findall(r"`?((?:m3ter_async|codegen|tests|_\w+|export|sandbox|resources)/[\w/]+\.py)", MAP))
    assert len(named) > 15
    assert {name for name in named if not ((HOUSE.parent / name).exists() or (HOUSE / name).exists())} == set()
