"""What the client checks of arguments before anything is sent, in the words of `m3ter_async._core.argument_words`."""

from __future__ import annotations

from dataclasses import replace

from .annotations import SCALARS
from .methods import Method
from .plan import Plan
from .print_models import EDIT, wrapped
from .read_contract import Member, Type, without_form

_WORDS = {
    "string": "text",
    "date": "date",
    "date-time": "moment",
    "integer": "int",
    "number": "number",
    "boolean": "bool",
    "any": "any",
}
_ID = 36  # characters
# Patterns and formats, and the word for each. The patterns are Java's, and hold for the whole of a text.
_FORMS = {
    r"^([^[\p{Cntrl}\s]])|([^[\p{Cntrl}\s]][[^[\p{Cntrl}\s]] ]*[^[\p{Cntrl}\s]])$": "code",
    r"^[\p{L}_$][\p{L}_$0-9]*$": "identifier",
    r"^[a-zA-Z0-9_-]*$": "dashed",
    r"^arn:aws:iam::\d+:role/.*$": "role",
    "email": "email",
    "int32": "int32",
}
_UNCHECKED = {
    "^[a-zA-Z0-9-]*$": "of ids: whether there is such a thing is for the service to say",
    "HOUR|DAY|MINUTE": "an enumeration: values are added over time",
}


def argument_words(plan: Plan, method: Method) -> list[str]:
    """A word for each argument of a method; what is a text of any length has none, nor has the size of a page."""
    size = method.settings.get("page_size")
    words: dict[str, str] = {}
    for argument in method.arguments:
        word = _word(plan, argument.type)
        if word != "text" and not (argument.wire == "pageSize" and word in (f"int(1,{size})", f"int32(1,{size})")):
            words[argument.wire] = word
    return [f"{wire}:{word}" for wire, word in words.items()]


def words_of_models(plan: Plan) -> str:
    """The module that says of models which are arguments what their annotations do not say of their fields."""
    lines: list[str] = []
    roots = [argument.type for method in plan.methods for argument in method.arguments]
    reached = plan.contract.reach(*roots)
    models = {plan.model_names[name]: type_ for name, type_ in reached.items() if name in plan.homes}
    for model, type_ in sorted(models.items()):
        members = [member for member in plan.contract.members(type_) if _says_more(plan, member)]
        words = " ".join(f"{member.name}:{_word(plan, member.type)}" for member in members)
        lines += [f"{model!r}: {wrapped(words)},\n"] if words else []
    return (
        f'"""What the fields of models may be where they are arguments. {EDIT}"""\n\nWORDS = {{\n{"".join(lines)}}}\n'
    )


def undecided(plan: Plan) -> list[str]:
    """A line for each pattern of an argument that nobody has decided on."""
    roots = [argument.type for method in plan.methods for argument in method.arguments]
    members = [member.type for type_ in plan.contract.reach(*roots).values() for member in plan.contract.members(type_)]
    forms = {inner.form for type_ in (*roots, *members) for inner in type_.walk()} - {"", *_FORMS, *_UNCHECKED}
    return [
        f"new pattern: {form} is not known; add it to _FORMS, or to _UNCHECKED, in argument_words.py"
        for form in sorted(forms)
    ]


def _says_more(plan: Plan, member: Member) -> bool:
    return _word(plan, member.type) != _word(plan, _unbounded(without_form(member.type)))


def _unbounded(type_: Type) -> Type:
    return replace(type_, limits=(), item=_unbounded(type_.item) if type_.item else None)


def _word(plan: Plan, type_: Type) -> str:
    limits = dict(type_.limits)
    if type_.kind == "array" and type_.item:
        return f"[{_word(plan, type_.item)}]{_bounds(limits.get('minItems'), limits.get('maxItems'))}"
    if type_.kind == "map" and type_.item:
        return f"{{{_word(plan, type_.item)}}}{_bounds(limits.get('minItems'), limits.get('maxItems'))}"
    if type_.kind == "union" and not type_.name:
        return "scalar" if all(choice.kind in SCALARS for choice in type_.choices) else "any"
    if type_.kind in ("object", "union"):
        return plan.model_names[type_.name]
    word = _FORMS.get(type_.form, _WORDS[type_.kind])
    if type_.kind == "string" and limits.get("maxLength") == _ID:
        # an id is often somebody else's input, and whether there is such a thing is for the service to say
        return "text"
    if type_.kind == "string":
        return word + _bounds(limits.get("minLength"), limits.get("maxLength"))
    return word + _bounds(limits.get("minimum"), limits.get("maximum"), above=bool(limits.get("exclusiveMinimum")))


def _bounds(least: int | None, most: int | None, *, above: bool = False) -> str:
    if least is None and most is None:
        return ""
    return f"({'>' if above else ''}{'' if least is None else least},{'' if most is None else most})"
