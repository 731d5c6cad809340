"""Which models methods need, in which module each is printed, and what it is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import python_names
from .apply_corrections import stale
from .corrections import Reasoned
from .methods import Method
from .read_contract import Contract, ContractError, Type
from .suggested_names import suggested_model

SHARED = "_shared"


class Models:
    """The structs and enumerations that methods need.

    Args:
        contract: The corrected contract.
        methods: All of it: selecting fewer of them moves no model.

    Attributes:
        types: By the contract's name.
        homes: The module of every model: its one top-level resource, or the shared one.
    """

    def __init__(self, contract: Contract, methods: Iterable[Method]) -> None:
        self._contract = contract
        self.types: dict[str, Type] = {}
        tops: dict[str, set[str]] = {}
        for method in methods:
            for name, type_ in self.of(method).items():
                self.types[name] = type_
                tops.setdefault(name, set()).add(method.resource.split(".")[0])
        self.homes = {name: next(iter(top)) if len(top) == 1 else SHARED for name, top in tops.items()}

    def of(self, method: Method) -> dict[str, Type]:
        """Those of one method, by the contract's name."""
        roots = [*(argument.type for argument in method.arguments), *([method.record] if method.record else [])]
        found = {type_.name: type_ for root in roots for type_ in root.walk() if type_.name}
        objects = self._contract.reach(*roots)
        found |= objects
        for type_ in objects.values():
            for member in self._contract.members(type_):
                found |= {inner.name: inner for inner in member.type.walk() if inner.name}
        # A union is printed as one struct: its choices are not printed, unless something else holds them.
        return {name: type_ for name, type_ in found.items() if not self._only_a_choice(name, found, roots)}

    def _only_a_choice(self, name: str, found: Mapping[str, Type], roots: list[Type]) -> bool:
        unions = [type_ for type_ in found.values() if type_.kind == "union"]
        if not any(choice.name == name for union in unions for choice in union.choices):
            return False
        holders = [m.type for t in found.values() if t.kind in ("object", "union") for m in self._contract.members(t)]
        return not any(name in _direct(holder) for holder in roots + holders)


def model_names(wanted: Iterable[str], given: Reasoned, problems: list[str]) -> dict[str, str]:
    """What models are called in Python, by rule or as given; what has to be decided is added to the problems."""
    names = sorted(wanted)
    result = {name: given[name][0] for name in names if name in given}
    for name in names:
        if name in given:
            continue
        plain = python_names.pascal(name).removesuffix("Response")
        if plain.isidentifier() and "|" not in name and plain not in result.values():
            result[name] = plain
            continue
        result[name] = suggested_model(name, result.values())
        other = next((known for known, python in result.items() if python == plain and known != name), "")
        why = f"would be {plain}, as {other} is" if other else "needs a name"
        entry = f'"{name}": ("{result[name]}", "the reason")'
        problems.append(f"new schema: {name} {why}; suggested for model_names in corrections.py: {entry}")
    if clashes := sorted(name for name, python in result.items() if list(result.values()).count(python) > 1):
        raise ContractError(f"model_names in corrections.py gives one name to several schemas: {clashes}")
    problems += stale("model_names", set(given) - set(result))
    return result


def _direct(type_: Type) -> set[str]:
    """The names a type holds by itself, not as one choice of a union."""
    if type_.kind == "union":
        return {type_.name}
    return {type_.name} | (_direct(type_.item) if type_.item else set())
