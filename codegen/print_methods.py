"""One method of a resource and its operation, as they are printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from . import docstrings, python_names
from .annotations import Speller
from .argument_words import argument_words
from .methods import Argument, Method
from .plan import Plan
from .print_models import WIDTH, wrapped


class MethodPrinter:
    """Prints methods that are one call each.

    Attributes:
        plan: What there is to print.
        speller: Spells types, and knows which models are used.
        lists: The aliases that were used, with what they stand for.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.speller = Speller(plan)
        self.lists: dict[str, str] = {}

    def constant(self, method: Method) -> str:
        """What is fixed about the operation of a method."""
        call = method.call
        answer = self.answer(method)
        settings = "".join(f", {key}={value!r}" for key, value in method.settings.items())
        words = " ".join(argument_words(self.plan, method))
        settings += f", takes={wrapped(words)}" if words else ""
        return (
            f"{python_names.constant(call)}: Operation[{answer}] = "
            f"Operation({call.id!r}, {call.method!r}, {call.path!r}, {answer}{settings})\n"
        )

    def answer(self, method: Method) -> str:
        """How the answer is spelled; an array by an alias: in a class, ``list`` is the method of that name."""
        record = self.speller.answer(method.record)
        if not method.record or method.record.kind != "array" or not method.record.item:
            return record
        item = method.record.item
        name = f"{self.plan.model_names.get(item.name, python_names.pascal(method.call.id))}List"
        self.lists[name] = f"list[{self.speller.field(item)}]"
        return name

    def method(self, method: Method) -> str:
        """The method, with its docstring."""
        signature = ["self", *(self.parameter(argument) for argument in method.positional)]
        signature += ["*", *(self.parameter(argument) for argument in method.keywords)] if method.keywords else []
        busy = "busy" in method.settings
        signature += ["wait_for_slot: float | None = None"] if busy else []
        answer = f"Paginator[{self.answer(method)}]" if method.paged else self.answer(method)
        head = f"    {'' if method.paged else 'async '}def {method.name}({', '.join(signature)}) -> {answer}:\n"
        given = [python_names.constant(method.call)]
        for place, word in (("path", ""), ("query", "query="), ("body", "body=")):
            found = [argument for argument in method.arguments if argument.place == place]
            found = list(method.path) if place == "path" else found
            if found or (place == "body" and method.call.body is not None):
                inside = ", ".join(f"{argument.wire!r}: {argument.name}" for argument in found)
                given.append(f"{word}{{{inside}}}")
        verb = f"await self{'._patient(wait_for_slot)' if busy else ''}._call" if not method.paged else "self._list"
        read = self.plan.read(method)
        if read and read.resource.split(".")[0] == method.resource.split(".")[0]:
            verb = "await self._put"
            given.insert(0, python_names.constant(read.call))
            given.insert(2, "{}") if not method.path else None
        return f"{head}{self._docstring(method)}        return {verb}({', '.join(given)})\n\n"

    def parameter(self, argument: Argument) -> str:
        """An argument in a signature."""
        spelled = self.speller.argument(argument.type)
        if argument.place == "path":
            return f"{argument.name}: {spelled}"
        if argument.required:
            return f"{argument.name}: {spelled}"
        if spelled == "Any":
            return f"{argument.name}: Any = UNSET"
        return f"{argument.name}: {spelled} | UnsetType{' | None' if argument.nullable else ''} = UNSET"

    def _docstring(self, method: Method) -> str:
        call = method.call
        arguments = docstrings.arguments(self.plan, method)
        return self.text(
            docstrings.summary(method), f"``{call.method} {call.path}``", docstrings.notes(method), arguments
        )

    def text(self, summary: str, call: str, notes: list[str], arguments: Iterable[tuple[str, str]] = ()) -> str:
        """A docstring of a summary, the call it makes, notes and arguments."""
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
