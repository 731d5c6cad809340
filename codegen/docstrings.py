"""The words of the docstrings, this project's own: sentences by rule, and by hand where a rule would say too little."""

from __future__ import annotations

from collections.abc import Iterable

from . import docstring_arguments, docstring_notes, docstring_words, python_names
from .methods import Argument, Method
from .plan import Plan

_FEW = 8  # values that are named one by one


def stale(operations: Iterable[str], schemas: Iterable[str]) -> list[str]:
    """A line for each operation and each schema that is spoken of here and is not there any more."""
    operations, schemas = set(operations), set(schemas)
    tables: dict[str, tuple[Iterable[str], set[str]]] = {
        "SUMMARIES in docstring_words.py": (docstring_words.SUMMARIES, operations),
        "MODELS in docstring_words.py": (docstring_words.MODELS, schemas),
        "NOTES in docstring_notes.py": (docstring_notes.NOTES, operations),
        "EDIT_NOTES in docstring_notes.py": (docstring_notes.EDIT_NOTES, operations),
        "WAIT_NOTES in docstring_notes.py": (docstring_notes.WAIT_NOTES, operations),
    }
    return [
        f"no longer described: {name} is gone; take it out of {table}"
        for table, (described, there) in tables.items()
        for name in sorted(set(described) - there)
    ]


def model(name: str, python: str) -> str:
    """One line about a struct."""
    return (
        docstring_words.MODELS.get(name)
        or f"{_article(python_names.words(python)).capitalize()} {python_names.words(python)}."
    )


def resource(name: str) -> str:
    """One line about a resource."""
    many = _noun(name)[1]
    return f"{many[0].upper()}{many[1:]}."


def summary(method: Method) -> str:
    """The first line of a method's docstring."""
    said = _summary(method)
    size = method.settings.get("page_size")
    return f"{said.rstrip('.')}, up to {size} in a page." if size else said


def _summary(method: Method) -> str:
    one, many = _noun(method.resource)
    if method.call.id in docstring_words.SUMMARIES:
        return docstring_words.SUMMARIES[method.call.id]
    if method.name in docstring_words.VERBS:
        a_one = one if one.startswith("the ") else f"{_article(one)} {one}"
        said = docstring_words.VERBS[method.name].format(many=many, a_one=a_one, plain=many.removeprefix("the "))
        if not method.record or (method.name == "retrieve" and not method.positional):
            said = said.partition(";")[0].rstrip(".") + "."
        return said
    said = python_names.words(method.call.id)
    return f"{said[0].upper()}{said[1:]}."


def notes(method: Method) -> list[str]:
    """What else to know before calling it."""
    found = list(docstring_notes.NOTES.get(method.call.id, ()))
    fields = {argument.wire for argument in method.arguments if argument.place == "body"}
    found += [
        f"`{a.name}` is in {docstring_words.UNITS[a.wire]}."
        for a in method.arguments
        if docstring_words.UNITS.get(a.wire) in docstring_words.PLAIN_UNITS
    ]
    if "currency" in fields and any(a.type.kind == "number" for a in method.arguments):
        found.append("Amounts are in `currency`. They are sent with all their digits.")
    if method.call.method == "PUT" and "version" in fields:
        found += [
            docstring_notes.VERSION_UPDATE,
            docstring_notes.REPLACES if "customFields" in fields else "All fields are replaced.",
        ]
    if method.call.method == "POST" and method.name.startswith("create") and "version" in fields:
        found.append(docstring_notes.VERSION_CREATE)
    if method.repeat == "never" and not {docstring_notes.MONEY, docstring_notes.MAIL} & set(found):
        found.append(docstring_notes.ONCE)
    if method.call.deprecated:
        found.append("The service has deprecated this operation.")
    return found


def arguments(plan: Plan, method: Method) -> list[tuple[str, str]]:
    """Arguments and what they are, as far as name and type do not say it."""
    found = [(argument.name, _argument(plan, method, argument)) for argument in method.arguments]
    return [(name, said) for name, said in found if said]


def _argument(plan: Plan, method: Method, argument: Argument) -> str:
    several = "[]" if argument.type.kind == "array" else ""
    said = docstring_arguments.MEANINGS.get(f"{argument.place}:{argument.wire}{several}", "")
    name, values = plan.values(method, argument)
    if not values:
        return said
    one, any_ = ("one", "any") if said else ("One", "Any")
    known = f"{one} of the {len(values)} values of `{name}`"
    if len(values) <= _FEW:
        known = " or ".join([", ".join(values[:-1]), values[-1]] if values[1:] else values)
        known = f"{any_} of {known}" if several and values[1:] else known
    return f"{said.rstrip('.')}: {known}." if said else f"{known}."


def noun(resource: str) -> str:
    """What one of them is called."""
    return _noun(resource)[0]


def edit(method: Method) -> str:
    """The first line of an `edit`; `method` is the update that it writes with."""
    one = noun(method.resource)
    if one.startswith("the "):
        return f"Change parts of {one}, and keep all others."
    return f"Change fields of {_article(one)} {one}, and keep all others."


def edit_notes(method: Method, anew: Iterable[str]) -> list[str]:
    """What else to know before using an `edit`; it must be given the fields `anew`."""
    hidden = [f"Always give `{name}`: its value in an answer cannot be written back." for name in anew]
    return [docstring_notes.EDIT, *hidden, *docstring_notes.EDIT_NOTES.get(method.call.id, ())]


def by_code(method: Method) -> str:
    """The first line of a `get_by_code`."""
    one = noun(method.resource)
    return f"Get the {one} with a given code; `NotFoundError` if there is none."


def wait(resource: str) -> str:
    """The first line of a `wait`."""
    one = noun(resource)
    return f"Wait until {_article(one)} {one} has ended, and get it."


def wait_notes(method: Method) -> list[str]:
    """What else to know before waiting; `method` reads the job."""
    return [docstring_notes.WAIT, docstring_notes.WAIT_ENDS, *docstring_notes.WAIT_NOTES.get(method.call.id, ())]


def file(method: Method, name: str, call: str) -> tuple[str, str, list[str]]:
    """The first line of a `download` or `download_to`, the call, and what else to know."""
    one = noun(method.resource)
    if name == "download":
        return f"Download the file of {_article(one)} {one} that has succeeded.", call, [docstring_notes.FILE]
    return (
        f"Download the file of {_article(one)} {one} that has succeeded, and save it to a path.",
        call,
        [docstring_notes.FILE_TO],
    )


STATEMENTS = {
    "json": "Get a bill's statement as JSON: dicts and lists, with exact numbers.",
    "csv": "Get a bill's statement as the bytes of a CSV file.",
}


def _noun(name: str) -> tuple[str, str]:
    many = name.rsplit(".", 1)[-1].replace("_", " ")
    return docstring_words.NOUNS.get(name, (python_names.singular(many), many))


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeio" or noun.startswith("up") else "a"
