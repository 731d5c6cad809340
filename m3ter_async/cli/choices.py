"""The values that the contract knows for a text: only type checkers see them, so they are read from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from .. import models


def choices(annotation: str) -> tuple[str, ...]:
    """What the models' names in an annotation stand for, as in ``BillStatus | None``; the service may know more."""
    homes: dict[str, str] = vars(models).get("_HOMES", {})
    for name in re.findall(r"\w+", annotation):
        if name in homes and (found := _aliases(homes[name]).get(name)):
            return found
    return ()


@cache
def _aliases(module: str) -> dict[str, tuple[str, ...]]:
    """The aliases of literals in a module of models."""
    path = files(models) / f"{module}.py"
    source = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {
        node.target.id: tuple(_texts(node.value))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
