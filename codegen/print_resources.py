"""Plan -> `m3ter_async/resources/`: thin typed methods over `Operation` constants."""

from __future__ import annotations

from itertools import groupby

from . import docstrings
from .methods import Method
from .plan import Plan
from .print_composed import ComposedPrinter
from .print_methods import MethodPrinter
from .print_models import EDIT

_IMPORTS = """
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack

from msgspec import UNSET, UnsetType
"""


def resources(plan: Plan) -> dict[str, str]:
    """The modules of the package, by file name; the hand-written ones are not among them."""
    tops = groupby(plan.resources().items(), key=lambda item: item[0].split(".")[0])
    files = {f"{top}.py": _Module(plan, dict(members)).text(top) for top, members in tops}
    files["_namespaces.py"] = _namespaces(plan)
    files["__init__.py"] = f'"""The resources of the API, one module each, loaded on first use. {EDIT}"""\n'
    return files


def _namespaces(plan: Plan) -> str:
    tops = {resource: plan.class_name(resource) for resource in plan.resources() if "." not in resource}
    imports = "".join(f"    from .{top} import {name}\n" for top, name in tops.items())
    properties = "".join(
        f"    @cached_property\n    def {top}(self) -> {name}:\n"
        f'        """{docstrings.resource(top)}"""\n'
        f"        from .{top} import {name}\n\n        return {name}(self._pipeline)\n\n"
        for top, name in tops.items()
    )
    return (
        f'"""The resources that a client has as attributes, each loaded on first use. {EDIT}"""\n\n'
        "from __future__ import annotations\n\nfrom functools import cached_property\n"
        "from typing import TYPE_CHECKING\n\n"
        f"if TYPE_CHECKING:\n    from .._core.pipeline import Pipeline\n{imports}\n\n"
        'class Namespaces:\n    """The resources of a client; a subclass has the pipeline."""\n\n'
        "    _pipeline: Pipeline\n\n"
        f"{properties}"
    )


class _Module:
    def __init__(self, plan: Plan, members: dict[str, list[Method]]) -> None:
        self._plan = plan
        self._members = members
        self._methods = MethodPrinter(plan)
        self._composed = ComposedPrinter(plan, self._methods)

    def text(self, top: str) -> str:
        classes = "".join(self._class(resource) for resource in self._members)
        fields = "".join(self._composed.fields(resource) for resource in self._members)
        constants = "".join(self._methods.constant(method) for methods in self._members.values() for method in methods)
        lists = "".join(f"{name}: TypeAlias = {text}\n" for name, text in self._methods.lists.items())
        names = [self._plan.class_name(resource) for resource in self._members]
        edits = (self._plan.edit(resource) for resource in self._members)
        names = sorted({*names, *(self._composed.changes_name(pair[1]) for pair in edits if pair)})
        return f"{self._head(top, classes)}\n__all__ = {names!r}\n\n{lists}\n{constants}{fields}\n{classes}"

    def _head(self, top: str, code: str) -> str:
        homes: dict[str, list[str]] = {}
        for name in self._methods.speller.models:
            homes.setdefault(self._plan.homes[name], []).append(self._plan.model_names[name])
        lines = [f'"""{docstrings.resource(top)} {EDIT}"""\n\nfrom __future__ import annotations\n', _IMPORTS]
        lines += [f"from ..models.{home} import {', '.join(sorted(found))}" for home, found in sorted(homes.items())]
        lines.append(
            "from .._core.operation import Operation\n"
            "from ._base import Progress, Resource\nfrom ._editing import Change, Fields"
        )
        lines += ["\nif TYPE_CHECKING:\n    from .._paging.paginator import Paginator"] if "Paginator[" in code else []
        return "\n".join(lines) + "\n"

    def _class(self, resource: str) -> str:
        children = [name for name in self._plan.resources() if name.rpartition(".")[0] == resource]
        lines = [f'class {self._plan.class_name(resource)}(Resource):\n    """{docstrings.resource(resource)}"""\n\n']
        for child in children:
            name = self._plan.class_name(child)
            lines.append(
                f"    @cached_property\n    def {child.rsplit('.', 1)[1]}(self) -> {name}:\n"
                f'        """{docstrings.resource(child)}"""\n        return {name}(self._pipeline)\n\n'
            )
        methods = self._members[resource]
        lines += [self._methods.method(method) for method in methods]
        return "".join([*lines, self._composed.text(resource, methods)]) + "\n"
