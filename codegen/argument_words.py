"""What the client checks of each argument before anything is sent, in the words of `m3ter_async._core.arguments`."""

from __future__ import annotations

from .annotations import SCALARS
from .plan import Method, Plan
from .read_contract import Type

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


def argument_words(plan: Plan, method: Method) -> list[str]:
    """A word for each argument of a method; what is a text of any length has none, nor has the size of a page."""
    size = method.settings.get("page_size")
    words: dict[str, str] = {}
    for argument in method.arguments:
        word = _word(plan, argument.type)
        if word != "text" and not (argument.wire == "pageSize" and word == f"int(1,{size})"):
            words[argument.wire] = word
    return [f"{wire}:{word}" for wire, word in words.items()]


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
    word = _WORDS[type_.kind]
    if word == "text" and limits.get("maxLength") == _ID:
        return word  # an id is often somebody else's input, and whether there is such a thing is for the service to say
    if word == "text":
        return word + _bounds(limits.get("minLength"), limits.get("maxLength"))
    return word + _bounds(limits.get("minimum"), limits.get("maximum"), above=bool(limits.get("exclusiveMinimum")))


def _bounds(least: int | None, most: int | None, *, above: bool = False) -> str:
    if least is None and most is None:
        return ""
    return f"({'>' if above else ''}{'' if least is None else least},{'' if most is None else most})"
