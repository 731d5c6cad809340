"""Methods that are more than one call: reading, changing and writing back, finding by a code, waiting, files."""

from __future__ import annotations

from collections.abc import Iterable

from . import docstring_notes, docstrings, python_names
from .methods import Method
from .plan import Plan
from .print_methods import MethodPrinter
from .print_models import wrapped

# What every record has; it is named once, where records are written back.
_BY_THE_SERVICE = ("id", "dtCreated", "dtLastModified", "createdBy", "lastModifiedBy")


class ComposedPrinter:
    """Prints what a resource has besides the methods of its operations.

    Args:
        plan: What there is to print.
        methods: Prints what these are made of.
    """

    def __init__(self, plan: Plan, methods: MethodPrinter) -> None:
        self._plan = plan
        self._methods = methods

    def text(self, resource: str, methods: Iterable[Method]) -> str:
        """All of them that a resource has; `methods` are those of its operations."""
        found = [self._edit(resource), self._by_code(resource), self._wait(resource)]
        return "".join([*found, self._files(methods), self._statements(resource)])

    def fields(self, resource: str) -> str:
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
        lines = [f"class {self.changes_name(write)}(TypedDict, total=False):"]
        lines.append(f'    """What `edit` can change of `{self._methods.answer(write)}`, by name."""\n')
        for argument in write.arguments:
            if argument.place == "body" and argument.wire != "version":
                spelled = self._methods.speller.argument(argument.type)
                none = " | None" if argument.nullable and not argument.required and spelled != "Any" else ""
                lines.append(f"    {argument.name}: {spelled}{none}")
        return "\n\n" + "\n".join(lines) + "\n\n"

    def changes_name(self, write: Method) -> str:
        """What the changes that an `edit` takes are called."""
        return f"{self._methods.answer(write)}Changes"

    def _edit(self, resource: str) -> str:
        pair = self._plan.edit(resource)
        if not pair:
            return ""
        read, write = pair
        answer = self._methods.answer(write)
        inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in write.path)
        above = [argument for argument in write.keywords if argument.place == "path"]
        signature = [
            "self",
            *(self._methods.parameter(argument) for argument in write.positional),
            f"change: Change[{answer}] | {self.changes_name(write)} | None = None",
        ]
        signature += ["*", *(self._methods.parameter(argument) for argument in above), "attempts: int = 5"]
        signature += [f"**changes: Unpack[{self.changes_name(write)}]"]
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
        text = self._methods.text(
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
        signature = ["self", "code: str", *(["*"] if path + query else []), *map(self._methods.parameter, path + query)]
        given = [python_names.constant(method.call), "code", repr(docstrings.noun(resource))]
        for word, found in (("path", path), ("query", query)):
            inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in found)
            given += [f"{word}={{{inside}}}"] if found else []
        text = self._methods.text(docstrings.by_code(method), f"``GET {method.call.path}``", [])
        return (
            f"    async def get_by_code({', '.join(signature)}) -> {self._methods.answer(method)}:\n{text}"
            f"        return await self._by_code({', '.join(given)})\n\n"
        )

    def _wait(self, resource: str) -> str:
        job = self._plan.job(resource)
        if not job:
            return ""
        read, status = job
        answer, one = self._methods.answer(read), docstrings.noun(resource)
        above = [self._methods.parameter(argument) for argument in read.keywords]
        signature = ["self", *map(self._methods.parameter, read.positional), "*", *above, *_waiting(answer)]
        inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in read.path)
        given = ["self._pipeline", python_names.constant(read.call), f"{{{inside}}}"]
        given += [f'f"{one} {{{read.positional[0].name}}}"', repr(status), "timeout", "on_progress"]
        text = self._methods.text(docstrings.wait(resource), f"``GET {read.call.path}``", docstrings.wait_notes(read))
        return (
            f"    async def wait({', '.join(signature)}) -> {answer}:\n{text}"
            f"        from .._jobs.waiting import wait\n\n        return await wait({', '.join(given)})\n\n"
        )

    def _files(self, methods: Iterable[Method]) -> str:
        found = ""
        for method in methods:
            if method.call.id not in self._plan.corrections.files:
                continue
            inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in method.path)
            given = f"self._pipeline, {python_names.constant(method.call)}, {{{inside}}}"
            own = ", ".join(["self", *map(self._methods.parameter, method.positional)])
            above = "".join(f", {self._methods.parameter(argument)}" for argument in method.keywords)
            above = f", *{above}" if above else ""
            call = f"``GET {method.call.path}``, then ``GET`` the URL"
            for name, function, more, answer in (
                ("download", "file", "", "bytes"),
                ("download_to", "file_to", ", path: str | PathLike[str]", "None"),
            ):
                found += (
                    f"    async def {name}({own}{more}{above}) -> {answer}:\n"
                    f"{self._methods.text(*docstrings.file(method, name, call))}"
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
        signature = ", ".join(["self", "bill_id: str", "*", *_waiting(self._methods.answer(methods[-1]))])
        call = f"``GET`` and ``POST {methods[0].call.path}``, then ``GET`` the URL"
        notes = [docstring_notes.STATEMENT, docstring_notes.WAIT_ENDS]
        for form, function, more, answer in (
            ("json", "statement_json", "", "Any"),
            ("csv", "statement", ', "csv"', "bytes"),
        ):
            found += (
                f"    async def download_{form}({signature}) -> {answer}:\n"
                f"{self._methods.text(docstrings.STATEMENTS[form], call, notes)}"
                f"        from .._jobs.generated_files import {function}\n\n"
                f"        return await {function}("
                f"self._pipeline, {operations}, bill_id{more}, timeout, on_progress)\n\n"
            )
        return found


def _fields_name(write: Method) -> str:
    return f"{python_names.constant(write.call)}_FIELDS"


def _waiting(answer: str) -> list[str]:
    return ["timeout: float = 600.0", f"on_progress: Progress[{answer}] | None = None"]
