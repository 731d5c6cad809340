"""What users see of printed files (resources, methods, arguments, models, fields, values) and what changes in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Argument(NamedTuple):
    """An argument of a method; `place` is its number if it is positional, else None."""

    type: str
    required: bool
    place: int | None


@dataclass
class Interface:
    """Everything that a program which uses the package can depend on, by dotted names."""

    resources: set[str] = field(default_factory=set[str])
    methods: dict[str, str] = field(default_factory=dict[str, str])  # what they answer
    arguments: dict[str, dict[str, Argument]] = field(default_factory=dict[str, dict[str, Argument]])
    models: set[str] = field(default_factory=set[str])
    fields: dict[str, str] = field(default_factory=dict[str, str])  # of which type they are
    values: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # those of an enumeration
    operations: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])  # how they are called
    kinds: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])  # what their arguments may be
    field_kinds: dict[str, str] = field(default_factory=dict[str, str])  # and the fields of models that are arguments


def interface(files: Mapping[str, str]) -> Interface:
    """The interface of printed files, read from their texts."""
    found = Interface()
    for name, text in files.items():
        folder, _, module = name.partition("/")
        body = ast.parse(text).body
        if module == "_argument_words.py":
            _words_of_models(found, body)
        elif folder == "models" and module != "_base.py" and module != "__init__.py":
            _models(found, body)
        elif folder == "resources" and not module.startswith("_"):
            _resources(found, module.removesuffix(".py"), body)
    return found


def changes(before: Interface, after: Interface) -> list[str]:
    """A line for each thing that is new, gone or different, under a heading each."""
    new, gone, changed = list(_new(before, after)), list(_new(after, before)), list(_changed(before, after))
    lines: list[str] = []
    for heading, found in (("New", new), ("Gone", gone), ("Changed", changed)):
        if found:
            lines += [f"{heading}:", *(f"- {line}" for line in found)]
    return lines


def _models(found: Interface, body: list[ast.stmt]) -> None:
    for node in body:
        if isinstance(node, ast.ClassDef):
            found.models.add(node.name)
            for member in node.body:
                if isinstance(member, ast.AnnAssign):
                    type_ = ast.unparse(member.annotation).strip("'")
                    found.fields[f"{node.name}.{ast.unparse(member.target)}"] = type_
        elif isinstance(node, ast.If):  # the enumerations, as type checkers see them
            for alias in node.body:
                if isinstance(alias, ast.AnnAssign) and alias.value:
                    constants = [n.value for n in ast.walk(alias.value) if isinstance(n, ast.Constant)]
                    found.values[ast.unparse(alias.target)] = [value for value in constants if isinstance(value, str)]


def _words_of_models(found: Interface, body: list[ast.stmt]) -> None:
    for node in body:
        if isinstance(node, ast.Assign):
            for model, words in ast.literal_eval(node.value).items():
                for word in words.split():
                    wire, _, kind = word.partition(":")
                    found.field_kinds[f"{model}.{wire}"] = kind


def _resources(found: Interface, top: str, body: list[ast.stmt]) -> None:
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    children = {
        (name, member.name): ast.unparse(member.returns)
        for name, node in classes.items()
        for member in node.body
        if isinstance(member, ast.FunctionDef) and member.decorator_list and member.returns
    }
    inner = set(children.values())
    waiting = [(top, name) for name in classes if name not in inner]
    while waiting:
        resource, name = waiting.pop()
        found.resources.add(resource)
        for member in classes[name].body:
            if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if child := children.get((name, member.name)):
                    waiting.append((f"{resource}.{member.name}", child))
                else:
                    found.methods[f"{resource}.{member.name}"] = ast.unparse(member.returns) if member.returns else ""
                    found.arguments[f"{resource}.{member.name}"] = dict(_arguments(member.args))
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
            call = node.value
            if ast.unparse(call.func) == "Operation" and len(call.args) > 2:
                name, method, path = (ast.literal_eval(argument) for argument in call.args[:3])
                settings = {word.arg or "": ast.unparse(word.value) for word in call.keywords if word.arg != "takes"}
                takes = next((ast.literal_eval(word.value) for word in call.keywords if word.arg == "takes"), "")
                found.kinds[name] = dict(word.split(":", 1) for word in takes.split())
                found.operations[name] = {"call": f"{method} {path}", **settings}


def _arguments(arguments: ast.arguments) -> Iterator[tuple[str, Argument]]:
    positional = arguments.args[1:]  # the first is self
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for place, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        yield argument.arg, Argument(_spelled(argument), default is None, place)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield argument.arg, Argument(_spelled(argument), default is None, None)


def _spelled(argument: ast.arg) -> str:
    text = ast.unparse(argument.annotation) if argument.annotation else "Any"
    return text.replace(" | UnsetType", "")


def _new(before: Interface, after: Interface) -> Iterator[str]:
    """What `after` has and `before` has not; what belongs to a thing that is new as a whole is not told again."""
    yield from (f"resource `{name}`" for name in sorted(after.resources - before.resources))
    for name in sorted(set(after.methods) - set(before.methods)):
        yield f"method `{name}({_signature(after.arguments[name])})`"
    for name in sorted(set(after.methods) & set(before.methods)):
        old, new = before.arguments[name], after.arguments[name]
        renamed = {argument for argument, _ in _renamed(old, new)} | {argument for _, argument in _renamed(old, new)}
        for argument in new:
            if argument not in old and argument not in renamed:
                need = "required" if new[argument].required else "optional"
                yield f"argument `{argument}` of `{name}`: `{new[argument].type}`, {need}"
    yield from (f"model `{name}`" for name in sorted(after.models - before.models))
    for name in sorted(set(after.fields) - set(before.fields)):
        if name.partition(".")[0] in before.models:
            yield f"field `{name}`: `{after.fields[name]}`"
    yield from (f"enumeration `{name}`" for name in sorted(set(after.values) - set(before.values)))
    for name in sorted(set(after.values) & set(before.values)):
        yield from (f"value `{value}` of `{name}`" for value in after.values[name] if value not in before.values[name])


def _changed(before: Interface, after: Interface) -> Iterator[str]:
    for name in sorted(set(before.methods) & set(after.methods)):
        if before.methods[name] != after.methods[name]:
            yield f"`{name}` answers `{after.methods[name]}`, before it was `{before.methods[name]}`"
        old, new = before.arguments[name], after.arguments[name]
        yield from (f"argument `{was}` of `{name}` is called `{now}`" for was, now in _renamed(old, new))
        for argument in old:
            if argument in new and old[argument] != new[argument]:
                yield from _different(f"argument `{argument}` of `{name}`", old[argument], new[argument])
    for name in sorted(set(before.fields) & set(after.fields)):
        if before.fields[name] != after.fields[name]:
            yield f"field `{name}` is `{after.fields[name]}`, before it was `{before.fields[name]}`"
    for name in sorted(set(before.operations) & set(after.operations)):
        was, now = before.operations[name], after.operations[name]
        for key in sorted({*was, *now}):
            old_value, value = was.get(key, "the default"), now.get(key, "the default")
            if old_value != value:
                yield f"operation {name}: {key} is {value}, before it was {old_value}"
        kinds = before.kinds[name]
        for wire, kind in after.kinds[name].items():
            if kind != kinds.get(wire, kind):
                yield f"operation {name}: {wire} has to be {kind}, before it was {kinds[wire]}"
    for name, kind in after.field_kinds.items():
        before_it = before.field_kinds.get(name, kind)
        if kind != before_it:
            yield f"field `{name}` has to be {kind} as an argument, before it was {before_it}"


def _different(what: str, old: Argument, new: Argument) -> Iterator[str]:
    if old.type != new.type:
        yield f"{what} takes `{new.type}`, before it was `{old.type}`"
    if old.required != new.required:
        yield f"{what} is {'required' if new.required else 'optional'} now"
    if old.place != new.place:
        yield f"{what} is {'keyword-only' if new.place is None else f'positional, number {new.place + 1},'} now"


def _renamed(old: Mapping[str, Argument], new: Mapping[str, Argument]) -> list[tuple[str, str]]:
    """Positional arguments whose place and type another name has now."""
    return [
        (was, now)
        for was, argument in old.items()
        for now, other in new.items()
        if was not in new and now not in old and argument.place is not None and argument == other
    ]


def _signature(arguments: Mapping[str, Argument]) -> str:
    positional = [name for name, argument in arguments.items() if argument.place is not None]
    needed = [name for name, argument in arguments.items() if argument.place is None and argument.required]
    others = any(argument.place is None and not argument.required for argument in arguments.values())
    keywords = [*needed, *(["…"] if others else [])]
    return ", ".join([*positional, *(["*", *keywords] if keywords else [])])
