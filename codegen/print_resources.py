"""Plan -> `m3ter_async/resources/`: thin typed methods over `Operation` constants."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import groupby

from . import docstring_notes, docstrings, python_names
from .annotations import Speller
from .argument_words import argument_words
from .plan import Argument, Method, Plan
from .print_models import EDIT, WIDTH, wrapped

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
        self._speller = Speller(plan)
        self._lists: dict[str, str] = {}

    def text(self, top: str) -> str:
        classes = "".join(self._class(resource) for resource in self._members)
        fields = "".join(self._fields(resource) for resource in self._members)
        constants = "".join(self._constant(method) for methods in self._members.values() for method in methods)
        lists = "".join(f"{name}: TypeAlias = {text}\n" for name, text in self._lists.items())
        names = [self._plan.class_name(resource) for resource in self._members]
        edits = (self._plan.edit(resource) for resource in self._members)
        names = sorted({*names, *(self._changes_name(pair[1]) for pair in edits if pair)})
        return f"{self._head(top, classes)}\n__all__ = {names!r}\n\n{lists}\n{constants}{fields}\n{classes}"

    def _head(self, top: str, code: str) -> str:
        homes: dict[str, list[str]] = {}
        for name in self._speller.models:
            homes.setdefault(self._plan.homes[name], []).append(self._plan.model_names[name])
        lines = [f'"""{docstrings.resource(top)} {EDIT}"""\n\nfrom __future__ import annotations\n', _IMPORTS]
        lines += [f"from ..models.{home} import {', '.join(sorted(found))}" for home, found in sorted(homes.items())]
        lines.append(
            "from .._core.operation import Operation\n"
            "from ._base import Progress, Resource\nfrom ._editing import Change, Fields"
        )
        lines += ["\nif TYPE_CHECKING:\n    from .._paging.paginator import Paginator"] if "Paginator[" in code else []
        return "\n".join(lines) + "\n"

    def _constant(self, method: Method) -> str:
        call = method.call
        answer = self._answer(method)
        settings = "".join(f", {key}={value!r}" for key, value in method.settings.items())
        words = " ".join(argument_words(self._plan, method))
        settings += f", takes={wrapped(words)}" if words else ""
        return (
            f"{python_names.constant(call)}: Operation[{answer}] = "
            f"Operation({call.id!r}, {call.method!r}, {call.path!r}, {answer}{settings})\n"
        )

    def _answer(self, method: Method) -> str:
        """How the answer is spelled; an array by an alias: in a class, ``list`` is the method of that name."""
        record = self._speller.answer(method.record)
        if not method.record or method.record.kind != "array" or not method.record.item:
            return record
        item = method.record.item
        name = f"{self._plan.model_names.get(item.name, python_names.pascal(method.call.id))}List"
        self._lists[name] = f"list[{self._speller.field(item)}]"
        return name

    def _class(self, resource: str) -> str:
        children = [name for name in self._plan.resources() if name.rpartition(".")[0] == resource]
        lines = [f'class {self._plan.class_name(resource)}(Resource):\n    """{docstrings.resource(resource)}"""\n\n']
        for child in children:
            name = self._plan.class_name(child)
            lines.append(
                f"    @cached_property\n    def {child.rsplit('.', 1)[1]}(self) -> {name}:\n"
                f'        """{docstrings.resource(child)}"""\n        return {name}(self._pipeline)\n\n'
            )
        lines += [self._method(method) for method in self._members[resource]]
        lines += [self._edit(resource), self._by_code(resource)]
        lines += [self._wait(resource), self._files(resource), self._statements(resource)]
        return "".join(lines) + "\n"

    def _method(self, method: Method) -> str:
        signature = ["self", *(self._parameter(argument) for argument in method.positional)]
        signature += ["*", *(self._parameter(argument) for argument in method.keywords)] if method.keywords else []
        busy = "busy" in method.settings
        signature += ["wait_for_slot: float | None = None"] if busy else []
        answer = f"Paginator[{self._answer(method)}]" if method.paged else self._answer(method)
        head = f"    {'' if method.paged else 'async '}def {method.name}({', '.join(signature)}) -> {answer}:\n"
        given = [python_names.constant(method.call)]
        for place, word in (("path", ""), ("query", "query="), ("body", "body=")):
            found = [argument for argument in method.arguments if argument.place == place]
            found = list(method.path) if place == "path" else found
            if found or (place == "body" and method.call.body is not None):
                inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in found)
                given.append(f"{word}{{{inside}}}")
        verb = f"await self{'._patient(wait_for_slot)' if busy else ''}._call" if not method.paged else "self._list"
        read = self._plan.read(method)
        if read and read.resource.split(".")[0] == method.resource.split(".")[0]:
            verb = "await self._put"
            given.insert(0, python_names.constant(read.call))
            given.insert(2, "{}") if not method.path else None
        return f"{head}{self._docstring(method)}        return {verb}({', '.join(given)})\n\n"

    def _fields(self, resource: str) -> str:
        """What `edit` may write back, printed as names with what is special about them."""
        pair = self._plan.edit(resource)
        if not pair:
            return ""
        words: list[str] = []
        for argument in pair[1].arguments:
            if argument.place != "body" or argument.wire == "version":
                continue
            kind = ":anew" if f"{resource}.{argument.name}" in self._plan.corrections.anew else ""
            wire = "" if python_names.camel(argument.name) == argument.wire else f"={argument.wire}"
            words.append(f"{argument.name}{wire}{kind}")
        read_only = [name for name in self._plan.read_only(pair[1]) if name not in _BY_THE_SERVICE]
        more = f", {wrapped(' '.join(read_only))}" if read_only else ""
        return f"{_fields_name(pair[1])} = Fields({wrapped(' '.join(words))}{more})\n" + self._changes(pair[1])

    def _changes(self, write: Method) -> str:
        """The changes that an `edit` takes, for type checkers."""
        lines = [f"class {self._changes_name(write)}(TypedDict, total=False):"]
        lines.append(f'    """What `edit` can change of `{self._answer(write)}`, by name."""\n')
        for argument in write.arguments:
            if argument.place == "body" and argument.wire != "version":
                spelled = self._speller.argument(argument.type)
                none = " | None" if argument.nullable and not argument.required and spelled != "Any" else ""
                lines.append(f"    {argument.name}: {spelled}{none}")
        return "\n\n" + "\n".join(lines) + "\n\n"

    def _changes_name(self, write: Method) -> str:
        return f"{self._answer(write)}Changes"

    def _edit(self, resource: str) -> str:
        pair = self._plan.edit(resource)
        if not pair:
            return ""
        read, write = pair
        answer = self._answer(write)
        inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in write.path)
        above = [argument for argument in write.keywords if argument.place == "path"]
        signature = [
            "self",
            *(self._parameter(argument) for argument in write.positional),
            f"change: Change[{answer}] | {self._changes_name(write)} | None = None",
        ]
        signature += ["*", *(self._parameter(argument) for argument in above), "attempts: int = 5"]
        signature += [f"**changes: Unpack[{self._changes_name(write)}]"]
        given = [
            python_names.constant(read.call),
            python_names.constant(write.call),
            _fields_name(write),
            "change",
            "changes",
        ]
        given += ["attempts"]
        given += [f"{{{inside}}}"] if inside else []
        anew = [a.name for a in write.keywords if f"{resource}.{a.name}" in self._plan.corrections.anew]
        text = self._text(
            docstrings.edit(write), f"``GET`` and ``PUT {write.call.path}``", docstrings.edit_notes(write, anew)
        )
        return (
            f"    async def edit({', '.join(signature)}) -> {answer}:\n{text}"
            f"        return await self._edit({', '.join(given)})\n\n"
        )

    def _by_code(self, resource: str) -> str:
        method = self._plan.by_code(resource)
        if not method:
            return ""
        path = list(method.path)
        ours = ("pageSize", "nextToken", "ids", "codes")
        query = [argument for argument in method.keywords if argument.place == "query" and argument.wire not in ours]
        signature = ["self", "code: str", *(["*"] if path + query else []), *map(self._parameter, path + query)]
        given = [python_names.constant(method.call), "code", repr(docstrings.noun(resource))]
        for word, found in (("path", path), ("query", query)):
            inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in found)
            given += [f"{word}={{{inside}}}"] if found else []
        text = self._text(docstrings.by_code(method), f"``GET {method.call.path}``", [])
        return (
            f"    async def get_by_code({', '.join(signature)}) -> {self._answer(method)}:\n{text}"
            f"        return await self._by_code({', '.join(given)})\n\n"
        )

    def _wait(self, resource: str) -> str:
        job = self._plan.job(resource)
        if not job:
            return ""
        read, status = job
        answer, one = self._answer(read), docstrings.noun(resource)
        above = [self._parameter(argument) for argument in read.keywords]
        signature = ["self", *map(self._parameter, read.positional), "*", *above, *_waiting(answer)]
        inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in read.path)
        given = ["self._pipeline", python_names.constant(read.call), f"{{{inside}}}"]
        given += [f'f"{one} {{{read.positional[0].name}}}"', repr(status), "timeout", "on_progress"]
        text = self._text(docstrings.wait(resource), f"``GET {read.call.path}``", docstrings.wait_notes(read))
        return (
            f"    async def wait({', '.join(signature)}) -> {answer}:\n{text}"
            f"        from .._jobs.waiting import wait\n\n        return await wait({', '.join(given)})\n\n"
        )

    def _files(self, resource: str) -> str:
        found = ""
        for method in self._members[resource]:
            if method.call.id not in self._plan.corrections.files:
                continue
            inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in method.path)
            given = f"self._pipeline, {python_names.constant(method.call)}, {{{inside}}}"
            own = ", ".join(["self", *map(self._parameter, method.positional)])
            above = "".join(f", {self._parameter(argument)}" for argument in method.keywords)
            above = f", *{above}" if above else ""
            call = f"``GET {method.call.path}``, then ``GET`` the URL"
            for name, function, more, answer in (
                ("download", "file", "", "bytes"),
                ("download_to", "file_to", ", path: str | PathLike[str]", "None"),
            ):
                found += (
                    f"    async def {name}({own}{more}{above}) -> {answer}:\n"
                    f"{self._text(*docstrings.file(method, name, call))}"
                    f"        from .._jobs.generated_files import {function}\n\n"
                    f"        return await {function}({given}{', path' if more else ''})\n\n"
                )
        return found

    def _statements(self, resource: str) -> str:
        methods = self._plan.statements(resource)
        found = ""
        if not methods:
            return found
        operations = ", ".join(python_names.constant(method.call) for method in methods)
        signature = ", ".join(["self", "bill_id: str", "*", *_waiting(self._answer(methods[-1]))])
        call = f"``GET`` and ``POST {methods[0].call.path}``, then ``GET`` the URL"
        notes = [docstring_notes.STATEMENT, docstring_notes.WAIT_ENDS]
        for form, function, more, answer in (
            ("json", "statement_json", "", "Any"),
            ("csv", "statement", ', "csv"', "bytes"),
        ):
            found += (
                f"    async def download_{form}({signature}) -> {answer}:\n"
                f"{self._text(docstrings.STATEMENTS[form], call, notes)}"
                f"        from .._jobs.generated_files import {function}\n\n"
                f"        return await {function}("
                f"self._pipeline, {operations}, bill_id{more}, timeout, on_progress)\n\n"
            )
        return found

    def _parameter(self, argument: Argument) -> str:
        spelled = self._speller.argument(argument.type)
        if argument.place == "path":
            return f"{argument.name}: {spelled}"
        if argument.required:
            return f"{argument.name}: {spelled}"
        if spelled == "Any":
            return f"{argument.name}: Any = UNSET"
        return f"{argument.name}: {spelled} | UnsetType{' | None' if argument.nullable else ''} = UNSET"

    def _docstring(self, method: Method) -> str:
        call = method.call
        arguments = docstrings.arguments(self._plan, method)
        return self._text(
            docstrings.summary(method), f"``{call.method} {call.path}``", docstrings.notes(method), arguments
        )

    def _text(self, summary: str, call: str, notes: list[str], arguments: Iterable[tuple[str, str]] = ()) -> str:
        indent = " " * 8
        lines = [f'{indent}"""{summary}', "", f"{indent}{call}"]
        if notes:
            lines += ["", *textwrap.wrap(" ".join(notes), WIDTH, initial_indent=indent, subsequent_indent=indent)]
        found = [f"{name}: {said}" for name, said in arguments]
        lines += ["", f"{indent}Args:"] if found else []
        for text in found:
            lines += textwrap.wrap(text, WIDTH, initial_indent=indent + " " * 4, subsequent_indent=indent + " " * 8)
        lines.append(f'{indent}"""')
        # A path is not broken into two lines: it would no longer be found by searching for it.
        return "\n".join(lines) + ("  # noqa: E501\n" if any(len(line) > WIDTH for line in lines) else "\n")


# What every record has; it is named once, where records are written back.
_BY_THE_SERVICE = ("id", "dtCreated", "dtLastModified", "createdBy", "lastModifiedBy")


def _fields_name(write: Method) -> str:
    return f"{python_names.constant(write.call)}_FIELDS"


def _waiting(answer: str) -> list[str]:
    return ["timeout: float = 600.0", f"on_progress: Progress[{answer}] | None = None"]
