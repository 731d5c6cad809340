"""Pages of the reference that are made of the package itself: all operations, all models, all public names."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import m3ter_async
from m3ter_async import AsyncM3ter
from m3ter_async.resources._base import Resource

PACKAGE = Path(m3ter_async.__file__).parent
MADE = "<!-- made by docs/generate_reference.py: do not edit -->\n"
MODELS = "m3ter_async.models"
# Pages by hand list what they hold; these are the modules whose names all have to be on some page.
FACES = (
    "m3ter_async",
    "m3ter_async.blocking",
    "m3ter_async.errors",
    "m3ter_async.events",
    "m3ter_async.arrow",
    "m3ter_async.limits",
    "m3ter_async.export",
    "m3ter_async.pytest_plugin",
    "m3ter_async.sandbox",
    "m3ter_async.telemetry",
    "m3ter_async.testing",
    "m3ter_async.transports",
)


def write(folder: Path) -> None:
    """Write the generated pages; those that are as they should be keep their date."""
    for name in ("operations", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    wanted = {**_operations(folder / "operations"), **_models(folder / "models")}
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for name in ("operations", "models"):
        for path in (folder / name).glob("*.md"):
            if path not in wanted:
                path.unlink()


def check(app: Any, env: Any) -> None:
    """Warn of each public name and each operation that is on no page; warnings are errors."""
    from sphinx.util.logging import getLogger

    known = set(env.domaindata["py"]["objects"])
    for module, name in _public_names():
        if name != "__version__" and f"{module}.{name}" not in known:
            getLogger(__name__).warning("%s.%s is on no page of the reference", module, name)
    for resource, methods in _documented_operations().items():
        for method in methods:
            if f"{resource}.{method}" not in known:
                getLogger(__name__).warning("the operation %s.%s is on no page of the reference", resource, method)


def public_signature(*told: Any) -> tuple[str, Any] | None:
    """A signature without what only tests pass."""
    signature, answer = told[-2:]
    return (re.sub(r", _\w+: [^,)]*", "", signature), answer) if signature else None


def _public_names() -> Iterator[tuple[str, str]]:
    for face in FACES:
        for name in importlib.import_module(face).__all__:
            home = getattr(getattr(importlib.import_module(face), name), "__module__", face)
            yield (home if home in FACES else face), name
    for name in importlib.import_module(MODELS).__all__:
        yield MODELS, name


def _documented_operations() -> dict[str, list[str]]:
    return {
        f"{type(found).__module__}.{type(found).__qualname__}": [
            name for name, each in vars(type(found)).items() if inspect.isfunction(each) and name[:1] != "_"
        ]
        for _, found in _namespaces()
    }


@cache
def _client() -> AsyncM3ter:
    return AsyncM3ter("key", "secret-of-nobody", "organization", base_url="http://127.0.0.1:1")


def _namespaces() -> Iterator[tuple[str, Resource]]:
    """Each namespace of the client by its dotted name, those within others too."""
    waiting: list[tuple[str, Any]] = [("m3ter", _client())]
    while waiting:
        path, owner = waiting.pop(0)
        for name in dir(type(owner)):
            if name[:1] != "_" and hasattr(getattr(type(owner), name), "func"):  # a cached property
                found = getattr(owner, name)
                if isinstance(found, Resource):
                    yield f"{path}.{name}", found
                    waiting.append((f"{path}.{name}", found))


def _operations(folder: Path) -> dict[Path, str]:
    by_module: dict[str, list[tuple[str, Resource]]] = {}
    for path, found in sorted(_namespaces(), key=lambda pair: pair[0]):
        by_module.setdefault(type(found).__module__, []).append((path, found))
    pages = {}
    count = sum(map(len, _documented_operations().values()))
    lines = [
        MADE,
        "# All operations\n",
        "Each operation of the API is a method. Find it by its resource, and the arguments by the name of the method.",
        f"There are {count} methods: the 323 operations, and helpers such as `edit()`, `wait()` and `get_by_code()`.\n",
    ]
    names = []
    for module, resources in sorted(by_module.items(), key=lambda pair: pair[1][0][0]):
        name = module.rpartition(".")[2]
        names.append(name)
        pages[folder / f"{name}.md"] = _operations_page(module, resources)
        for path, found in resources:
            kind = type(found)
            methods = [each for each, value in vars(kind).items() if inspect.isfunction(value) and each[:1] != "_"]
            links = ", ".join(f"[{each}](#{module}.{kind.__qualname__}.{each})" for each in methods)
            lines.append(f"- [`{path}`]({name}.md): {links}")
    lines += ["\n```{toctree}\n:hidden:\n", *names, "```\n"]
    pages[folder / "index.md"] = "\n".join(lines)
    return pages


def _operations_page(module: str, resources: list[tuple[str, Resource]]) -> str:
    parts = [MADE, f"# {resources[0][0].removeprefix('m3ter.')}\n"]
    listed = []
    for path, found in resources:
        kind = type(found)
        listed.append(kind.__qualname__)
        parts.append(f"## `{path}`\n")
        parts.append(f"```{{eval-rst}}\n.. autoclass:: {module}.{kind.__qualname__}()\n   :members:\n```\n")
    others = [name for name in importlib.import_module(module).__all__ if name not in listed]
    if others:
        parts.append("## Types\n")
        parts += [
            f"```{{eval-rst}}\n.. autoclass:: {module}.{name}\n"
            "   :members:\n   :undoc-members:\n   :no-index-entry:\n```\n"
            for name in others
        ]
    return "\n".join(parts)


def _models(folder: Path) -> dict[Path, str]:
    pages, names = {}, []
    public = set(importlib.import_module(MODELS).__all__)
    for source in sorted((PACKAGE / "models").glob("*.py")):
        if source.stem in ("__init__", "_exactness", "_pydantic", "_values"):
            continue
        body = _models_page(source, public)
        if body:
            name = {"_base": "base", "_shared": "shared"}.get(source.stem, source.stem)
            names.append(name)
            pages[folder / f"{name}.md"] = f"{MADE}\n# Models of {name.replace('_', ' ')}\n\n{body}"
    names.sort(key=lambda name: (name not in ("base", "shared"), name))
    pages[folder / "index.md"] = "\n".join(
        [
            MADE,
            "# All models\n",
            "What the service answers is a model: a frozen struct, with the fields in snake case. A field that the",
            "service may leave out is `None` then. What every model can do is in [base](base.md).\n",
            "```{toctree}\n:maxdepth: 1\n",
            *names,
            "```\n",
        ]
    )
    return pages


def _models_page(source: Path, public: set[str]) -> str:
    if source.stem == "_base":
        # the methods are inherited from a private class: they are shown where users meet them
        return (
            "Every model has these methods.\n\n"
            "```{eval-rst}\n.. autoclass:: m3ter_async.models.Model()\n"
            "   :members:\n   :inherited-members: Struct\n```\n"
        )
    tree = ast.parse(source.read_text(encoding="utf-8"))
    parts = [_aliases(tree, public)]
    parts += [_model(node) for node in tree.body if isinstance(node, ast.ClassDef) and node.name in public]
    return "\n".join(part for part in parts if part)


def _model(node: ast.ClassDef) -> str:
    lines = [f"## {node.name}\n", f"```{{eval-rst}}\n.. py:class:: {node.name}\n   :module: {MODELS}\n"]
    text = ast.get_docstring(node)
    lines += [*(f"   {line}".rstrip() for line in (text or "").splitlines()), ""]
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)]
    if fields:
        lines += [
            "   .. list-table::",
            "      :widths: auto",
            "      :header-rows: 1",
            "",
            "      * - field",
            "        - type",
        ]
        for each in fields:
            assert isinstance(each.target, ast.Name)
            lines += [f"      * - ``{each.target.id}``", f"        - ``{_type(each.annotation)}``"]
    return "\n".join([*lines, "```\n"])


def _type(annotation: ast.expr) -> str:
    text = ast.unparse(annotation).replace("dt.", "")
    return text.removeprefix("Promised[").removesuffix("]") if text.startswith("Promised[") else text


def _aliases(tree: ast.Module, public: set[str]) -> str:
    lines = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.value is not None
            and node.target.id in public
            and "TypeAlias" in ast.unparse(node.annotation)
        ):
            values = [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
            known = ", ".join(f"``{value}``" for value in values)
            text = f"One of {known}, or another text that the service has added."
            lines.append(f"```{{eval-rst}}\n.. py:data:: {node.target.id}\n   :module: {MODELS}\n")
            lines.append(f"   {text if known else f'``{ast.unparse(node.value)}``'}\n```\n")
    return "## Texts with known values\n\n" + "\n".join(lines) if lines else ""
