"""The operations of the client as a command line sees them: names, parameters, and text made into arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast, get_type_hints

import msgspec

from .._paging.paginator import Paginator
from ..resources._namespaces import Namespaces
from .argument_values import Kind, kind_of, takes_a_function
from .console import CommandFailed, near

_VALUE = re.compile(r"\b[A-Z][A-Z0-9_]+\b")
_ENUMERATION = re.compile(rf"(?:{_VALUE.pattern}, )*{_VALUE.pattern} or {_VALUE.pattern}")
_ARGUMENTS = "\n\nArgs:\n"  # where a docstring begins to tell of its arguments


@dataclass(frozen=True)
class Parameter:
    """One argument of a method.

    Attributes:
        name: Its name in Python.
        kind: What it takes.
        required: Whether it has to be given.
        positional: Whether it is a part of the path, which needs no name.
        change: Whether it is a field that `edit` is to change.
        meaning: What the docstring says of it, or nothing.
    """

    name: str
    kind: Kind
    required: bool
    positional: bool
    change: bool = False
    meaning: str = ""

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.strip("_").replace("_", "-")

    @property
    def choices(self) -> Sequence[str]:
        """Values that are known to be taken; a docstring lists those of an enumeration."""
        listed = _ENUMERATION.search(self.meaning)
        return self.kind.choices or (_VALUE.findall(listed[0]) if listed else ())


class Method:
    """One operation.

    Attributes:
        name: From the client on: ``bills.list``.
        call: The bound method.
    """

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name = name
        self.call = call

    @property
    def documentation(self) -> str:
        """Its docstring, without what it says of each argument."""
        text = (inspect.getdoc(self.call) or "").partition(_ARGUMENTS)[0]
        if self.call.__name__ == "edit":
            text += "\n\nHere the fields to change are options, in place of `change`."
        return text

    @property
    def listing(self) -> bool:
        """Whether it answers records without end."""
        return str(self.call.__annotations__.get("return")).startswith("Paginator[")

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """By option, in the order of the signature."""
        found = list(_parameters(self.call))
        if self.call.__name__ == "edit":
            for each in _parameters(cast("Any", self.call).__self__.update):
                if not each.positional and each.name != "version":
                    found.append(replace(each, required=False, change=True))
        return {each.option: each for each in found}

    def bind(self, positional: list[str], options: dict[str, str]) -> dict[str, Any]:
        """The arguments of a call.

        Raises:
            CommandFailed: One is unknown, missing, given twice, or not what the method takes. No value is shown, since
                any may be a secret.
        """
        places = [each for each in self.parameters.values() if each.positional]
        if len(positional) > len(places):
            names = ", ".join(each.name for each in places) or "none"
            raise CommandFailed(f"{self.name} got {len(positional)} arguments without a name, and takes {names}")
        given = {place.option: text for place, text in zip(places, positional, strict=False)}
        for option, text in options.items():
            if option not in self.parameters:
                raise CommandFailed(f"{self.name} takes no {option}{near(option, self.parameters)}")
            if option in given:
                raise CommandFailed(f"{option} is given twice")
            given[option] = text
        missing = [each for each in self.parameters.values() if each.required and each.option not in given]
        if missing:
            names = " and ".join(each.name if each.positional else each.option for each in missing)
            raise CommandFailed(f"{self.name} needs {names}")
        return self._arguments(given)

    def _arguments(self, given: dict[str, str]) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        changes: dict[str, Any] = {}
        for option, text in given.items():
            parameter = self.parameters[option]
            try:
                value = parameter.kind.read(text)
            except (ValueError, msgspec.MsgspecError, ArithmeticError, RecursionError):
                # without its cause, which may show the value
                raise CommandFailed(f"{option} must be {parameter.kind.words}") from None
            (changes if parameter.change else arguments)[parameter.name] = value
        if self.call.__name__ == "edit":
            arguments["change"] = changes
        return arguments


def _parameters(call: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(call, localns={"Paginator": Paginator})
    meanings = _meanings(call)
    for each in inspect.signature(call).parameters.values():
        # `edit` takes the fields themselves here; and no function can be typed
        if each.name in ("change", "changes") or takes_a_function(hints[each.name]):
            continue
        yield Parameter(
            each.name,
            kind_of(hints[each.name]),
            required=each.default is each.empty,
            positional=each.kind is each.POSITIONAL_OR_KEYWORD,
            meaning=meanings.get(each.name, ""),
        )


def _meanings(call: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of a method says of its arguments, each in one line."""
    _, _, section = (inspect.getdoc(call) or "").partition(_ARGUMENTS)
    entries = re.split(r"\n    (?=\S)", f"\n{section.rstrip()}")
    pairs = (entry.partition(": ") for entry in entries if ": " in entry)
    return {name: " ".join(text.split()) for name, _, text in pairs}


class _NoClient(Namespaces):
    """All operations, none of which can be called."""

    def __init__(self) -> None:
        self._pipeline = cast("Any", None)


def find(name: str, client: Namespaces | None = None) -> Method:
    """The operation of this name.

    Args:
        name: Such as ``bills.list``; dashes count as underscores.
        client: What it is to be called on; without one, it can be looked at only.

    Raises:
        CommandFailed: There is none; the text has the nearest names.
    """
    name = name.replace("-", "_")
    value: object = client or _NoClient()
    for part in name.split("."):
        member = None if part.startswith("_") else getattr(type(value), part, None)
        if not (isinstance(member, cached_property) or _is_operation(value, part)):
            raise CommandFailed(f"there is no operation {name!r}{near(name, [each.name for each in every()])}")
        value = getattr(value, part)
    if inspect.ismethod(value):
        return Method(name, value)
    methods = [part for part in dir(value) if _is_operation(value, part)]
    raise CommandFailed(f"{name} is a resource, with the operations {', '.join(methods)}")


def every() -> Iterator[Method]:
    """All operations, by name."""

    def walk(value: object, path: str) -> Iterator[Method]:
        for part in sorted(dir(type(value))):
            if isinstance(getattr(type(value), part), cached_property):
                yield from walk(getattr(value, part), f"{path}{part}.")
            elif _is_operation(value, part):
                yield Method(path + part, getattr(value, part))

    yield from walk(_NoClient(), "")


def _is_operation(value: object, part: str) -> bool:
    """Whether it is a public method of a resource; those of a client are not."""
    member = getattr(type(value), part, None)
    return not isinstance(value, Namespaces) and not part.startswith("_") and inspect.isfunction(member)
